//! The HTTP client: connections pooled, HTTP/2 where TLS offers it, and nothing done unasked.
//!
//! It follows no redirects and decodes nothing. `HTTPS_PROXY` and `NO_PROXY` are honoured for https, by a
//! tunnel; plain http goes straight to the server.

use crate::http_client::names::{NameError, Names, Patient};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, pem};
use std::future::Future;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower_service::Service;
use url::Url;

/// A client with one set of trusted certificates, or with none: then it speaks plain http alone.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: Client<HttpsConnector<Dial>, RequestBody>,
    names: Names,
    proxies: Arc<Matcher>,
    untrusting: Option<Arc<TlsError>>,
}

/// What a request carries.
pub type RequestBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// The body of a request that has none.
pub fn no_body() -> RequestBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// How long a connection is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Dialling {
    /// For the addresses of the host's name; as long as somebody wants the answer if `None`.
    pub look_up: Option<Duration>,
    /// To open it, once an address is known.
    pub connect: Duration,
    /// For the peer to acknowledge what was sent on it, before it is given up; the system's own time if `None`.
    pub acknowledge: Option<Duration>,
}

impl Dialling {
    /// For questions: one source of several, and somebody is waiting.
    pub const ASKING: Self = Self { look_up: None, connect: Duration::from_secs(5), acknowledge: None };
}

/// Why a request got no response.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It was for https, and there are no certificates to trust.
    #[error("https is not possible: {0}")]
    Untrusting(#[source] Arc<TlsError>),
    /// Name, connection, TLS, HTTP.
    #[error(transparent)]
    Http(#[from] Error),
}

impl SendError {
    /// Whether this machine found no address of the server or no way to it: that says nothing of the server.
    pub fn is_cut_off(&self) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let is_cut_off = match error.downcast_ref::<io::Error>() {
                Some(error) => matches!(
                    error.kind(),
                    ErrorKind::HostUnreachable | ErrorKind::NetworkDown | ErrorKind::NetworkUnreachable
                ),
                None => error.is::<NameError>(),
            };
            if is_cut_off {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The system has no certificates to trust, or they cannot be read.
    #[error(
        "no trusted certificates: {0}; install the package ca-certificates, or name a bundle in NIX_SSL_CERT_FILE \
         or `ca-file`, and start again"
    )]
    Roots(rustls::Error),
    /// A file of certificates cannot be used.
    #[error("certificates in {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A file without any certificate.
    #[error("certificates in {0}: the file holds none that can be used")]
    Empty(PathBuf),
}

impl HttpClient {
    /// A client that trusts the certificates of `ca_file`, else the system's.
    ///
    /// # Errors
    /// [`TlsError`] if there are no certificates to trust.
    pub fn new(names: &Names, ca_file: Option<&Path>, dialling: &Dialling) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let tls = match ca_file {
            Some(path) => with_roots(provider, path)?,
            None => with_system_roots(provider)?,
        };
        Ok(Self::over(names, tls, dialling, None))
    }

    /// A client for plain http alone, because of this.
    ///
    /// # Errors
    /// [`TlsError`] if TLS cannot be set up at all.
    pub fn untrusting(names: &Names, why: &Arc<TlsError>, dialling: &Dialling) -> Result<Self, TlsError> {
        let nothing = rustls::RootCertStore::empty();
        let tls = builder(Arc::new(aws_lc_rs::default_provider()))?.with_root_certificates(nothing);
        Ok(Self::over(names, tls.with_no_client_auth(), dialling, Some(Arc::clone(why))))
    }

    fn over(
        names: &Names,
        tls: ClientConfig,
        dialling: &Dialling,
        untrusting: Option<Arc<TlsError>>,
    ) -> Self {
        let proxies = Arc::new(Matcher::from_env());
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(Dial::new(names.clone(), Arc::clone(&proxies), dialling));
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .http2_adaptive_window(true)
            .build(https);
        Self { client, names: names.clone(), proxies, untrusting }
    }

    /// Sends one request and gives the head of the response.
    ///
    /// # Errors
    /// Whatever keeps the head from coming: name, connection, TLS, HTTP.
    pub async fn send(&self, request: Request<RequestBody>) -> Result<Response<Incoming>, SendError> {
        match &self.untrusting {
            Some(why) if is_https(request.uri()) => Err(SendError::Untrusting(Arc::clone(why))),
            _ => Ok(self.client.request(request).await?),
        }
    }

    /// Why it speaks plain http alone, if it does.
    pub fn is_untrusting(&self) -> Option<&Arc<TlsError>> {
        self.untrusting.as_ref()
    }

    /// The resolver, if it is we who look up the name of this URL's host: it has one, and no proxy is between.
    pub fn names_for(&self, url: &Url) -> Option<(&Names, String)> {
        let url::Host::Domain(name) = url.host()? else { return None };
        let uri: Uri = url.as_str().parse().ok()?;
        let is_proxied = is_https(&uri) && self.proxies.intercept(&uri).is_some();
        (!is_proxied).then(|| (&self.names, name.to_owned()))
    }
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme() == Some(&http::uri::Scheme::HTTPS)
}

fn builder(
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TlsError> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Roots)
}

fn with_roots(provider: Arc<rustls::crypto::CryptoProvider>, path: &Path) -> Result<ClientConfig, TlsError> {
    let failed = |source| TlsError::File { path: path.to_owned(), source };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(failed)? {
        roots.add_parsable_certificates([certificate.map_err(failed)?]);
    }
    if roots.is_empty() {
        return Err(TlsError::Empty(path.to_owned()));
    }
    Ok(builder(provider)?.with_root_certificates(roots).with_no_client_auth())
}

fn with_system_roots(provider: Arc<rustls::crypto::CryptoProvider>) -> Result<ClientConfig, TlsError> {
    let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(&provider)).map_err(TlsError::Roots)?;
    // The verifier is rustls' own over the system's roots; "dangerous" is the name of any custom one.
    Ok(builder(provider)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// Opens TCP connections, straight or through the proxy of the environment.
#[derive(Clone, Debug)]
struct Dial {
    http: HttpConnector<Patient>,
    proxies: Arc<Matcher>,
}

type Dialled = Result<TokioIo<TcpStream>, Box<dyn std::error::Error + Send + Sync>>;

impl Dial {
    fn new(names: Names, proxies: Arc<Matcher>, dialling: &Dialling) -> Self {
        let mut http = HttpConnector::new_with_resolver(Patient::new(names, dialling.look_up));
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(dialling.connect));
        http.set_tcp_user_timeout(dialling.acknowledge);
        Self { http, proxies }
    }
}

impl Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Dialled> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.http.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        match self.proxies.intercept(&to).filter(|_| is_https(&to)) {
            Some(proxy) => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), self.http.clone());
                if let Some(auth) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(auth.clone());
                }
                let opening = tunnel.call(to);
                Box::pin(async move { opening.await.map_err(Into::into) })
            }
            None => {
                let opening = self.http.call(to);
                Box::pin(async move { opening.await.map_err(Into::into) })
            }
        }
    }
}

/// The bundle of certificates to trust: the one that is given, else the one that Nix is told to use.
pub fn trusted_file(given: Option<&Path>) -> Option<PathBuf> {
    given.map(Path::to_owned).or_else(|| std::env::var_os("NIX_SSL_CERT_FILE").map(PathBuf::from))
}

/// Idle connections are closed before common servers close them (nginx: 75 s, many load balancers: 60 s), so
/// that a request rarely meets a dying one.
const POOL_IDLE: Duration = Duration::from_secs(20);
