//! What becomes of a transfer when a source fails: who is to blame, and what may be gone on with.

use super::{Transfer, TransferError};
use crate::evidence::Fate;
use crate::transfer::broken::Contribution;
use crate::transfer::decode::DecodeError;
use crate::transfer::fetch::Interrupted;
use crate::transfer::plan::Failure;
use crate::transfer::sources::Begun;
use crate::transfer::verify::TransferFault;
use crate::transfer::work::Work;
use std::sync::Arc;
use std::time::Instant;

impl Transfer {
    /// Takes note that the source failed, and keeps what may be gone on with.
    ///
    /// # Errors
    /// The failure, if another source would end the same.
    pub(super) fn fail(&mut self, error: TransferError) -> Result<(), TransferError> {
        self.note_pace();
        let work = std::mem::replace(&mut self.work, Work::None);
        let Some(input) = self.input.take() else { return Err(self.end(error)) };
        let error = match error {
            TransferError::Fault(fault) if is_cut(&fault) && input.fetch.may_be_short() => {
                Interrupted::Short.into()
            }
            other => other,
        };
        let source = input.source;
        self.note_part(source);
        let how = match &error {
            TransferError::Interrupted(Interrupted::Spool(_)) | TransferError::Withdrawn => {
                return Err(self.end(error));
            }
            TransferError::Interrupted(interrupted) => {
                self.sources.note_health(source, interrupted, input.began);
                self.sources.tell(source, Fate::BrokenOff);
                let front = match &work {
                    Work::Idle(check, _) => check.checked(),
                    _ => self.sent.position(),
                };
                let step = LEAST_STEP.max(self.demand.nar_size / MOST_STEPS);
                let got_on = front >= self.front.saturating_add(step);
                self.front = self.front.max(front);
                interrupted.failure(got_on)
            }
            TransferError::Fault(TransferFault::Diverged { .. }) => {
                self.diverged.push(source);
                Failure::Useless
            }
            TransferError::Fault(_) if self.is_mixed => {
                self.sources.may_resume = false;
                Failure::Cut { got_on: false }
            }
            TransferError::Fault(fault) => {
                self.sources.tell(source, Fate::False);
                if matches!(fault, TransferFault::ContentMismatch(_)) {
                    return Err(self.end(error));
                }
                Failure::Useless
            }
            TransferError::Undecodable | TransferError::NoSource | TransferError::Lost(_) => Failure::Useless,
        };
        let at = self.sent.position();
        self.sources.failed(source, how, at, &error);
        self.begun = None;
        match error {
            TransferError::Interrupted(interrupted) => {
                if let Work::Idle(check, wants) = work {
                    let (received, decoded) = (check.received(), check.checked());
                    self.begun = Some(Begun { source, tag: input.tag, received, decoded });
                    self.work = Work::Idle(check, wants);
                }
                self.failures.push(interrupted);
            }
            error => self.fault = Some(error),
        }
        Ok(())
    }

    /// Nobody is left: a lie weighs more than silence, since what was given out may be part of it. The next request is
    /// then for a whole that is checked first, as it is where a cache that has lied may still deliver.
    pub(super) fn give_up(&mut self) -> TransferError {
        let fault = self.fault.take();
        let must_be_whole = fault.is_some() || self.sources.leaves_liars_out();
        if let Some(broken) = self.stands.as_ref().filter(|_| must_be_whole && self.sent.position() > 0) {
            broken.add(self.demand.nar_hash, std::mem::take(&mut self.parts));
        }
        let error = fault.or_else(|| self.failures.pop().map(TransferError::from));
        self.end(error.unwrap_or(TransferError::NoSource))
    }

    fn end(&mut self, error: TransferError) -> TransferError {
        (self.work, self.input, self.memory) = (Work::Over, None, None);
        self.checked.clear();
        error
    }

    /// Remembers who gave the last part of what went out, while that may matter.
    fn note_part(&mut self, source: usize) {
        let (last, sent) = (self.parts.last().map_or(0, |part| part.end.position()), self.sent.position());
        if sent > last
            && self.parts.len() < MOST_PARTS
            && let Some(cache) = self.sources.cache(source).filter(|_| self.stands.is_some())
        {
            self.parts.push(Contribution { cache: Arc::clone(cache), end: self.sent.clone() });
        }
    }

    pub(super) fn note_pace(&self) {
        let Some(input) = &self.input else { return };
        let tempo = input.fetch.tempo();
        if let Some(cache) = self.sources.cache(input.source) {
            cache.note_pace(|pace| pace.delivered(tempo.received, tempo.waited, Instant::now()));
        }
    }
}

/// A fault that is nothing but an early end.
fn is_cut(fault: &TransferFault) -> bool {
    matches!(fault, TransferFault::TooShort { .. } | TransferFault::Decode(DecodeError::Truncated { .. }))
}

/// A source that brought so many further bytes of the NAR got on …
const LEAST_STEP: u64 = 64 << 10;

/// … or this part of it, so that a source that always breaks off is tried some hundreds of times at most.
const MOST_STEPS: u64 = 256;

/// Parts that are remembered of one NAR.
const MOST_PARTS: usize = 64;
