//! NAR, the archive format of Nix, as a strict push parser.
//!
//! Integers are 64-bit little-endian. `str(s)` is the length of `s`, its bytes, and zero bytes up to a
//! multiple of eight. Everything in a NAR is such a string:
//!
//! ```text
//! nar     = str("nix-archive-1") node
//! node    = str("(") str("type") ( regular | symlink | dir ) str(")")
//! regular = str("regular") [ str("executable") str("") ] str("contents") str(bytes)
//! symlink = str("symlink") str("target") str(target)
//! dir     = str("directory") { str("entry") str("(") str("name") str(name) str("node") node str(")") }
//! ```
//!
//! A client unpacks while it downloads, as root, with a parser that has accepted far more than this over
//! the years. The [`Verifier`] therefore stands in front of it and accepts exactly one spelling of each
//! tree: tokens in this order, zero padding, entries strictly ascending by raw bytes, names and targets
//! that a file system can hold, and an end at exactly the size that was signed.
//!
//! It is not an unpacker, and it does not hash. It never allocates from an unchecked length: what it keeps
//! is one name for each open directory and at most one name or target that a chunk boundary cut in two.
//! File contents are never copied.
//!
//! Source: NixOS/nix `src/libutil/archive.cc`; the bounds on tags and nesting are those of Nix 2.35.
#![deny(clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![deny(clippy::wildcard_enum_match_arm)]

pub mod content;
pub mod encode;
mod error;
mod grammar;
mod levels;
mod sink;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod writer;

pub use error::{NarError, NarErrorKind};
pub use sink::{NodeKind, Sink};

use grammar::{Grammar, Tally, Want};

/// How much a NAR may ask for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Nodes on one path, the root included. Nix 2.35 stops at 64.
    pub depth: usize,
    /// Bytes in the name of an entry. Linux file systems stop at 255.
    pub name: usize,
    /// Bytes in the target of a symlink. Linux stops at 4095.
    pub target: usize,
    /// Bytes in the whole NAR.
    pub nar_size: u64,
}

impl Default for Limits {
    /// What Linux and Nix 2.35 can hold, in a NAR of at most 64 GiB.
    fn default() -> Self {
        Self { depth: 64, name: 255, target: 4095, nar_size: 64 << 30 }
    }
}

/// What a NAR held, known once all of it was accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NarSummary {
    /// Bytes in the NAR.
    pub nar_size: u64,
    /// What the store path itself is.
    pub root: NodeKind,
    /// Regular files, the root included.
    pub files: u64,
    /// Directories, the root included.
    pub directories: u64,
    /// Symlinks, the root included.
    pub symlinks: u64,
}

/// Accepts one NAR, in chunks of any size, or says where it breaks the format.
///
/// The verdict depends on the bytes alone, never on how they were cut into chunks. The first error is
/// final: every later call returns it again.
#[derive(Debug)]
pub struct Verifier {
    limits: Limits,
    nar_size: u64,
    /// Bytes accepted so far.
    offset: u64,
    /// Where the current token began; what is wrong with a token is reported there.
    token: u64,
    phase: Phase,
    grammar: Grammar,
    /// The part of a length or a text that arrived before a chunk ended; a whole target at most.
    held: Vec<u8>,
    fault: Option<NarError>,
}

/// Where in a token the parser stands.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Inside the contents of a file.
    Contents { left: u64, padding: u8 },
    /// Before or inside the eight bytes of a length.
    Length,
    /// Inside the zero bytes that fill a token up.
    Padding { left: u8 },
    /// Inside a tag, name or target.
    Text { length: usize, padding: u8 },
}

impl Verifier {
    /// Starts on a NAR that must have exactly `nar_size` bytes.
    pub fn new(nar_size: u64, limits: &Limits) -> Self {
        let kind = NarErrorKind::TooLarge { limit: limits.nar_size };
        Self {
            limits: limits.clone(),
            nar_size,
            offset: 0,
            token: 0,
            phase: Phase::Length,
            grammar: Grammar::new(limits.depth),
            held: Vec::new(),
            fault: (nar_size > limits.nar_size).then_some(NarError { offset: 0, kind }),
        }
    }

