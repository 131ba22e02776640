//! A listener that passes bytes on unchanged, both ways, and says afterwards what was asked and answered.
//!
//! Nothing is parsed while it is under way, so client and server see each other's bytes and no more: interim
//! answers, kept connections, halves that close first.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// One request and what came back.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub method: String,
    pub path: String,
    pub asked_with: Vec<(String, String)>,
    pub status: u16,
    pub answered_with: Vec<(String, String)>,
    /// Whether as many bytes came as the answer's head promised.
    pub is_whole: bool,
}

/// A recorder in front of one server; it ends with the test's process.
#[derive(Debug)]
pub struct Recorder {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    tape: Mutex<Tape>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Tape {
    open: usize,
    done: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Recorder {
    /// Passes on to the server at this port of loopback.
    pub fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                accepting.tape.lock().unwrap().open += 1;
                let shared = Arc::clone(&accepting);
                thread::spawn(move || {
                    let heard = pass_on(client, server);
                    let mut tape = shared.tape.lock().unwrap();
                    tape.open -= 1;
                    tape.done.extend(heard);
                    shared.ended.notify_all();
                });
            }
        });
        Self { port, shared }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Everything since the last time, once the clients have gone. In no order across connections.
    pub fn take(&self) -> Vec<Exchange> {
        let tape = self.shared.tape.lock().unwrap();
        let patience = Duration::from_secs(60);
        let (mut tape, waited) =
            self.shared.ended.wait_timeout_while(tape, patience, |tape| tape.open > 0).unwrap();
        assert!(!waited.timed_out(), "a client keeps its connection");
        std::mem::take(&mut tape.done)
            .iter()
            .flat_map(|(asked, answered)| exchanges(asked, answered))
            .collect()
    }
}

/// Passes on until both sides have ended; what each said.
fn pass_on(client: TcpStream, server: u16) -> Option<(Vec<u8>, Vec<u8>)> {
    let server = TcpStream::connect(("127.0.0.1", server)).ok()?;
    // What comes in two writes must not wait for an acknowledgement between them.
    client.set_nodelay(true).ok()?;
    server.set_nodelay(true).ok()?;
    let (from_client, to_server) = (client.try_clone().ok()?, server.try_clone().ok()?);
    let asking = thread::spawn(move || copy(from_client, to_server));
    let answered = copy(server, client);
    Some((asking.join().unwrap(), answered))
}

fn copy(mut from: TcpStream, mut to: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut chunk) {
        all.extend_from_slice(&chunk[..length]);
        if to.write_all(&chunk[..length]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Write).unwrap_or_default();
    all
}

/// The requests of one connection, each with its answer.
fn exchanges(mut asked: &[u8], mut answered: &[u8]) -> Vec<Exchange> {
    let mut all = Vec::new();
    while let Some((first, asked_with, body)) = head(asked) {
        // A body may be missing: a client that was refused at once does not send it, and closes.
        let (_, rest) = body.split_at(length_of(&asked_with).unwrap_or(0).min(body.len()));
        asked = rest;
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        assert_eq!(words.next(), Some("HTTP/1.1"), "no request: {first}");
        let mut exchange = Exchange {
            method: method.to_owned(),
            path: path.to_owned(),
            asked_with,
            status: 0,
            answered_with: Vec::new(),
            is_whole: false,
        };
        while let Some((first, answered_with, body)) = head(answered) {
            let status = first.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
            answered = body;
            if status >= 200 {
                let promised = if method == "HEAD" { 0 } else { length_of(&answered_with).unwrap_or(0) };
                assert!(!is_chunked(&answered_with), "neither side answers in chunks: {method} {path}");
                exchange.is_whole = body.len() >= promised;
                exchange.status = status;
                exchange.answered_with = answered_with;
                answered = &body[promised.min(body.len())..];
                break;
            }
        }
        all.push(exchange);
    }
    all
}

type Head<'a> = (String, Vec<(String, String)>, &'a [u8]);

/// The first line, the headers, and what follows.
fn head(bytes: &[u8]) -> Option<Head<'_>> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = text.split("\r\n");
    let first = lines.next()?.to_owned();
    let headers = lines.filter_map(|l| l.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Some((first, headers, &bytes[end + 4..]))
}

fn length_of(headers: &[(String, String)]) -> Option<usize> {
    headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()
}

fn is_chunked(headers: &[(String, String)]) -> bool {
    headers.iter().any(|(name, _)| name == "transfer-encoding")
}
