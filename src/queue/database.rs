//! `queue.db`: entries in SQLite, in WAL mode and `synchronous = FULL`, so that a change that was told of is on
//! the disk. That an entry was published is the exception: after a cut of power it is looked for again and found, and
//! syncing it would cost more than all else about a small path.
//!
//! ```text
//! entries   one row for each destination and path: the columns of an Entry, and of its stored NAR
//! troubles  what is wrong with a destination as a whole, if anything
//! dropped   what a person had forgotten, which no sweep brings back
//! marks     moments that must not be forgotten: `installed`
//! ```
//!
//! The version of the schema is SQLite's `user_version`: 1 knew no sweep and nothing dropped, and is brought up when
//! it is opened; a database of a newer program is refused. Commands
//! change entries while the uploader runs: every change reads the row, applies one event to it and writes it in
//! one immediate transaction, so the later of two is judged by what the earlier one left.

use crate::format::StorePath;
use crate::queue::offers;
use crate::queue::rows::{COLUMNS, Row, Trouble};
use crate::queue::{Entry, Event, Origin, State, Terms};
use crate::trust::Timestamp;
use crate::wal;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, named_params, params};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is due in a state, whether a sweep found it or not.
macro_rules! due {
    ($swept:literal, $state:literal) => {
        concat!(
            "SELECT COLUMNS FROM entries WHERE destination = :destination AND (origin = 'swept') = ",
            $swept,
            " AND state IN ('queued', 'stored') AND state = '",
            $state,
            "' AND due <= :now ORDER BY due, id LIMIT :most"
        )
    };
}

/// The queue of this machine.
#[derive(Debug)]
pub struct Queue {
    pub(super) database: Connection,
    path: PathBuf,
}

/// A path that is wanted at a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Where.
    pub destination: Box<str>,
    /// What.
    pub path: StorePath,
    /// Why.
    pub origin: Origin,
    /// The derivation that the hook reported, if it did.
    pub derivation: Option<StorePath>,
}

/// Why the queue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The file cannot be made.
    #[error("cannot open the queue {path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// SQLite says no.
    #[error("the queue {path} cannot be used: {source}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: rusqlite::Error,
    },
    /// A later version of the program made it.
    #[error(
        "the queue {path} is of a newer version ({found}) than this program knows ({VERSION}): upgrade it"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version it has.
        found: i64,
    },
}

impl Queue {
    /// The queue in a state directory, made if it is not there, with mode 0600.
    ///
    /// # Errors
    /// [`QueueError`] if it cannot be opened or made, or is of a newer version.
    pub fn open(state: &Path) -> Result<Self, QueueError> {
        let path = state.join(FILE);
        wal::make(&path).map_err(|source| QueueError::Open { path: path.clone(), source })?;
        Self::open_at(path)
    }

