//! Our own HTTP client under the library: patience, and answers that say no turned into faults.
//!
//! The library sees only answers that it has a meaning for: success, "not there", and "the condition does not
//! hold". It tries nothing again and follows nothing; whoever asks it does, by the [`Fault`].

use crate::destination::Patience;
use crate::destination::PlaceErrorKind;
use crate::destination::body::Pulse;
use crate::destination::reply::ERROR_BODY;
use crate::destination::s3::fault::{Fault, Refusal};
use crate::destination::s3::xml::element;
use crate::http_client::{AGENT, HttpClient};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use object_store::ClientOptions;
use object_store::client::{
    HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::timeout;

/// Our client, as the library calls it.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) client: HttpClient,
    pub(super) patience: Patience,
}

impl HttpConnector for Service {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<object_store::client::HttpClient> {
        Ok(object_store::client::HttpClient::new(self.clone()))
    }
}

impl HttpService for Service {
    // What `#[async_trait]` makes of the trait's declaration.
    fn call<'life0, 'async_trait>(
        &'life0 self,
        request: HttpRequest,
    ) -> BoxFuture<'async_trait, Result<HttpResponse, HttpError>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let answer = self.exchange(request, Vec::new()).await;
            answer.map_err(|fault| HttpError::new(HttpErrorKind::Unknown, fault))
        })
    }
}

impl Service {
    /// One request and its answer, if it is one that the library has a meaning for.
    /// `secrets` are not shown, should it repeat them.
    pub(super) async fn exchange(
        &self,
        request: HttpRequest,
        mut secrets: Vec<String>,
    ) -> Result<HttpResponse, Fault> {
        let method = request.method().clone();
        secrets.extend(sent(request.headers()));
        let response = self.send(request).await?;
        let (parts, body) = response.into_parts();
        let status = parts.status;
        if status.is_success() && method != Method::POST {
            let body =
                body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, Fault::transport(&error)));
            return Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)));
        }
        let text = self.text(body, status.is_success()).await?;
        let code = element(&text, "Code").unwrap_or_default();
        let is_meant = match status {
            // A multipart upload that cannot be put together is told of after the status (API CompleteMultipartUpload).
            _ if status.is_success() => !text.contains("<Error"),
            StatusCode::NOT_FOUND => code.is_empty() || code == "NoSuchKey",
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => true,
            _ => false,
        };
        if !is_meant {
            let (headers, secrets) = (&parts.headers, secrets.as_slice());
            return Err(Fault::refused(Refusal { status, headers, text: &text, secrets }));
        }
        let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }

    /// Sends, for as long as something moves.
    async fn send(&self, request: HttpRequest) -> Result<Response<Incoming>, Fault> {
        let (mut parts, body) = request.into_parts();
        // Beside what is signed.
        parts.headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if matches!(parts.method, Method::GET | Method::HEAD) {
            parts.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            parts.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let pulse = Pulse::new(body.content_length() == 0);
        let left = body.content_length() as u64;
        let body = Paced { inner: body, left, pulse: pulse.clone() }.boxed_unsync();
        let request = http::Request::from_parts(parts, body);
        let sent = pulse.watch(self.patience, self.client.send(request)).await;
        let answer = sent.map_err(|what| Fault::new(PlaceErrorKind::TimedOut, what))?;
        answer.map_err(|error| Fault::transport(&error))
    }

    /// A body that must be short; of an answer that says no, as much as comes.
    async fn text(&self, body: Incoming, is_needed: bool) -> Result<String, Fault> {
        let limit = if is_needed { self.patience.answer } else { self.patience.answer.min(ERROR_BODY) };
        let read = timeout(limit, Limited::new(body, MOST_TEXT).collect()).await;
        match read {
            Ok(Ok(collected)) => Ok(String::from_utf8_lossy(&collected.to_bytes()).into_owned()),
            _ if !is_needed => Ok(String::new()),
            Ok(Err(error)) => {
                Err(Fault::new(PlaceErrorKind::Unreachable, format!("its answer broke off: {error}")))
            }
            Err(_) => {
                let what = format!("no whole answer came in {} seconds", limit.as_secs_f32());
                Err(Fault::new(PlaceErrorKind::TimedOut, what))
            }
        }
    }
}

/// What is sent and must not be shown: the session's token, and the signature.
fn sent(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let value = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
    let authorization = value(AUTHORIZATION.as_str());
    let signature =
        authorization.as_ref().and_then(|text| Some(text.rsplit_once("Signature=")?.1.to_owned()));
    [value("x-amz-security-token"), authorization, signature].into_iter().flatten()
}

/// A body with an eye on when it last moved.
struct Paced {
    inner: HttpRequestBody,
    left: u64,
    pulse: Pulse,
}

impl Body for Paced {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let length = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.left = self.left.saturating_sub(length);
            self.pulse.beat(self.left == 0, false);
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// What is read of an answer that is a document, in bytes: a list of a thousand uploads.
const MOST_TEXT: usize = 2 << 20;
