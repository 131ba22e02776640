//! A server that takes PUT, spoken to as `nix copy` does.
//!
//! Bodies are streamed from their file with a Content-Length. `Expect: 100-continue` is not sent: it costs a
//! round trip for each of many small files, and servers that refuse answer early anyhow. Redirects are followed
//! within the origin alone, and only those that keep the method.

use crate::destination::body::{Pulse, begin};
use crate::destination::error::Act;
use crate::destination::reply::{refusal, whole};
use crate::destination::{
    Body, Condition, ContentType, ETag, Found, Patience, PlaceError, PlaceErrorKind, Put,
};
use crate::http_client::{
    AGENT, Credentials, Dialling, HttpClient, Names, RequestBody, TlsError, no_body, trusted_file,
};
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION, RANGE, USER_AGENT,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::timeout;
use url::Url;

#[derive(Debug)]
pub(super) struct Server {
    base: Url,
    client: HttpClient,
    credentials: Credentials,
    patience: Patience,
    /// It took a put without the condition that it had refused with it.
    knows_no_conditions: AtomicBool,
    /// It refused a HEAD.
    knows_no_head: AtomicBool,
}

impl Server {
    pub(super) fn open(
        url: &Url,
        credentials: Option<&Path>,
        patience: Patience,
        names: &Names,
    ) -> Result<Self, PlaceError> {
        let unusable = |error: String| PlaceError::new(PlaceErrorKind::Credentials, Act::Open, error);
        let credentials = match credentials {
            Some(path) => Credentials::read(path, url.host_str().unwrap_or_default())
                .map_err(|error| unusable(error.to_string()))?,
            None => Credentials::NONE,
        };
        let client = client(url, patience, names)
            .map_err(|error| PlaceError::new(PlaceErrorKind::Unsupported, Act::Open, error.to_string()))?;
        let (knows_no_conditions, knows_no_head) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { base: url.clone(), client, credentials, patience, knows_no_conditions, knows_no_head })
    }

    pub(super) async fn get(&self, name: &str, most: u64) -> Result<Option<Found>, PlaceError> {
        let fetching = async {
            let response = self.exchange(Act::Read, Method::GET, name, &HeaderMap::new(), None).await?;
            match response.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
                _ => return Err(self.refusal(Act::Read, response).await),
            }
            if response.headers().contains_key(CONTENT_ENCODING) {
                let what = "it comes under a Content-Encoding that was not asked for";
                return Err(PlaceError::new(PlaceErrorKind::Malformed, Act::Read, what));
            }
            let tag = strong_tag(response.headers());
            Ok(Some(Found { bytes: whole(response.into_body(), most).await?, tag }))
        };
        self.in_time(Act::Read, fetching).await
    }

    pub(super) async fn size(&self, name: &str) -> Result<Option<u64>, PlaceError> {
        self.in_time(Act::Read, async {
            if !self.knows_no_head.load(Ordering::Relaxed) {
                let response = self.exchange(Act::Read, Method::HEAD, name, &HeaderMap::new(), None).await?;
                match response.status() {
                    StatusCode::OK => return stated_length(response.headers()).map(Some),
                    StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
                    StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                        self.knows_no_head.store(true, Ordering::Relaxed);
                    }
                    _ => return Err(self.refusal(Act::Read, response).await),
                }
            }
            self.size_by_range(name).await
        })
        .await
    }

    /// The size where HEAD is refused: one byte is asked for, and the answer tells the rest.
    async fn size_by_range(&self, name: &str) -> Result<Option<u64>, PlaceError> {
        let headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=0-0"))]);
        let response = self.exchange(Act::Read, Method::GET, name, &headers, None).await?;
        match response.status() {
            StatusCode::OK => stated_length(response.headers()).map(Some),
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                let stated = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
                let total = stated.and_then(|range| range.rsplit_once('/')?.1.parse().ok());
                total.map(Some).ok_or_else(no_length)
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            _ => Err(self.refusal(Act::Read, response).await),
        }
    }

    pub(super) async fn put(
        &self,
        name: &str,
        body: Body,
        kind: ContentType,
        condition: Condition,
    ) -> Result<Put, PlaceError> {
        let plain = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind.as_str()))]);
        let guard = match &condition {
            Condition::IfAbsent => Some((IF_NONE_MATCH, HeaderValue::from_static("*"))),
            Condition::IfMatches(tag) => HeaderValue::from_str(&tag.0).ok().map(|value| (IF_MATCH, value)),
            Condition::Always => None,
        };
        let Some((header, value)) = guard.filter(|_| !self.knows_no_conditions.load(Ordering::Relaxed))
        else {
            return self.put_with(name, &body, &plain, false).await;
        };
        let mut guarded = plain.clone();
        guarded.insert(header, value);
        let answer = self.put_with(name, &body, &guarded, true).await;
        let Err(error) = &answer else { return answer };
        // Who knows no conditions says 501, or 400 (RFC 9110 leaves it open); a 400 may mean something else.
        let doubted = [StatusCode::NOT_IMPLEMENTED, StatusCode::BAD_REQUEST].map(PlaceErrorKind::Refused);
        if !doubted.contains(&error.kind()) {
            return answer;
        }
        let answer = self.put_with(name, &body, &plain, false).await;
        if answer.is_ok() {
            self.knows_no_conditions.store(true, Ordering::Relaxed);
        }
        answer
    }

    async fn put_with(
        &self,
        name: &str,
        body: &Body,
        headers: &HeaderMap,
        is_guarded: bool,
    ) -> Result<Put, PlaceError> {
        let response = self.exchange(Act::Store, Method::PUT, name, headers, Some(body)).await?;
        match response.status() {
            StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT => {
                // Read to its end, so that the connection can be used again; that it was stored is said already.
                let rest = whole(response.into_body(), MOST_DRAINED);
                drop(timeout(self.patience.answer.min(DRAINING), rest).await);
                Ok(Put::Stored)
            }
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT if is_guarded => Ok(Put::Conflict),
            _ => Err(self.refusal(Act::Store, response).await),
        }
    }

    /// One request and the head of its answer, redirects followed.
    async fn exchange(
        &self,
        act: Act,
        method: Method,
        name: &str,
        headers: &HeaderMap,
        body: Option<&Body>,
    ) -> Result<Response<Incoming>, PlaceError> {
        let nowhere = |_| PlaceError::new(PlaceErrorKind::Malformed, act, "the name is no part of a URL");
        let mut url = self.base.join(name).map_err(nowhere)?;
        let mut status = StatusCode::TEMPORARY_REDIRECT;
        for _ in 0..=MOST_REDIRECTS {
            let (content, pulse) = match body {
                Some(body) => begin(body).map_err(|error| PlaceError::local(act, &error))?,
                None => (no_body(), Pulse::new(true)),
            };
            let request = self.request(&method, &url, headers, content).map_err(|error| {
                PlaceError::new(
                    PlaceErrorKind::Malformed,
                    act,
                    format!("the request cannot be made: {error}"),
                )
            })?;
            let response = self.send(act, request, &pulse).await?;
            let Some(next) = self.followed(&url, &response) else { return Ok(response) };
            (url, status) = (next, response.status());
        }
        let what = format!("more than {MOST_REDIRECTS} redirects");
        Err(PlaceError::new(PlaceErrorKind::Refused(status), act, what))
    }

    /// Sends, for as long as something moves.
    async fn send(
        &self,
        act: Act,
        request: Request<RequestBody>,
        pulse: &Pulse,
    ) -> Result<Response<Incoming>, PlaceError> {
        let sent = pulse.watch(self.patience, self.client.send(request)).await;
        let answer = sent.map_err(|what| PlaceError::new(PlaceErrorKind::TimedOut, act, what))?;
        answer.map_err(|error| match pulse.last().is_own_fault {
            true => own_fault(act, &error),
            false => PlaceError::transport(act, &error),
        })
    }

    fn request(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        body: RequestBody,
    ) -> Result<Request<RequestBody>, http::Error> {
        let mut request = Request::builder().method(method).uri(url.as_str()).body(body)?;
        let all = request.headers_mut();
        all.extend(headers.clone());
        all.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if method != Method::PUT {
            all.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            all.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if let Some(value) = self.credentials.header() {
            all.insert(AUTHORIZATION, value.clone());
        }
        Ok(request)
    }

    /// Where a redirect leads, if it keeps the method and stays within the origin.
    fn followed(&self, from: &Url, response: &Response<Incoming>) -> Option<Url> {
        if !matches!(response.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
            return None;
        }
        let to = from.join(response.headers().get(LOCATION)?.to_str().ok()?).ok()?;
        let is_own = to.origin() == self.base.origin() && to.username().is_empty() && to.password().is_none();
        is_own.then_some(to)
    }

    async fn refusal(&self, act: Act, response: Response<Incoming>) -> PlaceError {
        refusal(act, response, &self.credentials, self.patience.answer).await
    }

    async fn in_time<T>(
        &self,
        act: Act,
        work: impl Future<Output = Result<T, PlaceError>>,
    ) -> Result<T, PlaceError> {
        let limit = self.patience.answer;
        timeout(limit, work).await.unwrap_or_else(|_| {
            let what = format!("no whole answer came in {} seconds", limit.as_secs_f32());
            Err(PlaceError::new(PlaceErrorKind::TimedOut, act, what))
        })
    }
}

