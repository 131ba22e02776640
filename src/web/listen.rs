//! Listening: sockets of our own, or handed over.

use crate::memo::Peer;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

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
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let bound = socket.and_then(|socket| {
            // As every server does: the connections of the last run may still be closing.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        });
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

/// A connection, and who is at its other end.
pub(super) enum Accepted {
    Tcp(TcpStream, Peer),
    Unix(UnixStream, Peer),
}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(tcp) => {
                let (stream, address) = tcp.accept().await?;
                // Without it every small answer waits for the client's acknowledgement.
                stream.set_nodelay(true).unwrap_or_default();
                Ok(Accepted::Tcp(stream, Peer::Address(address.ip().to_canonical())))
            }
            Self::Unix(unix) => {
                let (stream, _) = unix.accept().await?;
                let user = stream.peer_cred().map_or(u32::MAX, |peer| peer.uid());
                Ok(Accepted::Unix(stream, Peer::User(user)))
            }
        }
    }
}

/// How many connections the kernel keeps until they are accepted. With the usual 128, a burst overflows it, and whoever
/// is left out comes again only after the second that TCP waits for an answer to its SYN (RFC 6298 §2.1). A guess, above
/// what Nix opens.
const BACKLOG: u32 = 1024;
