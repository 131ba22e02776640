//! Sessions that end: wherever keys come from, others are fetched in time, or when the server will not have the old ones.

use crate::s3::credentials::{document_of, instance_with, time};
use crate::s3::{KEYS, Variables, bucket, open, secret, section};
use crate::support::dirs::Dir;
use crate::support::fault_server::{Fault, FaultServer};
use crate::support::s3_server::{KEY_ID, S3Fault, S3Server, SECRET};
use countersign::destination::{
    Body, Condition, ContentType, Place, PlaceError, PlaceErrorKind as Kind, Put,
};

async fn put(place: &Place) -> Result<Put, PlaceError> {
    let body = Body::Bytes("text".into());
    place.put("x.narinfo", body, ContentType::NarInfo, Condition::Always).await
}

/// Something that gives out keys, and can be told which.
struct Source {
    giver: FaultServer,
    dir: Dir,
    kind: &'static str,
}

const KINDS: [&str; 4] = ["file", "instance", "container", "web identity"];

impl Source {
    fn new(kind: &'static str) -> Self {
        let giver = if kind == "instance" { instance_with("tok-0", 3600) } else { FaultServer::start() };
        Self { giver, dir: Dir::new(), kind }
    }

    /// From now on it gives out this session, which ends in so many seconds.
    fn give(&self, token: &str, seconds: i64) {
        let document = document_of(KEY_ID, SECRET, token, seconds);
        match self.kind {
            "file" => {
                let text = section("default", KEY_ID, SECRET) + &format!("aws_session_token = {token}\n");
                secret(&self.dir, "keys", &text);
            }
            "instance" => {
                let name = "latest/meta-data/iam/security-credentials/builder-role";
                self.giver.store(name, document.as_bytes());
            }
            "container" => self.giver.store("keys", document.as_bytes()),
            _ => {
                secret(&self.dir, "token", &format!("web-{token}\n"));
                let answer = format!(
                    "<R><Credentials><AccessKeyId>{KEY_ID}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>\
                     <SessionToken>{token}</SessionToken><Expiration>{}</Expiration></Credentials></R>",
                    time(seconds)
                );
                self.giver.when("POST", "", Fault::Status(200, vec![], answer.leak()));
            }
        }
    }

    fn open(&self, server: &S3Server) -> Place {
        let url = self.giver.url();
        let (keys, token) = (format!("{url}keys"), self.dir.join("token"));
        let variables: Variables<'_> = match self.kind {
            "file" => &[],
            "instance" => &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)],
            "container" => &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &keys)],
            _ => &[
                ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
                ("AWS_ROLE_ARN", "arn:aws:iam::1:role/up"),
                ("AWS_ENDPOINT_URL_STS", &url),
            ],
        };
        let file = (self.kind == "file").then(|| self.dir.join("keys"));
        open(bucket(server), file, variables).unwrap()
    }

    /// How often it gave out keys, where it is a server.
    fn given(&self) -> usize {
        match self.kind {
            "instance" => self.giver.count("GET", "builder-role"),
            "container" => self.giver.count("GET", "keys"),
            _ => self.giver.count("POST", ""),
        }
    }
}

fn session(server: &S3Server) -> Option<String> {
    server.log().last().unwrap().header("x-amz-security-token").map(str::to_owned)
}

#[tokio::test]
async fn a_session_that_the_server_calls_ended_is_followed_by_the_next() {
    for kind in KINDS {
        let (server, source) = (S3Server::start(), Source::new(kind));
        source.give("tok-1", 3600);
        let place = source.open(&server);
        assert_eq!(put(&place).await.unwrap(), Put::Stored, "{kind}");
        assert_eq!(session(&server).as_deref(), Some("tok-1"), "{kind}");
        source.give("tok-2", 3600);
        assert_eq!(put(&place).await.unwrap(), Put::Stored, "{kind}");
        assert_eq!(session(&server).as_deref(), Some("tok-1"), "{kind}: it is held while it is good");
        server.when("*", "", S3Fault::Expired("tok-1"));
        assert_eq!(put(&place).await.unwrap(), Put::Stored, "{kind}");
        assert_eq!(session(&server).as_deref(), Some("tok-2"), "{kind}");
        assert_eq!(server.log().len(), 4, "{kind}: once more, and no more");
        // The next one has ended as well, and there is no other: that is told, after one more look.
        server.when("*", "", S3Fault::Expired("tok-2"));
        let error = put(&place).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Credentials, "{kind}");
        assert!(error.to_string().contains("ExpiredToken"), "{error}");
        assert_eq!(server.log().len(), 6, "{kind}");
    }
}

