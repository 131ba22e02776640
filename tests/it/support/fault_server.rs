//! A server that takes uploads, and misbehaves as it is told: while it runs, by method and by name.
//!
//! Left alone it is a good one: it stores what is put, gives it back with a strong tag, and honours conditions.
//! One thread a connection over plain sockets, so that a fault can break HTTP itself.

use crate::support::port::Port;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What the server does with a request instead of what it should.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Closes the connection without a word.
    HangUp,
    /// Takes the whole request and never answers.
    Silent,
    /// Takes so many bytes of what is put, then closes the connection.
    Cut(usize),
    /// Takes so many bytes of what is put, and no more; the connection stays open.
    Stuck(usize),
    /// Takes what is put in pieces of 4 KiB with this pause after each, then does as it should.
    Slow(Duration),
    /// Does as it should, but sends the answer's body a byte at a time with this pause after each.
    Drip(Duration),
    /// Answers with this status, these headers and this text; nothing is stored.
    Status(u16, Vec<(&'static str, String)>, &'static str),
    /// Answers with this status before it takes the body, and closes the connection.
    Early(u16),
    /// Answers with this status and with the request's own headers for a text.
    Echo(u16),
    /// Says 201 and stores nothing.
    Forget,
    /// Stores these bytes instead, and says 201.
    Swap(Vec<u8>),
    /// Answers HEAD with this length.
    WrongLength(u64),
    /// Answers a request with a condition with this status, others as it should.
    NoConditions(u16),
    /// Pays no heed to conditions.
    IgnoreConditions,
    /// Gives weak tags.
    WeakTags,
    /// Has somebody else store these bytes under the name first, then does as it should.
    Raced(Vec<u8>),
    /// Does as it should, then has somebody else store these bytes over it.
    Overwritten(Vec<u8>),
    /// Leads there with this status.
    Redirect(u16, String),
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Without the leading slash.
    pub name: String,
    pub headers: Vec<(String, String)>,
    /// Bytes of the body that were taken.
    pub taken: usize,
}

impl Request {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// A running server. It is gone with its owner.
#[derive(Debug)]
pub struct FaultServer {
    port: Port,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    rules: Mutex<Vec<Rule>>,
    log: Mutex<Vec<Request>>,
    open: Mutex<Vec<Weak<TcpStream>>>,
    authorization: Mutex<Option<String>>,
    stopped: AtomicBool,
}

#[derive(Clone, Debug)]
struct Rule {
    method: String,
    part: String,
    times: Option<usize>,
    fault: Fault,
}

impl FaultServer {
    pub fn start() -> Self {
        let mut server = Self { port: Port::open(), shared: Arc::default(), accepting: None };
        server.listen();
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.port.address())
    }

    /// From now on, does this with every request of a method (`"*"`: any) whose name contains `part`. Of several
    /// that apply the newest holds.
    pub fn when(&self, method: &str, part: &str, fault: Fault) {
        self.rule(method, part, None, fault);
    }

    /// The same for the next so many requests.
    pub fn next(&self, times: usize, method: &str, part: &str, fault: Fault) {
        self.rule(method, part, Some(times), fault);
    }

    /// Does as it should again, with everything.
    pub fn heal(&self) {
        self.shared.rules.lock().unwrap().clear();
    }

    /// Answers 401 to whoever does not send this `Authorization`.
    pub fn require(&self, authorization: &str) {
        *self.shared.authorization.lock().unwrap() = Some(authorization.to_owned());
    }

    /// Nobody listens any more, and open connections are closed.
    pub fn go_down(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        self.shared.stopped.store(true, Ordering::Release);
        self.port.stop();
        accepting.join().unwrap();
        for stream in self.shared.open.lock().unwrap().drain(..).filter_map(|open| open.upgrade()) {
            stream.shutdown(Shutdown::Both).unwrap_or_default();
        }
    }

    /// Listens again at the same address, with all that it had.
    pub fn come_back(&mut self) {
        self.port.listen_again();
        self.listen();
    }

    pub fn object(&self, name: &str) -> Option<Vec<u8>> {
        self.shared.objects.lock().unwrap().get(name).cloned()
    }

    pub fn names(&self) -> Vec<String> {
        self.shared.objects.lock().unwrap().keys().cloned().collect()
    }

    /// Somebody else stores something.
    pub fn store(&self, name: &str, bytes: &[u8]) {
        self.shared.objects.lock().unwrap().insert(name.to_owned(), bytes.to_vec());
    }

