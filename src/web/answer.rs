//! The one place that builds responses on the cache port, and so the one list of what Nix may be told
//! (design §4, §10): 200, 206, 404, 405, 416, 421 and 503, and to heads that no client of a cache sends 414 and 431.

use crate::config::Otherwise;
use crate::format::cache_info::{CACHE_INFO_MIME, NAR_MIME, NARINFO_MIME};
use crate::memo::Held;
use crate::trust::{Reason, ReasonKind, Verdict};
use crate::upstream::Log;
use crate::web::body::ReplyBody;
use crate::web::range::Wanted;
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Response, StatusCode};
use http_body::Body;

/// What to answer where a path is not served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instead {
    /// To a refusal.
    pub(super) when_refused: Otherwise,
    /// To a defer.
    pub(super) when_undecided: Otherwise,
}

/// Bytes of a fixed kind. Their length is the body's, which hyper writes.
pub(super) fn fixed(mime: &'static str, bytes: Bytes) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::full(bytes));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(mime));
    response
}

/// The same answer without its body, as to HEAD.
pub(super) fn head(mut response: Response<ReplyBody>) -> Response<ReplyBody> {
    let length = response.body().size_hint().exact().unwrap_or_default();
    response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    *response.body_mut() = ReplyBody::empty();
    response
}

/// The cache's description of itself.
pub(super) fn cache_info(text: Bytes) -> Response<ReplyBody> {
    fixed(CACHE_INFO_MIME, text)
}

/// The answer to a question for a narinfo.
pub(super) fn narinfo(held: &Held, instead: Instead, client: &HeaderMap) -> Response<ReplyBody> {
    let mut response = match &held.narinfo {
        Some(text) => fixed(NARINFO_MIME, text.clone()),
        None => not_served(&held.verdict, instead, client),
    };
    let headers = response.headers_mut();
    headers.insert(VERDICT, HeaderValue::from_static(held.verdict.label()));
    if let Some(reason) = held.verdict.reason() {
        headers.insert(REASON, header_text(reason));
    }
    response
}

/// A NAR, or a part of it. The bytes of one URL never change, so the NarHash is a strong entity tag.
pub(super) fn nar(body: ReplyBody, size: u64, wanted: Wanted, tag: &str) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    let (status, length, range) = match wanted {
        Wanted::All => (StatusCode::OK, size, None),
        Wanted::Nothing => (StatusCode::RANGE_NOT_SATISFIABLE, 0, Some(format!("bytes */{size}"))),
        Wanted::Part { first, length } => {
            let last = first.saturating_add(length).saturating_sub(1);
            (StatusCode::PARTIAL_CONTENT, length, Some(format!("bytes {first}-{last}/{size}")))
        }
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(NAR_MIME));
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(ETAG, tag);
    }
    if let Some(Ok(range)) = range.map(|range| HeaderValue::from_str(&range)) {
        headers.insert(CONTENT_RANGE, range);
    }
    response
}

/// A build's log, which nobody signs, marked as such. It is never shown as a page, whatever it says it is.
pub(super) fn log(log: Log) -> Response<ReplyBody> {
    let mut response = fixed("text/plain; charset=utf-8", log.bytes);
    let headers = response.headers_mut();
    headers.insert(UNVERIFIED, HeaderValue::from_static("log"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(encoding) = log.encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

/// Nothing here.
pub(super) fn not_found() -> Response<ReplyBody> {
    status(StatusCode::NOT_FOUND)
}

/// Only GET and HEAD.
pub(super) fn method_not_allowed() -> Response<ReplyBody> {
    let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// A path longer than any that is served.
pub(super) fn uri_too_long() -> Response<ReplyBody> {
    close(status(StatusCode::URI_TOO_LONG))
}

/// More headers than are read.
pub(super) fn headers_too_large() -> Response<ReplyBody> {
    close(status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE))
}

/// A Host that is not ours.
pub(super) fn misdirected() -> Response<ReplyBody> {
    status(StatusCode::MISDIRECTED_REQUEST)
}

/// The same answer, and the connection ends with it.
pub(super) fn close(mut response: Response<ReplyBody>) -> Response<ReplyBody> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn status(code: StatusCode) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::empty());
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_LENGTH, 0.into());
    response
}

/// 404 lets Nix build the path; 503 stops it, and says why.
fn not_served(verdict: &Verdict, instead: Instead, client: &HeaderMap) -> Response<ReplyBody> {
    let fails = match verdict {
        Verdict::Absent | Verdict::Endorse(_) => None,
        Verdict::Refuse(reason) => (instead.when_refused == Otherwise::Fail).then_some(reason),
        Verdict::Defer(reason) => {
            (instead.when_undecided == Otherwise::Fail && has_credible_claim(reason)).then_some(reason)
        }
    };
    match fails.filter(|_| !dies_of_503(client)) {
        Some(reason) => {
            let mut response = fixed("text/plain; charset=utf-8", format!("countersign: {reason}\n").into());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        }
        None => not_found(),
    }
}

fn has_credible_claim(reason: &Reason) -> bool {
    match reason.kind {
        ReasonKind::NoClaim | ReasonKind::NotCredible { .. } => false,
        ReasonKind::Short(_)
        | ReasonKind::Contradiction { .. }
        | ReasonKind::Dissent { .. }
        | ReasonKind::Names(_)
        | ReasonKind::MustAnswer(_)
        | ReasonKind::BytesUnchecked
        | ReasonKind::NoSource => true,
    }
}

/// Whether the client is a Nix older than 2.9, which a 503 can kill (protocol notes §2.2).
fn dies_of_503(client: &HeaderMap) -> bool {
    let agent = client.get(http::header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let Some((_, version)) = agent.split_once("Nix/") else { return false };
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < (2, 9),
        // A version that cannot be read is treated as old: a 404 hurts nobody.
        _ => true,
    }
}

/// A reason as a header: one line, ASCII, bounded.
fn header_text(reason: &Reason) -> HeaderValue {
    let text = reason.to_string();
    let ascii = text.chars().map(|c| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' });
    let line: String = ascii.take(LONGEST_REASON).collect();
    HeaderValue::from_str(&line).unwrap_or_else(|_| HeaderValue::from_static("see the log"))
}

/// Says what the rule of trust decided, on every narinfo answer.
pub const VERDICT: HeaderName = HeaderName::from_static("countersign-verdict");

/// Says why, unless endorsed.
pub const REASON: HeaderName = HeaderName::from_static("countersign-reason");

/// Says that an answer is passed on as it came.
pub const UNVERIFIED: HeaderName = HeaderName::from_static("countersign-unverified");

/// A reason's header is cut at so many characters; the log and `explain` have all of it.
const LONGEST_REASON: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_nix_older_than_2_9_dies_of_503() {
        for (agent, dies) in [
            ("curl/7.85.0 Nix/2.8.0", true),
            ("curl/7.85.0 Nix/2.8.1pre20220502", true),
            ("curl/7.85.0 Nix/2.9.0", false),
            ("curl/8.13.0 Nix/2.26.3", false),
            ("curl/8.23.0-rc3 Nix/2.34.8", false),
            ("curl/8 Nix/3.0", false),
            ("curl/8 Nix/", true),
            ("curl/8", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::USER_AGENT, HeaderValue::from_static(agent));
            assert_eq!(dies_of_503(&headers), dies, "{agent}");
        }
    }
}
