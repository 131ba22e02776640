//! Files that are larger than a part: parts that are lost, credentials that end on the way, and answers that never
//! come.

use crate::s3::{KEYS, bucket, open, place};
use crate::support::dirs::Dir;
use crate::support::fault_server::{Fault, FaultServer};
use crate::support::party::noise;
use crate::support::s3_server::{KEY_ID, S3Fault, S3Server, SECRET};
use countersign::config::{Bucket, Parts};
use countersign::destination::{
    Body, Condition, ContentType, Place, PlaceError, PlaceErrorKind as Kind, Put,
};
use http::StatusCode;
use std::time::Duration;

/// Five parts, the last of them short.
const LENGTH: usize = (4 << 23) + 1000;

const NAME: &str = "nar/large.nar.zst";

/// A large file, and a server for it.
struct Stage {
    server: S3Server,
    place: Place,
    bytes: Vec<u8>,
    dir: Dir,
}

impl Stage {
    fn new() -> Self {
        let server = S3Server::start();
        let place = place(&server);
        Self::with(server, place)
    }

    fn with(server: S3Server, place: Place) -> Self {
        let (bytes, dir) = (noise(3, LENGTH), Dir::new());
        dir.write("packed", &bytes);
        Self { server, place, bytes, dir }
    }

    async fn put(&self) -> Result<Put, PlaceError> {
        let body = Body::File { path: self.dir.join("packed"), length: LENGTH as u64 };
        self.place.put(NAME, body, ContentType::Nar, Condition::Always).await
    }

    /// It is there as it should be, and nothing else is.
    fn check_stored(&self) {
        assert!(self.server.object(NAME).unwrap() == self.bytes, "other bytes were stored");
        assert_eq!(self.server.orphans(), [""; 0]);
    }

    /// It is not there, and nothing is left of it.
    fn check_nothing_left(&self) {
        assert!(self.server.object(NAME).is_none());
        assert_eq!(self.server.orphans(), [""; 0]);
    }
}

#[tokio::test]
async fn a_large_file_goes_in_parts() {
    let stage = Stage::new();
    assert_eq!(stage.put().await.unwrap(), Put::Stored);
    stage.check_stored();
    let log = stage.server.log();
    let begun = log.iter().find(|r| r.method == "POST").unwrap();
    assert_eq!(begun.header("content-type"), Some("application/x-nix-nar"));
    let mut sizes: Vec<_> = log
        .iter()
        .filter(|r| r.method == "PUT")
        .map(|r| r.header("content-length").unwrap().to_owned())
        .collect();
    sizes.sort();
    assert_eq!(sizes, ["1000", "8388608", "8388608", "8388608", "8388608"]);
    assert_eq!(stage.place.size(NAME).await.unwrap(), Some(LENGTH as u64));
}

