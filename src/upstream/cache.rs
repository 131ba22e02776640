//! One remote cache: its origin, and how anything is fetched from it.
//!
//! Only the cache's own origin is fetched from. A URL or redirect that leaves scheme, host or port is that
//! cache's fault unless its `nar-hosts` allows it, and none drops from https to http (design §5).

use crate::clock;
use crate::config::{CacheSettings, HostPort};
use crate::http_client::{
    AGENT, Credentials, CredentialsError, HttpClient, Names, RequestBody, SendError, no_body, retry_after,
};
use crate::trust::{CacheId, Location};
use crate::upstream::pace::Pace;
use crate::upstream::standing::Standing;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, HeaderName, HeaderValue, LOCATION, RANGE, USER_AGENT,
};
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use url::Url;

/// A cache that can be asked.
#[derive(Debug)]
pub struct RemoteCache {
    id: CacheId,
    name: Box<str>,
    base: Url,
    nar_hosts: Vec<HostPort>,
    claim_timeout: Duration,
    client: HttpClient,
    credentials: Credentials,
    /// What is known of its health, and the bounds on what is asked of it.
    pub(super) standing: Standing,
    lied: AtomicBool,
    /// How fast it has delivered bytes.
    pub(super) pace: Mutex<Pace>,
    pub(super) heard: Heard,
    /// Why it last gave no answer, if it has given none since.
    fault: Mutex<Option<Arc<str>>>,
}

/// How often a cache said what.
#[derive(Debug, Default)]
pub struct Heard {
    /// Claims.
    pub claims: AtomicU64,
    /// "Not found".
    pub not_found: AtomicU64,
    /// No answer.
    pub silences: AtomicU64,
}

