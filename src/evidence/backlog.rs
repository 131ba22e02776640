//! What waits to be written: bounded, taken in batches, and never waited for by those who put it.
//!
//! The writer sleeps until there is something; routine rows gather for a moment before they are taken, so that many
//! questions share a transaction and only the first of them wakes anybody. A refusal wakes the writer at once, and is
//! taken before what is routine.

use crate::evidence::{Batch, ClaimSeen, VerdictRow};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What waits, shared by those who put and the one who takes.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    routine: VecDeque<Batch>,
    rows: usize,
    bytes: usize,
    /// When the first of them came.
    since: Option<Instant>,
    urgent: Vec<(Batch, Ack)>,
    /// Somebody wants the writer to look around.
    is_nudged: bool,
    stop: Option<oneshot::Sender<()>>,
    is_stopping: bool,
    lost: u64,
    /// Rows that the writer has taken and is not done with.
    in_hand: usize,
}

/// Told when rows are written, or dropped when they cannot be.
pub(super) type Ack = oneshot::Sender<()>;

/// What there is to do.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// To be written now, and told of.
    pub(super) urgent: Vec<(Batch, Ack)>,
    /// To be written.
    pub(super) routine: Vec<Batch>,
    /// The ledger is to be closed once nothing is left.
    pub(super) is_stopping: bool,
}

impl Backlog {
    /// Adds what is routine. Returns how many rows are lost because there is no room.
    pub(super) fn put(&self, rows: Batch) -> u64 {
        let mut waiting = self.lock();
        let was = waiting.rows;
        let lost = waiting.add(rows, false);
        let is_worth_waking = (was == 0 || (was < FULL && waiting.rows >= FULL)) && lost == 0;
        drop(waiting);
        if is_worth_waking {
            self.wake.notify_one();
        }
        lost
    }

    /// Adds what somebody waits for.
    pub(super) fn put_urgent(&self, rows: Batch) -> oneshot::Receiver<()> {
        let (ack, written) = oneshot::channel();
        let mut waiting = self.lock();
        if waiting.is_stopping {
            waiting.lose(count(&rows));
        } else if waiting.urgent.len() < MOST_URGENT {
            waiting.urgent.push((rows, ack));
        } else {
            waiting.add(rows, false);
        }
        drop(waiting);
        self.wake.notify_one();
        written
    }

    /// Puts back what could not be written, in front of what came since. What has no room is lost.
    pub(super) fn put_back(&self, rows: Batch) {
        self.lock().add(rows, true);
    }

    /// Counts rows as lost.
    pub(super) fn lose(&self, rows: u64) {
        self.lock().lose(rows);
    }

    /// Has the writer look around.
    pub(super) fn nudge(&self) {
        self.lock().is_nudged = true;
        self.wake.notify_one();
    }

    /// Has the writer finish. The answer comes when it has.
    pub(super) fn stop(&self) -> oneshot::Receiver<()> {
        let (done, is_done) = oneshot::channel();
        let mut waiting = self.lock();
        waiting.is_stopping = true;
        waiting.stop = Some(done);
        drop(waiting);
        self.wake.notify_one();
        is_done
    }

    /// Rows that are not written yet, and rows that were lost.
    pub(super) fn counts(&self) -> (u64, u64) {
        let waiting = self.lock();
        let urgent: usize = waiting.urgent.iter().map(|(rows, _)| count(rows)).sum();
        let all = waiting.rows.saturating_add(urgent).saturating_add(waiting.in_hand);
        (u64::try_from(all).unwrap_or(u64::MAX), waiting.lost)
    }

    /// Whether somebody waits for a row to be written.
    pub(super) fn is_urgent(&self) -> bool {
        let waiting = self.lock();
        !waiting.urgent.is_empty() || waiting.is_stopping
    }

