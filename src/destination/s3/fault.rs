//! What an answer of an S3 server means, and as much of its words as can be shown.
//!
//! The words are those of the error document's `Code` and `Message`. The rest of it is not shown: some servers
//! repeat there what they were sent, the session's token among it.

use crate::clock;
use crate::destination::error::{Act, told};
use crate::destination::reply::{LONGEST_PAUSE, plain};
use crate::destination::s3::xml::element;
use crate::destination::{PlaceError, PlaceErrorKind};
use crate::http_client::{Chain, retry_after};
use http::{HeaderMap, StatusCode};
use std::time::Duration;

/// Why a request gave nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct Fault {
    pub(super) kind: PlaceErrorKind,
    pub(super) what: String,
    /// Other credentials of the same owner may do.
    pub(super) may_be_worn: bool,
    /// A permission is missing.
    pub(super) is_denied: bool,
    /// What was sent of a multipart upload is no longer there; begun anew it may go well.
    pub(super) is_upload_gone: bool,
}

/// An answer that says no.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal<'a> {
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    /// The beginning of its body.
    pub(super) text: &'a str,
    /// What was sent and is not to be shown.
    pub(super) secrets: &'a [String],
}

impl Fault {
    pub(super) fn new(kind: PlaceErrorKind, what: impl Into<String>) -> Self {
        let (may_be_worn, is_denied, is_upload_gone) = (false, false, false);
        Self { kind, what: what.into(), may_be_worn, is_denied, is_upload_gone }
    }

    /// No whole answer came.
    pub(super) fn transport(error: &(dyn std::error::Error + 'static)) -> Self {
        let located = PlaceError::transport(Act::Store, error);
        Self::new(located.kind(), told(error))
    }

    /// What the library makes of an answer, or of one of our own faults within it.
    pub(super) fn of(error: &object_store::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(fault) = error.downcast_ref::<Self>() {
                return fault.clone();
            }
            cause = error.source();
        }
        match error {
            object_store::Error::NotFound { .. } => {
                Self::new(PlaceErrorKind::Refused(StatusCode::NOT_FOUND), "the server answers 404 Not Found")
            }
            object_store::Error::AlreadyExists { .. } => {
                Self::new(PlaceErrorKind::Refused(StatusCode::CONFLICT), "the server answers 409 Conflict")
            }
            object_store::Error::Precondition { .. } => Self::new(
                PlaceErrorKind::Refused(StatusCode::PRECONDITION_FAILED),
                "the server answers 412 Precondition Failed, and there was no condition",
            ),
            other => Self::new(
                PlaceErrorKind::Malformed,
                format!("the server's answer is not understood: {}", plain(&Chain(other).to_string())),
            ),
        }
    }

    /// An answer that says no, by its code if it has one.
    pub(super) fn refused(refusal: Refusal<'_>) -> Self {
        let Refusal { status, headers, text, secrets } = refusal;
        // Before anything is shortened: half a secret would not be found.
        let shown = |name| element(text, name).map(|words| plain(&withhold(words, secrets)));
        let code = shown("Code").unwrap_or_default();
        let mut what = format!("the server answers {status}");
        if !code.is_empty() {
            what.push_str(&format!(", {code}"));
        }
        if let Some(message) = shown("Message") {
            what.push_str(&format!(" {message:?}"));
        }
        if let Some(home) = other_region(status, &code, headers, text) {
            what.push_str(&format!(
                ": the bucket is in the region {home}; write `region={home}` in its `url`"
            ));
        }
        // A HEAD has no document: what else it may mean is found out with fresh credentials.
        let is_mute = code.is_empty() && matches!(status.as_u16(), 400 | 401 | 403);
        Self {
            kind: kind(status, &code, headers),
            what,
            may_be_worn: is_mute || WORN.contains(&&*code),
            is_denied: code == "AccessDenied" || (code.is_empty() && status == StatusCode::FORBIDDEN),
            is_upload_gone: GONE.contains(&&*code),
        }
    }

