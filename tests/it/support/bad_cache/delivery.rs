//! Requests and answers on the wire.

use super::fault::{Fault, How, Times, Where, WrongPart};
use super::{Asked, File, Rule, Shared};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Answers the requests of one connection.
pub(super) fn serve(stream: &TcpStream, shared: &Shared) {
    // What comes in two writes must not wait for an acknowledgement between them.
    stream.set_nodelay(true).unwrap_or_default();
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read_request(&mut reader) {
        if shared.is_stopped() {
            return;
        }
        let rule = shared.rule(&asked).unwrap_or_else(honest);
        shared.log.lock().unwrap().push(asked.clone());
        if act(&asked, &rule, stream, shared).is_none() {
            stream.shutdown(Shutdown::Both).unwrap_or_default();
            return;
        }
    }
}

/// A rule without a fault.
fn honest() -> Rule {
    Rule { part: String::new(), times: Times::always(), fault: Fault::None }
}

/// Does what the fault says; `None` closes the connection.
fn act(asked: &Asked, rule: &Rule, out: &TcpStream, shared: &Shared) -> Option<()> {
    match &rule.fault {
        Fault::Reset => {
            shared.note(rule);
            reset(out)
        }
        Fault::Silent => {
            shared.note(rule);
            hold(out)
        }
        Fault::Garbage => {
            shared.note(rule);
            send(out, b"\x16\x03\x01 what is this?\r\n\r\n\0\0\0")?;
            None
        }
        Fault::Status(status, headers) => {
            shared.note(rule);
            let headers: Vec<(&str, String)> = headers.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
            head(out, *status, 0, &headers)
        }
        Fault::Late(time) => {
            shared.note(rule);
            pause(*time, shared)?;
            deliver(asked, &honest(), out, shared)
        }
        Fault::After(times) => {
            shared.note(rule);
            if !times.came_true() {
                return None;
            }
            deliver(asked, &honest(), out, shared)
        }
        _ => deliver(asked, rule, out, shared),
    }
}

/// Sends the file, or the part that was asked for, as far as the fault lets it.
fn deliver(asked: &Asked, rule: &Rule, out: &TcpStream, shared: &Shared) -> Option<()> {
    let file = shared.files.lock().unwrap().get(&asked.path).cloned();
    let Some(mut file) = file else { return head(out, 404, 0, &[]) };
    if let Fault::Instead(bytes) = &rule.fault {
        shared.note(rule);
        file.bytes = Arc::clone(bytes);
        file.tag = "\"another\"".to_owned();
    }
    let total = file.bytes.len();
    let wants_part = !shared.whole_only.load(std::sync::atomic::Ordering::Acquire);
    let mut part = part(asked, &file).filter(|_| wants_part);
    let mut headers: Vec<(&str, String)> = vec![("ETag", file.tag.clone())];
    let mut said = part.clone();
    let (mut of, mut is_said) = (total, true);
    if let (Some(asked_for), Fault::Part(wrong)) = (part.clone(), &rule.fault) {
        shared.note(rule);
        match wrong {
            WrongPart::Later(by) => {
                part = Some(asked_for.start.saturating_add(*by).min(asked_for.end)..asked_for.end);
                said.clone_from(&part);
            }
            WrongPart::Shifted(by) => {
                part = Some(asked_for.start.saturating_add(*by).min(asked_for.end)..asked_for.end);
            }
            WrongPart::OfAnother(by) => of = of.saturating_add(*by),
            WrongPart::Unsaid => is_said = false,
            WrongPart::Unsatisfiable => {
                return head(out, 416, 0, &[("Content-Range", format!("bytes */{total}"))]);
            }
            WrongPart::Whole => part = None,
        }
    }
    if part.as_ref().is_some_and(|part| part.start >= total) {
        return head(out, 416, 0, &[("Content-Range", format!("bytes */{total}"))]);
    }
    let status = if part.is_some() { 206 } else { 200 };
    let range = part.unwrap_or(0..total);
    if let (206, true, Some(said)) = (status, is_said, said) {
        headers.push(("Content-Range", format!("bytes {}-{}/{of}", said.start, said.end.saturating_sub(1))));
    }
    let stated = match &rule.fault {
        Fault::TooLong(by) => range.len().saturating_add(*by),
        Fault::TooShort(by) => range.len().saturating_sub(*by),
        _ => range.len(),
    };
    head(out, status, stated, &headers)?;
    if asked.method == "HEAD" {
        return Some(());
    }
    body(&file.bytes, range, rule, out, shared)
}

