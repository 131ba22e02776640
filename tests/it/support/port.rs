//! A port of loopback that belongs to one server, also while nobody listens there.

use rustix::net::{Shutdown, listen, shutdown};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// A socket that listens, stops and listens again, and is closed at neither.
///
/// One that were closed and opened again could find its port taken: for a moment every process that any test starts has
/// what this one has open, and in that moment a closed socket would even be connected to.
#[derive(Clone, Debug)]
pub struct Port(Arc<TcpListener>);

impl Port {
    pub fn open() -> Self {
        // A port that was asked for by its number is kept when nobody listens; one that the kernel chose is not.
        let chosen = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listener = std::iter::repeat_with(|| TcpListener::bind(chosen()).ok()).take(20).flatten().next();
        Self(Arc::new(listener.expect("some port is free")))
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Connections are refused from now on; those that nobody has accepted are reset.
    pub fn stop(&self) {
        shutdown(&*self.0, Shutdown::Both).unwrap();
    }

    pub fn listen_again(&self) {
        listen(&*self.0, 128).unwrap();
    }

    /// The next connection; none as soon as nobody listens.
    pub fn accept(&self) -> Option<TcpStream> {
        loop {
            match self.0.accept() {
                Ok((stream, _)) => return Some(stream),
                Err(error) if error.kind() == ErrorKind::InvalidInput => return None,
                // The client has left before it was accepted.
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionAborted, "{error}"),
            }
        }
    }
}