    /// Whether the same request may go well a little later.
    pub(super) fn is_passing(&self) -> bool {
        match self.kind {
            PlaceErrorKind::Unreachable | PlaceErrorKind::TimedOut | PlaceErrorKind::Busy { .. } => true,
            PlaceErrorKind::Refused(status) => {
                status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
            }
            _ => false,
        }
    }

    /// How long it asks to be left alone.
    pub(super) fn pause(&self) -> Option<Duration> {
        match self.kind {
            PlaceErrorKind::Busy { retry_after } => retry_after,
            _ => None,
        }
    }

    /// What was being done with an object, and the permission that it takes if that is missing.
    pub(super) fn during(self, act: Act) -> PlaceError {
        let needed = match act {
            Act::Store => "storing takes the permission s3:PutObject",
            // Amazon's page "GetObject", under "Permissions".
            _ => {
                "reading takes the permissions s3:GetObject and s3:ListBucket, and without the second this is also said \
                 of what is not there"
            }
        };
        self.within(act, needed)
    }

    /// The same with the permission in other words.
    pub(super) fn within(self, act: Act, needed: &str) -> PlaceError {
        let what = if self.is_denied { format!("{}: {needed}", self.what) } else { self.what };
        PlaceError::new(self.kind, act, what)
    }
}

/// Words without what is not to be shown.
fn withhold(mut words: String, secrets: &[String]) -> String {
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        words = words.replace(secret.as_str(), "…");
    }
    words
}

/// The kind, by Amazon's list of error codes, else by the status.
fn kind(status: StatusCode, code: &str, headers: &HeaderMap) -> PlaceErrorKind {
    match code {
        "SlowDown"
        | "ServiceUnavailable"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "Busy" => return busy(headers),
        "RequestTimeout" => return PlaceErrorKind::TimedOut,
        "RequestTimeTooSkewed" => return PlaceErrorKind::Clock,
        "EntityTooLarge" | "QuotaExceeded" | "XMinioStorageFull" => return PlaceErrorKind::Full,
        // In an answer whose status said yes.
        "InternalError" => return PlaceErrorKind::Refused(StatusCode::INTERNAL_SERVER_ERROR),
        code if WORN.contains(&code) => return PlaceErrorKind::Credentials,
        _ => {}
    }
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => PlaceErrorKind::Credentials,
        StatusCode::INSUFFICIENT_STORAGE | StatusCode::PAYLOAD_TOO_LARGE => PlaceErrorKind::Full,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => busy(headers),
        StatusCode::REQUEST_TIMEOUT => PlaceErrorKind::TimedOut,
        status => PlaceErrorKind::Refused(status),
    }
}

fn busy(headers: &HeaderMap) -> PlaceErrorKind {
    let stated = retry_after(headers, clock::now().seconds());
    PlaceErrorKind::Busy { retry_after: stated.map(|pause| pause.min(LONGEST_PAUSE)) }
}

/// The region that the bucket is in, where the answer is that it is elsewhere. It is not followed: what is signed
/// for one region goes to no other.
fn other_region(status: StatusCode, code: &str, headers: &HeaderMap, text: &str) -> Option<String> {
    let is_elsewhere = status.is_redirection()
        || matches!(code, "AuthorizationHeaderMalformed" | "PermanentRedirect" | "TemporaryRedirect");
    let told = headers.get("x-amz-bucket-region").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let region = told.or_else(|| element(text, "Region")).filter(|_| is_elsewhere)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (region.len() <= LONGEST_REGION && !region.is_empty() && region.bytes().all(is_plain)).then_some(region)
}

/// Codes that say that these credentials are no longer good.
const WORN: [&str; 6] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestExpired",
    "TokenRefreshRequired",
];

/// Codes that say that a multipart upload, or a part of it, is not there: somebody ended it, or the server lost it.
const GONE: [&str; 2] = ["InvalidPart", "NoSuchUpload"];

/// Longer than any there is.
const LONGEST_REGION: usize = 40;
