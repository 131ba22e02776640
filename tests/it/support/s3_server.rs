//! An S3 server in the test's process: `s3s-fs`, which checks signatures, with a door before it that records what
//! comes in, misbehaves as it is told, and adds the list of uploads that were begun.

use crate::support::dirs::Dir;
use crate::support::s3_uploads::Begun;
use crate::support::tls_cache::Identity;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// The keys that the server knows, and its bucket.
pub const KEY_ID: &str = "AKIDTEST";
pub const SECRET: &str = "s3cr3tOfTheTests";
pub const BUCKET: &str = "acme-cache";

/// What the server does with a request instead of what it should.
#[derive(Clone, Debug)]
pub enum S3Fault {
    /// Answers with this status, these headers and this document; nothing is done.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// Takes the whole request and closes the connection.
    HangUp,
    /// Does as it should, and closes the connection instead of answering.
    LoseAnswer,
    /// Waits so long, then does as it should.
    Wait(Duration),
    /// Answers a request with a condition with this error, others as it should.
    NoConditions(u16, &'static str),
    /// Answers a request that was signed in this session with 403 ExpiredToken, others as it should.
    Expired(&'static str),
    /// The same, once each of these parts of an upload was asked for: they go side by side, in any order.
    ExpiredAfter(&'static str, &'static [u32]),
}

impl S3Fault {
    /// An error of S3's.
    pub fn error(status: u16, code: &str) -> Self {
        Self::Answer(status, Vec::new(), document(code))
    }

    /// The same with a header.
    pub fn with(status: u16, code: &str, name: &'static str, value: &str) -> Self {
        Self::Answer(status, vec![(name, value.to_owned())], document(code))
    }
}

fn document(code: &str) -> String {
    format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>because of {code}</Message></Error>")
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct S3Request {
    pub method: String,
    /// Path and query, without the leading slash.
    pub uri: String,
    pub headers: Vec<(String, String)>,
}

impl S3Request {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// A running server. It is gone with its owner.
pub struct S3Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    dir: Dir,
    tls: Option<Identity>,
    runtime: Option<Runtime>,
}

#[derive(Default)]
struct Shared {
    rules: Mutex<Vec<Rule>>,
    log: Mutex<Vec<S3Request>>,
    begun: Begun,
    /// Held from a condition's check to the end of what it is for: `s3s-fs` does the one and then the other.
    conditional: tokio::sync::Mutex<()>,
    root: PathBuf,
}

struct Rule {
    method: &'static str,
    part: String,
    times: Option<usize>,
    fault: S3Fault,
}

impl S3Server {
    /// A server that takes requests with the right signature alone.
    pub fn start() -> Self {
        Self::with(true, None)
    }

    /// The same behind TLS, with a certificate for `localhost` that nobody trusts unasked.
    pub fn start_tls() -> Self {
        Self::with(true, Some(Identity::new()))
    }

    /// A server that takes anything.
    pub fn open() -> Self {
        Self::with(false, None)
    }

    fn with(is_signed: bool, tls: Option<Identity>) -> Self {
        let dir = Dir::new();
        std::fs::create_dir(dir.join(BUCKET)).unwrap();
        let service = {
            let mut builder = S3ServiceBuilder::new(FileSystem::new(dir.path()).unwrap());
            if is_signed {
                builder.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
            }
            builder.build()
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { root: dir.path().to_owned(), ..Shared::default() });
        let acceptor = tls.as_ref().map(Identity::acceptor);
        runtime.spawn(accept(listener, service, Arc::clone(&shared), acceptor));
        Self { address, shared, dir, tls, runtime: Some(runtime) }
    }

    pub fn endpoint(&self) -> String {
        match self.tls {
            None => format!("http://{}", self.address),
            Some(_) => format!("https://localhost:{}", self.address.port()),
        }
    }

    /// The certificate that its clients must trust, where it is behind TLS.
    pub fn ca_file(&self) -> PathBuf {
        self.tls.as_ref().unwrap().ca_file()
    }

    /// The URL of the bucket, as a configuration has it.
    pub fn url(&self) -> String {
        format!("s3://{BUCKET}?region=us-east-1&endpoint={}", self.endpoint())
    }

    /// Where the objects of the bucket lie.
    pub fn bucket(&self) -> PathBuf {
        self.dir.join(BUCKET)
    }

    pub fn object(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.bucket().join(name)).ok()
    }

    /// Somebody else stores something.
    pub fn store(&self, name: &str, bytes: &[u8]) {
        let path = self.bucket().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// What is left of multipart uploads, by name: what they are, and their parts.
    pub fn orphans(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.dir.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.starts_with(".upload")).collect();
        names.sort();
        names
    }

    /// What is left of multipart uploads is taken for so much older.
    pub fn age_orphans(&self, by: Duration) {
        self.shared.begun.age(i64::try_from(by.as_secs()).unwrap());
    }

    /// From now on, does this with every request of a method (`"*"`: any) whose path or query contains `part`. Of
    /// several that apply the newest holds.
    pub fn when(&self, method: &'static str, part: &str, fault: S3Fault) {
        self.rule(method, part, None, fault);
    }

    /// The same for the next so many requests.
    pub fn next(&self, times: usize, method: &'static str, part: &str, fault: S3Fault) {
        self.rule(method, part, Some(times), fault);
    }

    /// Does as it should again, with everything.
    pub fn heal(&self) {
        self.shared.rules.lock().unwrap().clear();
    }

    pub fn log(&self) -> Vec<S3Request> {
        self.shared.log.lock().unwrap().clone()
    }

    /// How often something whose path or query contains `part` was asked by a method.
    pub fn count(&self, method: &str, part: &str) -> usize {
        self.log().iter().filter(|r| r.method == method && r.uri.contains(part)).count()
    }

    fn rule(&self, method: &'static str, part: &str, times: Option<usize>, fault: S3Fault) {
        self.shared.rules.lock().unwrap().push(Rule { method, part: part.to_owned(), times, fault });
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // In a test that is asynchronous itself a runtime must not be waited for.
        self.runtime.take().unwrap().shutdown_background();
    }
}

impl Shared {
    fn has_seen(&self, part: &str) -> bool {
        self.log.lock().unwrap().iter().any(|request| request.uri.contains(part))
    }

    /// Notes a request; the newest fault that applies, used up by one.
    fn admit(&self, request: &S3Request) -> Option<S3Fault> {
        self.log.lock().unwrap().push(request.clone());
        let mut rules = self.rules.lock().unwrap();
        let rule = rules.iter_mut().rev().find(|rule| {
            rule.times != Some(0)
                && (rule.method == "*" || rule.method == request.method)
                && request.uri.contains(&rule.part)
        })?;
        rule.times = rule.times.map(|times| times - 1);
        Some(rule.fault.clone())
    }
}

async fn accept(
    listener: std::net::TcpListener,
    service: S3Service,
    shared: Arc<Shared>,
    tls: Option<TlsAcceptor>,
) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        let (service, shared) = (service.clone(), Arc::clone(&shared));
        let door = hyper::service::service_fn(move |request| {
            let (service, shared) = (service.clone(), Arc::clone(&shared));
            async move { serve(request, &service, &shared).await }
        });
        let tls = tls.clone();
        tokio::spawn(async move {
            let builder = Builder::new(TokioExecutor::new());
            match tls {
                None => drop(builder.serve_connection(TokioIo::new(socket), door).await),
                Some(tls) => {
                    let Ok(socket) = tls.accept(socket).await else { return };
                    drop(builder.serve_connection(TokioIo::new(socket), door).await);
                }
            }
        });
    }
}

