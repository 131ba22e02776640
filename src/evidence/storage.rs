//! The interface behind which rows are kept, so that another database can take SQLite's place.

use crate::evidence::{
    BuildRow, ChainHash, Chained, ClaimRow, ClaimSeen, EventKind, EventRow, FateRow, Head, Outcome,
    SignedHead, VerdictRow,
};
use crate::format::{HashPart, StorePath};
use crate::trust::Timestamp;
use std::ops::ControlFlow;
use std::path::PathBuf;

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

    /// The rows in two parts, of which neither is empty if there are two rows or more.
    #[must_use]
    pub fn halves(mut self) -> (Self, Self) {
        fn half<T>(rows: &mut Vec<T>, takes_odd: &mut bool) -> Vec<T> {
            let middle = if *takes_odd { rows.len() / 2 } else { rows.len().div_ceil(2) };
            *takes_odd ^= rows.len() % 2 == 1;
            rows.split_off(middle)
        }
        let mut odd = false;
        let behind = Self {
            claims: half(&mut self.claims, &mut odd),
            verdicts: half(&mut self.verdicts, &mut odd),
            events: half(&mut self.events, &mut odd),
            fates: half(&mut self.fates, &mut odd),
            builds: half(&mut self.builds, &mut odd),
        };
        (self, behind)
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

/// One piece of what [`crate::evidence::verify()`] looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The checkpoint, as stored.
    Checkpoint(Box<str>),
    /// A signed head, as stored.
    Head {
        /// Under which number it is kept.
        serial: u64,
        /// What is kept.
        text: Box<str>,
    },
    /// A verdict.
    Row(Chained),
    /// A row that does not read back as a verdict.
    Unreadable {
        /// Its number.
        number: u64,
        /// What is wrong with it.
        why: Box<str>,
    },
}

/// What can grow old, besides verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Claims, by when they were last heard.
    Claims,
    /// Those of them that were never credible.
    Noise,
    /// Events, by when they were last seen.
    Events,
    /// What became of bytes.
    Fates,
    /// What was built here.
    Builds,
}

/// A row that has grown old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aged {
    /// What the storage knows it by, and its place in the order of [`Storage::aged`].
    pub key: [i64; 3],
    /// The path that it is about, where that is known.
    pub path: Option<StorePath>,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes of the database that are in use.
    pub bytes: u64,
    /// Verdicts that are kept.
    pub verdicts: u64,
    /// Claims that are kept.
    pub claims: u64,
    /// Bytes that the claims take that were never credible, about.
    pub noise: u64,
}

/// Where rows are handed one by one; it may say that it has had enough.
pub type Each<'a, T> = &'a mut dyn FnMut(T) -> ControlFlow<()>;

/// Signs heads and checkpoints.
pub type Sign<'a> = &'a dyn Fn(Head) -> SignedHead;

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The file cannot be opened or made.
    #[error("cannot open the ledger {path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// A later version of the program made it.
    #[error(
        "the ledger {path} is of a newer version ({found}) than this program knows ({known}): upgrade it"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version it has.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// Another program holds it for longer than we wait.
    #[error("the ledger {path} is locked by another program")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// What is in the file is no ledger, or a damaged one.
    #[error("the ledger {path} is damaged: {source}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the database says.
        source: Source,
    },
    /// The file is not the one that was opened: it was removed, or another one put in its place.
    #[error("the ledger {path} was removed or replaced while it was in use")]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// A row that the database cannot take, as it is.
    #[error("a row does not fit into the ledger {path}: {source}")]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What the database says.
        source: Source,
    },
    /// Anything else that the database says: a full disk, one that cannot be written.
    #[error("the ledger {path} cannot be used: {source}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What the database says.
        source: Source,
    },
}

/// What a database says.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Where evidence is kept. One value is one connection; calls block.
pub trait Storage: Send + std::fmt::Debug {
    /// Writes a batch: all of it or nothing, and chained to what is there. A batch with a refusal is on the disk
    /// when this returns; any other survives the process, and perhaps not the machine's end.
    ///
    /// A verdict that says what the last one on its path said less than a day ago is not written again. Of what one cache
    /// claims of one path at most 8 noise claims are kept and 32 others, the last heard.
    ///
    /// # Errors
    /// [`StorageError`]; nothing was written.
    fn write(&mut self, batch: &Batch) -> Result<(), StorageError>;

