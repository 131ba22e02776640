//! The whole uploader with a bucket for a destination.

use crate::s3::{secret, section};
use crate::support::dirs::Dir;
use crate::support::nix_daemon::{NixDaemon, full};
use crate::support::s3_server::{KEY_ID, S3Server, SECRET};
use crate::support::uploads::{Uploads, chain, narinfo};
use countersign::format::StorePath;

/// A machine that uploads to a bucket, with its keys in a file and these parameters behind its URL.
pub(super) fn uploads(server: &S3Server, parameters: &str) -> Uploads {
    let dir = Dir::new();
    secret(&dir, "s3", &section("default", KEY_ID, SECRET));
    let destination = format!(
        "[destinations.acme]\nurl = \"{}{parameters}\"\npackages = [\"*\"]\ncredentials-file = \"DIR/s3\"\n",
        server.url()
    );
    Uploads::with(NixDaemon::start("2.34"), dir, "", &destination)
}

pub(super) fn is_whole(server: &S3Server, path: &StorePath) -> bool {
    let Some(text) = narinfo(&server.bucket(), path) else { return false };
    let url = text.lines().find_map(|line| line.strip_prefix("URL: ")).unwrap();
    server.object(url).is_some() && text.contains("Sig: acme-1:")
}

#[test]
fn what_is_built_goes_into_a_bucket() {
    let server = S3Server::start();
    let uploads = uploads(&server, "");
    let built = uploads.daemon.build(&chain(3, 200));
    let _uploader = uploads.start();
    uploads.ok(&["push", &full(&built[2])]);
    assert!(built.iter().all(|path| is_whole(&server, path)));
    // Every reference was there before its referrer, and every NAR before its narinfo.
    let log = server.log();
    let put = |part: &str| log.iter().position(|r| r.method == "PUT" && r.uri.contains(part)).unwrap();
    let narinfos: Vec<_> = built.iter().map(|path| put(&path.hash_part().to_string())).collect();
    assert!(narinfos.is_sorted(), "{narinfos:?}");
    for (path, at) in built.iter().zip(narinfos) {
        let text = narinfo(&server.bucket(), path).unwrap();
        assert!(put(text.lines().find_map(|line| line.strip_prefix("URL: ")).unwrap()) < at);
    }
    assert_eq!(server.count("GET", "uploads="), 1, "it looks for unfinished uploads once a day");
    assert!(!uploads.log().contains(SECRET));
}

/// A server behind TLS whose certificate is trusted by name alone; without it the error says what is wrong and what to do.
#[test]
fn over_tls_with_a_certificate_of_ones_own() {
    let server = S3Server::start_tls();
    let uploads = uploads(&server, "&multipart-threshold=1");
    let built = uploads.daemon.build(&chain(2, 200));
    let trusting = server.ca_file();
    let stranger = S3Server::start_tls();
    let other = stranger.ca_file();
    let uploader = uploads.start_with(&[("NIX_SSL_CERT_FILE", other.to_str().unwrap())]);
    let (code, said, _) = uploads.run(&["push", &full(&built[1])]);
    assert_eq!(code, Some(1));
    assert!(said.contains("invalid peer certificate"), "{said}");
    assert!(said.contains("NIX_SSL_CERT_FILE"), "{said}");
    assert_eq!(uploader.stop(), Some(0));
    assert!(server.log().is_empty());
    let _uploader = uploads.start_with(&[("NIX_SSL_CERT_FILE", trusting.to_str().unwrap())]);
    uploads.wait();
    assert!(built.iter().all(|path| is_whole(&server, path)));
}
