//! Listening: sockets of our own or handed over, a bounded number of connections, none of them for ever, and
//! a stop that drains.
//!
//! A connection is accepted only when there is room for it; further clients wait in the kernel's queue.

use crate::web::answer;
use crate::web::guard::Guard;
use crate::web::service::{Port, Service};
use arc_swap::ArcSwap;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// A socket that is listened on.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket.
    Unix(UnixListener),
}

/// Why a socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}{}", hint(source))]
pub struct ListenError {
    /// Where.
    pub address: String,
    /// What went wrong.
    pub source: io::Error,
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => "; another program, or another Countersign, has it: see `listen`",
        io::ErrorKind::PermissionDenied => "; ports below 1024 are the system's: see `listen`",
        _ => "",
    }
}

impl Listener {
    /// Listens on a TCP address.
    ///
    /// # Errors
    /// [`ListenError`] if it is taken or not ours.
    pub async fn tcp(address: SocketAddr) -> Result<Self, ListenError> {
        let bound = TcpListener::bind(address).await;
        bound.map(Self::Tcp).map_err(|source| ListenError { address: address.to_string(), source })
    }

    /// Listens on a unix socket, replacing one that nobody listens on any more.
    ///
    /// # Errors
    /// [`ListenError`] if it is in use or cannot be made.
    pub async fn unix(path: &Path) -> Result<Self, ListenError> {
        let failed = |source| ListenError { address: path.display().to_string(), source };
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(failed(io::Error::from(io::ErrorKind::AddrInUse))),
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(failed)?
            }
            Err(_) => {}
        }
        UnixListener::bind(path).map(Self::Unix).map_err(failed)
    }

    /// The sockets that systemd has handed over, if any (`LISTEN_FDS`; sd_listen_fds(3)).
    ///
    /// # Errors
    /// [`ListenError`] if one of them is neither TCP nor a unix stream socket.
    pub fn handed_over() -> Result<Vec<Self>, ListenError> {
        let mut fds = listenfd::ListenFd::from_env();
        let mut listeners = Vec::new();
        for index in 0..fds.len() {
            let failed = |source| ListenError { address: format!("inherited socket {index}"), source };
            if let Ok(Some(tcp)) = fds.take_tcp_listener(index) {
                tcp.set_nonblocking(true).map_err(failed)?;
                listeners.push(Self::Tcp(TcpListener::from_std(tcp).map_err(failed)?));
            } else if let Some(unix) = fds.take_unix_listener(index).map_err(failed)? {
                unix.set_nonblocking(true).map_err(failed)?;
                listeners.push(Self::Unix(UnixListener::from_std(unix).map_err(failed)?));
            }
        }
        Ok(listeners)
    }

    /// The TCP address, if it is one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(tcp) => tcp.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Where it listens, in words.
    pub fn describe(&self) -> String {
        match self {
            Self::Tcp(tcp) => tcp.local_addr().map_or_else(|_| "tcp".to_owned(), |a| format!("http://{a}")),
            Self::Unix(unix) => {
                let path: Option<PathBuf> =
                    unix.local_addr().ok().and_then(|a| a.as_pathname().map(Into::into));
                format!("unix:{}", path.unwrap_or_default().display())
            }
        }
    }
}

/// Accepts connections and answers on them.
#[derive(Debug)]
pub struct Acceptor {
    service: Arc<ArcSwap<Service>>,
    room: Arc<Semaphore>,
    draining: GracefulShutdown,
}

impl Acceptor {
    /// An acceptor for at most `connections` connections, over all its listeners.
    pub fn new(service: Arc<ArcSwap<Service>>, connections: usize) -> Self {
        Self { service, room: Arc::new(Semaphore::new(connections)), draining: GracefulShutdown::new() }
    }

    /// Accepts on every listener until `stop`, then waits for answers under way, but not longer than
    /// ten seconds.
    pub async fn run(self, listeners: Vec<Listener>, stop: CancellationToken) {
        let acceptor = Arc::new(self);
        let loops: Vec<_> = listeners
            .into_iter()
            .map(|listener| {
                let (acceptor, stop) = (Arc::clone(&acceptor), stop.clone());
                tokio::spawn(async move { acceptor.accept(listener, stop).await })
            })
            .collect();
        for accepting in loops {
            if let Err(fault) = accepting.await {
                tracing::error!(%fault, "a listener ended early");
                stop.cancel();
            }
        }
        let Some(acceptor) = Arc::into_inner(acceptor) else { return };
        let drained = tokio::time::timeout(DRAIN, acceptor.draining.shutdown()).await;
        if drained.is_err() {
            tracing::warn!("stopped with answers under way: {} seconds were not enough", DRAIN.as_secs());
        }
    }

    async fn accept(&self, listener: Listener, stop: CancellationToken) {
        loop {
            let next = async {
                // Never closed, so there is always a permit in the end.
                let permit = Arc::clone(&self.room).acquire_owned().await;
                (permit, listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                () = stop.cancelled() => return,
                next = next => next,
            };
            match (permit, accepted) {
                (Ok(permit), Ok(Accepted::Tcp(stream))) => {
                    // Without it every small answer waits for the client's acknowledgement.
                    stream.set_nodelay(true).unwrap_or_default();
                    self.serve(stream, Port::Tcp, permit);
                }
                (Ok(permit), Ok(Accepted::Unix(stream))) => self.serve(stream, Port::Unix, permit),
                (_, Err(error)) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                (Err(_), Ok(_)) => return,
            }
        }
    }

    fn serve<S>(&self, stream: S, port: Port, permit: OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = Arc::clone(&self.service);
        let answer = service_fn(move |request: http::Request<Incoming>| {
            let service = service.load_full();
            async move { Ok::<_, Infallible>(guarded(service, request, port).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS)
            .max_buf_size(MOST_BUFFERED)
            .serve_connection(TokioIo::new(Guard::new(stream)), answer);
        let connection = self.draining.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %crate::upstream::Chain(&error), "a connection ended early");
            }
            drop(permit);
        });
    }
}

async fn guarded(
    service: Arc<Service>,
    request: http::Request<Incoming>,
    port: Port,
) -> http::Response<crate::web::ReplyBody> {
    if !hyper::body::Body::is_end_stream(request.body()) {
        // A body has no meaning on any route; not reading it closes the connection after the answer.
        return answer::close(service.answer(&request, port).await);
    }
    service.answer(&request, port).await
}

enum Accepted {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Listener {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(tcp) => tcp.accept().await.map(|(stream, _)| Accepted::Tcp(stream)),
            Self::Unix(unix) => unix.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
        }
    }
}

/// How long answers under way may take when we stop.
const DRAIN: Duration = Duration::from_secs(10);

/// How long a client may take over the head of a request, idle time before it included.
const HEADERS: Duration = Duration::from_secs(60);

/// After a failed accept (no descriptors left), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is read or written ahead on one connection: room for a head of a request, and for two chunks of a NAR.
const MOST_BUFFERED: usize = 512 * 1024;
