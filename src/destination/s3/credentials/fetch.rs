//! Keys that another process gives out: the questions, and how the answers are read.

use crate::destination::PlaceErrorKind;
use crate::destination::s3::credentials::Held;
use crate::destination::s3::credentials::file::{are_sendable, unusable};
use crate::destination::s3::fault::Fault;
use crate::destination::s3::service::Service;
use crate::destination::s3::xml::element;
use http::Method;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, Limited};
use object_store::aws::AwsCredential;
use object_store::client::HttpRequestBody;
use serde::Deserialize;
use std::sync::Arc;
use url::Url;

/// Keys as containers and instances are told them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Document {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<String>,
}

/// What is sent with a question.
#[derive(Default)]
pub(super) struct Form {
    text: String,
    /// The secret in it.
    token: String,
}

impl Document {
    /// Its keys.
    pub(super) fn held(self) -> Result<Held, Fault> {
        let until = match &self.expiration {
            Some(text) => Some(seconds(text)?),
            None => None,
        };
        let keys = AwsCredential {
            key_id: self.access_key_id,
            secret_key: self.secret_access_key,
            token: self.token,
        };
        if !are_sendable(&keys) {
            return Err(unusable("the credentials that came have characters that none has"));
        }
        Ok(Held { keys: Arc::new(keys), until })
    }
}

/// Keys in JSON.
pub(super) fn document(text: &str) -> Result<Document, Fault> {
    // What is wrong is not said in the parser's words, which repeat what they were given.
    serde_json::from_str(text).map_err(|_| unusable("what came is no document with credentials"))
}

/// Keys in the token service's answer.
pub(super) fn identity(text: &str) -> Result<Held, Fault> {
    let need =
        |name| element(text, name).ok_or_else(|| unusable(format!("the token service gave no {name}")));
    let document = Document {
        access_key_id: need("AccessKeyId")?,
        secret_access_key: need("SecretAccessKey")?,
        token: Some(need("SessionToken")?),
        expiration: Some(need("Expiration")?),
    };
    document.held()
}

/// The question to the token service (API AssumeRoleWithWebIdentity).
pub(super) fn form(role: &str, session: &str, token: &str) -> Form {
    let text = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", "AssumeRoleWithWebIdentity")
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", role)
        .append_pair("RoleSessionName", session)
        .append_pair("WebIdentityToken", token)
        .finish();
    Form { text, token: token.to_owned() }
}

/// One short question, without a signature. No redirect is followed.
pub(super) async fn ask(
    service: &Service,
    method: Method,
    url: &Url,
    headers: &[(&str, &str)],
    body: &Form,
    whom: &str,
) -> Result<String, Fault> {
    let told = |fault: Fault| unusable(format!("cannot get credentials from {whom}: {}", fault.what));
    let mut request = http::Request::builder().method(method).uri(url.as_str());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let secrets = headers.iter().map(|(_, value)| (*value).to_owned()).chain([body.token.clone()]).collect();
    let body = body.text.clone();
    if !body.is_empty() {
        request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    let request = request.header(CONTENT_LENGTH, body.len()).body(HttpRequestBody::from(body));
    let request = request.map_err(|_| told(unusable("the question cannot be put")))?;
    let answer = service.exchange(request, secrets).await.map_err(told)?;
    if !answer.status().is_success() {
        return Err(told(unusable(format!("it answers {}", answer.status()))));
    }
    let text = Limited::new(answer.into_body(), LONGEST).collect().await;
    let text = text.map_err(|_| told(Fault::new(PlaceErrorKind::Unreachable, "its answer broke off")))?;
    String::from_utf8(text.to_bytes().into()).map_err(|_| told(unusable("its answer is no text")))
}

/// Seconds since 1970.
fn seconds(text: &str) -> Result<i64, Fault> {
    let time = text.parse::<jiff::Timestamp>();
    time.map(jiff::Timestamp::as_second)
        .map_err(|_| unusable("the credentials that came do not say when they end"))
}

/// What is read of an answer, in bytes: a session's token has one or two thousand.
const LONGEST: usize = 64 * 1024;