fn body(bytes: &[u8], range: Range<usize>, rule: &Rule, out: &TcpStream, shared: &Shared) -> Option<()> {
    let whole = bytes.get(range.clone())?;
    match &rule.fault {
        Fault::Ends(place, how) => {
            let until = match place {
                Where::Byte(byte) => byte.saturating_sub(range.start),
                Where::After(count) => *count,
            };
            if until >= whole.len() {
                return send(out, whole);
            }
            send(out, whole.get(..until)?)?;
            shared.note(rule);
            match how {
                How::Close => None,
                How::Reset => reset(out),
                How::Stall => hold(out),
            }
        }
        Fault::Drip(from, rate) => {
            let (before, after) = whole.split_at((*from).min(whole.len()));
            send(out, before)?;
            shared.note(rule);
            for piece in after.chunks((rate / 50).max(1)) {
                send(out, piece)?;
                pause(Duration::from_millis(20), shared)?;
            }
            Some(())
        }
        Fault::Wrong(at, and_after) => {
            let mut wrong = whole.to_vec();
            let first = at.saturating_sub(range.start);
            let count = if *and_after { usize::MAX } else { 1 };
            if range.end > *at && (range.start <= *at || count > 1) {
                shared.note(rule);
                wrong.iter_mut().skip(first).take(count).for_each(|byte| *byte ^= 1);
            }
            send(out, &wrong)
        }
        Fault::TooLong(_) => {
            shared.note(rule);
            send(out, whole)?;
            None
        }
        Fault::TooShort(_) => {
            shared.note(rule);
            send(out, whole)
        }
        _ => send(out, whole),
    }
}

/// The part that is asked for, if the file is still the one that it is asked of (RFC 9110 §13.1.5, §14.2).
fn part(asked: &Asked, file: &File) -> Option<Range<usize>> {
    let (first, last) = asked.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
    if asked.header("if-range").is_some_and(|tag| tag != file.tag) {
        return None;
    }
    let first: usize = first.parse().ok()?;
    let end = last.parse::<usize>().map_or(file.bytes.len(), |last| (last + 1).min(file.bytes.len()));
    Some(first..end.max(first))
}

fn head(out: &TcpStream, status: u16, length: usize, headers: &[(&str, String)]) -> Option<()> {
    let mut text =
        format!("HTTP/1.1 {status} Scripted\r\nAccept-Ranges: bytes\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    send(out, text.as_bytes())
}

fn send(mut out: &TcpStream, bytes: &[u8]) -> Option<()> {
    out.write_all(bytes).ok()
}

/// Until the client or the cache goes.
fn hold(mut stream: &TcpStream) -> Option<()> {
    while matches!(stream.read(&mut [0; 64]), Ok(1..)) {}
    None
}

/// `None` if the cache goes meanwhile.
fn pause(mut time: Duration, shared: &Shared) -> Option<()> {
    while !shared.is_stopped() {
        let step = time.min(Duration::from_millis(20));
        thread::sleep(step);
        time = time.saturating_sub(step);
        if time.is_zero() {
            return Some(());
        }
    }
    None
}

/// Ends the connection with a reset (socket(7): SO_LINGER of 0).
fn reset(stream: &TcpStream) -> Option<()> {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).ok();
    None
}

fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => return Some(Asked { method, path, headers }),
        }
    }
}
