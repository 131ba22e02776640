//! The interface behind which rows are kept, so that another database can take SQLite's place.

use crate::evidence::{BuildRow, ClaimRow, ClaimSeen, EventKind, EventRow, FateRow, Outcome, VerdictRow};
use crate::format::HashPart;
use crate::trust::Timestamp;

/// Rows to be written in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Claims that were heard.
    pub claims: Vec<ClaimSeen>,
    /// Verdicts that were reached, in their order.
    pub verdicts: Vec<VerdictRow>,
    /// Events; each is counted on the row of its kind, path and party.
    pub events: Vec<EventRow>,
    /// What became of bytes.
    pub fates: Vec<FateRow>,
    /// What was built here.
    pub builds: Vec<BuildRow>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty()
            && self.verdicts.is_empty()
            && self.events.is_empty()
            && self.fates.is_empty()
            && self.builds.is_empty()
    }

    /// Adds another's rows behind these.
    pub fn append(&mut self, mut other: Self) {
        self.claims.append(&mut other.claims);
        self.verdicts.append(&mut other.verdicts);
        self.events.append(&mut other.events);
        self.fates.append(&mut other.fates);
        self.builds.append(&mut other.builds);
    }
}

/// What is known of one path from before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// Every claim that is kept, the last heard first.
    pub claims: Vec<ClaimRow>,
    /// Every build of it here, the last first.
    pub builds: Vec<BuildRow>,
}

/// Which rows to read; what is not set does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Not before this.
    pub since: Option<Timestamp>,
    /// Before this.
    pub until: Option<Timestamp>,
    /// About this path.
    pub path: Option<HashPart>,
    /// About packages whose name matches this glob (`*` and `?`, as in `packages`).
    pub package: Option<Box<str>>,
    /// In which this cache said something.
    pub cache: Option<Box<str>>,
    /// In which this signer vouches.
    pub signer: Option<Box<str>>,
    /// With this label of a reason.
    pub reason: Option<Box<str>>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// Events of this kind.
    pub event: Option<EventKind>,
}

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Replaced by the real ones.
    #[error("the ledger cannot be used")]
    Unusable,
}

/// Where evidence is kept. One value is one connection; calls block.
pub trait Storage: Send + std::fmt::Debug {
    /// Writes a batch: all of it or nothing, and chained to what is there.
    ///
    /// # Errors
    /// [`StorageError`]; nothing was written.
    fn write(&mut self, batch: &Batch) -> Result<(), StorageError>;

    /// What is known of a path.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be read.
    fn earlier(&mut self, path: HashPart) -> Result<Earlier, StorageError>;
}
