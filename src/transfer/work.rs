//! One batch of decoding and checking.

use crate::transfer::verify::{Mark, NarCheck, Passed, TransferFault};
use bytes::Bytes;
use tokio::task::JoinHandle;

/// Where the checking of a transfer stands.
#[derive(Debug)]
pub(super) enum Work {
    /// There is nothing to check with.
    None,
    /// Nothing is being worked on.
    Idle(Box<NarCheck>, Wants),
    /// A batch is on a blocking thread.
    Busy(JoinHandle<Result<Worked, TransferFault>>),
    /// Everything has been checked, or the transfer failed.
    Over,
}

/// What the check needs to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    Input,
    /// It holds input that it has not worked through: output is bounded for each step.
    Nothing,
}

/// What a batch gave.
#[derive(Debug)]
pub(super) enum Worked {
    More(Box<NarCheck>, Wants, Vec<Passed>),
    Done(Vec<Passed>),
}

/// Works through a batch; `is_last` says that nothing follows it.
pub(super) fn work(
    mut check: Box<NarCheck>,
    batch: Vec<Bytes>,
    is_last: bool,
) -> Result<Worked, TransferFault> {
    for bytes in batch {
        check.feed(bytes);
    }
    let step = check.step()?;
    if step.wants_input && is_last {
        let tail = check.finish()?;
        let mut output = step.output;
        // Nothing can follow it, so nobody will be held to it.
        output.push(Passed { bytes: tail.bytes, mark: Mark::start() });
        return Ok(Worked::Done(output));
    }
    let wants = if step.wants_input { Wants::Input } else { Wants::Nothing };
    Ok(Worked::More(check, wants, step.output))
}
