//! What each answer of an S3 server means.

use crate::s3::{KEYS, bucket, open, open_with, place};
use crate::support::s3_server::{S3Fault, S3Server, SECRET};
use countersign::config::Bucket;
use countersign::destination::{
    Body, Condition, ContentType, Patience, Place, PlaceError, PlaceErrorKind as Kind, Put,
};
use http::StatusCode;
use std::time::Duration;

async fn put(place: &Place) -> Result<Put, PlaceError> {
    let body = Body::Bytes("text".into());
    place.put("x.narinfo", body, ContentType::NarInfo, Condition::Always).await
}

#[tokio::test]
async fn every_refusal_has_its_kind_and_says_what_the_server_said() {
    let server = S3Server::start();
    let place = place(&server);
    let refused = |status: u16| Kind::Refused(StatusCode::from_u16(status).unwrap());
    let busy = Kind::Busy { retry_after: None };
    for (status, code, expected) in [
        (403, "AccessDenied", Kind::Credentials),
        (403, "SignatureDoesNotMatch", Kind::Credentials),
        (400, "ExpiredToken", Kind::Credentials),
        (403, "RequestTimeTooSkewed", Kind::Clock),
        (503, "SlowDown", busy),
        (503, "ServiceUnavailable", busy),
        (429, "TooManyRequests", busy),
        (400, "RequestTimeout", Kind::TimedOut),
        (400, "EntityTooLarge", Kind::Full),
        (507, "XMinioStorageFull", Kind::Full),
        (404, "NoSuchBucket", refused(404)),
        (400, "InvalidRequest", refused(400)),
        (500, "InternalError", refused(500)),
        (501, "NotImplemented", refused(501)),
        (301, "PermanentRedirect", refused(301)),
        (307, "TemporaryRedirect", refused(307)),
    ] {
        server.when("*", "", S3Fault::error(status, code));
        let error = put(&place).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{error}");
        let said = error.to_string();
        assert!(said.starts_with("destination acme: cannot store x.narinfo: the server answers "), "{said}");
        assert!(said.contains(&format!(", {code} \"because of {code}\"")), "{said}");
        let error = place.get("x", 10).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{error}");
        server.heal();
        assert_eq!(put(&place).await.unwrap(), Put::Stored, "it is forgotten");
    }
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_told() {
    let server = S3Server::start();
    let place = place(&server);
    server.when("*", "", S3Fault::with(503, "SlowDown", "retry-after", "7"));
    let expected = Kind::Busy { retry_after: Some(Duration::from_secs(7)) };
    assert_eq!(put(&place).await.unwrap_err().kind(), expected);
    assert_eq!(place.size("x").await.unwrap_err().kind(), expected);
    assert_eq!(server.log().len(), 2, "nothing is tried again at once");
}

#[tokio::test]
async fn a_bucket_elsewhere_is_told_by_its_region_and_not_followed() {
    let server = S3Server::start();
    let place = place(&server);
    let elsewhere = [
        S3Fault::with(301, "PermanentRedirect", "x-amz-bucket-region", "eu-west-3"),
        S3Fault::with(307, "TemporaryRedirect", "x-amz-bucket-region", "eu-west-3"),
        S3Fault::Answer(
            400,
            Vec::new(),
            "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-3</Region></Error>".to_owned(),
        ),
    ];
    for (count, fault) in elsewhere.into_iter().enumerate() {
        server.when("*", "", fault);
        let said = put(&place).await.unwrap_err().to_string();
        assert!(said.contains("write `region=eu-west-3` in its `url`"), "{said}");
        assert_eq!(server.log().len(), count + 1);
    }
    server.when("*", "", S3Fault::with(301, "PermanentRedirect", "x-amz-bucket-region", "<script>"));
    assert!(!put(&place).await.unwrap_err().to_string().contains("script"));
}

#[tokio::test]
async fn a_bucket_that_is_missing_is_an_error_also_where_nothing_is_there() {
    let server = S3Server::start();
    let place = open(Bucket { name: "another-bucket".into(), ..bucket(&server) }, None, KEYS).unwrap();
    server.when("GET", "", S3Fault::error(404, "NoSuchBucket"));
    let error = place.prepare(true).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused(StatusCode::NOT_FOUND), "{error}");
    assert_eq!(server.count("PUT", ""), 0);
}

