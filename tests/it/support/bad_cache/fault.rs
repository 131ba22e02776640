//! What a bad cache may be told to do, and how often.

use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the cache does with a request instead of what it should.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing: an exception to an older fault.
    None,
    /// Resets the connection without a word.
    Reset,
    /// Takes the request and says nothing.
    Silent,
    /// Answers with something that is no HTTP.
    Garbage,
    /// Answers with this status and these headers.
    Status(u16, Vec<(String, String)>),
    /// Says nothing for this time, then does as it should.
    Late(Duration),
    /// Closes the connection before a fault of these times has come true, then does as it should.
    After(Times),
    /// The body ends early.
    Ends(Where, How),
    /// From this byte of the body on, so many bytes a second.
    Drip(usize, usize),
    /// This byte of the file is another; where the second is set, so is every byte after it.
    Wrong(usize, bool),
    /// Says that the body is so much longer than it is; the connection is closed after it.
    TooLong(usize),
    /// Says that the body is so much shorter than it is, and sends the rest all the same.
    TooShort(usize),
    /// A part is asked for and another thing is given.
    Part(WrongPart),
    /// Has had this file all along.
    Instead(Arc<[u8]>),
}

/// Where a body ends.
#[derive(Clone, Copy, Debug)]
pub enum Where {
    /// Before this byte of the file, wherever the answer began.
    Byte(usize),
    /// After so many bytes of this answer.
    After(usize),
}

/// How a body ends.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// The connection is closed.
    Close,
    /// The connection is reset.
    Reset,
    /// Nothing more comes, and the connection stays.
    Stall,
}

/// What is given where a part was asked for.
#[derive(Clone, Copy, Debug)]
pub enum WrongPart {
    /// Status 206, and the part begins this much later than was asked for, as it says itself.
    Later(usize),
    /// Status 206 that says what was asked for, with bytes that begin this much later.
    Shifted(usize),
    /// Status 206 of a file that is so much longer.
    OfAnother(usize),
    /// Status 206 that does not say which part it is.
    Unsaid,
    /// Status 416.
    Unsatisfiable,
    /// Status 200 and the whole.
    Whole,
}

impl Fault {
    /// Ends after so many bytes of the file, closed.
    pub fn cut(at: usize) -> Self {
        Self::Ends(Where::Byte(at), How::Close)
    }

    /// A status and nothing else.
    pub fn status(status: u16) -> Self {
        Self::Status(status, Vec::new())
    }

    /// Its name, for counting.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Reset => "reset",
            Self::Silent => "silent",
            Self::Garbage => "garbage",
            Self::Status(..) => "status",
            Self::Late(_) => "late",
            Self::After(_) => "after",
            Self::Ends(_, How::Close) => "cut",
            Self::Ends(_, How::Reset) => "reset in the body",
            Self::Ends(_, How::Stall) => "stall",
            Self::Drip(..) => "drip",
            Self::Wrong(..) => "wrong",
            Self::TooLong(_) => "too long",
            Self::TooShort(_) => "too short",
            Self::Part(_) => "part",
            Self::Instead(_) => "instead",
        }
    }
}

/// How often a fault applies. Clones share the count.
#[derive(Clone, Debug)]
pub struct Times(Arc<Mutex<Count>>);

#[derive(Debug)]
struct Count {
    seen: usize,
    /// The first so many of every so many.
    of: (usize, usize),
    /// Of all, or of these only.
    rounds: usize,
    came_true: bool,
}

impl Times {
    pub fn always() -> Self {
        Self::of(1, 1, usize::MAX)
    }

    /// The next so many times.
    pub fn first(times: usize) -> Self {
        Self::of(times, times.max(1), 1)
    }

    /// The first `k` of every `n`.
    pub fn bursts(k: usize, n: usize) -> Self {
        Self::of(k, n, usize::MAX)
    }

    fn of(k: usize, n: usize, rounds: usize) -> Self {
        Self(Arc::new(Mutex::new(Count { seen: 0, of: (k, n), rounds, came_true: false })))
    }

    /// Whether a fault of these times has come true.
    pub fn came_true(&self) -> bool {
        self.0.lock().unwrap().came_true
    }

    pub(super) fn come_true(&self) {
        self.0.lock().unwrap().came_true = true;
    }

    pub(super) fn applies(&self) -> bool {
        let mut count = self.0.lock().unwrap();
        let (k, n) = count.of;
        let applies = count.seen % n < k && count.seen / n < count.rounds;
        count.seen += 1;
        applies
    }
}