    /// Takes the next bytes of the NAR. `Ok` means that every one of them was accepted.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), NarError> {
        self.push_with(bytes, &mut ())
    }

    /// Takes the next bytes and tells `sink` what they are.
    pub fn push_with<S: Sink>(&mut self, bytes: &[u8], sink: &mut S) -> Result<(), NarError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let accepted = self.run(bytes, sink);
        if let Err(fault) = &accepted {
            self.fault = Some(fault.clone());
        }
        accepted
    }

    /// Ends the NAR; an error if anything is missing.
    pub fn finish(self) -> Result<NarSummary, NarError> {
        let Self { nar_size, offset, phase, grammar, held, fault, .. } = self;
        if let Some(fault) = fault {
            return Err(fault);
        }
        let between_tokens = matches!(phase, Phase::Length) && held.is_empty();
        let Some(root) = grammar.finished().filter(|_| between_tokens) else {
            return Err(NarError { offset, kind: NarErrorKind::Truncated });
        };
        if offset != nar_size {
            return Err(NarError { offset, kind: NarErrorKind::Short { nar_size } });
        }
        let Tally { files, directories, symlinks } = grammar.tally();
        Ok(NarSummary { nar_size, root, files, directories, symlinks })
    }

    /// Bytes accepted so far.
    pub fn consumed(&self) -> u64 {
        self.offset
    }

    fn run<S: Sink>(&mut self, mut input: &[u8], sink: &mut S) -> Result<(), NarError> {
        while !input.is_empty() {
            input = match self.phase {
                Phase::Contents { left, padding } => self.contents(left, padding, input, sink),
                Phase::Length => self.length(input, sink)?,
                Phase::Padding { left } => self.padding(left, input)?,
                Phase::Text { length, padding } => self.text(length, padding, input, sink)?,
            };
        }
        Ok(())
    }

    /// Reads the length that opens every token.
    #[inline]
    fn length<'a, S: Sink>(&mut self, input: &'a [u8], sink: &mut S) -> Result<&'a [u8], NarError> {
        if self.held.is_empty() {
            self.token = self.offset;
            if self.grammar.finished().is_some() {
                return Err(self.refuse(NarErrorKind::Trailing));
            }
            if self.remaining() < WORD {
                return Err(self.refuse(NarErrorKind::Size { length: 0 }));
            }
            let (within, _) = split(input, usize::try_from(self.remaining()).unwrap_or(usize::MAX));
            if let Some(taken) = self.grammar.leap(within) {
                self.advance(taken);
                return Ok(split(input, taken).1);
            }
            if let Some((word, rest)) = input.split_first_chunk() {
                self.advance(word.len());
                return self.open(u64::from_le_bytes(*word), rest, sink);
            }
        }
        let rest = self.hold(8, input);
        let Some(word) = self.held.first_chunk() else { return Ok(rest) };
        let length = u64::from_le_bytes(*word);
        self.held.clear();
        self.open(length, rest, sink)
    }

    /// Judges a length by what must come here and by what the NAR has left, before anything is kept.
    #[inline]
    fn open<'a, S: Sink>(
        &mut self,
        length: u64,
        input: &'a [u8],
        sink: &mut S,
    ) -> Result<&'a [u8], NarError> {
        let want = self.grammar.want();
        want.bound(length, &self.limits).map_err(|kind| self.refuse(kind))?;
        let padding = padding_of(length);
        let fits = length.checked_add(u64::from(padding)).is_some_and(|whole| whole <= self.remaining());
        if !fits {
            return Err(self.refuse(NarErrorKind::Size { length }));
        }
        if let Want::Contents { executable } = want {
            sink.file_start(executable, length, self.offset);
            return Ok(self.contents(length, padding, input, sink));
        }
        let Ok(length) = usize::try_from(length) else {
            return Err(self.refuse(NarErrorKind::Size { length }));
        };
        self.text(length, padding, input, sink)
    }

    /// Skips over file contents, however many there are.
    #[inline]
    fn contents<'a, S: Sink>(&mut self, left: u64, padding: u8, input: &'a [u8], sink: &mut S) -> &'a [u8] {
        let (bytes, rest) = split(input, usize::try_from(left).unwrap_or(usize::MAX));
        if !bytes.is_empty() {
            sink.file_bytes(bytes);
        }
        let taken = self.advance(bytes.len());
        let left = left.saturating_sub(taken);
        if left > 0 {
            self.phase = Phase::Contents { left, padding };
        } else {
            sink.file_end();
            self.grammar.contents_read();
            self.phase = Phase::after(padding);
        }
        rest
    }

    /// Reads a tag, name or target and lets the grammar judge it once it is whole.
    #[inline]
    fn text<'a, S: Sink>(
        &mut self,
        length: usize,
        padding: u8,
        input: &'a [u8],
        sink: &mut S,
    ) -> Result<&'a [u8], NarError> {
        let (judged, rest) = match input.split_at_checked(length) {
            Some((text, rest)) if self.held.is_empty() => {
                self.advance(length);
                (self.grammar.text(text, sink), rest)
            }
            Some(_) | None => {
                let rest = self.hold(length, input);
                if self.held.len() < length {
                    self.phase = Phase::Text { length, padding };
                    return Ok(rest);
                }
                let judged = self.grammar.text(&self.held, sink);
                self.held.clear();
                (judged, rest)
            }
        };
        judged.map_err(|kind| self.refuse(kind))?;
        self.phase = Phase::after(padding);
        Ok(rest)
    }

    /// Demands zeros.
    #[inline]
    fn padding<'a>(&mut self, left: u8, input: &'a [u8]) -> Result<&'a [u8], NarError> {
        let (zeros, rest) = split(input, usize::from(left));
        if let Some(good) = zeros.iter().position(|byte| *byte != 0) {
            self.advance(good);
            return Err(NarError { offset: self.offset, kind: NarErrorKind::Padding });
        }
        self.advance(zeros.len());
        self.phase = Phase::after(left.saturating_sub(u8::try_from(zeros.len()).unwrap_or(left)));
        Ok(rest)
    }

    /// Keeps what `input` has of a piece of `length` bytes; returns what lies behind that piece.
    fn hold<'a>(&mut self, length: usize, input: &'a [u8]) -> &'a [u8] {
        let (part, rest) = split(input, length.saturating_sub(self.held.len()));
        self.held.extend_from_slice(part);
        self.advance(part.len());
        rest
    }

    #[inline]
    fn advance(&mut self, taken: usize) -> u64 {
        let taken = u64::try_from(taken).unwrap_or(u64::MAX);
        self.offset = self.offset.saturating_add(taken);
        taken
    }

    fn remaining(&self) -> u64 {
        self.nar_size.saturating_sub(self.offset)
    }

    #[cold]
    fn refuse(&self, kind: NarErrorKind) -> NarError {
        NarError { offset: self.token, kind }
    }
}

impl Phase {
    fn after(padding: u8) -> Self {
        if padding == 0 { Self::Length } else { Self::Padding { left: padding } }
    }
}

/// The size of an integer, and what every token is a multiple of.
const WORD: u64 = 8;

/// Zero bytes that follow a token of `length` bytes.
fn padding_of(length: u64) -> u8 {
    u8::try_from(length.wrapping_neg() & (WORD - 1)).unwrap_or(0)
}

/// Cuts at `length`, or takes everything if there is less.
fn split(input: &[u8], length: usize) -> (&[u8], &[u8]) {
    input.split_at_checked(length).unwrap_or((input, &[]))
}
