//! One transfer, checked while it passes: compressed bytes in, NAR bytes out that may be sent on.
//!
//! What comes out has been decoded, counted against the promised size and accepted by the strict NAR parser.
//! The end of the NAR, 64 KiB at most, does not come out of a step at all: [`NarCheck::finish`] gives it
//! when hash, size, grammar, content address and the end of the compressed data all agree. So whoever reads
//! a lying transfer never gets a complete NAR.
//!
//! This does no I/O and holds no lock. It is meant to be moved to a blocking thread for each
//! [`step`](NarCheck::step) and back. Its memory does not depend on the NAR's size: the input it was fed,
//! [`OUTPUT_MEMORY`] for output, and what the decoder was allowed.
//!
//! It does not judge whom to believe, nor does it know FileHash and FileSize, which nobody signs. Capping
//! the compressed bytes is left to the caller, who can also stop reading; [`NarCheck::received`] counts.

mod buffers;
mod fault;
mod mark;
mod tail;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::Bytes;

pub use buffers::OUTPUT_MEMORY;
pub use fault::TransferFault;
pub use mark::Mark;
pub use tail::TAIL;

use super::decode::{Codec, Decoder};
use crate::format::nar::content::ContentCheck;
use crate::format::nar::{Limits, NarSummary, Verifier};
use buffers::{BUFFER, Buffers};
use tail::Withheld;

/// What one step let pass.
#[derive(Debug)]
pub struct Step {
    /// The next bytes of the NAR, in order. Often empty: the end of a NAR is withheld, small ones wholly.
    pub output: Vec<Passed>,
    /// All input fed so far was used up. If not, step again.
    pub wants_input: bool,
}

/// Bytes that may go out.
#[derive(Clone, Debug)]
pub struct Passed {
    /// The bytes.
    pub bytes: Bytes,
    /// Where they end, and the hash of the NAR up to there.
    pub mark: Mark,
}

/// What was withheld, given out because everything agreed.
#[derive(Debug)]
pub struct Tail {
    /// The last bytes of the NAR.
    pub bytes: Bytes,
    /// What the NAR holds.
    pub summary: NarSummary,
    /// Bytes of the transfer before decoding.
    pub received: u64,
}

/// Checks one transfer against the hash and size that were agreed on.
///
/// ```text
/// for each chunk of the body
///     check.feed(chunk)
///     loop
///         step = check.step()?
///         send(step.output)
///         if step.wants_input break
/// send(check.finish()?.bytes)
/// ```
#[derive(Debug)]
pub struct NarCheck {
    decoder: Decoder,
    expected_hash: [u8; 32],
    nar_size: u64,
    /// Fed, but not yet used.
    input: VecDeque<Bytes>,
    /// The decoder holds nothing that could still be put out.
    drained: bool,
    received: u64,
    /// The NAR so far.
    passed: Mark,
    /// The same where what may pass before the end is known ends.
    before_tail: Option<Mark>,
    /// What has gone out already, from other sources, and must not be gone over without being the same.
    sent: Mark,
    verifier: Verifier,
    content: Option<ContentCheck>,
    buffers: Buffers,
    withheld: Withheld,
    fault: Option<TransferFault>,
}

impl NarCheck {
    /// Starts on a transfer that must decode to `nar_size` bytes with this SHA-256, and that must match
    /// `content` if there is one.
    ///
    /// What was `sent` before from other sources is not given out again: the transfer must begin with the same
    /// bytes, else it is [`TransferFault::Diverged`].
    pub fn new(
        decoder: Decoder,
        expected_hash: [u8; 32],
        nar_size: u64,
        limits: &Limits,
        content: Option<ContentCheck>,
        sent: Mark,
    ) -> Self {
        Self {
            decoder,
            expected_hash,
            nar_size,
            input: VecDeque::new(),
            drained: true,
            received: 0,
            passed: Mark::start(),
            before_tail: None,
            sent,
            verifier: Verifier::new(nar_size, limits),
            content,
            buffers: Buffers::default(),
            withheld: Withheld::new(nar_size),
            fault: None,
        }
    }

    /// Takes the next bytes of the transfer. Nothing is done with them yet. To keep memory bounded, feed
    /// about [`FEED`] bytes at most before stepping until input is wanted again.
    pub fn feed(&mut self, input: Bytes) {
        self.received = self.received.saturating_add(input.len() as u64);
        if !input.is_empty() {
            self.input.push_back(input);
        }
    }

