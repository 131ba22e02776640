//! Where keys come from, that they are renewed as they end, and that nobody else may read their files.

use crate::s3::{Variables, bucket, open, secret, section};
use crate::support::dirs::Dir;
use crate::support::fault_server::{Fault, FaultServer};
use crate::support::s3_server::{KEY_ID, S3Fault, S3Server, SECRET};
use countersign::config::Bucket;
use countersign::destination::{
    Body, Condition, ContentType, Place, PlaceError, PlaceErrorKind as Kind, Put,
};

async fn put(place: &Place) -> Result<Put, PlaceError> {
    let body = Body::Bytes("text".into());
    place.put("x.narinfo", body, ContentType::NarInfo, Condition::Always).await
}

/// A place with keys from these variables, used once.
async fn puts(server: &S3Server, variables: Variables<'_>) {
    let place = open(bucket(server), None, variables).unwrap();
    assert_eq!(put(&place).await.unwrap(), Put::Stored);
}

/// What a container or an instance is told; it ends in so many seconds.
pub(super) fn document(seconds: i64) -> String {
    document_of(KEY_ID, SECRET, "tok", seconds)
}

pub(super) fn document_of(id: &str, key: &str, token: &str, seconds: i64) -> String {
    let end = time(seconds);
    format!(
        "{{\"Code\":\"Success\",\"AccessKeyId\":\"{id}\",\"SecretAccessKey\":\"{key}\",\
         \"Token\":\"{token}\",\"Expiration\":\"{end}\"}}"
    )
}

/// So many seconds from now.
pub(super) fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(countersign::clock::now().seconds() + seconds).unwrap().to_string()
}

