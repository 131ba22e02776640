//! One NAR on its way: fetched, decoded, hashed and parsed, and given out only as far as it is checked.
//!
//! The socket is read here; decoding, hashing and parsing run on a blocking thread, a batch at a time, so
//! that neither a slow client nor a slow source holds a thread. While a batch is being worked on the next is
//! read. Where there is nothing to decode, what was read is hashed and parsed at once, in the task that read it:
//! that takes some 0.2 ms, and another thread would have to be woken for it. The bytes that [`NarCheck`]
//! withholds come last, when everything agrees and the verdict still holds.

use crate::transfer::fetch::{Fetch, Interrupted};
use crate::transfer::verify::{NarCheck, TransferFault};
use crate::transfer::withdrawn::Withdrawn;
use crate::upstream::RemoteCache;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

/// A NAR being transferred from one source.
#[derive(Debug)]
pub struct Transfer {
    cache: Arc<RemoteCache>,
    source: Fetch,
    ended: bool,
    gathered: Vec<Bytes>,
    gathered_size: usize,
    work: Work,
    checked: VecDeque<Bytes>,
    /// Threads' worth of work that may go on at once.
    cpu: Arc<Semaphore>,
    withdrawn: Withdrawn,
    /// What the decoder holds of the memory budget.
    _memory: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Work {
    /// Nothing is being worked on.
    Idle(Box<NarCheck>, Wants),
    /// A batch is on a blocking thread.
    Busy(JoinHandle<Result<Worked, TransferFault>>),
    /// Everything has been given out, or the transfer failed.
    Over,
}

/// What the check needs to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    Input,
    /// It holds input that it has not worked through: output is bounded for each step.
    Nothing,
}

#[derive(Debug)]
enum Worked {
    More(Box<NarCheck>, Wants, Vec<Bytes>),
    Done(Vec<Bytes>),
}

/// Why a transfer ended before its last byte.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The source stopped.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The bytes are not what was endorsed.
    #[error("the bytes are not what was endorsed: {0}")]
    Fault(#[from] TransferFault),
    /// The source's compression is not one that is decoded here.
    #[error("the source's compression is not one that is decoded here")]
    Undecodable,
    /// The verdict was withdrawn meanwhile.
    #[error("the verdict was withdrawn")]
    Withdrawn,
    /// The work ended without a result.
    #[error("decoding ended early: {0}")]
    Lost(#[from] tokio::task::JoinError),
}

impl Transfer {
    pub(super) fn new(
        cache: Arc<RemoteCache>,
        source: Fetch,
        check: NarCheck,
        first: Vec<Bytes>,
        cpu: Arc<Semaphore>,
        withdrawn: Withdrawn,
        memory: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            cache,
            source,
            ended: false,
            gathered_size: first.iter().map(Bytes::len).sum(),
            gathered: first,
            work: Work::Idle(Box::new(check), Wants::Input),
            checked: VecDeque::new(),
            cpu,
            withdrawn,
            _memory: memory,
        }
    }

    /// The next checked bytes; `None` after the last, when all has agreed.
    ///
    /// # Errors
    /// [`TransferError`]; nothing more comes after it.
    pub async fn next(&mut self) -> Result<Option<Bytes>, TransferError> {
        let next = self.advance().await;
        if let Err(error) = &next {
            if matches!(error, TransferError::Fault(_)) {
                self.cache.mark_liar();
            }
            self.work = Work::Over;
            self.checked.clear();
        }
        next
    }

    async fn advance(&mut self) -> Result<Option<Bytes>, TransferError> {
        loop {
            match &mut self.work {
                Work::Idle(_, wants) => {
                    let wants = *wants;
                    if wants == Wants::Input {
                        if let Some(bytes) = self.checked.pop_front_if(|_| self.gathered.is_empty()) {
                            return Ok(Some(bytes));
                        }
                        self.gather().await?;
                    }
                    self.start().await?;
                }
                Work::Busy(job) => {
                    if let Some(bytes) = self.checked.pop_front() {
                        return Ok(Some(bytes));
                    }
                    let has_room = !self.ended && self.gathered_size < BATCH;
                    tokio::select! {
                        biased;
                        worked = &mut *job => {
                            let worked = worked??;
                            self.apply(worked)?;
                        }
                        frame = self.source.frame(), if has_room => match frame? {
                            Some(bytes) => {
                                self.gathered_size = self.gathered_size.saturating_add(bytes.len());
                                self.gathered.push(bytes);
                            }
                            None => self.ended = true,
                        },
                    }
                }
                Work::Over => return Ok(self.checked.pop_front()),
            }
        }
    }

    /// Reads until there is a frame to work on, or the source has ended.
    async fn gather(&mut self) -> Result<(), TransferError> {
        if self.gathered.is_empty() && !self.ended {
            match self.source.frame().await? {
                Some(bytes) => {
                    self.gathered_size = bytes.len();
                    self.gathered.push(bytes);
                }
                None => self.ended = true,
            }
        }
        Ok(())
    }

    /// Puts what has been gathered to work, or does the work where it is little.
    async fn start(&mut self) -> Result<(), TransferError> {
        let permit = Arc::clone(&self.cpu).acquire_owned().await;
        let Work::Idle(check, wants) = std::mem::replace(&mut self.work, Work::Over) else { return Ok(()) };
        let batch = if wants == Wants::Input { std::mem::take(&mut self.gathered) } else { Vec::new() };
        if wants == Wants::Input {
            self.gathered_size = 0;
        }
        let is_last = self.ended && self.gathered.is_empty();
        if check.is_plain() {
            let worked = work(check, batch, is_last)?;
            return self.apply(worked);
        }
        self.work = Work::Busy(tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(check, batch, is_last)
        }));
        Ok(())
    }

    fn apply(&mut self, worked: Worked) -> Result<(), TransferError> {
        match worked {
            Worked::More(check, wants, output) => {
                self.checked.extend(output);
                self.work = Work::Idle(check, wants);
            }
            Worked::Done(output) => {
                if self.withdrawn.is_raised() {
                    return Err(TransferError::Withdrawn);
                }
                self.checked.extend(output);
                self.work = Work::Over;
            }
        }
        Ok(())
    }
}

/// Works through a batch; `is_last` says that nothing follows it.
fn work(mut check: Box<NarCheck>, batch: Vec<Bytes>, is_last: bool) -> Result<Worked, TransferFault> {
    for bytes in batch {
        check.feed(bytes);
    }
    let step = check.step()?;
    if step.wants_input && is_last {
        let tail = check.finish()?;
        let mut output = step.output;
        output.push(tail.bytes);
        return Ok(Worked::Done(output));
    }
    let wants = if step.wants_input { Wants::Input } else { Wants::Nothing };
    Ok(Worked::More(check, wants, step.output))
}

/// Compressed bytes that are read ahead for one batch of work.
const BATCH: usize = 512 * 1024;
