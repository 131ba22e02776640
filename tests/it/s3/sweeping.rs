//! What is left of multipart uploads that were broken off: what is old enough goes, and nothing else does.

use crate::s3::{KEYS, bucket, open, place};
use crate::support::s3_server::{BUCKET, S3Fault, S3Server};
use countersign::config::Bucket;
use countersign::destination::{Place, PlaceErrorKind as Kind};
use countersign::format::base32;
use http::StatusCode;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A name as uploaders give it.
pub(super) fn name(seed: u8) -> String {
    format!("nar/{}.nar.zst", base32::encode(&[seed; 32]))
}

/// Begins an upload in the bucket and leaves it; the server takes what is not signed.
fn begin(server: &S3Server, name: &str) {
    let port = server.endpoint().rsplit_once(':').unwrap().1.parse().unwrap();
    let request = format!(
        "POST /{BUCKET}/{name}?uploads= HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let reply = crate::support::client::parse(&crate::support::client::raw(port, request.as_bytes()));
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// The names of uploads that were aborted.
fn aborted(server: &S3Server) -> Vec<String> {
    let log = server.log();
    let keys = log.iter().filter(|r| r.method == "DELETE");
    let keys = keys
        .map(|r| r.uri.split('?').next().unwrap().strip_prefix(&format!("{BUCKET}/")).unwrap().to_owned());
    keys.collect()
}

fn unsigned(server: &S3Server, prefix: &str) -> Place {
    let written = Bucket { is_unsigned: true, prefix: prefix.into(), ..bucket(server) };
    open(written, None, &[]).unwrap()
}

/// Three on a page: there are more.
#[tokio::test]
async fn what_was_begun_long_ago_goes_from_every_page() {
    let server = S3Server::open();
    let names: Vec<_> = (0..7).map(name).collect();
    names.iter().for_each(|name| begin(&server, name));
    let place = unsigned(&server, "");
    assert_eq!(place.sweep(DAY).await.unwrap(), 0, "all are young");
    assert_eq!(server.orphans().len(), 7);
    server.age_orphans(DAY - Duration::from_secs(60));
    assert_eq!(place.sweep(DAY).await.unwrap(), 0, "not quite a day");
    server.age_orphans(Duration::from_secs(120));
    assert_eq!(place.sweep(DAY).await.unwrap(), 7);
    assert_eq!(server.orphans(), [""; 0]);
    let mut expected = names;
    expected.sort();
    assert_eq!(aborted(&server), expected);
    let pages = server.log().iter().filter(|r| r.uri.contains("key-marker=")).count();
    assert_eq!(pages, 3 * 2, "each of the three sweeps read all three pages");
}

/// Whatever is no NAR below our own prefix belongs to others, however old it is.
#[tokio::test]
async fn what_others_began_is_left_alone() {
    let server = S3Server::open();
    let ours = format!("a/b/{}", name(1));
    let hash = base32::encode(&[9; 32]);
    for other in [
        name(2),
        format!("a/{}", name(3)),
        format!("a/b/c/{}", name(4)),
        "a/b/nar/backup.tar".to_owned(),
        format!("a/b/nar/{hash}.tar"),
        format!("a/b/nar/{hash}.nar.zst.part"),
        format!("a/b/nar/{}.nar", &hash[1..]),
        format!("a/b/log/{hash}.nar"),
    ] {
        begin(&server, &other);
    }
    begin(&server, &ours);
    server.age_orphans(9 * DAY);
    assert_eq!(unsigned(&server, "a/b/").sweep(DAY).await.unwrap(), 1);
    assert_eq!(aborted(&server), [ours]);
    assert!(server.log().iter().any(|r| r.method == "GET" && r.uri.contains("prefix=a%2Fb%2Fnar%2F")));
}

#[tokio::test]
async fn one_that_cannot_be_aborted_keeps_no_other() {
    let server = S3Server::open();
    for seed in 0..5 {
        begin(&server, &name(seed));
    }
    server.age_orphans(2 * DAY);
    let mut names: Vec<_> = (0..5).map(name).collect();
    names.sort();
    // This one has ended meanwhile, and that one is kept.
    server.when("DELETE", &names[0], S3Fault::error(404, "NoSuchUpload"));
    server.when("DELETE", &names[1], S3Fault::error(403, "AccessDenied"));
    let error = unsigned(&server, "").sweep(DAY).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Credentials);
    assert!(error.to_string().contains("s3:AbortMultipartUpload"), "{error}");
    assert_eq!(aborted(&server), names);
    assert_eq!(server.orphans().len(), 2);
}

/// The list is asked for with a signature that `s3s-fs` finds right, and without the right keys it does not.
#[tokio::test]
async fn the_list_is_signed() {
    let server = S3Server::start();
    assert_eq!(place(&server).sweep(DAY).await.unwrap(), 0);
    let wrong = [("AWS_ACCESS_KEY_ID", "AKIDTEST"), ("AWS_SECRET_ACCESS_KEY", "other")];
    let error = open(bucket(&server), None, &wrong).unwrap().sweep(DAY).await.unwrap_err();
    assert!(error.to_string().contains("SignatureDoesNotMatch"), "{error}");
}

#[tokio::test]
async fn a_server_that_lists_no_uploads_says_so() {
    let server = S3Server::start();
    let place = open(bucket(&server), None, KEYS).unwrap();
    server.when("GET", "uploads=", S3Fault::error(501, "NotImplemented"));
    let error = place.sweep(DAY).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused(StatusCode::NOT_IMPLEMENTED), "{error}");
    server.when("GET", "uploads=", S3Fault::error(403, "AccessDenied"));
    let error = place.sweep(DAY).await.unwrap_err();
    assert!(error.to_string().contains("s3:ListBucketMultipartUploads"), "{error}");
}