    /// What is known of a path. A row that does not read back is left out.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be read.
    fn earlier(&mut self, path: HashPart) -> Result<Earlier, StorageError>;

    /// The verdicts that a filter admits, the last written first.
    ///
    /// # Errors
    /// [`StorageError`] if they cannot be read.
    fn verdicts(&mut self, filter: &Filter, each: Each<'_, Chained>) -> Result<(), StorageError>;

    /// The claims that a filter admits, path by path.
    ///
    /// # Errors
    /// [`StorageError`] if they cannot be read.
    fn claims(&mut self, filter: &Filter, each: Each<'_, ClaimRow>) -> Result<(), StorageError>;

    /// The events that a filter admits, the last seen first.
    ///
    /// # Errors
    /// [`StorageError`] if they cannot be read.
    fn events(&mut self, filter: &Filter, each: Each<'_, EventRow>) -> Result<(), StorageError>;

    /// What became of bytes, of which a filter looks at the time and the cache; the last first.
    ///
    /// # Errors
    /// [`StorageError`] if they cannot be read.
    fn fates(&mut self, filter: &Filter, each: Each<'_, FateRow>) -> Result<(), StorageError>;

    /// The builds that a filter admits by time, path and package, the last first.
    ///
    /// # Errors
    /// [`StorageError`] if they cannot be read.
    fn builds(&mut self, filter: &Filter, each: Each<'_, BuildRow>) -> Result<(), StorageError>;

    /// All that [`crate::evidence::verify()`] looks at, as it is at one moment: the checkpoint, every head in their order,
    /// then every verdict in theirs.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be read.
    fn chain(&mut self, each: Each<'_, Piece>) -> Result<(), StorageError>;

    /// The number and hash of the last verdict; `None` where there has never been one.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be read.
    fn last(&mut self) -> Result<Option<(u64, ChainHash)>, StorageError>;

    /// The last signed head, as stored.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be read.
    fn last_head(&mut self) -> Result<Option<Box<str>>, StorageError>;

    /// Has a head signed for the last verdict and keeps it, on the disk; where there is none yet, for the number 0, so
    /// that there is a head before there is a verdict. `None` where the last head is of that verdict already.
    ///
    /// # Errors
    /// [`StorageError`]; nothing was written.
    fn seal(&mut self, now: Timestamp, sign: Sign<'_>) -> Result<Option<SignedHead>, StorageError>;

    /// The time of the newest row since the clock was last reset.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be read.
    fn newest(&mut self) -> Result<Option<Timestamp>, StorageError>;

    /// Notes that the clock was reset to `now`: a verdict row says from when, and rows from before it no longer count
    /// for [`Self::newest`]. Returns that time.
    ///
    /// # Errors
    /// [`StorageError`]; nothing was written.
    fn reset_clock(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StorageError>;

    /// The caches that have delivered bytes that did not match.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be read.
    fn liars(&mut self) -> Result<Vec<Box<str>>, StorageError>;

    /// How much there is.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be read.
    fn tally(&mut self) -> Result<Tally, StorageError>;

    /// The oldest verdicts that are kept, at most so many, in their order. What does not read back ends them.
    ///
    /// # Errors
    /// [`StorageError`] if they cannot be read.
    fn oldest(&mut self, limit: usize) -> Result<Vec<Chained>, StorageError>;

    /// Removes the verdicts up to this number, all or nothing: those that are to be carried are written again at the
    /// end first, and a checkpoint is signed for the last one removed. The last verdict of all stays. Returns how many
    /// are gone from where they were.
    ///
    /// # Errors
    /// [`StorageError`]; nothing was written.
    fn prune(
        &mut self,
        through: u64,
        carry: &[Chained],
        now: Timestamp,
        sign: Sign<'_>,
    ) -> Result<u64, StorageError>;

    /// Rows of a kind from before a time, at most so many: those that come behind a key, in the order in which they are
    /// to go.
    ///
    /// # Errors
    /// [`StorageError`] if they cannot be read.
    fn aged(
        &mut self,
        kind: Kind,
        before: Timestamp,
        behind: Option<[i64; 3]>,
        limit: usize,
    ) -> Result<Vec<Aged>, StorageError>;

    /// Removes rows of a kind.
    ///
    /// # Errors
    /// [`StorageError`]; nothing was removed.
    fn remove(&mut self, kind: Kind, keys: &[[i64; 3]]) -> Result<(), StorageError>;
}
