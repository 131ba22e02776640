//! A cache that does what its script says: honest, lying, stalling, cutting, dripping.
//!
//! One thread a connection over plain sockets, so that a script can break HTTP itself.

use crate::support::party::{Certified, Package, Party};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

/// What a cache does when asked for one path.
#[derive(Clone, Debug)]
pub enum Script {
    /// 200 with these bytes.
    Bytes(Vec<u8>),
    /// This status and nothing else.
    Status(u16),
    /// These bytes on the wire, then the connection is closed.
    Raw(Vec<u8>),
    /// 200 and so many of the bytes, then, a moment later, the connection is closed.
    Cut(Vec<u8>, usize),
    /// Nothing for the time, then 200 with the bytes.
    Late(Duration, Vec<u8>),
    /// 200 with the bytes spread over the time.
    Slow(Vec<u8>, Duration),
    /// 200 with the bytes under further headers.
    With(Vec<(String, String)>, Vec<u8>),
    /// This status with this Location.
    Redirect(u16, String),
    /// These bytes on the wire, and the connection stays open.
    Wire(Vec<u8>),
    /// The first bytes on the wire, then the second over and over, for as long as anybody reads.
    Endless(Vec<u8>, Vec<u8>),
    /// The bytes, or those that a Range asks for; the connection is closed after so many of them, or at the end.
    Part(Vec<u8>, usize),
    /// 200 and so many of the bytes, then nothing, and the connection stays open.
    Stall(Vec<u8>, usize),
    /// 200 and the bytes one at a time, with this pause after each.
    Drip(Vec<u8>, Duration),
}

/// A running cache.
#[derive(Debug)]
pub struct FakeCache {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    scripts: Mutex<HashMap<String, Script>>,
    otherwise: Mutex<Option<Script>>,
    asked: Mutex<Vec<Asked>>,
    open: Mutex<Vec<Weak<TcpStream>>>,
    stopped: AtomicBool,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub headers: Vec<(String, String)>,
}

impl FakeCache {
    /// An empty cache on a port of its own.
    pub fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap())
    }

    /// An empty cache at an address.
    pub fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stopped.load(Ordering::Acquire) {
                    return;
                }
                let (stream, shared) = (Arc::new(stream.unwrap()), Arc::clone(&accepting));
                shared.open.lock().unwrap().push(Arc::downgrade(&stream));
                thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { address, shared }
    }

    /// A cache that honestly has these packages, signed by these parties.
    pub fn with(compression: &str, signers: &[&Party], packages: &[&Package]) -> Self {
        let cache = Self::start();
        for package in packages {
            cache.put(compression, signers, package);
        }
        cache
    }

    pub fn put(&self, compression: &str, signers: &[&Party], package: &Package) {
        self.claim(package, &package.narinfo(compression, signers));
        self.script(
            &format!("/{}", package.url(compression)),
            Script::Bytes(package.compressed(compression)),
        );
    }

    /// Has a path that certifies itself, with no signature.
    pub fn put_unsigned(&self, compression: &str, certified: &Certified) {
        let package = &certified.package;
        self.claim(package, &format!("{}CA: {}\n", package.narinfo(compression, &[]), certified.address));
        self.script(
            &format!("/{}", package.url(compression)),
            Script::Bytes(package.compressed(compression)),
        );
    }

    /// Claims a package with this narinfo.
    pub fn claim(&self, package: &Package, narinfo: &str) {
        self.script(&format!("/{}.narinfo", package.hash()), Script::Bytes(narinfo.as_bytes().to_vec()));
    }

    pub fn script(&self, path: &str, script: Script) {
        self.shared.scripts.lock().unwrap().insert(path.to_owned(), script);
    }

    /// What is done when asked for a path without a script of its own, instead of 404.
    pub fn otherwise(&self, script: Script) {
        *self.shared.otherwise.lock().unwrap() = Some(script);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.shared.open.lock().unwrap().len()
    }

    /// How often a path was asked for.
    pub fn times_asked(&self, path: &str) -> usize {
        self.asked().iter().filter(|a| a.path == path).count()
    }
}

