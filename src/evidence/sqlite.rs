//! `evidence.db`: evidence in SQLite, in WAL mode.
//!
//! ```text
//! caches      the names of caches, numbered
//! cores       what is claimed of paths, each core once: path, NarHash, NarSize, references
//! claims      one row for each core and cache: signatures, first and last seen, when credible, how often
//! verdicts    what was decided, numbered without gaps, each row with the hash that chains it to the one before
//! heads       signed heads of that chain, as text (`chain`)
//! checkpoint  the signed checkpoint, where verdicts have been pruned
//! events      one row for each kind, path and party
//! fates       one row for each NAR, cache and fate
//! builds      what was built here
//! tally       the time of the newest row, the number of claims, and the bytes that noise takes
//! ```
//!
//! Hashes are blobs of their bytes, times are whole seconds, `claims.day` is the day of `last_seen`, by which claims
//! grow old, and `claims.weight` the bytes that a claim takes, about. `refs`, `signatures`, `heard`, `deriver` and
//! `derivation` are as `codec` writes them. The version of the schema is SQLite's `user_version`; the database of a newer
//! program is refused.
//!
//! `synchronous = NORMAL`: what was committed survives the process. A batch with a refusal and a signed head are
//! synced besides, so that they survive the machine: a refusal is what somebody tried, it is rare, and whoever caused it
//! may be able to cut the power. A pruning that a power cut undoes is done again.

use crate::crash;
use crate::evidence::{
    Aged, Batch, BuildRow, ChainHash, Chained, ClaimRow, Each, Earlier, EventRow, FateRow, Filter, Kind,
    Outcome, Piece, Sign, SignedHead, Storage, StorageError, Tally,
};
use crate::format::HashPart;
use crate::trust::Timestamp;
use crate::wal;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod prune;
mod read;
mod schema;
mod write;

/// How a ledger is opened.
#[derive(Clone, Debug)]
pub struct Terms {
    /// How long another program may hold the database.
    pub patience: Duration,
    /// How many bytes it may have (`limits.evidence`). Noise may have a sixteenth of it.
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
    database: Connection,
    path: PathBuf,
    /// Which file it is, by device and number.
    file: (u64, u64),
    /// The numbers of caches, as far as they were needed.
    caches: HashMap<Box<str>, i64>,
    terms: Terms,
}

impl Sqlite {
    /// The ledger in a state directory, made if it is not there, with mode 0600.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be opened or made, is damaged, or of a newer version.
    pub fn open(state: &Path, terms: &Terms) -> Result<Self, StorageError> {
        let path = state.join(FILE);
        wal::make(&path).map_err(|source| StorageError::Open { path: path.clone(), source })?;
        Self::open_at(path, terms)
    }

