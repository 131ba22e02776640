//! A plain HTTP client that says exactly what came back, also when it was cut.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A response as it came.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether as many bytes came as the head promised.
    pub fn is_whole(&self) -> bool {
        self.header("content-length").and_then(|l| l.parse().ok()) == Some(self.body.len())
    }

    /// The verdict's header.
    pub fn verdict(&self) -> &str {
        self.header("countersign-verdict").unwrap_or_default()
    }

    pub fn reason(&self) -> &str {
        self.header("countersign-reason").unwrap_or_default()
    }
}

/// GET with headers of one's own.
pub fn get_with(port: u16, path: &str, headers: &[(&str, &str)]) -> Reply {
    request(port, "GET", path, headers)
}

pub fn get(port: u16, path: &str) -> Reply {
    get_with(port, path, &[])
}

/// One request on a connection of its own. `Host` is ours unless given.
pub fn request(port: u16, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("Host: 127.0.0.1:{port}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    parse(&raw(port, head.as_bytes()))
}

/// A connection that is kept for many requests.
#[derive(Debug)]
pub struct Session {
    port: u16,
    stream: BufReader<TcpStream>,
}

impl Session {
    pub fn open(port: u16) -> Self {
        Self { port, stream: BufReader::new(open(port, b"")) }
    }

    /// GET, with a Content-Length in the response.
    pub fn get(&mut self, path: &str) -> Reply {
        let head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", self.port);
        self.stream.get_mut().write_all(head.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert!(self.stream.read_until(b'\n', &mut head).unwrap() > 0, "the connection was closed");
        }
        let mut reply = parse(&head);
        let length = reply.header("content-length").expect("a length").parse().unwrap();
        reply.body.resize(length, 0);
        self.stream.read_exact(&mut reply.body).unwrap();
        reply
    }
}

/// A connection on which these bytes were sent.
pub fn open(port: u16, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// These bytes on a connection, and all that comes back.
pub fn raw(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = open(port, bytes);
    let mut all = Vec::new();
    // A cut connection ends what came; how much that is, the caller sees.
    stream.read_to_end(&mut all).ok();
    all
}

pub fn parse(bytes: &[u8]) -> Reply {
    let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
        // The connection was closed before anything was said.
        return Reply { status: 0, headers: Vec::new(), body: Vec::new() };
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status =
        lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok()).expect("a status");
    let headers =
        lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    Reply { status, headers, body: bytes[end + 4..].to_vec() }
}