#[tokio::test]
async fn keys_that_end_shortly_are_renewed_before_the_request() {
    for kind in KINDS.into_iter().skip(1) {
        let (server, source) = (S3Server::start(), Source::new(kind));
        // Just less than what is asked of keys, and just more.
        source.give("tok-1", 235);
        let place = source.open(&server);
        assert_eq!(put(&place).await.unwrap(), Put::Stored, "{kind}");
        source.give("tok-2", 300);
        for _ in 0..3 {
            assert_eq!(put(&place).await.unwrap(), Put::Stored, "{kind}");
            assert_eq!(session(&server).as_deref(), Some("tok-2"), "{kind}");
        }
        assert_eq!(source.given(), 2, "{kind}");
    }
}

#[tokio::test]
async fn while_nobody_gives_out_others_the_old_ones_do_until_they_end() {
    for kind in KINDS.into_iter().skip(1) {
        let (server, source) = (S3Server::start(), Source::new(kind));
        source.give("tok-1", 100);
        let place = source.open(&server);
        assert_eq!(put(&place).await.unwrap(), Put::Stored, "{kind}");
        for fault in [Fault::Status(500, vec![], ""), Fault::Status(200, vec![], "what is this")] {
            source.giver.when("*", "", fault);
            assert_eq!(put(&place).await.unwrap(), Put::Stored, "{kind}");
            assert_eq!(session(&server).as_deref(), Some("tok-1"), "{kind}");
        }
        // The server will not have them before their time.
        server.when("*", "", S3Fault::Expired("tok-1"));
        let error = put(&place).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Credentials, "{kind}");
        source.giver.heal();
        source.giver.when("PUT", "latest/api/token", Fault::Status(200, vec![], "imds-token"));
        source.give("tok-2", 3600);
        assert_eq!(put(&place).await.unwrap(), Put::Stored, "{kind}: it is found again");
        assert_eq!(session(&server).as_deref(), Some("tok-2"), "{kind}");
    }
}

/// The token that a web identity shows is changed now and then: it is read for each question.
#[tokio::test]
async fn a_web_identity_shows_the_token_that_the_file_has_now() {
    let (server, source) = (S3Server::start(), Source::new("web identity"));
    source.give("tok-1", 3600);
    let place = source.open(&server);
    put(&place).await.unwrap();
    source.give("tok-2", 3600);
    server.when("*", "", S3Fault::Expired("tok-1"));
    put(&place).await.unwrap();
    let asked = source.giver.log();
    let lengths: Vec<_> = asked.iter().map(|r| r.header("content-length").unwrap().to_owned()).collect();
    assert_eq!(lengths.len(), 2, "{asked:?}");
    secret(&source.dir, "token", &format!("web-{}\n", "long".repeat(20)));
    server.when("*", "", S3Fault::Expired("tok-2"));
    put(&place).await.unwrap_err();
    let last = source.giver.log().last().unwrap().header("content-length").unwrap().to_owned();
    assert_ne!(last, lengths[1]);
}

/// Keys of the environment are what they are.
#[tokio::test]
async fn a_session_of_the_environment_that_has_ended_is_told() {
    let server = S3Server::start();
    let variables: Vec<_> = KEYS.iter().copied().chain([("AWS_SESSION_TOKEN", "tok-1")]).collect();
    let place = open(bucket(&server), None, &variables).unwrap();
    assert_eq!(put(&place).await.unwrap(), Put::Stored);
    server.when("*", "", S3Fault::Expired("tok-1"));
    let error = put(&place).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Credentials);
    assert!(error.to_string().contains("ExpiredToken"), "{error}");
    assert_eq!(server.log().len(), 3, "once more at most");
}

/// That is not the keys' fault, and no others are fetched for it.
#[tokio::test]
async fn clocks_that_differ_are_told() {
    let (server, source) = (S3Server::start(), Source::new("instance"));
    source.give("tok-1", 3600);
    let place = source.open(&server);
    server.next(1, "PUT", "", S3Fault::error(403, "RequestTimeTooSkewed"));
    let error = put(&place).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Clock);
    assert!(error.to_string().contains("set the clock of this machine, or the server's"), "{error}");
    assert_eq!(put(&place).await.unwrap(), Put::Stored);
    assert_eq!(source.given(), 1);
}