    /// The same, `None` if there is none yet.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_existing(state: &Path, terms: &Terms) -> Result<Option<Self>, StorageError> {
        let path = state.join(FILE);
        match path.try_exists() {
            Ok(true) => Self::open_at(path, terms).map(Some),
            Ok(false) => Ok(None),
            Err(source) => Err(StorageError::Open { path, source }),
        }
    }

    fn open_at(path: PathBuf, terms: &Terms) -> Result<Self, StorageError> {
        let file = identity(&path).map_err(|source| StorageError::Open { path: path.clone(), source })?;
        let opened = Connection::open(&path).and_then(|mut database| {
            database.busy_timeout(terms.patience)?;
            // Plans do not look at the values that are bound; else a statement is compiled anew whenever it is given
            // another value, which costs ten times what it does.
            database.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
            database.set_prepared_statement_cache_capacity(64);
            wal::write_ahead(&database, terms.patience)?;
            database.execute_batch(PRAGMAS)?;
            let found = schema::migrate(&mut database, schema::VERSIONS)?;
            Ok((database, found))
        });
        let (database, found) = opened.map_err(|source| failed(&path, source))?;
        let known = i64::try_from(schema::VERSIONS.len()).unwrap_or(i64::MAX);
        if found > known {
            return Err(StorageError::Newer { path, found, known });
        }
        Ok(Self { database, path, file, caches: HashMap::new(), terms: terms.clone() })
    }

    /// Leaves the log to somebody else to be moved into the database, but for one that has grown long.
    ///
    /// # Errors
    /// [`StorageError`] if the database refuses.
    pub(super) fn leave_log(&self) -> Result<(), StorageError> {
        self.read(|database| database.pragma_update(None, "wal_autocheckpoint", LONG_LOG))
    }

    /// Goes on with another limit.
    pub fn set_limit(&mut self, limit: u64) {
        self.terms.limit = limit;
    }

    /// One change: all of it or nothing, and durable beyond the machine where that is asked for.
    fn change<T>(
        &mut self,
        synced: bool,
        change: impl FnOnce(&Transaction<'_>, &mut HashMap<Box<str>, i64>, &Terms) -> rusqlite::Result<T>,
    ) -> Result<T, StorageError> {
        if identity(&self.path).ok() != Some(self.file) {
            return Err(StorageError::Replaced { path: self.path.clone() });
        }
        let Self { database, caches, terms, .. } = self;
        let mut done = Ok(());
        if synced {
            done = database.pragma_update(None, "synchronous", "FULL");
        }
        let done = done.and_then(|()| {
            let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = change(&transaction, caches, terms)?;
            crash::point("changed", &"the ledger");
            transaction.commit()?;
            crash::point("committed", &"the ledger");
            Ok(value)
        });
        if synced {
            // It was understood the first time, and a failure would only leave more to be synced.
            self.database.pragma_update(None, "synchronous", "NORMAL").unwrap_or_default();
        }
        done.map_err(|source| {
            // A number that was given out and taken back is not the cache's.
            self.caches.clear();
            failed(&self.path, source)
        })
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StorageError> {
        read(&self.database).map_err(|source| failed(&self.path, source))
    }

    /// Several reads of one moment.
    fn at_once<T>(
        &mut self,
        read: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StorageError> {
        let done = self.database.transaction().and_then(|transaction| read(&transaction));
        done.map_err(|source| failed(&self.path, source))
    }
}

impl Storage for Sqlite {
    fn write(&mut self, batch: &Batch) -> Result<(), StorageError> {
        let synced = batch.verdicts.iter().any(|row| row.outcome == Outcome::Refuse);
        self.change(synced, |transaction, caches, terms| write::batch(transaction, caches, terms, batch))
    }

    fn earlier(&mut self, path: HashPart) -> Result<Earlier, StorageError> {
        self.read(|database| read::earlier(database, path))
    }

    fn verdicts(&mut self, filter: &Filter, each: Each<'_, Chained>) -> Result<(), StorageError> {
        self.read(|database| read::verdicts(database, filter, each))
    }

    fn claims(&mut self, filter: &Filter, each: Each<'_, ClaimRow>) -> Result<(), StorageError> {
        self.read(|database| read::claims(database, filter, each))
    }

    fn events(&mut self, filter: &Filter, each: Each<'_, EventRow>) -> Result<(), StorageError> {
        self.read(|database| read::events(database, filter, each))
    }

    fn fates(&mut self, filter: &Filter, each: Each<'_, FateRow>) -> Result<(), StorageError> {
        self.read(|database| read::fates(database, filter, each))
    }

    fn builds(&mut self, filter: &Filter, each: Each<'_, BuildRow>) -> Result<(), StorageError> {
        self.read(|database| read::builds(database, filter, each))
    }

    fn chain(&mut self, each: Each<'_, Piece>) -> Result<(), StorageError> {
        self.at_once(|transaction| read::chain(transaction, each))
    }

    fn last(&mut self) -> Result<Option<(u64, ChainHash)>, StorageError> {
        let (number, hash) = self.read(read::tail)?;
        Ok((number > 0).then_some((number, hash)))
    }

    fn last_head(&mut self) -> Result<Option<Box<str>>, StorageError> {
        Ok(self.read(read::last_head)?.map(|(_, text)| text))
    }

    fn seal(&mut self, now: Timestamp, sign: Sign<'_>) -> Result<Option<SignedHead>, StorageError> {
        self.change(true, |transaction, _, _| write::seal(transaction, now, sign))
    }

    fn newest(&mut self) -> Result<Option<Timestamp>, StorageError> {
        self.read(read::newest)
    }

    fn reset_clock(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StorageError> {
        self.change(true, |transaction, _, _| write::reset_clock(transaction, now))
    }

    fn liars(&mut self) -> Result<Vec<Box<str>>, StorageError> {
        self.read(read::liars)
    }

    fn tally(&mut self) -> Result<Tally, StorageError> {
        self.read(read::tally)
    }

    fn oldest(&mut self, limit: usize) -> Result<Vec<Chained>, StorageError> {
        self.read(|database| read::oldest(database, limit))
    }

    fn prune(
        &mut self,
        through: u64,
        carry: &[Chained],
        now: Timestamp,
        sign: Sign<'_>,
    ) -> Result<u64, StorageError> {
        // Not synced: what a power cut undoes is pruned again.
        self.change(false, |transaction, _, _| prune::verdicts(transaction, through, carry, now, sign))
    }

    fn aged(
        &mut self,
        kind: Kind,
        before: Timestamp,
        behind: Option<[i64; 3]>,
        limit: usize,
    ) -> Result<Vec<Aged>, StorageError> {
        self.read(|database| prune::aged(database, kind, before, behind, limit))
    }

    fn remove(&mut self, kind: Kind, keys: &[[i64; 3]]) -> Result<(), StorageError> {
        self.change(false, |transaction, _, _| prune::remove(transaction, kind, keys))
    }
}

/// Which file a path leads to.
pub(super) fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    std::fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

fn failed(path: &Path, source: rusqlite::Error) -> StorageError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StorageError::Busy { path },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StorageError::Damaged { path, source: source.into() }
        }
        // What comes from us, and not from the disk: a number that is too large, a text with a zero byte.
        None
        | Some(
            ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch
            | ErrorCode::TooBig
            | ErrorCode::ParameterOutOfRange,
        ) => StorageError::Unfit { path, source: source.into() },
        Some(_) => StorageError::Database { path, source: source.into() },
    }
}