    /// The same, `None` if there is none yet.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_existing(state: &Path) -> Result<Option<Self>, QueueError> {
        let path = state.join(FILE);
        match path.try_exists() {
            Ok(true) => Self::open_at(path).map(Some),
            Ok(false) => Ok(None),
            Err(source) => Err(QueueError::Open { path, source }),
        }
    }

    fn open_at(path: PathBuf) -> Result<Self, QueueError> {
        let opened = Connection::open(&path).and_then(|database| {
            database.busy_timeout(PATIENCE)?;
            wal::write_ahead(&database, PATIENCE)?;
            database.pragma_update(None, "synchronous", "FULL")?;
            Ok(database)
        });
        let database = opened.map_err(|source| QueueError::Database { path: path.clone(), source })?;
        let mut queue = Self { database, path };
        queue.migrate()?;
        Ok(queue)
    }

    /// Makes the tables of a new database.
    fn migrate(&mut self) -> Result<(), QueueError> {
        let version =
            |db: &Connection| db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
        if version(&self.database).map_err(|source| self.failed(source))? == VERSION {
            return Ok(());
        }
        let found = self.change(|transaction| {
            let found = version(transaction)?;
            if found == 0 {
                transaction.execute_batch(SCHEMA)?;
            }
            if (0..VERSION).contains(&found) {
                transaction.execute_batch(offers::SCHEMA)?;
                transaction.pragma_update(None, "user_version", VERSION)?;
            }
            Ok(found)
        })?;
        match found {
            0..=VERSION => Ok(()),
            found => Err(QueueError::Newer { path: self.path.clone(), found }),
        }
    }

    /// Notes what is wanted; all of it or nothing. What is known already is told that it is wanted again.
    ///
    /// # Errors
    /// [`QueueError::Database`]; nothing was noted.
    pub fn ask(&mut self, wishes: &[Wish], terms: &Terms) -> Result<(), QueueError> {
        self.change(|transaction| {
            for wish in wishes {
                offers::forget_dropped(transaction, wish)?;
                match find(transaction, &wish.destination, &wish.path)? {
                    Some(row) => {
                        let derivation = row.derivation.clone().or_else(|| wish.derivation.clone());
                        let entry = row.entry.clone().on(Event::Asked(wish.origin), terms);
                        if entry != row.entry || derivation != row.derivation {
                            Row { entry, derivation, ..row }.update(transaction)?;
                        }
                    }
                    None => Row::insert(transaction, wish, &Entry::new(wish.origin, terms.now))?,
                }
            }
            Ok(())
        })
    }

    /// Whether asking for something leaves anything to do for it.
    ///
    /// # Errors
    /// [`QueueError::Database`].
    pub fn is_open(&self, wish: &Wish, terms: &Terms) -> Result<bool, QueueError> {
        let row = self.find(&wish.destination, &wish.path)?;
        Ok(row.is_none_or(|row| !row.entry.on(Event::Asked(wish.origin), terms).is_finished()))
    }

    /// Tells an entry what happened to it, and wakes what waited for it once it is finished. Returns it as it is
    /// now; `None` if it was dropped meanwhile.
    ///
    /// # Errors
    /// [`QueueError::Database`]; the entry is as it was.
    pub fn tell(&mut self, id: i64, event: Event, terms: &Terms) -> Result<Option<Row>, QueueError> {
        let is_found_again = event == Event::Published;
        let change = |transaction: &Transaction<'_>| {
            let Some(row) = row(transaction, id)? else { return Ok(None) };
            let mut row = Row { entry: row.entry.on(event, terms), ..row };
            // What it waits for may have been finished since it was looked at; nobody would wake it then.
            if let Some(reference) = &row.entry.blocked_by
                && let Some(found) = find(transaction, &row.destination, reference)?
                && matches!(found.entry.state, State::Done | State::Skipped)
            {
                row.entry = row.entry.on(Event::Woken, terms);
            }
            row.update(transaction)?;
            if row.entry.is_finished() {
                wake(transaction, &row.destination, &row.path, terms)?;
            }
            Ok(Some(row))
        };
        if is_found_again { self.change_unsynced(change) } else { self.change(change) }
    }

    /// Tells every unfinished entry of a destination to try again now, and that nothing is wrong with it.
    ///
    /// # Errors
    /// [`QueueError::Database`].
    pub fn retry_destination(&mut self, destination: &str, now: Timestamp) -> Result<(), QueueError> {
        self.change(|transaction| {
            transaction.execute("DELETE FROM troubles WHERE destination = ?", [destination])?;
            let sql = "UPDATE entries SET due = min(due, ?2) WHERE destination = ?1 AND state IN ('queued', 'stored')";
            transaction.execute(sql, params![destination, now.seconds()]).map(drop)
        })
    }

    /// Forgets an entry for good, as far as no person and no hook asks again, and wakes what waited for it.
    ///
    /// # Errors
    /// [`QueueError::Database`].
    pub fn forget(&mut self, id: i64, terms: &Terms) -> Result<(), QueueError> {
        self.change(|transaction| {
            let Some(row) = row(transaction, id)? else { return Ok(()) };
            transaction.execute("DELETE FROM entries WHERE id = ?", [id])?;
            offers::note_dropped(transaction, &row)?;
            wake(transaction, &row.destination, &row.path, terms)
        })
    }

    /// The entry of a destination to look at now, none of the busy ones: those whose NAR is there first, then
    /// the one that is due longest; what a sweep found only where there is no other.
    ///
    /// # Errors
    /// [`QueueError::Database`].
    pub fn due(
        &self,
        destination: &str,
        now: Timestamp,
        busy: &HashSet<i64>,
    ) -> Result<Option<Row>, QueueError> {
        // One more than can be busy, so that one of them is free.
        let most = i64::try_from(busy.len()).unwrap_or(i64::MAX).saturating_add(1);
        let read = || {
            for sql in DUE {
                let mut statement = self.database.prepare_cached(&sql.replace("COLUMNS", COLUMNS))?;
                let given =
                    named_params! { ":destination": destination, ":now": now.seconds(), ":most": most };
                for row in statement.query_map(given, Row::read)? {
                    let row = row?;
                    if !busy.contains(&row.id) {
                        return Ok(Some(row));
                    }
                }
            }
            Ok(None)
        };
        read().map_err(|source| self.failed(source))
    }

    /// The entry of a path at a destination.
    ///
    /// # Errors
    /// [`QueueError::Database`].
    pub fn find(&self, destination: &str, path: &StorePath) -> Result<Option<Row>, QueueError> {
        find(&self.database, destination, path).map_err(|source| self.failed(source))
    }

    /// Every entry, in the order in which they came; `unfinished` leaves out what is done or skipped.
    ///
    /// # Errors
    /// [`QueueError::Database`].
    pub fn rows(&self, unfinished: bool) -> Result<Vec<Row>, QueueError> {
        let states = if unfinished { "WHERE state NOT IN ('done', 'skipped')" } else { "" };
        let sql = format!("SELECT {COLUMNS} FROM entries {states} ORDER BY id");
        let read = || self.database.prepare_cached(&sql)?.query_map([], Row::read)?.collect::<Result<_, _>>();
        read().map_err(|source| self.failed(source))
    }

    /// The paths that are still needed here, each once.
    ///
    /// # Errors
    /// [`QueueError::Database`].
    pub fn needed(&self) -> Result<Vec<StorePath>, QueueError> {
        let sql = "SELECT DISTINCT path FROM entries WHERE state IN ('queued', 'stored')";
        let read = || {
            let mut statement = self.database.prepare_cached(sql)?;
            let texts = statement.query_map([], |row| row.get::<_, String>(0))?;
            texts.collect::<Result<Vec<_>, _>>()
        };
        let texts = read().map_err(|source| self.failed(source))?;
        Ok(texts.iter().filter_map(|text| StorePath::from_base_name(text).ok()).collect())
    }

    /// Notes what is wrong with a destination as a whole; `None` when it is well again.
    ///
    /// # Errors
    /// [`QueueError::Database`].
    pub fn set_trouble(&mut self, destination: &str, trouble: Option<&Trouble>) -> Result<(), QueueError> {
        self.change(|transaction| match trouble {
            Some(Trouble { text, since, until, .. }) => {
                let sql =
                    "INSERT OR REPLACE INTO troubles (destination, text, since, until) VALUES (?, ?, ?, ?)";
                let given = params![destination, text, since.seconds(), until.seconds()];
                transaction.execute(sql, given).map(drop)
            }
            None => {
                transaction.execute("DELETE FROM troubles WHERE destination = ?", [destination]).map(drop)
            }
        })
    }

    /// Whether a path is still needed here.
    ///
    /// # Errors
    /// [`QueueError::Database`].
    pub fn is_needed(&self, path: &StorePath) -> Result<bool, QueueError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM entries WHERE path = ? AND state IN ('queued', 'stored'))";
        let read = || self.database.prepare_cached(sql)?.query_row([path.to_string()], |row| row.get(0));
        read().map_err(|source| self.failed(source))
    }

    /// A number that is another one when another process changed the queue since it was last asked for.
    ///
    /// # Errors
    /// [`QueueError::Database`].
    pub fn edition(&self) -> Result<i64, QueueError> {
        let read = self.database.pragma_query_value(None, "data_version", |row| row.get(0));
        read.map_err(|source| self.failed(source))
    }

    /// What is wrong with destinations as a whole.
    ///
    /// # Errors
    /// [`QueueError::Database`].
    pub fn troubles(&self) -> Result<Vec<Trouble>, QueueError> {
        let sql = "SELECT destination, text, since, until FROM troubles ORDER BY destination";
        let read =
            || self.database.prepare_cached(sql)?.query_map([], Trouble::read)?.collect::<Result<_, _>>();
        read().map_err(|source| self.failed(source))
    }

    /// One change, alone, which a cut of power may take back: only for what is found out again.
    fn change_unsynced<T>(
        &mut self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, QueueError> {
        self.set_synchronous("NORMAL")?;
        let done = self.change(change);
        self.set_synchronous("FULL")?;
        done
    }

    fn set_synchronous(&self, level: &str) -> Result<(), QueueError> {
        self.database.pragma_update(None, "synchronous", level).map_err(|source| self.failed(source))
    }

    /// One durable change, alone.
    pub(super) fn change<T>(
        &mut self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, QueueError> {
        let behavior = TransactionBehavior::Immediate;
        let done = self.database.transaction_with_behavior(behavior).and_then(|transaction| {
            let value = change(&transaction)?;
            transaction.commit()?;
            Ok(value)
        });
        done.map_err(|source| self.failed(source))
    }

    pub(super) fn failed(&self, source: rusqlite::Error) -> QueueError {
        QueueError::Database { path: self.path.clone(), source }
    }
}

fn row(database: &Connection, id: i64) -> rusqlite::Result<Option<Row>> {
    let sql = format!("SELECT {COLUMNS} FROM entries WHERE id = ?");
    database.prepare_cached(&sql)?.query_row([id], Row::read).optional()
}

pub(super) fn find(
    database: &Connection,
    destination: &str,
    path: &StorePath,
) -> rusqlite::Result<Option<Row>> {
    let sql = format!("SELECT {COLUMNS} FROM entries WHERE destination = ? AND path = ?");
    database.prepare_cached(&sql)?.query_row(params![destination, path.to_string()], Row::read).optional()
}

/// Lets what waited for a path look again.
fn wake(
    transaction: &Transaction<'_>,
    destination: &str,
    path: &StorePath,
    terms: &Terms,
) -> rusqlite::Result<()> {
    let sql = format!("SELECT {COLUMNS} FROM entries WHERE destination = ? AND blocked_by = ?");
    let waiting: Vec<Row> = transaction
        .prepare_cached(&sql)?
        .query_map(params![destination, path.to_string()], Row::read)?
        .collect::<rusqlite::Result<_>>()?;
    for row in waiting.into_iter().filter(|row| !matches!(row.entry.state, State::Done | State::Skipped)) {
        Row { entry: row.entry.clone().on(Event::Woken, terms), ..row }.update(transaction)?;
    }
    Ok(())
}

/// The file in the state directory.
const FILE: &str = "queue.db";

/// What is due: what a sweep found last, and of the rest and of that, those whose NAR is there first. Four questions, each
/// in the order of `entries_due`: one for all would sort what waits whenever one is taken.
const DUE: [&str; 4] = [due!("0", "stored"), due!("0", "queued"), due!("1", "stored"), due!("1", "queued")];

/// The version of the schema.
const VERSION: i64 = 2;

/// How long another process may hold the database.
const PATIENCE: Duration = Duration::from_secs(10);

const SCHEMA: &str = "
CREATE TABLE entries (
  id INTEGER PRIMARY KEY,
  destination TEXT NOT NULL,
  path TEXT NOT NULL,
  derivation TEXT,
  state TEXT NOT NULL CHECK (state IN ('queued', 'stored', 'done', 'skipped', 'dead')),
  origin TEXT NOT NULL,
  queued INTEGER NOT NULL,
  changed INTEGER NOT NULL,
  due INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  trouble TEXT NOT NULL,
  blocked_by TEXT,
  nar_hash BLOB,
  nar_size INTEGER,
  file_hash BLOB,
  file_size INTEGER,
  compression TEXT,
  url TEXT,
  UNIQUE (destination, path),
  CHECK ((state = 'stored') = (url IS NOT NULL))
) STRICT;
CREATE INDEX entries_path ON entries (path);
CREATE INDEX entries_blocked ON entries (destination, blocked_by) WHERE blocked_by IS NOT NULL;
CREATE TABLE troubles (
  destination TEXT PRIMARY KEY,
  text TEXT NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER NOT NULL
) STRICT;
";

#[cfg(test)]
mod tests;
