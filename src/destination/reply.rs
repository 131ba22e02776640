//! What a server's answer means, and as much of its words as can be shown.

use crate::clock;
use crate::destination::error::Act;
use crate::destination::{PlaceError, PlaceErrorKind};
use crate::http_client::{Credentials, retry_after};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use std::time::Duration;
use tokio::time::timeout;

/// The error that an answer is, with the first line of what it says.
pub(super) async fn refusal(
    act: Act,
    response: Response<Incoming>,
    credentials: &Credentials,
    patience: Duration,
) -> PlaceError {
    let status = response.status();
    let kind = kind(status, response.headers());
    let text = first_bytes(response.into_body(), patience).await;
    let mut what = format!("the server answers {status}");
    if status.is_redirection() {
        what.push_str(", and leads where we do not follow");
    } else if let Some(line) = first_line(&text) {
        what.push_str(&format!(" {:?}", credentials.withhold(&line)));
    }
    PlaceError::new(kind, act, what)
}

fn kind(status: StatusCode, headers: &HeaderMap) -> PlaceErrorKind {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => PlaceErrorKind::Credentials,
        StatusCode::INSUFFICIENT_STORAGE | StatusCode::PAYLOAD_TOO_LARGE => PlaceErrorKind::Full,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            let stated = retry_after(headers, clock::now().seconds());
            PlaceErrorKind::Busy { retry_after: stated.map(|pause| pause.min(LONGEST_PAUSE)) }
        }
        status => PlaceErrorKind::Refused(status),
    }
}

/// The beginning of a body that nobody needs; what does not come is done without.
async fn first_bytes(mut body: Incoming, patience: Duration) -> Vec<u8> {
    let mut text = Vec::new();
    let reading = async {
        while text.len() < MOST_SHOWN
            && let Some(Ok(frame)) = body.frame().await
        {
            if let Some(bytes) = frame.data_ref() {
                text.extend_from_slice(bytes);
            }
        }
    };
    timeout(patience.min(ERROR_BODY), reading).await.unwrap_or_default();
    text.truncate(MOST_SHOWN);
    text
}

/// The first line that is text and no markup.
fn first_line(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    if line.starts_with('<') {
        return None;
    }
    let shown = plain(line);
    (!shown.is_empty()).then_some(shown)
}

/// As much of a text of the server's as can be shown.
pub(super) fn plain(text: &str) -> String {
    let is_plain = |c: &char| !c.is_control() && *c != char::REPLACEMENT_CHARACTER;
    text.chars().filter(is_plain).take(LONGEST_LINE).collect()
}

/// Reads a body that must end within `most` bytes.
pub(super) async fn whole(body: Incoming, most: u64) -> Result<bytes::Bytes, PlaceError> {
    let most_bytes = usize::try_from(most).unwrap_or(usize::MAX);
    match Limited::new(body, most_bytes).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let what = format!("it has more than {most} bytes");
            Err(PlaceError::new(PlaceErrorKind::Malformed, Act::Read, what))
        }
        Err(error) => Err(PlaceError::transport(Act::Read, &*error)),
    }
}

/// How much of an error's body is looked at, in bytes.
const MOST_SHOWN: usize = 4096;

/// How much of its first line is shown, in characters.
const LONGEST_LINE: usize = 200;

/// How long an error's body is waited for: the status alone says enough.
pub(super) const ERROR_BODY: Duration = Duration::from_secs(5);

/// The longest pause that a server may ask for.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::RETRY_AFTER;

    #[test]
    fn a_pause_is_seconds_or_a_date_and_a_day_at_most() {
        let retry_after = |text: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            match kind(StatusCode::TOO_MANY_REQUESTS, &headers) {
                PlaceErrorKind::Busy { retry_after } => retry_after,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(retry_after("120"), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(" 0 "), Some(Duration::ZERO));
        assert_eq!(retry_after("99999999"), Some(LONGEST_PAUSE));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(retry_after("Tue, 01 Jan 2999 00:00:00 GMT"), Some(LONGEST_PAUSE));
        assert_eq!(retry_after("soon"), None);
        assert_eq!(retry_after("-5"), None);
    }

    #[test]
    fn what_a_server_says_is_shown_on_one_clean_line() {
        assert_eq!(first_line(b"\n  no\x1b[31m room\x07 \nmore"), Some("no[31m room".to_owned()));
        assert_eq!(first_line(b"<html><body>x"), None);
        assert_eq!(first_line(b" \n"), None);
        assert_eq!(first_line(b"\xff\xfe"), None);
        assert_eq!(first_line("é".repeat(500).as_bytes()).unwrap().chars().count(), LONGEST_LINE);
    }

    #[test]
    fn every_status_has_its_kind() {
        let none = HeaderMap::new();
        let of = |code: u16| kind(StatusCode::from_u16(code).unwrap(), &none);
        for code in [401, 403] {
            assert_eq!(of(code), PlaceErrorKind::Credentials, "{code}");
        }
        for code in [413, 507] {
            assert_eq!(of(code), PlaceErrorKind::Full, "{code}");
        }
        for code in [429, 503] {
            assert_eq!(of(code), PlaceErrorKind::Busy { retry_after: None }, "{code}");
        }
        for code in [301, 400, 404, 405, 409, 500, 502] {
            assert_eq!(of(code), PlaceErrorKind::Refused(StatusCode::from_u16(code).unwrap()), "{code}");
        }
    }
}
