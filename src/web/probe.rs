//! Asking ourselves, as a client does, whether we still answer: what the watchdog hangs on.
//!
//! A connection to a socket that we listen on, and `GET /healthz` over it: the kernel's queue, accepting, the room and
//! answering all have their part. Where every place is taken by somebody who is being answered, a connection more would
//! wait however well we are, and a service that is busy must not be killed for that: then the connections that are
//! there are proof enough, as long as this task runs among theirs.

use crate::web::accept::Acceptor;
use crate::web::listen::Listener;
use crate::web::room::Room;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// What asks whether we still answer.
#[derive(Clone, Debug)]
pub struct Probe {
    doors: Arc<[Door]>,
    room: Arc<Room>,
}

/// A socket of ours, from outside.
#[derive(Debug)]
enum Door {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Probe {
    /// A probe of these listeners, whose connections share a room.
    pub fn new(listeners: &[Listener], acceptor: &Acceptor) -> Self {
        Self { doors: listeners.iter().filter_map(Door::of).collect(), room: acceptor.room() }
    }

    /// Asks at every socket.
    ///
    /// # Errors
    /// What is wrong, in words, if one of them does not answer. How long that may take is for the caller.
    pub async fn probe(&self) -> Result<(), String> {
        for door in &*self.doors {
            if self.room.is_full() {
                return Ok(());
            }
            tokio::select! {
                asked = door.ask() => asked.map_err(|trouble| format!("{door}: {trouble}"))?,
                () = self.full() => {}
            }
        }
        Ok(())
    }

    /// Resolves once every place is taken.
    async fn full(&self) {
        while !self.room.is_full() {
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Door {
    fn of(listener: &Listener) -> Option<Self> {
        match listener {
            Listener::Tcp(_) => listener.address().map(|mut address| {
                // Who listens everywhere is here too.
                match address.ip() {
                    IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
                    IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
                    _ => {}
                }
                Self::Tcp(address)
            }),
            Listener::Unix(unix) => {
                unix.local_addr().ok()?.as_pathname().map(|path| Self::Unix(path.to_owned()))
            }
        }
    }

    async fn ask(&self) -> Result<(), String> {
        let connected = match self {
            Self::Tcp(address) => match TcpStream::connect(address).await {
                Ok(stream) => return healthy(stream).await,
                Err(error) => Err(error),
            },
            Self::Unix(path) => match UnixStream::connect(path).await {
                Ok(stream) => return healthy(stream).await,
                // A socket that systemd made, for others and not for us.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                Err(error) => Err(error),
            },
        };
        connected.map_err(|error| error.to_string())
    }
}

impl std::fmt::Display for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Asks over a connection, and closes it.
async fn healthy(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<(), String> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let request = Request::get("/healthz").header("host", "localhost").header("connection", "close");
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let asking = async { sender.send_request(request).await.map_err(|error| error.to_string()) };
    // Both in this task, so that a probe that is given up leaves no connection behind.
    let (response, ended) = tokio::join!(asking, connection);
    let response = response.map_err(|error| ended.err().map_or(error, |ended| ended.to_string()))?;
    match response.status() {
        StatusCode::OK => Ok(()),
        status => Err(format!("/healthz was answered with {status}")),
    }
}

/// How often to look whether the room has become full meanwhile.
const LOOK: std::time::Duration = std::time::Duration::from_millis(50);
