//! Numbers and strings on a socket, each within a bound and all within one deadline.
//!
//! Integers are 64-bit little-endian. A string is its length, its bytes, and zero bytes up to a multiple of
//! eight; a list is its count and its items. Nothing here knows what they mean.

use super::error::Fault;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The daemon's end of the line.
#[derive(Debug)]
pub(super) struct Wire {
    stream: UnixStream,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// The time for one exchange.
    patience: Duration,
    deadline: Instant,
    /// Bytes that this exchange may still bring.
    left: u64,
}

impl Wire {
    pub(super) fn new(stream: UnixStream, patience: Duration) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        let deadline = Instant::now() + patience;
        Self { stream, buffer, start: 0, end: 0, patience, deadline, left: ANSWER_MAX }
    }

    /// Sends a request; from now on the clock of its exchange runs.
    pub(super) fn send(&mut self, request: &Request) -> Result<(), Fault> {
        self.deadline = Instant::now() + self.patience;
        self.left = ANSWER_MAX;
        let mut rest = request.0.as_slice();
        while !rest.is_empty() {
            self.stream.set_write_timeout(Some(self.remaining()?))?;
            match self.stream.write(rest) {
                Ok(0) => return Err(Fault::Closed),
                Ok(written) => rest = &rest[written..],
                Err(error) => self.try_again(error)?,
            }
        }
        Ok(())
    }

    /// Lets the answer of this exchange have so many bytes from here on, for one that may be longer than most.
    pub(super) fn allow(&mut self, bytes: u64) {
        self.left = bytes;
    }

    /// The exchange is over: nothing may have come that was not asked for.
    pub(super) fn settle(&self) -> Result<(), Fault> {
        if self.start == self.end {
            Ok(())
        } else {
            Err(Fault::Malformed { what: "more than was asked for" })
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, Fault> {
        let mut word = [0; WORD];
        self.fill(&mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    pub(super) fn flag(&mut self) -> Result<bool, Fault> {
        match self.number()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Fault::Malformed { what: "a truth value that is neither 0 nor 1" }),
        }
    }

    /// A count that a list begins with.
    pub(super) fn count(&mut self, limit: usize) -> Result<usize, Fault> {
        self.bounded(limit, "items in a list")
    }

    /// A string as bytes.
    pub(super) fn bytes(&mut self, limit: usize) -> Result<Vec<u8>, Fault> {
        let length = self.bounded(limit, "bytes in a string")?;
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        let mut padding = [0; WORD];
        let padding = &mut padding[..length.next_multiple_of(WORD) - length];
        self.fill(padding)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(Fault::Malformed { what: "padding that is not zero" });
        }
        Ok(bytes)
    }

    /// A string as text.
    pub(super) fn text(&mut self, limit: usize) -> Result<String, Fault> {
        String::from_utf8(self.bytes(limit)?)
            .map_err(|_| Fault::Malformed { what: "a text that is not UTF-8" })
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, count: usize, limit: usize) -> Result<Vec<String>, Fault> {
        let count = self.count(count)?;
        // Grows as they come: the count alone reserves nothing.
        let mut texts = Vec::new();
        for _ in 0..count {
            texts.push(self.text(limit)?);
        }
        Ok(texts)
    }

    fn bounded(&mut self, limit: usize, what: &'static str) -> Result<usize, Fault> {
        let found = self.number()?;
        let excess = Fault::Excess { what, limit: u64::try_from(limit).unwrap_or(u64::MAX) };
        usize::try_from(found).ok().filter(|found| *found <= limit).ok_or(excess)
    }

    /// Fills `out` from the buffer and the socket.
    fn fill(&mut self, mut out: &mut [u8]) -> Result<(), Fault> {
        let wanted = u64::try_from(out.len()).unwrap_or(u64::MAX);
        let limit = Fault::Excess { what: "bytes in one answer", limit: ANSWER_MAX };
        self.left = self.left.checked_sub(wanted).ok_or(limit)?;
        while !out.is_empty() {
            if self.start == self.end {
                self.refill()?;
            }
            let taken = out.len().min(self.end - self.start);
            let (now, later) = out.split_at_mut(taken);
            now.copy_from_slice(&self.buffer[self.start..self.start + taken]);
            self.start += taken;
            out = later;
        }
        Ok(())
    }

    fn refill(&mut self) -> Result<(), Fault> {
        loop {
            self.stream.set_read_timeout(Some(self.remaining()?))?;
            match self.stream.read(&mut self.buffer) {
                Ok(0) => return Err(Fault::Closed),
                Ok(read) => {
                    (self.start, self.end) = (0, read);
                    return Ok(());
                }
                Err(error) => self.try_again(error)?,
            }
        }
    }

    /// What is left of the exchange's time.
    fn remaining(&self) -> Result<Duration, Fault> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(Fault::Late { limit: self.patience }) } else { Ok(left) }
    }

    /// Whether an error is only a reason to look at the clock again.
    fn try_again(&self, error: io::Error) -> Result<(), Fault> {
        match error.kind() {
            io::ErrorKind::Interrupted => Ok(()),
            // The socket's timeout may end a moment before the deadline.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => self.remaining().map(|_| ()),
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Err(Fault::Closed),
            _ => Err(error.into()),
        }
    }
}

/// What is sent, put together before any of it leaves.
#[derive(Debug, Default)]
pub(super) struct Request(Vec<u8>);

impl Request {
    pub(super) fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub(super) fn text(self, text: &str) -> Self {
        let mut with_length = self.number(text.len() as u64);
        with_length.0.extend_from_slice(text.as_bytes());
        with_length.0.resize(with_length.0.len().next_multiple_of(WORD), 0);
        with_length
    }

    pub(super) fn texts(self, texts: impl ExactSizeIterator<Item = String>) -> Self {
        let with_count = self.number(texts.len() as u64);
        texts.fold(with_count, |request, text| request.text(&text))
    }
}

/// The size of an integer, and what every string is filled up to a multiple of.
const WORD: usize = 8;

/// Most answers fit into a page or two; the longest reference lists are a few hundred KiB.
const BUFFER: usize = 16 << 10;

/// Bytes that one answer may have, with everything the daemon says on the way. A guess: 100,000 references of
/// 250 bytes are 25 MB.
const ANSWER_MAX: u64 = 64 << 20;