impl Drop for FakeCache {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
        for stream in self.shared.open.lock().unwrap().iter().filter_map(Weak::upgrade) {
            stream.shutdown(Shutdown::Both).unwrap_or_default();
        }
    }
}

fn serve(stream: &TcpStream, shared: &Shared) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read_request(&mut reader) {
        if shared.stopped.load(Ordering::Acquire) {
            return;
        }
        let script = shared.scripts.lock().unwrap().get(&asked.path).cloned();
        let script = script.or_else(|| shared.otherwise.lock().unwrap().clone());
        let range = asked.headers.iter().find(|(name, _)| name == "range").map(|(_, value)| value.clone());
        shared.asked.lock().unwrap().push(asked);
        if act(script.unwrap_or(Script::Status(404)), range.as_deref(), &mut writer).is_none() {
            return;
        }
    }
}

/// Acts; `None` ends the connection.
fn act(script: Script, range: Option<&str>, out: &mut TcpStream) -> Option<()> {
    match script {
        Script::Part(bytes, most) => {
            let first = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
            let first: usize = first.unwrap_or(0);
            let (last, size) = (bytes.len() - 1, bytes.len());
            let at = ("Content-Range".to_owned(), format!("bytes {first}-{last}/{size}"));
            match range {
                Some(_) => head(out, 206, &[at], size - first)?,
                None => head(out, 200, &[], size)?,
            }
            let end = size.min(first.saturating_add(most));
            out.write_all(&bytes[first..end]).ok()?;
            if end == size { Some(()) } else { None }
        }
        Script::Stall(bytes, at) => {
            head(out, 200, &[], bytes.len())?;
            out.write_all(&bytes[..at]).ok()?;
            // Until the other side has had enough.
            drop(std::io::Read::read(out, &mut [0]));
            None
        }
        Script::Bytes(bytes) => reply(out, 200, &[], &bytes),
        Script::With(headers, bytes) => reply(out, 200, &headers, &bytes),
        Script::Status(status) => reply(out, status, &[], b""),
        Script::Redirect(status, to) => reply(out, status, &[("Location".to_owned(), to)], b""),
        Script::Late(time, bytes) => {
            thread::sleep(time);
            reply(out, 200, &[], &bytes)
        }
        Script::Slow(bytes, time) => {
            head(out, 200, &[], bytes.len())?;
            let pieces = 50;
            for piece in bytes.chunks(bytes.len().div_ceil(pieces)) {
                out.write_all(piece).ok()?;
                thread::sleep(time / 50);
            }
            Some(())
        }
        Script::Wire(bytes) => out.write_all(&bytes).ok(),
        Script::Endless(first, again) => {
            out.write_all(&first).ok()?;
            while out.write_all(&again).is_ok() {}
            None
        }
        Script::Drip(bytes, pause) => {
            head(out, 200, &[], bytes.len())?;
            for byte in bytes {
                out.write_all(&[byte]).ok()?;
                thread::sleep(pause);
            }
            Some(())
        }
        Script::Raw(bytes) => {
            out.write_all(&bytes).ok()?;
            None
        }
        Script::Cut(bytes, at) => {
            head(out, 200, &[], bytes.len())?;
            out.write_all(&bytes[..at]).ok()?;
            // Long enough for what came to have been passed on.
            thread::sleep(Duration::from_millis(300));
            None
        }
    }
}

fn reply(out: &mut TcpStream, status: u16, headers: &[(String, String)], body: &[u8]) -> Option<()> {
    head(out, status, headers, body.len())?;
    out.write_all(body).ok()
}

fn head(out: &mut TcpStream, status: u16, headers: &[(String, String)], length: usize) -> Option<()> {
    let mut text = format!("HTTP/1.1 {status} Scripted\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    out.write_all(text.as_bytes()).ok()
}

fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => return Some(Asked { path, headers }),
        }
    }
}
