//! Bad days of a bucket's server under the whole uploader: in the end all is there, nothing is left open, and nobody was
//! asked without end.

use crate::s3::credentials::{document_of, instance_with, time};
use crate::s3::secret;
use crate::s3::uploader::{is_whole, uploads};
use crate::support::dirs::Dir;
use crate::support::fault_server::{Fault, FaultServer};
use crate::support::nix_daemon::{NixDaemon, full};
use crate::support::s3_server::{KEY_ID, S3Fault, S3Server, SECRET};
use crate::support::uploads::{Uploads, chain};
use crate::uploader::crashes::ask;
use countersign::format::StorePath;
use std::time::Duration;

/// Everything is answered with SlowDown for a while: the destination is left alone as long as it asks, one line says
/// so, and in the end all is there.
#[test]
fn a_storm_passes() {
    let server = S3Server::start();
    let uploads = uploads(&server, "");
    let built = uploads.daemon.build(&chain(3, 200));
    server.when("PUT", "", S3Fault::with(503, "SlowDown", "retry-after", "2"));
    let _uploader = uploads.start();
    let (code, said, _) = uploads.run(&["push", &full(&built[2])]);
    assert_eq!(code, Some(1));
    assert!(said.contains("SlowDown") && said.contains("it asks for 2 seconds of patience"), "{said}");
    server.heal();
    uploads.wait();
    assert!(built.iter().all(|path| is_whole(&server, path)));
}

/// Everything is answered with SlowDown, and nobody says for how long, in the middle of a closure that goes in parts.
#[test]
fn a_storm_over_a_whole_closure_passes_unasked() {
    let server = S3Server::start();
    let uploads = uploads(&server, "&multipart-threshold=1");
    let built = uploads.daemon.build(&chain(12, 200));
    std::fs::create_dir_all(uploads.state()).unwrap();
    ask(&uploads, &built);
    // Nothing that refers to the fourth goes before it, so most are still to come.
    server.when("*", &built[3].hash_part().to_string(), S3Fault::error(503, "SlowDown"));
    let _uploader = uploads.start();
    uploads.wait_for("it is left alone", |u| u.ok(&["queue", "list"]).contains("SlowDown"));
    server.when("*", "", S3Fault::error(503, "SlowDown"));
    let before = server.log().len();
    std::thread::sleep(Duration::from_secs(3));
    let during = server.log().len() - before;
    server.heal();
    // What is refused now and then besides holds up nothing either.
    server.next(8, "PUT", "partNumber=", S3Fault::error(503, "SlowDown"));
    server.next(3, "PUT", ".narinfo", S3Fault::error(503, "SlowDown"));
    uploads.wait();
    assert!(during < 40, "asked {during} times in three seconds");
    assert!(built.iter().all(|path| is_whole(&server, path)));
    assert_eq!(server.orphans(), [""; 0]);
}

/// The server loses parts, and whole uploads, of several paths.
#[test]
fn what_the_server_loses_is_sent_again() {
    let server = S3Server::start();
    let uploads = uploads(&server, "&multipart-threshold=1");
    let built = uploads.daemon.build(&chain(6, 200));
    server.next(2, "POST", "uploadId=", S3Fault::error(400, "InvalidPart"));
    server.next(2, "PUT", "partNumber=", S3Fault::error(404, "NoSuchUpload"));
    server.next(1, "POST", "uploads", S3Fault::error(503, "SlowDown"));
    let _uploader = uploads.start();
    uploads.run(&["push", &full(&built[5])]);
    uploads.wait();
    assert!(built.iter().all(|path| is_whole(&server, path)));
    assert_eq!(server.orphans(), [""; 0]);
    assert!(server.count("POST", "uploads") <= 6 + 2 + 2 + 1, "{}", server.count("POST", "uploads"));
}

/// A machine that uploads to a bucket, and a large path; its keys come from what is in its environment.
fn large(server: &S3Server) -> (Uploads, StorePath) {
    let destination = format!(
        "[destinations.acme]\nurl = \"{}&multipart-chunk-size=5M\"\npackages = [\"*\"]\n",
        server.url()
    );
    // One thread: two would open the bucket side by side, each with keys of its own.
    let uploads = Uploads::with(NixDaemon::start("2.34"), Dir::new(), "jobs = 1", &destination);
    let script = "dd if=/dev/urandom of=$out bs=1M count=22 2>/dev/null";
    let built = uploads.daemon.build_one(&format!("shell \"acme-large\" \"{script}\" {{}}"));
    (uploads, built)
}

/// The session ends in the middle of a large file: from its third part on the server takes the next one's keys alone.
fn session_ends_in_the_middle(server: &S3Server) {
    for part in [3, 4, 5] {
        server.when("PUT", &format!("partNumber={part}&"), S3Fault::ExpiredAfter("tok-1", &[1, 2]));
    }
    server.when("POST", "uploadId=", S3Fault::Expired("tok-1"));
}

fn upload(uploads: &Uploads, server: &S3Server, built: &StorePath, environment: &[(&str, &str)]) {
    let uploader = uploads.start_with(environment);
    uploads.run(&["push", &full(built)]);
    uploads.wait();
    assert!(is_whole(server, built));
    assert_eq!(server.orphans(), [""; 0]);
    let parts = |token| {
        let log = server.log();
        log.iter()
            .filter(|r| r.uri.contains("partNumber=") && r.header("x-amz-security-token") == Some(token))
            .count()
    };
    assert!((3..=5).contains(&parts("tok-1")), "{}", parts("tok-1"));
    assert_eq!(parts("tok-2"), 3);
    assert_eq!(server.count("POST", "uploads"), 1, "nothing was begun anew");
    assert!(!uploads.log().contains(SECRET) && !uploads.log().contains("tok-"), "{}", uploads.log());
    assert_eq!(uploader.stop(), Some(0));
}

#[test]
fn an_instances_session_ends_in_the_middle_of_a_large_file() {
    let (server, giver) = (S3Server::start(), instance_with("tok-2", 3600));
    let (uploads, built) = large(&server);
    let role = "latest/meta-data/iam/security-credentials/builder-role";
    let first: &'static str = document_of(KEY_ID, SECRET, "tok-1", 3600).leak();
    giver.next(1, "GET", role, Fault::Status(200, vec![], first));
    session_ends_in_the_middle(&server);
    let url = giver.url();
    upload(&uploads, &server, &built, &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)]);
    assert_eq!(giver.count("GET", role), 2);
}

#[test]
fn a_web_identitys_session_ends_in_the_middle_of_a_large_file() {
    let (server, giver) = (S3Server::start(), FaultServer::start());
    let (uploads, built) = large(&server);
    let token = secret(&uploads.dir, "token", "web.identity\n");
    let answer = |session: &str| -> &'static str {
        format!(
            "<R><Credentials><AccessKeyId>{KEY_ID}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>\
             <SessionToken>{session}</SessionToken><Expiration>{}</Expiration></Credentials></R>",
            time(3600)
        )
        .leak()
    };
    giver.when("POST", "", Fault::Status(200, vec![], answer("tok-2")));
    giver.next(1, "POST", "", Fault::Status(200, vec![], answer("tok-1")));
    session_ends_in_the_middle(&server);
    let url = giver.url();
    let environment = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/up"),
        ("AWS_ENDPOINT_URL_STS", url.as_str()),
    ];
    upload(&uploads, &server, &built, &environment);
    assert_eq!(giver.count("POST", ""), 2);
}