async fn serve(
    request: Request<Incoming>,
    service: &S3Service,
    shared: &Arc<Shared>,
) -> std::io::Result<Response<s3s::Body>> {
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let seen = S3Request {
        method: request.method().to_string(),
        uri: request.uri().to_string().trim_start_matches('/').to_owned(),
        headers: headers.collect(),
    };
    let is_head = request.method() == Method::HEAD;
    let answer = |status: u16, headers: Vec<(&str, String)>, text: String| {
        let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
        for (name, value) in headers {
            response = response.header(name, value);
        }
        let text = if is_head { String::new() } else { text };
        response.body(s3s::Body::from(text)).unwrap()
    };
    match shared.admit(&seen) {
        Some(S3Fault::Answer(status, headers, text)) => {
            drop(request.into_body().collect().await.map_err(std::io::Error::other)?);
            return Ok(answer(status, headers, text));
        }
        Some(S3Fault::HangUp) => {
            drop(request.into_body().collect().await.map_err(std::io::Error::other)?);
            return Err(std::io::Error::other("told to hang up"));
        }
        Some(S3Fault::LoseAnswer) => {
            let answer = call(service, request, shared).await?;
            drop(answer.into_body().collect().await);
            return Err(std::io::Error::other("told to hang up"));
        }
        Some(S3Fault::Wait(pause)) => tokio::time::sleep(pause).await,
        Some(S3Fault::NoConditions(status, code))
            if ["if-none-match", "if-match"].iter().any(|name| seen.header(name).is_some()) =>
        {
            drop(request.into_body().collect().await.map_err(std::io::Error::other)?);
            return Ok(answer(status, Vec::new(), document(code)));
        }
        Some(S3Fault::ExpiredAfter(token, parts)) if seen.header("x-amz-security-token") == Some(token) => {
            while !parts.iter().all(|part| shared.has_seen(&format!("partNumber={part}&"))) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            drop(request.into_body().collect().await.map_err(std::io::Error::other)?);
            return Ok(answer(403, Vec::new(), document("ExpiredToken")));
        }
        Some(S3Fault::Expired(token)) if seen.header("x-amz-security-token") == Some(token) => {
            drop(request.into_body().collect().await.map_err(std::io::Error::other)?);
            return Ok(answer(403, Vec::new(), document("ExpiredToken")));
        }
        Some(S3Fault::NoConditions(..) | S3Fault::Expired(_) | S3Fault::ExpiredAfter(..)) | None => {}
    }
    call(service, request, shared).await
}