    /// Somebody else removes something.
    pub fn remove(&self, name: &str) {
        self.shared.objects.lock().unwrap().remove(name);
    }

    /// The requests so far, in their order.
    pub fn log(&self) -> Vec<Request> {
        self.shared.log.lock().unwrap().clone()
    }

    /// How often something whose name contains `part` was asked by a method.
    pub fn count(&self, method: &str, part: &str) -> usize {
        self.log().iter().filter(|r| r.method == method && r.name.contains(part)).count()
    }

    fn rule(&self, method: &str, part: &str, times: Option<usize>, fault: Fault) {
        let rule = Rule { method: method.to_owned(), part: part.to_owned(), times, fault };
        self.shared.rules.lock().unwrap().push(rule);
    }

    fn listen(&mut self) {
        self.shared.stopped.store(false, Ordering::Release);
        let (port, shared) = (self.port.clone(), Arc::clone(&self.shared));
        self.accepting = Some(thread::spawn(move || {
            while let Some(stream) = port.accept() {
                let (stream, shared) = (Arc::new(stream), Arc::clone(&shared));
                shared.open.lock().unwrap().push(Arc::downgrade(&stream));
                thread::spawn(move || serve(&stream, &shared));
            }
        }));
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        self.go_down();
    }
}

impl Shared {
    /// The newest fault that applies, used up by one.
    fn fault(&self, request: &Request) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap();
        let applies = |rule: &Rule| {
            rule.times != Some(0)
                && (rule.method == "*" || rule.method == request.method)
                && request.name.contains(&rule.part)
        };
        let rule = rules.iter_mut().rev().find(|rule| applies(rule))?;
        rule.times = rule.times.map(|times| times - 1);
        Some(rule.fault.clone())
    }
}

fn serve(stream: &TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    while let Some(mut request) = read_head(&mut reader) {
        let fault = shared.fault(&request);
        let length = request.header("content-length").map_or(0, |l| l.parse().unwrap());
        let taking = match fault {
            Some(Fault::HangUp | Fault::Early(_)) => 0,
            Some(Fault::Cut(most) | Fault::Stuck(most)) => length.min(most),
            _ => length,
        };
        let pause = if let Some(Fault::Slow(pause)) = fault { pause } else { Duration::ZERO };
        // In the log before it is whole, so that a test can wait for it.
        let at = {
            let mut log = shared.log.lock().unwrap();
            log.push(request.clone());
            log.len() - 1
        };
        let body = take(&mut reader, taking, pause);
        request.taken = body.len();
        shared.log.lock().unwrap()[at].taken = body.len();
        if body.len() < taking {
            return;
        }
        if answer(&request, body, fault, shared, stream).is_none() {
            stream.shutdown(Shutdown::Both).unwrap_or_default();
            return;
        }
    }
}

fn take(reader: &mut BufReader<&TcpStream>, length: usize, pause: Duration) -> Vec<u8> {
    let mut body = Vec::new();
    let piece = if pause.is_zero() { usize::MAX } else { 4096 };
    while body.len() < length {
        let next = (length - body.len()).min(piece) as u64;
        match reader.by_ref().take(next).read_to_end(&mut body) {
            Ok(n) if n > 0 => thread::sleep(pause),
            _ => break,
        }
    }
    body
}