    /// Works on what was fed until it is used up or about [`STEP_OUTPUT`] bytes have passed.
    ///
    /// The first fault is final, and nothing of the step that found it is given out.
    pub fn step(&mut self) -> Result<Step, TransferFault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let worked = self.work();
        if let Err(fault) = &worked {
            self.fault = Some(fault.clone());
        }
        worked
    }

    /// Says whether the transfer may end here, and gives out what was withheld.
    pub fn finish(mut self) -> Result<Tail, TransferFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if !self.input.is_empty() || !self.drained {
            return Err(TransferFault::Unfinished);
        }
        self.decoder.finish()?;
        let total = self.passed.position();
        if total != self.nar_size {
            return Err(TransferFault::TooShort { got: total, nar_size: self.nar_size });
        }
        let summary = self.verifier.finish()?;
        let got = self.passed.digest();
        if got != self.expected_hash {
            return Err(TransferFault::HashMismatch { got });
        }
        if let Some(content) = self.content {
            content.finish()?;
        }
        Ok(Tail { bytes: self.withheld.release(), summary, received: self.received })
    }

    /// Whether there is nothing to decode: a step then costs hashing and parsing alone.
    pub fn is_plain(&self) -> bool {
        self.decoder.codec() == Codec::None
    }

    /// Bytes fed so far: the transfer before decoding.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Bytes of the NAR checked so far, withheld ones included.
    pub fn checked(&self) -> u64 {
        self.passed.position()
    }

    fn work(&mut self) -> Result<Step, TransferFault> {
        let mut output = Vec::new();
        let until = self.checked().saturating_add(STEP_OUTPUT);
        while self.checked() < until {
            let piece = match self.decoder.codec() {
                Codec::None => self.input.pop_front().map(|piece| self.pass(&piece).map(|()| piece)),
                Codec::Br | Codec::Bzip2 | Codec::Gzip | Codec::Xz | Codec::Zstd => self.decode().transpose(),
            };
            let Some(piece) = piece else { return Ok(Step { output, wants_input: true }) };
            let end = self.before_tail.as_ref().unwrap_or(&self.passed).clone();
            if let Some(bytes) =
                self.withheld.withhold(piece?).and_then(|bytes| unsent(bytes, &end, &self.sent))
            {
                output.push(Passed { bytes, mark: end });
            }
        }
        Ok(Step { output, wants_input: self.input.is_empty() && self.drained })
    }

    /// Fills one buffer, or as much of it as the input gives. None if that is nothing.
    fn decode(&mut self) -> Result<Option<Bytes>, TransferFault> {
        if self.input.is_empty() && self.drained {
            return Ok(None);
        }
        // One byte more than is due shows that there is more.
        let due = self.nar_size.saturating_sub(self.checked()).saturating_add(1);
        let room = usize::try_from(due).unwrap_or(BUFFER).min(BUFFER);
        let mut buffer = self.buffers.take();
        let mut filled = 0;
        while filled < room {
            let input = self.input.front().map_or(&[][..], |input| input);
            let space = buffer.get_mut(filled..room).unwrap_or_default();
            let moved = self.decoder.step(input, space)?;
            filled += moved.produced;
            self.drained = filled < room;
            self.used(moved.consumed);
            if self.drained && self.input.is_empty() {
                break;
            }
        }
        self.pass(buffer.get(..filled).unwrap_or_default())?;
        Ok(self.buffers.give(buffer, filled))
    }

    /// Drops what the decoder took from the first input.
    fn used(&mut self, consumed: usize) {
        let Some(input) = self.input.front_mut() else { return };
        if consumed == input.len() {
            self.input.pop_front();
        } else {
            drop(input.split_to(consumed));
        }
    }

    /// Shows the next bytes of the NAR to everyone who has to agree.
    fn pass(&mut self, nar: &[u8]) -> Result<(), TransferFault> {
        if self.checked().saturating_add(nar.len() as u64) > self.nar_size {
            return Err(TransferFault::TooLong { nar_size: self.nar_size });
        }
        // First, so that the parser finds the bytes in the cache.
        self.hash(nar)?;
        match &mut self.content {
            None => self.verifier.push(nar)?,
            Some(content) => {
                self.verifier.push_with(nar, content)?;
                content.observe(nar);
            }
        }
        Ok(())
    }

    /// Hashes the next bytes, with a stop where what was sent ends and one where the withheld end begins.
    fn hash(&mut self, mut nar: &[u8]) -> Result<(), TransferFault> {
        let tail = self.nar_size.saturating_sub(TAIL);
        for stop in [self.sent.position().min(tail), self.sent.position().max(tail)] {
            let ahead = stop.checked_sub(self.checked()).filter(|ahead| *ahead > 0);
            let ahead = ahead.and_then(|ahead| usize::try_from(ahead).ok());
            let Some((before, rest)) = ahead.and_then(|ahead| nar.split_at_checked(ahead)) else { continue };
            self.passed.pass(before);
            nar = rest;
            if stop == self.sent.position() && self.passed.digest() != self.sent.digest() {
                return Err(TransferFault::Diverged { position: stop });
            }
            if stop == tail {
                self.before_tail = Some(self.passed.clone());
            }
        }
        self.passed.pass(nar);
        Ok(())
    }
}

/// What of the bytes that end at `end` has not been sent before.
fn unsent(mut bytes: Bytes, end: &Mark, sent: &Mark) -> Option<Bytes> {
    let new = usize::try_from(end.position().saturating_sub(sent.position())).unwrap_or(usize::MAX);
    let old = bytes.len().saturating_sub(new);
    drop(bytes.split_to(old));
    (!bytes.is_empty()).then_some(bytes)
}

/// Bytes worth feeding at once: enough to fill buffers. Of less, much is spent on going in and out of steps.
pub const FEED: usize = 512 << 10;

/// Bytes of NAR after which a step ends; it may pass one input or buffer more than that.
pub const STEP_OUTPUT: u64 = 1 << 20;
