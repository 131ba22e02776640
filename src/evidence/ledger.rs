//! The handle that the service writes through.
//!
//! What is routine is put into a bounded queue and written in batches by the one writer, a thread of its own; a
//! refusal is answered when its row is written. Reading has a connection and a thread of its own, and waits for no
//! writing; it does not see what still waits to be written, which takes some 50 ms. A ledger that cannot be written or
//! read never stops serving: it is said loudly, counted and tried again.

use crate::evidence::backlog::{self, Backlog};
use crate::evidence::reader::Reader;
use crate::evidence::writer::Writer;
use crate::evidence::{Batch, Earlier, Tally};
use crate::format::{HashPart, SigningKey, StoreDir};
use crate::trust::Timestamp;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The evidence of a service that runs. Clones share it; with the last of them the writer ends.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    reader: Reader,
    lost: Seldom,
    late: Seldom,
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.shared.backlog.stop());
    }
}

/// How a ledger is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerTerms {
    /// How long (`evidence.keep`).
    pub keep: Duration,
    /// How many bytes it may have (`limits.evidence`).
    pub limit: u64,
    /// Where installed paths lie; what is known of them is kept for longer.
    pub store_dir: StoreDir,
}

/// How a ledger is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerStatus {
    /// How much there was when it was last looked at, which is at least once a second.
    pub tally: Tally,
    /// Rows that wait to be written.
    pub waiting: u64,
    /// Rows that were not written, since the start.
    pub lost: u64,
    /// What is wrong, and since when; `None` while it is written.
    pub trouble: Option<(Box<str>, Timestamp)>,
}

/// What the handle, the writer and the reader share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) backlog: Backlog,
    /// How often the ledger was opened: a reader of an earlier one opens it again.
    pub(super) opened: AtomicU64,
    known: Mutex<Known>,
    has_tried: Condvar,
}

/// What is known of the ledger, and how it is to be kept.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) terms: LedgerTerms,
    pub(super) key: Option<Arc<SigningKey>>,
    pub(super) tally: Tally,
    pub(super) trouble: Option<(Box<str>, Timestamp)>,
    pub(super) newest: Option<Timestamp>,
    pub(super) liars: Vec<Box<str>>,
    /// It has been opened, or that failed.
    pub(super) is_tried: bool,
}

impl Shared {
    pub(super) fn new(terms: LedgerTerms) -> Self {
        let known = Known {
            terms,
            key: None,
            tally: Tally::default(),
            trouble: None,
            newest: None,
            liars: Vec::new(),
            is_tried: false,
        };
        Self {
            backlog: Backlog::default(),
            opened: AtomicU64::new(0),
            known: Mutex::new(known),
            has_tried: Condvar::new(),
        }
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tried(&self) {
        self.known().is_tried = true;
        self.has_tried.notify_all();
    }

    fn wait_tried(&self, patience: Duration) {
        let waited = self.has_tried.wait_timeout_while(self.known(), patience, |known| !known.is_tried);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Ledger {
    /// The ledger in a state directory. Returns when it is open, or after two seconds; one that cannot be opened is said
    /// loudly and tried again, and never stops the start.
    pub fn open(state: &Path, terms: LedgerTerms) -> Self {
        let shared = Arc::new(Shared::new(terms));
        let writer = Writer::new(state.to_owned(), Arc::clone(&shared));
        let threads = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || writer.run())
            .and_then(|_| Reader::start(state.to_owned(), Arc::clone(&shared)));
        match threads {
            Ok(reader) => {
                shared.wait_tried(START);
                Self(Some(Arc::new(Inner {
                    shared,
                    reader,
                    lost: Seldom::default(),
                    late: Seldom::default(),
                })))
            }
            Err(error) => {
                tracing::error!("no evidence is kept: its thread cannot be started: {error}");
                drop(shared.backlog.stop());
                Self(None)
            }
        }
    }

    /// Goes on under other terms, as after a reload.
    pub fn set_terms(&self, terms: LedgerTerms) {
        if let Some(inner) = &self.0 {
            inner.shared.known().terms = terms;
            inner.shared.backlog.nudge();
        }
    }

    /// Signs heads with this key from now on. Without one, nothing is signed and no verdict is pruned.
    pub fn set_key(&self, key: SigningKey) {
        if let Some(inner) = &self.0 {
            inner.shared.known().key = Some(Arc::new(key));
            inner.shared.backlog.nudge();
        }
    }

    /// The time of the newest row when the ledger was opened, for the clock (design §3.1).
    pub fn newest(&self) -> Option<Timestamp> {
        self.0.as_ref().and_then(|inner| inner.shared.known().newest)
    }

    /// The caches that have delivered bytes that did not match, ever, as far as is kept.
    pub fn liars(&self) -> Vec<Box<str>> {
        self.0.as_ref().map_or_else(Vec::new, |inner| inner.shared.known().liars.clone())
    }

    /// How it is.
    pub fn status(&self) -> LedgerStatus {
        let Some(inner) = &self.0 else { return LedgerStatus::default() };
        let (waiting, lost) = inner.shared.backlog.counts();
        let known = inner.shared.known();
        LedgerStatus { tally: known.tally, waiting, lost, trouble: known.trouble.clone() }
    }

    /// Writes what waits, for at most two seconds, and signs a head. What is noted later is lost.
    pub async fn stop(&self) {
        let Some(inner) = &self.0 else { return };
        let closed = inner.shared.backlog.stop();
        if tokio::time::timeout(STOP, closed).await.is_err() {
            let (waiting, _) = inner.shared.backlog.counts();
            tracing::error!("the ledger could not be closed in time; {waiting} rows are lost");
        }
    }

    /// A ledger that keeps nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// What is known of a path from before: nothing, if that cannot be found out in time.
    pub async fn earlier(&self, path: HashPart) -> Earlier {
        match &self.0 {
            Some(inner) => inner.reader.earlier(path).await,
            None => Earlier::default(),
        }
    }

    /// Takes rows to be written soon. Never waits: where the queue is full they are lost, counted and said.
    pub fn note(&self, rows: Batch) {
        let Some(inner) = &self.0 else { return };
        if inner.shared.backlog.put(rows) > 0 && inner.lost.is_due() {
            let (_, lost) = inner.shared.backlog.counts();
            tracing::error!("{lost} rows of evidence are lost: they come faster than the ledger is written");
        }
    }

    /// Writes rows now, and returns when they are written; after a second, or where they cannot be, it says so and
    /// returns all the same.
    pub async fn record(&self, rows: Batch) {
        let Some(inner) = &self.0 else { return };
        if backlog::count(&rows) == 0 {
            return;
        }
        let written = inner.shared.backlog.put_urgent(rows);
        if !matches!(tokio::time::timeout(RECORD, written).await, Ok(Ok(()))) && inner.late.is_due() {
            tracing::error!("a verdict is answered before it is in the ledger, which cannot be written now");
        }
    }
}

/// What is said at most once a minute.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    /// Whether it is to be said now.
    pub(super) fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| last.elapsed() >= Duration::from_secs(60));
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

/// How long a start waits for the ledger.
const START: Duration = Duration::from_secs(2);

/// How long a stop waits for the last rows.
const STOP: Duration = Duration::from_secs(2);

/// How long a refusal waits for its row.
const RECORD: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
