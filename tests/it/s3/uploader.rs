//! The whole uploader with a bucket for a destination.

use crate::s3::{secret, section};
use crate::support::dirs::Dir;
use crate::support::nix_daemon::{NixDaemon, full};
use crate::support::s3_server::{KEY_ID, S3Fault, S3Server, SECRET};
use crate::support::uploads::{Uploads, chain, narinfo};
use crate::uploader::crashes::{ask, kill_again_and_again};
use countersign::format::StorePath;
use std::time::Duration;

/// A machine that uploads to a bucket, with its keys in a file.
fn uploads(server: &S3Server) -> Uploads {
    let dir = Dir::new();
    secret(&dir, "s3", &section("default", KEY_ID, SECRET));
    let destination = format!(
        "[destinations.acme]\nurl = \"{}\"\npackages = [\"*\"]\ncredentials-file = \"DIR/s3\"\n",
        server.url()
    );
    Uploads::with(NixDaemon::start("2.34"), dir, "", &destination)
}

fn is_whole(server: &S3Server, path: &StorePath) -> bool {
    let Some(text) = narinfo(&server.bucket(), path) else { return false };
    let url = text.lines().find_map(|line| line.strip_prefix("URL: ")).unwrap();
    server.object(url).is_some() && text.contains("Sig: acme-1:")
}

#[test]
fn what_is_built_goes_into_a_bucket() {
    let server = S3Server::start();
    let uploads = uploads(&server);
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

/// As with a directory: nothing is lost, nothing is put again, and no reader sees a narinfo without what belongs to it.
#[test]
fn killed_at_a_hundred_points_nothing_is_lost() {
    let server = S3Server::start();
    kill_again_and_again(&uploads(&server), &server.bucket(), 100);
    assert_eq!(server.orphans(), [""; 0]);
}

/// Killed in the middle of a large file: the next run sends it, and what the first one left is aborted a day later.
#[test]
fn killed_in_the_middle_of_a_large_file() {
    let server = S3Server::start();
    let uploads = uploads(&server);
    let script = "dd if=/dev/urandom of=$out bs=1M count=30 2>/dev/null";
    let built = uploads.daemon.build_one(&format!("shell \"acme-large\" \"{script}\" {{}}"));
    server.when("PUT", "partNumber=2", S3Fault::Wait(Duration::from_secs(600)));
    std::fs::create_dir_all(uploads.state()).unwrap();
    let uploader = uploads.start();
    ask(&uploads, std::slice::from_ref(&built));
    uploads.wait_for("the second part is under way", |_| server.count("PUT", "partNumber=2") > 0);
    uploads.wait_for("the others are there", |_| server.orphans().len() >= 4);
    uploader.kill();
    server.heal();
    let begun = server.orphans();
    let id = begun.iter().find_map(|name| name.strip_prefix(".upload-")?.strip_suffix(".json")).unwrap();
    let key = server.log().iter().find(|r| r.method == "POST").unwrap().uri.clone();
    let key = key.split_once('/').unwrap().1.split('?').next().unwrap().to_owned();
    let uploader = uploads.start();
    uploads.wait();
    assert!(is_whole(&server, &built));
    assert_eq!(server.orphans(), begun, "what the killed one left is not yet old");
    assert_eq!(uploader.stop(), Some(0));
    let old = format!(
        "<R><Upload><Key>{key}</Key><UploadId>{id}</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></Upload></R>"
    );
    server.when("GET", "uploads=", S3Fault::Answer(200, Vec::new(), old));
    let _uploader = uploads.start();
    uploads.wait_for("it is swept up", |_| server.orphans().is_empty());
    assert!(is_whole(&server, &built));
}

/// Everything is answered with SlowDown for a while: the destination is left alone as long as it asks, one line says
/// so, and in the end all is there.
#[test]
fn a_storm_passes() {
    let server = S3Server::start();
    let uploads = uploads(&server);
    let built = uploads.daemon.build(&chain(3, 200));
    server.next(6, "PUT", "", S3Fault::with(503, "SlowDown", "retry-after", "2"));
    let _uploader = uploads.start();
    let (code, said, _) = uploads.run(&["push", &full(&built[2])]);
    assert_eq!(code, Some(1));
    assert!(said.contains("SlowDown") && said.contains("it asks for 2 seconds of patience"), "{said}");
    server.heal();
    uploads.wait();
    assert!(built.iter().all(|path| is_whole(&server, path)));
}