/// Does as it should, to its end also where the client has gone meanwhile.
async fn call(
    service: &S3Service,
    request: Request<Incoming>,
    shared: &Arc<Shared>,
) -> std::io::Result<Response<s3s::Body>> {
    let (service, shared) = (service.clone(), Arc::clone(shared));
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let query = uri.query().unwrap_or_default();
    let names = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let (is_list, is_begun) =
        (method == Method::GET && names("uploads"), method == Method::POST && names("uploads"));
    let is_conditional =
        ["if-match", "if-none-match"].iter().any(|name| request.headers().contains_key(*name));
    let calling = tokio::spawn(async move {
        let one = if is_conditional { Some(shared.conditional.lock().await) } else { None };
        let answered = hyper::service::Service::call(&service, request).await;
        drop(one);
        let answer = answered.map_err(|error| std::io::Error::other(format!("{error:?}")))?;
        // Only where nothing was wrong with its signature.
        if is_list && answer.status() == StatusCode::NOT_IMPLEMENTED {
            let text = shared.begun.list(&shared.root, uri.query().unwrap_or_default());
            return Ok(Response::new(s3s::Body::from(text)));
        }
        if !is_begun {
            return Ok(answer);
        }
        let (mut parts, body) = answer.into_parts();
        let text = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
        let key = uri.path().trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
        shared.begun.note(key, &String::from_utf8_lossy(&text));
        parts.headers.remove(http::header::TRANSFER_ENCODING);
        Ok(Response::from_parts(parts, s3s::Body::from(text)))
    });
    calling.await.map_err(std::io::Error::other)?
}