#[tokio::test]
async fn a_file_has_profiles_and_comes_before_the_environment() {
    let (server, dir) = (S3Server::start(), Dir::new());
    let text = section("default", KEY_ID, SECRET) + &section("ci", KEY_ID, "wrong");
    let file = secret(&dir, "credentials", &text);
    let wrong = [("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "y")];
    let of = |profile: Option<&str>| {
        let bucket = Bucket { profile: profile.map(Into::into), ..bucket(&server) };
        open(bucket, Some(file.clone()), &wrong).unwrap()
    };
    assert_eq!(put(&of(None)).await.unwrap(), Put::Stored);
    assert_eq!(put(&of(Some("default"))).await.unwrap(), Put::Stored);
    let error = put(&of(Some("ci"))).await.unwrap_err();
    assert!(error.to_string().contains("SignatureDoesNotMatch"), "{error}");
    let error = put(&of(Some("none"))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Credentials);
    assert!(error.to_string().contains("there is nothing in the section [none]"), "{error}");
}

#[tokio::test]
async fn a_profile_without_a_file_is_looked_for_where_amazons_tools_do() {
    let (server, dir) = (S3Server::start(), Dir::new());
    let file = secret(&dir, ".aws/credentials", &section("ci", KEY_ID, SECRET));
    let (home, file) = (dir.path().to_str().unwrap(), file.to_str().unwrap());
    for variable in [("HOME", home), ("AWS_SHARED_CREDENTIALS_FILE", file)] {
        let place =
            open(Bucket { profile: Some("ci".into()), ..bucket(&server) }, None, &[variable]).unwrap();
        assert_eq!(put(&place).await.unwrap(), Put::Stored);
    }
}

#[tokio::test]
async fn a_file_that_others_can_read_is_refused() {
    let (server, dir) = (S3Server::start(), Dir::new());
    let file = dir.write("credentials", section("default", KEY_ID, SECRET));
    let error = put(&open(bucket(&server), Some(file), &[]).unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Credentials);
    assert!(error.to_string().contains("lets others at it"), "{error}");
    assert!(server.log().is_empty());
}

#[tokio::test]
async fn a_file_is_read_again_when_its_keys_are_worn() {
    let (server, dir) = (S3Server::start(), Dir::new());
    let file = secret(&dir, "credentials", &section("default", "AKIDOLD", "old"));
    let place = open(bucket(&server), Some(file), &[]).unwrap();
    server.when("PUT", "", S3Fault::error(403, "InvalidAccessKeyId"));
    assert_eq!(put(&place).await.unwrap_err().kind(), Kind::Credentials);
    assert_eq!(server.log().len(), 2, "once more with what the file has then, and no more");
    server.heal();
    secret(&dir, "credentials", &section("default", KEY_ID, SECRET));
    assert_eq!(put(&place).await.unwrap(), Put::Stored);
}

#[tokio::test]
async fn no_credentials_are_an_error_at_once() {
    let server = S3Server::start();
    let error = open(bucket(&server), None, &[]).unwrap_err();
    assert_eq!(error.kind(), Kind::Credentials);
    let said = error.to_string();
    assert!(
        said.contains("there are no credentials: write `credentials-file`, or `unsigned=true`"),
        "{said}"
    );
    let half = [("AWS_ACCESS_KEY_ID", KEY_ID)];
    let said = open(bucket(&server), None, &half).unwrap_err().to_string();
    assert!(said.contains("AWS_SECRET_ACCESS_KEY is not"), "{said}");
    assert!(server.log().is_empty());
}

#[tokio::test]
async fn a_role_is_taken_on_for_a_token() {
    let (server, giver, dir) = (S3Server::start(), FaultServer::start(), Dir::new());
    // Longer than what is shown of a message, as they are.
    let web = "web.identity.".repeat(50);
    let token = secret(&dir, "token", &format!("{web}\n"));
    let url = giver.url();
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/up"),
        ("AWS_ENDPOINT_URL_STS", url.as_str()),
    ];
    let answer: &'static str = Box::leak(
        format!(
            "<R><Credentials><AccessKeyId>{KEY_ID}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>\
             <SessionToken>tok</SessionToken><Expiration>{}</Expiration></Credentials></R>",
            time(3600)
        )
        .into_boxed_str(),
    );
    giver.when("POST", "", Fault::Status(200, vec![], answer));
    puts(&server, &variables).await;
    assert_eq!(server.log()[0].header("x-amz-security-token"), Some("tok"));
    let echo: &'static str =
        Box::leak(format!("<E><Code>X</Code><Message>{web}</Message></E>").into_boxed_str());
    giver.when("POST", "", Fault::Status(400, vec![], echo));
    let error = put(&open(bucket(&server), None, &variables).unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Credentials);
    assert!(error.to_string().contains("from the token service at 127.0.0.1"), "{error}");
    assert!(!error.to_string().contains("identity.web"), "{error}");
}

#[tokio::test]
async fn a_container_is_given_keys() {
    let (server, giver, dir) = (S3Server::start(), FaultServer::start(), Dir::new());
    giver.store("keys", document(3600).as_bytes());
    giver.require("right");
    let url = format!("{}keys", giver.url());
    let file = secret(&dir, "token", "right\n");
    let full = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str());
    puts(&server, &[full, ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "right")]).await;
    puts(&server, &[full, ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap())]).await;
    let wrong = open(bucket(&server), None, &[full, ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "wrong")]).unwrap();
    assert_eq!(put(&wrong).await.unwrap_err().kind(), Kind::Credentials);
}

#[test]
fn secrets_are_asked_from_nobody_over_plain_http_but_the_machine_itself() {
    let server = S3Server::start();
    for (name, url) in [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://keys.example/"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://10.0.0.1/"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://metadata.example"),
    ] {
        let error = open(bucket(&server), None, &[(name, url)]).unwrap_err();
        assert!(error.to_string().contains("secrets are asked over https alone"), "{error}");
    }
    for url in
        ["https://keys.example/", "http://169.254.170.2/x", "http://[fd00:ec2::23]/x", "http://localhost/x"]
    {
        assert!(open(bucket(&server), None, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)]).is_ok(), "{url}");
    }
}

/// An instance's metadata service that gives out keys which end in so many seconds.
pub(super) fn instance(seconds: i64) -> FaultServer {
    instance_with("tok", seconds)
}

