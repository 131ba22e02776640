//! More than there is room for: connections, questions, descriptors; and stopping, restarting and reloading while
//! clients go on asking.

mod connections;
mod flood;
mod prefetch;
mod restart;
mod stopping;

use crate::support::client::{Reply, parse};
use rustix::net::{AddressFamily, SocketType};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A kept connection that says what it saw, and never panics.
struct Kept {
    stream: TcpStream,
    left: Vec<u8>,
}

impl Kept {
    fn open(port: u16) -> std::io::Result<Self> {
        Ok(Self::over(TcpStream::connect(("127.0.0.1", port))?))
    }

    /// From another address of this machine: another peer.
    fn open_from(address: [u8; 4], port: u16) -> Self {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &SocketAddr::from((address, 0))).unwrap();
        rustix::net::connect(&socket, &SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        Self::over(TcpStream::from(socket))
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, left: Vec::new() }
    }

    fn ask(&mut self, path: &str) -> std::io::Result<()> {
        self.stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
    }

    /// The next answer; none if the connection ended before it was whole.
    fn answer(&mut self) -> Option<Reply> {
        loop {
            if let Some(end) = self.left.windows(4).position(|w| w == b"\r\n\r\n") {
                let mut reply = parse(&self.left[..end + 4]);
                let length: usize = reply.header("content-length").expect("a length").parse().unwrap();
                if self.left.len() >= end + 4 + length {
                    reply.body = self.left[end + 4..end + 4 + length].to_vec();
                    self.left.drain(..end + 4 + length);
                    return Some(reply);
                }
            }
            let mut chunk = [0; 65536];
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.left.extend_from_slice(&chunk[..length]),
            }
        }
    }

    fn get(&mut self, path: &str) -> Option<Reply> {
        self.ask(path).ok()?;
        self.answer()
    }

    /// Whether the other side ended the connection, without a fault.
    fn has_ended(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0))
    }
}