#[tokio::test]
async fn what_may_not_be_read_is_not_taken_for_missing() {
    let server = S3Server::start();
    let place = place(&server);
    server.when("*", "", S3Fault::error(403, "AccessDenied"));
    for error in [place.get("x", 10).await.unwrap_err(), place.size("x").await.unwrap_err()] {
        assert_eq!(error.kind(), Kind::Credentials);
        assert!(error.to_string().contains("s3:GetObject and s3:ListBucket"), "{error}");
    }
    let error = put(&place).await.unwrap_err();
    assert!(error.to_string().contains("s3:PutObject"), "{error}");
}

/// Some servers show what they were sent; what is shown of that is no secret.
#[tokio::test]
async fn nothing_secret_is_shown() {
    let server = S3Server::start();
    // Longer than what is shown of a message, as they are.
    let token = "t0ken".repeat(100);
    let variables: Vec<_> = KEYS.iter().copied().chain([("AWS_SESSION_TOKEN", token.as_str())]).collect();
    let place = open(bucket(&server), None, &variables).unwrap();
    let text = format!("<Error><Code>{token}</Code><Message>you sent {token}</Message></Error>");
    server.when("*", "", S3Fault::Answer(403, Vec::new(), text));
    let error = put(&place).await.unwrap_err();
    for shown in [error.to_string(), format!("{error:?}"), format!("{place:?}")] {
        assert!(!shown.contains("t0ken") && !shown.contains(SECRET), "{shown}");
    }
    assert!(error.to_string().contains("you sent …"), "{error}");
    assert_eq!(server.log()[0].header("x-amz-security-token"), Some(token.as_str()));
}

#[tokio::test]
async fn a_server_that_hangs_up_or_says_nothing() {
    let server = S3Server::start();
    let haste = Duration::from_millis(300);
    let patience = Patience { connect: Duration::from_secs(5), stall: haste, answer: haste };
    let place = open_with(bucket(&server), None, KEYS, patience).unwrap();
    server.when("*", "", S3Fault::HangUp);
    assert_eq!(put(&place).await.unwrap_err().kind(), Kind::Unreachable);
    assert_eq!(place.get("x", 10).await.unwrap_err().kind(), Kind::Unreachable);
    server.when("*", "", S3Fault::Wait(Duration::from_secs(60)));
    assert_eq!(put(&place).await.unwrap_err().kind(), Kind::TimedOut);
    assert_eq!(place.get("x", 10).await.unwrap_err().kind(), Kind::TimedOut);
    assert_eq!(place.size("x").await.unwrap_err().kind(), Kind::TimedOut);
}

#[tokio::test]
async fn wrong_keys_are_refused_by_a_server_that_checks() {
    let server = S3Server::start();
    let wrong = [("AWS_ACCESS_KEY_ID", "AKIDTEST"), ("AWS_SECRET_ACCESS_KEY", "other")];
    let place = open(bucket(&server), None, &wrong).unwrap();
    let error = put(&place).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Credentials);
    assert!(error.to_string().contains("SignatureDoesNotMatch"), "{error}");
    let unsigned = open(Bucket { is_unsigned: true, ..bucket(&server) }, None, KEYS).unwrap();
    assert_eq!(put(&unsigned).await.unwrap_err().kind(), Kind::Credentials);
    assert_eq!(server.log().last().unwrap().header("authorization"), None);
}

#[tokio::test]
async fn an_open_server_takes_what_is_not_signed() {
    let server = S3Server::open();
    let place = open(Bucket { is_unsigned: true, ..bucket(&server) }, None, &[]).unwrap();
    place.prepare(true).await.unwrap();
    assert_eq!(put(&place).await.unwrap(), Put::Stored);
    assert_eq!(server.object("x.narinfo").unwrap(), b"text");
}