#[tokio::test]
async fn a_part_that_fails_in_passing_is_sent_again_and_no_other() {
    for fault in [
        S3Fault::HangUp,
        S3Fault::LoseAnswer,
        S3Fault::error(503, "SlowDown"),
        S3Fault::error(500, "InternalError"),
        S3Fault::error(400, "RequestTimeout"),
    ] {
        let stage = Stage::new();
        stage.server.next(2, "PUT", "partNumber=3", fault.clone());
        assert_eq!(stage.put().await.unwrap(), Put::Stored, "{fault:?}");
        stage.check_stored();
        assert_eq!(stage.server.count("PUT", "partNumber=3"), 3, "{fault:?}");
        assert_eq!(stage.server.count("PUT", "partNumber="), 7, "{fault:?}");
        assert_eq!(stage.server.count("POST", "uploads"), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_storm_ends_the_upload_and_nothing_is_left() {
    let stage = Stage::new();
    stage.server.when("PUT", "", S3Fault::with(503, "SlowDown", "retry-after", "60"));
    let busy = Kind::Busy { retry_after: Some(Duration::from_secs(60)) };
    assert_eq!(stage.put().await.unwrap_err().kind(), busy);
    stage.check_nothing_left();
    assert!(stage.server.count("PUT", "") <= 3, "nobody is asked again before the time");
    stage.server.heal();
    assert_eq!(stage.put().await.unwrap(), Put::Stored);
    stage.check_stored();
}

#[tokio::test]
async fn what_fails_for_good_is_aborted() {
    for (fault, kind) in [
        (S3Fault::error(403, "AccessDenied"), Kind::Credentials),
        (S3Fault::error(404, "NoSuchBucket"), Kind::Refused(StatusCode::NOT_FOUND)),
        (S3Fault::error(507, "XMinioStorageFull"), Kind::Full),
    ] {
        let stage = Stage::new();
        stage.server.when("PUT", "partNumber=4", fault);
        assert_eq!(stage.put().await.unwrap_err().kind(), kind);
        assert_eq!(stage.server.count("DELETE", "uploadId="), 1);
        stage.check_nothing_left();
    }
    // Others are under way then, and are let arrive: what comes after the end would stay.
    let stage = Stage::new();
    stage.server.when("PUT", "partNumber=1&", S3Fault::error(403, "AccessDenied"));
    for part in [2, 3] {
        stage.server.when("PUT", &format!("partNumber={part}&"), S3Fault::Wait(Duration::from_millis(300)));
    }
    assert_eq!(stage.put().await.unwrap_err().kind(), Kind::Credentials);
    stage.check_nothing_left();
    let asked: Vec<_> = stage.server.log().iter().map(|r| r.method.clone()).collect();
    assert_eq!(asked, ["POST", "PUT", "PUT", "PUT", "HEAD", "DELETE"], "no further part is begun");
    // A file that is not what it was.
    let stage = Stage::new();
    stage.dir.write("packed", "short");
    assert_eq!(stage.put().await.unwrap_err().kind(), Kind::Local(std::io::ErrorKind::UnexpectedEof));
    stage.check_nothing_left();
}

/// The server lost a part, or somebody ended the upload: told at a part, by the status at the end, or after a status that
/// said yes already.
#[tokio::test]
async fn an_upload_that_is_gone_is_begun_anew_once() {
    let lost = |status, code: &str| {
        S3Fault::Answer(
            status,
            Vec::new(),
            format!("<Error><Code>{code}</Code><Message>it is gone</Message></Error>"),
        )
    };
    for (method, part, fault) in [
        ("PUT", "partNumber=4", lost(404, "NoSuchUpload")),
        ("POST", "uploadId=", lost(404, "NoSuchUpload")),
        ("POST", "uploadId=", lost(400, "InvalidPart")),
        ("POST", "uploadId=", lost(200, "InvalidPart")),
    ] {
        let stage = Stage::new();
        stage.server.next(1, method, part, fault.clone());
        assert_eq!(stage.put().await.unwrap(), Put::Stored, "{fault:?}");
        stage.check_stored();
        assert_eq!(stage.server.count("POST", "uploads"), 2, "{fault:?}");
        // Again and again: it ends.
        let stage = Stage::new();
        stage.server.when(method, part, fault.clone());
        let error = stage.put().await.unwrap_err();
        assert!(error.to_string().contains("\"it is gone\""), "{error}");
        assert_eq!(stage.server.count("POST", "uploads"), 2, "{fault:?}");
        stage.check_nothing_left();
    }
}

/// An error after a yes that says nothing of what is lost.
#[tokio::test]
async fn an_error_after_a_yes_is_an_error() {
    let stage = Stage::new();
    let internal = "<Error><Code>AccessDenied</Code><Message>not you</Message></Error>";
    stage.server.when("POST", "uploadId=", S3Fault::Answer(200, Vec::new(), internal.to_owned()));
    let error = stage.put().await.unwrap_err();
    assert!(error.to_string().contains("AccessDenied \"not you\""), "{error}");
    assert_eq!(stage.server.count("POST", "uploads"), 1);
    stage.check_nothing_left();
}

/// As the URL has it: from how many bytes on, in which parts, and into which class.
#[tokio::test]
async fn parts_and_class_are_as_they_are_written() {
    let server = S3Server::start();
    let parts = Parts { from: 100, size: 5 << 20 };
    let written = Bucket { parts, storage_class: Some("REDUCED_REDUNDANCY".into()), ..bucket(&server) };
    let place = open(written, None, KEYS).unwrap();
    let dir = Dir::new();
    for (name, length, count) in [("nar/a", 99, 0), ("nar/b", 100, 1), ("nar/c", (5 << 20) + 1, 2)] {
        let bytes = noise(7, length);
        let body = Body::File { path: dir.write("packed", &bytes), length: length as u64 };
        assert_eq!(place.put(name, body, ContentType::Nar, Condition::Always).await.unwrap(), Put::Stored);
        assert!(server.object(name).unwrap() == bytes, "{name}");
        assert_eq!(server.count("PUT", &format!("{name}?partNumber=")), count, "{name}");
    }
    let classed =
        server.log().iter().filter(|r| r.header("x-amz-storage-class") == Some("REDUCED_REDUNDANCY")).count();
    assert_eq!(classed, 3, "each object is put, or begun, with it");
}

#[tokio::test]
async fn a_yes_whose_answer_is_lost_is_found_out() {
    let stage = Stage::new();
    stage.server.next(1, "POST", "uploadId=", S3Fault::LoseAnswer);
    assert_eq!(stage.put().await.unwrap(), Put::Stored);
    stage.check_stored();
    assert_eq!(stage.server.count("PUT", "partNumber="), 5, "nothing was sent twice");
}

#[tokio::test]
async fn credentials_that_end_on_the_way_are_renewed_for_the_part_that_met_it() {
    let (server, giver) = (S3Server::start(), FaultServer::start());
    let keys = format!(
        "{{\"AccessKeyId\":\"{KEY_ID}\",\"SecretAccessKey\":\"{SECRET}\",\"Token\":\"tok\",\
         \"Expiration\":\"2999-01-01T00:00:00Z\"}}"
    );
    giver.store("keys", keys.as_bytes());
    let url = format!("{}keys", giver.url());
    let place = open(bucket(&server), None, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)]).unwrap();
    let stage = Stage::with(server, place);
    for part in [1, 3, 5] {
        stage.server.next(1, "PUT", &format!("partNumber={part}&"), S3Fault::error(403, "ExpiredToken"));
    }
    stage.server.next(1, "POST", "uploadId=", S3Fault::error(403, "ExpiredToken"));
    assert_eq!(stage.put().await.unwrap(), Put::Stored);
    stage.check_stored();
    assert_eq!(stage.server.count("PUT", "partNumber="), 8);
    assert!((3..=5).contains(&giver.count("GET", "keys")), "{}", giver.count("GET", "keys"));
    // Nobody gives out others: the upload fails, and is aborted by what the old ones still can.
    giver.when("GET", "", Fault::Status(500, vec![], ""));
    std::fs::remove_file(stage.server.bucket().join(NAME)).unwrap();
    stage.server.when("PUT", "", S3Fault::error(403, "ExpiredToken"));
    assert_eq!(stage.put().await.unwrap_err().kind(), Kind::Credentials);
}