/// A client for a server at this address, which needs certificates to trust only if it is spoken to over TLS.
pub(super) fn client(url: &Url, patience: Patience, names: &Names) -> Result<HttpClient, TlsError> {
    let (connect, acknowledge) = (patience.connect, Some(patience.stall));
    let dialling = Dialling { look_up: Some(connect), connect, acknowledge };
    match HttpClient::new(names, trusted_file(None).as_deref(), &dialling) {
        Err(why) if url.scheme() == "http" => HttpClient::untrusting(names, &Arc::new(why), &dialling),
        made => made,
    }
}

/// The failure of a request whose own file could not be read.
fn own_fault(act: Act, error: &(dyn std::error::Error + 'static)) -> PlaceError {
    let mut cause = Some(error);
    let mut last = std::io::Error::other(error.to_string());
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            last = std::io::Error::new(io.kind(), format!("our own file: {io}"));
        }
        cause = error.source();
    }
    PlaceError::local(act, &last)
}

/// The tag, if If-Match would hold for it: weak ones never match there (RFC 9110 §13.1.1).
fn strong_tag(headers: &HeaderMap) -> Option<ETag> {
    let tag = headers.get(ETAG)?.to_str().ok()?;
    (tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"')).then(|| ETag(tag.into()))
}

fn stated_length(headers: &HeaderMap) -> Result<u64, PlaceError> {
    let stated = |name: &HeaderName| headers.get(name)?.to_str().ok()?.parse().ok();
    stated(&CONTENT_LENGTH).ok_or_else(no_length)
}

fn no_length() -> PlaceError {
    PlaceError::new(PlaceErrorKind::Malformed, Act::Read, "the server does not say how long it is")
}

/// Redirects that are followed for one request, as for caches.
const MOST_REDIRECTS: usize = 3;

/// What is read of an answer that says yes, in bytes.
const MOST_DRAINED: u64 = 64 * 1024;

/// How long it is read.
const DRAINING: Duration = Duration::from_secs(5);