/// The same, of a session with this token.
pub(super) fn instance_with(token: &str, seconds: i64) -> FaultServer {
    let giver = FaultServer::start();
    giver.when("PUT", "latest/api/token", Fault::Status(200, vec![], "imds-token"));
    giver.store("latest/meta-data/iam/security-credentials/", b"builder-role\n");
    giver.store(
        "latest/meta-data/iam/security-credentials/builder-role",
        document_of(KEY_ID, SECRET, token, seconds).as_bytes(),
    );
    giver
}

const ROLE: &str = "security-credentials/builder-role";

#[tokio::test]
async fn an_instance_knows_its_role() {
    let (server, giver) = (S3Server::start(), instance(3600));
    let url = giver.url();
    let url = url.trim_end_matches('/');
    let place = open(bucket(&server), None, &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)]).unwrap();
    for _ in 0..3 {
        assert_eq!(put(&place).await.unwrap(), Put::Stored);
    }
    assert_eq!(giver.count("GET", ROLE), 1, "keys are held");
    let log = giver.log();
    assert_eq!(log[0].header("x-aws-ec2-metadata-token-ttl-seconds"), Some("300"));
    assert!(log[1..].iter().all(|r| r.header("x-aws-ec2-metadata-token") == Some("imds-token")), "{log:?}");
    let off = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", url), ("AWS_EC2_METADATA_DISABLED", "true")];
    assert!(open(bucket(&server), None, &off).unwrap_err().to_string().contains("there are no credentials"));
}

#[tokio::test]
async fn keys_are_renewed_before_they_end() {
    let (server, giver) = (S3Server::start(), instance(100));
    let url = giver.url();
    let place = open(bucket(&server), None, &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)]).unwrap();
    put(&place).await.unwrap();
    put(&place).await.unwrap();
    assert_eq!(giver.count("GET", ROLE), 2, "these end too soon");
    // They are good until they end, also where nobody gives out others.
    giver.when("*", "", Fault::Status(500, vec![], ""));
    assert_eq!(put(&place).await.unwrap(), Put::Stored);
    assert_eq!(giver.count("PUT", "token"), 3, "it was asked");
    giver.heal();
    giver.when("PUT", "latest/api/token", Fault::Status(200, vec![], "imds-token"));
    giver.store("latest/meta-data/iam/security-credentials/builder-role", document(3600).as_bytes());
    put(&place).await.unwrap();
    put(&place).await.unwrap();
    assert_eq!(giver.count("GET", ROLE), 3);
}

#[tokio::test]
async fn keys_that_have_ended_are_not_used_however_long_nobody_gives_out_others() {
    let (server, giver) = (S3Server::start(), instance(-10));
    let url = giver.url();
    let place = open(bucket(&server), None, &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)]).unwrap();
    put(&place).await.unwrap();
    giver.when("*", "", Fault::Status(500, vec![], ""));
    assert_eq!(put(&place).await.unwrap_err().kind(), Kind::Credentials);
    assert_eq!(server.log().len(), 1);
}

#[tokio::test]
async fn worn_keys_are_renewed_at_once_and_the_request_made_again() {
    for (status, code) in
        [(400, "ExpiredToken"), (403, "ExpiredToken"), (400, "InvalidToken"), (403, "InvalidAccessKeyId")]
    {
        let (server, giver) = (S3Server::start(), instance(3600));
        let url = giver.url();
        let place = open(bucket(&server), None, &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)]).unwrap();
        put(&place).await.unwrap();
        server.next(1, "PUT", "", S3Fault::error(status, code));
        assert_eq!(put(&place).await.unwrap(), Put::Stored, "{code}");
        assert_eq!(giver.count("GET", ROLE), 2, "{code}");
        // A HEAD is answered without a word.
        server.next(1, "HEAD", "", S3Fault::error(status, code));
        assert_eq!(place.size("x.narinfo").await.unwrap(), Some(4), "{code}");
        assert_eq!(giver.count("GET", ROLE), 3, "{code}");
    }
}