/// Answers; `None` closes the connection.
fn answer(
    request: &Request,
    body: Vec<u8>,
    fault: Option<Fault>,
    shared: &Shared,
    out: &TcpStream,
) -> Option<()> {
    let is_authorized = match &*shared.authorization.lock().unwrap() {
        Some(wanted) => request.header("authorization") == Some(wanted),
        None => true,
    };
    if !is_authorized {
        return reply(out, 401, &[], b"who are you?", None);
    }
    let put = |bytes: Vec<u8>| shared.objects.lock().unwrap().insert(request.name.clone(), bytes);
    let has_condition =
        ["if-match", "if-none-match"].iter().any(|condition| request.header(condition).is_some());
    let (mut drip, mut stated, mut is_weak, mut heeds, mut overwrite) = (None, None, false, true, None);
    match fault {
        Some(Fault::HangUp | Fault::Cut(_)) => return None,
        Some(Fault::Silent | Fault::Stuck(_)) => {
            // Until the server goes down or the client gives up.
            let mut ignored = [0; 1];
            let is_stuck = matches!(fault, Some(Fault::Stuck(_)));
            while !shared.stopped.load(Ordering::Acquire) {
                thread::sleep(Duration::from_millis(20));
                if !is_stuck && matches!((&*out).read(&mut ignored), Ok(0) | Err(_)) {
                    break;
                }
            }
            return None;
        }
        Some(Fault::Status(status, headers, text)) => {
            let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let text = if request.method == "HEAD" { "" } else { text };
            return reply(out, status, &headers, text.as_bytes(), None);
        }
        Some(Fault::Early(status)) => {
            reply(out, status, &[("Connection", "close")], b"too early", None)?;
            out.shutdown(Shutdown::Write).ok()?;
            // Read on for a while, or the reset would overtake the answer.
            out.set_read_timeout(Some(Duration::from_millis(200))).ok()?;
            std::io::copy(&mut &*out, &mut std::io::sink()).ok();
            return None;
        }
        Some(Fault::Echo(status)) => {
            let lines: Vec<_> = request.headers.iter().map(|(n, v)| format!("{n}: {v}")).collect();
            return reply(out, status, &[], lines.join(", ").as_bytes(), None);
        }
        Some(Fault::Redirect(status, to)) => return reply(out, status, &[("Location", &to)], b"", None),
        Some(Fault::Forget) => return reply(out, 201, &[], b"", None),
        Some(Fault::Swap(bytes)) => {
            put(bytes);
            return reply(out, 201, &[], b"", None);
        }
        Some(Fault::NoConditions(status)) if has_condition => return reply(out, status, &[], b"", None),
        Some(Fault::Raced(bytes)) => drop(put(bytes)),
        Some(Fault::Overwritten(bytes)) => overwrite = Some(bytes),
        Some(Fault::Drip(pause)) => drip = Some(pause),
        Some(Fault::WrongLength(length)) => stated = Some(length),
        Some(Fault::WeakTags) => is_weak = true,
        Some(Fault::IgnoreConditions) => heeds = false,
        Some(Fault::Slow(_) | Fault::NoConditions(_)) | None => {}
    }
    let there = shared.objects.lock().unwrap().get(&request.name).cloned();
    let tag = |bytes: &[u8]| {
        let digest = Sha256::digest(bytes);
        format!(
            "{}\"{:02x}{:02x}{:02x}{:02x}\"",
            if is_weak { "W/" } else { "" },
            digest[0],
            digest[1],
            digest[2],
            digest[3]
        )
    };
    match (request.method.as_str(), there) {
        ("PUT", there) => {
            let holds = match (request.header("if-none-match"), request.header("if-match")) {
                (Some(_), _) => there.is_none(),
                (None, Some(wanted)) => there.as_deref().is_some_and(|bytes| tag(bytes) == wanted),
                (None, None) => true,
            };
            if heeds && !holds {
                return reply(out, 412, &[], b"", None);
            }
            let status = if there.is_some() { 204 } else { 201 };
            put(body);
            if let Some(bytes) = overwrite {
                put(bytes);
            }
            reply(out, status, &[], b"", None)
        }
        ("GET", Some(bytes)) => {
            let tag = tag(&bytes);
            match request.header("range") {
                Some("bytes=0-0") if !bytes.is_empty() => {
                    let range = format!("bytes 0-0/{}", bytes.len());
                    reply(out, 206, &[("ETag", &tag), ("Content-Range", &range)], &bytes[..1], drip)
                }
                _ => reply(out, 200, &[("ETag", &tag)], &bytes, drip),
            }
        }
        ("HEAD", Some(bytes)) => {
            let length = stated.unwrap_or(bytes.len() as u64);
            (&*out).write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes()).ok()
        }
        ("GET" | "HEAD", None) => reply(out, 404, &[], b"", None),
        _ => reply(out, 405, &[], b"", None),
    }
}

fn reply(
    mut out: &TcpStream,
    status: u16,
    headers: &[(&str, &str)],
    body: &[u8],
    drip: Option<Duration>,
) -> Option<()> {
    let mut head = format!("HTTP/1.1 {status} Said\r\n");
    // 204 has no body, and says nothing of its length (RFC 9110 §8.6).
    if status != 204 {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    out.write_all(head.as_bytes()).ok()?;
    let Some(pause) = drip else { return out.write_all(body).ok() };
    for byte in body {
        out.write_all(&[*byte]).ok()?;
        thread::sleep(pause);
    }
    Some(())
}

fn read_head(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?);
    let name = path.trim_start_matches('/').to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => return Some(Request { method, name, headers, taken: 0 }),
        }
    }
}