/// Moves a damaged ledger out of the way, as `evidence.db.broken-DATE` with what belongs to it. Returns its new name.
///
/// # Errors
/// What the system says; or that so many have been set aside that the disk must be looked at first.
pub(super) fn set_aside(state: &Path, now: Timestamp) -> std::io::Result<PathBuf> {
    let date = jiff::Timestamp::from_second(now.seconds())
        .map_or_else(|_| now.to_string(), |at| at.strftime("%Y-%m-%dT%H%M%SZ").to_string());
    let broken = format!("{FILE}.broken-");
    let names = std::fs::read_dir(state)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_ledger =
        |name: &String| name.starts_with(&broken) && !name.ends_with("-wal") && !name.ends_with("-shm");
    if names.filter(is_ledger).count() >= MOST_BROKEN {
        let why =
            format!("{MOST_BROKEN} damaged ones are kept already: look at the disk, and move them away");
        return Err(std::io::Error::other(why));
    }
    let aside = state.join(format!("{broken}{date}"));
    // The log first: a new ledger must not find it.
    for part in ["-wal", "-shm", ""] {
        let mut target = aside.as_os_str().to_owned();
        target.push(part);
        match std::fs::rename(state.join(format!("{FILE}{part}")), target) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

/// The file in the state directory.
pub(super) const FILE: &str = "evidence.db";

/// Pages of the log that the writer itself moves at the latest: 64 MiB.
const LONG_LOG: i64 = 16_384;

/// So many damaged ledgers are kept; a disk that damages more of them is no place for another.
const MOST_BROKEN: usize = 3;

/// `trusted_schema`: a schema that somebody else wrote runs nothing. `journal_size_limit`: what a long read made the log
/// grow to is given back.
const PRAGMAS: &str = "
PRAGMA synchronous = NORMAL;
PRAGMA trusted_schema = OFF;
PRAGMA cache_size = -4096;
PRAGMA journal_size_limit = 16777216;
";
