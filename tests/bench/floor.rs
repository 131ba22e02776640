//! The least that it costs to hash what passes: a proxy that reads, takes the SHA-256 and writes, in blocking calls, one
//! thread for each connection. It parses nothing, withholds nothing, and knows no failure. What a verifying proxy
//! costs beyond this is its own doing; what this costs beyond nginx is the hash's.
//!
//! Usage: bench-floor PORT ORIGIN-PORT. One request on each connection, until it is ended.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a tool of the benchmarks: what fails ends it"
)]

use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

fn main() {
    let ports: Vec<u16> = std::env::args().skip(1).map(|port| port.parse().unwrap()).collect();
    let [port, origin] = ports[..] else { panic!("usage: bench-floor PORT ORIGIN-PORT") };
    for client in TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap().incoming() {
        // A client that goes away is no concern of the others.
        std::thread::spawn(move || client.and_then(|client| pass(client, origin)));
    }
}

fn pass(mut client: TcpStream, origin: u16) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let mut from = TcpStream::connect((Ipv4Addr::LOCALHOST, origin))?;
    let text = String::from_utf8_lossy(&head);
    let line = text.lines().next().unwrap_or_default();
    write!(from, "{line}\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        let read = from.read(&mut chunk)?;
        if read == 0 {
            std::hint::black_box(hash.finalize());
            return Ok(());
        }
        hash.update(&chunk[..read]);
        client.write_all(&chunk[..read])?;
    }
}

/// Bytes at a time.
const CHUNK: usize = 256 * 1024;