    /// Waits for something to do, at most until then; `in_trouble`, what is routine is left to wait.
    pub(super) fn take(&self, until: Instant, in_trouble: bool) -> Work {
        let mut waiting = self.lock();
        // Whoever comes for more is done with what there was.
        waiting.in_hand = 0;
        loop {
            let ripe = waiting
                .since
                .filter(|_| !in_trouble)
                .and_then(|since| if waiting.rows >= FULL { Some(since) } else { since.checked_add(GATHER) });
            let now = Instant::now();
            let is_ripe = ripe.is_some_and(|ripe| ripe <= now);
            let is_nudged = std::mem::take(&mut waiting.is_nudged);
            if !waiting.urgent.is_empty() || waiting.is_stopping || is_ripe || is_nudged || until <= now {
                let urgent = std::mem::take(&mut waiting.urgent);
                let take_routine = (is_ripe && urgent.is_empty()) || waiting.is_stopping;
                let routine = if take_routine { waiting.take_routine() } else { Vec::new() };
                let taken = urgent.iter().map(|(rows, _)| rows).chain(&routine).map(count);
                waiting.in_hand = taken.fold(0, usize::saturating_add);
                return Work { urgent, routine, is_stopping: waiting.is_stopping };
            }
            let wait = ripe.map_or(until, |ripe| ripe.min(until)).saturating_duration_since(now);
            waiting = self.wake.wait_timeout(waiting, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Tells whoever stopped the ledger that it is closed.
    pub(super) fn closed(&self) {
        let mut waiting = self.lock();
        waiting.urgent.clear();
        waiting.in_hand = 0;
        if let Some(done) = waiting.stop.take() {
            // Whoever gave up waiting does not need to know.
            done.send(()).unwrap_or_default();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn add(&mut self, rows: Batch, in_front: bool) -> u64 {
        let (count, bytes) = (count(&rows), bytes(&rows));
        if count == 0 {
            return 0;
        }
        let has_room = self.rows.saturating_add(count) <= MOST_ROWS
            && self.bytes.saturating_add(bytes) <= MOST_BYTES
            && (in_front || !self.is_stopping);
        if !has_room {
            return self.lose(count);
        }
        self.rows = self.rows.saturating_add(count);
        self.bytes = self.bytes.saturating_add(bytes);
        self.since = self.since.or_else(|| Some(Instant::now()));
        if in_front {
            self.routine.push_front(rows);
        } else {
            self.routine.push_back(rows);
        }
        0
    }

    fn lose(&mut self, rows: impl TryInto<u64>) -> u64 {
        let rows = rows.try_into().unwrap_or(u64::MAX);
        self.lost = self.lost.saturating_add(rows);
        rows
    }

    /// One transaction's worth.
    fn take_routine(&mut self) -> Vec<Batch> {
        let (mut taken, mut rows) = (Vec::new(), 0_usize);
        while rows < FULL {
            let Some(batch) = self.routine.pop_front() else { break };
            rows = rows.saturating_add(count(&batch));
            self.bytes = self.bytes.saturating_sub(bytes(&batch));
            taken.push(batch);
        }
        self.rows = self.rows.saturating_sub(rows);
        // What is left has waited long enough.
        self.since = if self.routine.is_empty() { None } else { self.since };
        taken
    }
}

/// How many rows there are.
pub(super) fn count(rows: &Batch) -> usize {
    let Batch { claims, verdicts, events, fates, builds } = rows;
    [claims.len(), verdicts.len(), events.len(), fates.len(), builds.len()]
        .into_iter()
        .fold(0, usize::saturating_add)
}

/// The memory that rows take, about; fates and builds are small.
pub(super) fn bytes(rows: &Batch) -> usize {
    let claim = |seen: &ClaimSeen| {
        let signatures = seen.signatures.len().saturating_mul(128);
        seen.core.references.len().saturating_mul(80).saturating_add(signatures)
    };
    let verdict = |row: &VerdictRow| {
        let heard = row.heard.len().saturating_mul(128);
        row.reason.len().saturating_add(heard)
    };
    let claims = rows.claims.iter().map(claim);
    let verdicts = rows.verdicts.iter().map(verdict);
    let events = rows.events.iter().map(|row| row.before.len().saturating_add(row.after.len()));
    let all = claims.chain(verdicts).chain(events).fold(0, usize::saturating_add);
    all.saturating_add(count(rows).saturating_mul(512))
}

/// How long routine rows gather.
const GATHER: Duration = Duration::from_millis(50);

/// So many rows are enough for a transaction; it then takes some 20 ms.
const FULL: usize = 512;

/// So many rows may wait: what a busy proxy says in the seconds that a disk may hang.
const MOST_ROWS: usize = 8192;

/// So much memory they may take: a claim may list 20,000 references.
const MOST_BYTES: usize = 32 << 20;

/// So many refusals are waited for at a time; 128 questions are under way at most.
const MOST_URGENT: usize = 512;

#[cfg(test)]
mod tests;
