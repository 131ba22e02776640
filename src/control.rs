//! The control socket: how commands ask a running service.
//!
//! `control.sock` in `$RUNTIME_DIRECTORY`, else in the state directory ([`find`] says where commands look); HTTP over it:
//! `GET /status`, `GET /explain/HASH` for what is known and decided of a path, and `POST /published`, by which the
//! uploader says what is at a cache now. That has an absence forgotten and a cache asked again, and nothing else, so
//! whoever may use the socket may say it. The socket is for its owner alone (0600); where a group `countersign` exists it may use it
//! too (0660). The peer's credentials are checked besides, since a mode can be changed by mistake.

use crate::explain::Explanation;
use crate::format::HashPart;
use crate::status::Status;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Why the service could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens there.
    #[error("no service answers on {path}: is `countersign serve` running, and may you use its socket?")]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// It answered with something else.
    #[error("the service on {path} did not answer as expected: {what}")]
    Unexpected {
        /// The socket.
        path: PathBuf,
        /// What it did.
        what: String,
    },
}

/// Where the control socket of a state directory is.
pub fn path(state: &Path) -> PathBuf {
    let runtime = std::env::var_os("RUNTIME_DIRECTORY").filter(|v| !v.is_empty()).map(PathBuf::from);
    runtime.unwrap_or_else(|| state.to_owned()).join("control.sock")
}

/// Where to ask for a service with this state directory: where one would listen that was started as we were, else where
/// systemd has it make its socket, which gives `/run/NAME` to a unit that has `/var/lib/NAME` (systemd.exec(5)).
pub fn find(state: &Path) -> PathBuf {
    let usual = path(state);
    match of_unit(state) {
        Some(of_unit) if !usual.exists() && of_unit.exists() => of_unit,
        _ => usual,
    }
}

fn of_unit(state: &Path) -> Option<PathBuf> {
    state.strip_prefix("/var/lib").ok().map(|name| Path::new("/run").join(name).join("control.sock"))
}

/// Listens on the control socket, replacing one that nobody listens on.
///
/// # Errors
/// If the socket is in use or cannot be made.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AddrInUse, "another service uses it")),
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    let mode = match group_id("countersign") {
        // A unit that runs in that group need not be let change owners.
        Some(group) if fs::metadata(path)?.gid() == group => 0o660,
        Some(group) if std::os::unix::fs::chown(path, None, Some(group)).is_ok() => 0o660,
        _ => 0o600,
    };
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(listener)
}

/// Paths that were published where caches find them.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Published {
    /// The caches, by their names in the configuration.
    pub caches: Vec<String>,
    /// The hash parts of the paths.
    pub paths: Vec<String>,
}

/// What commands may ask.
pub trait Answers: Send + Sync + 'static {
    /// How the service is.
    fn status(&self) -> Status;

    /// What every cache says of a path, and what is decided on it.
    fn explain(&self, path: HashPart) -> impl Future<Output = Explanation> + Send;

    /// That caches do not have a path is forgotten.
    fn published(&self, path: HashPart, caches: &[String]) -> impl Future<Output = ()> + Send;
}

/// Answers on the control socket until `stop`.
pub async fn serve(listener: UnixListener, answers: impl Answers, stop: CancellationToken) {
    let (answers, room) = (Arc::new(answers), Arc::new(Semaphore::new(MOST_CONNECTIONS)));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { continue };
        if !is_allowed(&stream) {
            tracing::warn!("refused a peer on the control socket");
            continue;
        }
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            let answer = service_fn(|request: Request<Incoming>| {
                let answers = Arc::clone(&answers);
                async move { Ok::<_, Infallible>(answer(request, &*answers).await) }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            let connection = http
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a control connection ended early");
            }
            drop(permit);
        });
    }
}

async fn answer(request: Request<Incoming>, answers: &impl Answers) -> Response<Full<Bytes>> {
    let body = match (request.method().as_str(), request.uri().path()) {
        ("GET", "/status") => serde_json::to_vec(&answers.status()).ok(),
        ("POST", "/published") => match tokio::time::timeout(PATIENCE, published(request, answers)).await {
            Ok(taken) => taken.and_then(|taken| serde_json::to_vec(&taken).ok()),
            Err(_) => None,
        },
        ("GET", path) => match path.strip_prefix("/explain/").map(HashPart::parse) {
            Some(Ok(path)) => serde_json::to_vec(&answers.explain(path).await).ok(),
            _ => None,
        },
        _ => None,
    };
    let code = if body.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let mut response = Response::new(Full::new(Bytes::from(body.unwrap_or_default())));
    *response.status_mut() = code;
    response
}