/// Why nothing could be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The location leads outside what the cache may point to.
    #[error("{0}")]
    Outside(#[from] Outside),
    /// More redirects than are followed.
    #[error("more than {MOST_REDIRECTS} redirects")]
    Redirects,
    /// A redirect that does not say where to.
    #[error("a redirect without a usable Location")]
    RedirectNowhere,
    /// A status that gives no bytes.
    #[error("status {0}")]
    Status(StatusCode),
    /// The same, and the cache says how long it wants to be left alone (`Retry-After`).
    #[error("status {status}, to be asked again after {} seconds", pause.as_secs())]
    Later {
        /// The status.
        status: StatusCode,
        /// How long.
        pause: Duration,
    },
    /// A Content-Encoding, which was not asked for.
    #[error("a Content-Encoding that was not asked for")]
    Encoded,
    /// The request could not be made or answered.
    #[error(transparent)]
    Http(#[from] SendError),
    /// The request could not be written.
    #[error("{0}")]
    Request(#[from] http::Error),
}

/// Why a URL is not fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Outside {
    /// It is no URL.
    #[error("it is no URL")]
    NoUrl,
    /// Its host is neither the cache's own nor in `nar-hosts`.
    #[error("the URL leaves the cache's own scheme, host and port, and `nar-hosts` does not list where to")]
    Foreign,
    /// It drops from https to http, or is neither.
    #[error("the URL drops from https to another scheme")]
    Downgraded,
    /// It carries a user name or password.
    #[error("the URL carries credentials")]
    Userinfo,
}

impl RemoteCache {
    /// A cache by its settings; its credentials are read now.
    ///
    /// # Errors
    /// [`CredentialsError`] if its credentials file cannot be used.
    pub(super) fn new(
        id: CacheId,
        settings: &CacheSettings,
        client: HttpClient,
        standing: Standing,
    ) -> Result<Self, CredentialsError> {
        let credentials = match &settings.credentials_file {
            Some(path) => Credentials::read(path, settings.url.host_str().unwrap_or_default())?,
            None => Credentials::NONE,
        };
        Ok(Self {
            id,
            name: settings.name.clone(),
            base: settings.url.clone(),
            nar_hosts: settings.nar_hosts.clone(),
            claim_timeout: settings.claim_timeout,
            client,
            credentials,
            standing,
            lied: AtomicBool::new(false),
            pace: Mutex::default(),
            heard: Heard::default(),
            fault: Mutex::default(),
        })
    }

    /// Its number in the policy.
    pub fn id(&self) -> CacheId {
        self.id
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long it is waited for.
    pub fn claim_timeout(&self) -> Duration {
        self.claim_timeout
    }

    /// Whether it ever delivered bytes that did not match; it is then always spooled whole.
    pub fn has_lied(&self) -> bool {
        self.lied.load(Ordering::Relaxed)
    }

    /// How often it said what.
    pub fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Why it gave no answer when it was last asked.
    pub fn fault(&self) -> Option<Arc<str>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_fault(&self, fault: Option<String>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault.map(Arc::from);
    }

    /// The resolver and the host's name, if we look it up.
    pub(super) fn names(&self) -> Option<(&Names, String)> {
        self.client.names_for(&self.base)
    }

    /// How fast it has lately delivered bytes.
    pub fn pace(&self) -> Pace {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a delivery.
    pub fn note_pace(&self, note: impl FnOnce(Pace) -> Pace) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        *pace = note(*pace);
    }

    /// Remembers that it delivered bytes that did not match.
    pub fn mark_liar(&self) {
        self.lied.store(true, Ordering::Relaxed);
    }

    /// Where a narinfo's URL leads, if the cache may point there.
    ///
    /// # Errors
    /// [`Outside`] if not.
    pub fn locate(&self, url: &str) -> Result<Location, Outside> {
        let joined = self.base.join(url).map_err(|_| Outside::NoUrl)?;
        self.permit(&self.base, joined).map(|url| Location(String::from(url).into()))
    }

    /// Whether something at `from` may point to `to`.
    fn permit(&self, from: &Url, mut to: Url) -> Result<Url, Outside> {
        to.set_fragment(None);
        if !to.username().is_empty() || to.password().is_some() {
            return Err(Outside::Userinfo);
        }
        let stays_secure = to.scheme() == "https" || (to.scheme() == "http" && from.scheme() == "http");
        if !stays_secure {
            return Err(Outside::Downgraded);
        }
        if self.is_own(&to) || self.nar_hosts.iter().any(|allowed| allows(allowed, &to)) {
            Ok(to)
        } else {
            Err(Outside::Foreign)
        }
    }

    fn is_own(&self, url: &Url) -> bool {
        url.scheme() == self.base.scheme()
            && url.host_str() == self.base.host_str()
            && url.port_or_known_default() == self.base.port_or_known_default()
    }

    /// Fetches a path below the cache's URL.
    ///
    /// # Errors
    /// [`FetchError`]; a status other than 200 is one.
    pub async fn fetch_path(&self, path: &str) -> Result<Response<Incoming>, FetchError> {
        plain(self.fetch_encoded(path).await?)
    }

    /// Fetches a path below the cache's URL, under whatever Content-Encoding it is stored.
    ///
    /// # Errors
    /// [`FetchError`]; a status other than 200 is one.
    pub(super) async fn fetch_encoded(&self, path: &str) -> Result<Response<Incoming>, FetchError> {
        let url = self.base.join(path).map_err(|_| Outside::NoUrl)?;
        self.fetch(self.permit(&self.base, url)?).await
    }

    /// The URL, if this cache may point there.
    pub(super) fn permit_own(&self, url: Url) -> Result<Url, Outside> {
        self.permit(&self.base, url)
    }

    async fn fetch(&self, url: Url) -> Result<Response<Incoming>, FetchError> {
        self.fetch_with(url, &HeaderMap::new()).await
    }

    /// Fetches with further headers; a 206 counts where a part is asked for.
    pub(super) async fn fetch_with(
        &self,
        mut url: Url,
        further: &HeaderMap,
    ) -> Result<Response<Incoming>, FetchError> {
        for _ in 0..=MOST_REDIRECTS {
            let mut request = self.request(&url)?;
            request.headers_mut().extend(further.clone());
            let response = self.client.send(request).await?;
            match response.status() {
                StatusCode::OK => return Ok(response),
                StatusCode::PARTIAL_CONTENT if further.contains_key(RANGE) => return Ok(response),
                StatusCode::FORBIDDEN if is_s3(&response) => {
                    return Err(FetchError::Status(StatusCode::NOT_FOUND));
                }
                status if is_redirect(status) => {
                    let to = response.headers().get(LOCATION).and_then(|v| v.to_str().ok());
                    let to = to.and_then(|to| url.join(to).ok()).ok_or(FetchError::RedirectNowhere)?;
                    url = self.permit(&url, to)?;
                }
                status => return Err(refused(status, response.headers())),
            }
        }
        Err(FetchError::Redirects)
    }

    fn request(&self, url: &Url) -> Result<Request<RequestBody>, FetchError> {
        let mut request = Request::get(url.as_str()).body(no_body())?;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(VIA, HeaderValue::from_static("1"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(value) = self.credentials.header().filter(|_| self.is_own(url)) {
            headers.insert(AUTHORIZATION, value.clone());
        }
        Ok(request)
    }
}

/// What a status without bytes is: of an overloaded server, with the pause that it asks for.
fn refused(status: StatusCode, headers: &HeaderMap) -> FetchError {
    let is_busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    match retry_after(headers, clock::now().seconds()).filter(|pause| is_busy && !pause.is_zero()) {
        Some(pause) => FetchError::Later { status, pause },
        None => FetchError::Status(status),
    }
}

fn allows(allowed: &HostPort, url: &Url) -> bool {
    url.host_str() == Some(&*allowed.host)
        && allowed.port.map_or_else(|| url.port().is_none(), |port| url.port_or_known_default() == Some(port))
}

/// A response whose bytes are what is stored; an encoding was not asked for.
pub(super) fn plain(response: Response<Incoming>) -> Result<Response<Incoming>, FetchError> {
    if response.headers().contains_key(CONTENT_ENCODING) { Err(FetchError::Encoded) } else { Ok(response) }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// A 403 of S3 means "not found" to those who may not list the bucket; every S3 answer carries a request id.
fn is_s3(response: &Response<Incoming>) -> bool {
    let headers = response.headers();
    headers.contains_key("x-amz-request-id") || headers.get("server").is_some_and(|v| v == "AmazonS3")
}

/// Redirects that are followed for one request (protocol notes §12).
const MOST_REDIRECTS: usize = 3;

/// Marks what a Countersign asks. Another one answers it from what it knows, so that two that list each other
/// do not ask in a circle.
pub const VIA: HeaderName = HeaderName::from_static("countersign-via");