/// Takes what was published; how many paths. `None` if it makes no sense, or is too much.
async fn published(request: Request<Incoming>, answers: &impl Answers) -> Option<usize> {
    let body = Limited::new(request.into_body(), LONGEST_NEWS).collect().await.ok()?.to_bytes();
    let Published { caches, paths } = serde_json::from_slice(&body).ok()?;
    let paths: Vec<HashPart> = paths.iter().map(|path| HashPart::parse(path).ok()).collect::<Option<_>>()?;
    for path in &paths {
        answers.published(*path, &caches).await;
    }
    Some(paths.len())
}

/// Root, our own user, and whoever the socket's mode lets in by its group.
fn is_allowed(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let group = group_id("countersign");
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own || group.is_some())
}

/// The number of a group in /etc/group.
fn group_id(name: &str) -> Option<u32> {
    let groups = fs::read_to_string("/etc/group").ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// Asks the service for its status.
///
/// # Errors
/// [`ControlError`] if nobody answers, or not as expected.
pub async fn ask_status(path: &Path) -> Result<Status, ControlError> {
    ask(path, "/status", PATIENCE).await
}

/// Asks the service what it makes of a path.
///
/// # Errors
/// [`ControlError`] if nobody answers, or not as expected.
pub async fn ask_explanation(path: &Path, asked: HashPart) -> Result<Explanation, ControlError> {
    ask(path, &format!("/explain/{asked}"), LONGEST_QUESTION).await
}

/// Tells the service what is at a cache now.
///
/// # Errors
/// [`ControlError`] if nobody answers, or not as expected.
pub async fn tell_published(path: &Path, news: &Published) -> Result<(), ControlError> {
    let body = serde_json::to_vec(news)
        .map_err(|error| ControlError::Unexpected { path: path.to_owned(), what: error.to_string() })?;
    let request = Request::post("/published").header("host", "control").body(Full::new(Bytes::from(body)));
    send::<usize>(path, request, NEWS_PATIENCE).await.map(drop)
}

async fn ask<T: DeserializeOwned>(path: &Path, what: &str, patience: Duration) -> Result<T, ControlError> {
    send(path, Request::get(what).header("host", "control").body(Full::default()), patience).await
}

async fn send<T: DeserializeOwned>(
    path: &Path,
    request: http::Result<Request<Full<Bytes>>>,
    patience: Duration,
) -> Result<T, ControlError> {
    let unexpected = |what: String| ControlError::Unexpected { path: path.to_owned(), what };
    let stream = UnixStream::connect(path).await;
    let stream = stream.map_err(|source| ControlError::Unreachable { path: path.to_owned(), source })?;
    let asking = async {
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|e| unexpected(e.to_string()))?;
        tokio::spawn(connection);
        let request = request.map_err(|e| unexpected(e.to_string()))?;
        let response = sender.send_request(request).await.map_err(|e| unexpected(e.to_string()))?;
        let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
        let body = body.map_err(|e| unexpected(e.to_string()))?.to_bytes();
        serde_json::from_slice(&body).map_err(|e| unexpected(e.to_string()))
    };
    tokio::time::timeout(patience, asking)
        .await
        .unwrap_or_else(|_| Err(unexpected("it took too long".to_owned())))
}

/// How long a question may take: `decision-timeout` may be an hour, and nobody waits for that at a terminal.
const LONGEST_QUESTION: Duration = Duration::from_secs(120);

/// Commands that are answered at once.
const MOST_CONNECTIONS: usize = 32;

/// How long one side waits for the other.
const PATIENCE: Duration = Duration::from_secs(10);

/// After a failed accept, so as not to spin.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the uploader waits for its news to be taken. A guess: no disk is waited for, but one that is read.
const NEWS_PATIENCE: Duration = Duration::from_secs(2);

/// Bytes of what was published: a thousand paths.
const LONGEST_NEWS: usize = 64 * 1024;

/// Longer than any status.
const LONGEST_ANSWER: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_has_its_socket_beside_its_state() {
        assert_eq!(of_unit(Path::new("/var/lib/countersign")), Some("/run/countersign/control.sock".into()));
        assert_eq!(of_unit(Path::new("/home/u/.local/state/countersign")), None);
        // Where nobody listens at either place, the usual one is named in what is said.
        let state = Path::new("/var/lib/of-no-unit-at-all");
        assert_eq!(find(state), path(state));
    }
}
