//! Entries as rows of the database. What does not read back as what it must be is an error of the database: it
//! was written by us alone.

use crate::format::{FileHash, NarHash, StorePath};
use crate::queue::{Entry, Origin, State, StoredNar, Wish};
use crate::trust::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, named_params};

/// An entry and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub id: i64,
    /// Where it goes.
    pub destination: Box<str>,
    /// What goes.
    pub path: StorePath,
    /// The derivation that the hook reported.
    pub derivation: Option<StorePath>,
    /// How far it is.
    pub entry: Entry,
}

/// What is wrong with a destination as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The destination.
    pub destination: Box<str>,
    /// What is wrong, in one line.
    pub text: String,
    /// Since when.
    pub since: Timestamp,
    /// When it is tried again.
    pub until: Timestamp,
}

/// The columns that [`Row::read`] reads, in their order.
pub(super) const COLUMNS: &str = "id, destination, path, derivation, state, origin, queued, changed, due, attempts, \
     trouble, blocked_by, nar_hash, nar_size, file_hash, file_size, compression, url";

impl Row {
    pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let state = match row.get_ref(4)?.as_str()? {
            "queued" => State::Queued,
            "stored" => State::Stored(StoredNar {
                nar_hash: NarHash::from_digest(row.get(12)?),
                nar_size: row.get(13)?,
                file_hash: FileHash::from_digest(row.get(14)?),
                file_size: row.get(15)?,
                compression: row.get(16)?,
                url: row.get(17)?,
            }),
            "done" => State::Done,
            "skipped" => State::Skipped,
            "dead" => State::Dead,
            _ => return Err(unexpected(4)),
        };
        let path = |index: usize| -> rusqlite::Result<Option<StorePath>> {
            let Some(text) = row.get_ref(index)?.as_str_or_null()? else { return Ok(None) };
            StorePath::from_base_name(text).map(Some).map_err(|_| unexpected(index))
        };
        let moment = |index| row.get(index).map(Timestamp::from_seconds);
        Ok(Self {
            id: row.get(0)?,
            destination: row.get(1)?,
            path: path(2)?.ok_or_else(|| unexpected(2))?,
            derivation: path(3)?,
            entry: Entry {
                state,
                origin: Origin::parse(row.get_ref(5)?.as_str()?).ok_or_else(|| unexpected(5))?,
                queued: moment(6)?,
                changed: moment(7)?,
                due: moment(8)?,
                attempts: row.get(9)?,
                trouble: row.get(10)?,
                blocked_by: path(11)?,
            },
        })
    }

    pub(super) fn insert(database: &Connection, wish: &Wish, entry: &Entry) -> rusqlite::Result<()> {
        let Wish { destination, path, derivation, .. } = wish;
        let sql = "INSERT INTO entries (destination, path, state, origin, queued, changed, due, attempts, trouble) \
                   VALUES (?, ?, 'queued', '', 0, 0, 0, 0, '')";
        database.prepare_cached(sql)?.execute((destination, path.to_string()))?;
        let (id, destination) = (database.last_insert_rowid(), destination.clone());
        Self { id, destination, path: path.clone(), derivation: derivation.clone(), entry: entry.clone() }
            .update(database)
    }

    pub(super) fn update(&self, database: &Connection) -> rusqlite::Result<()> {
        let Entry { state, origin, queued, changed, due, attempts, trouble, blocked_by } = &self.entry;
        let nar = match state {
            State::Stored(nar) => Some(nar),
            State::Queued | State::Done | State::Skipped | State::Dead => None,
        };
        let sql = "UPDATE entries SET derivation = :derivation, state = :state, origin = :origin, queued = :queued, \
                   changed = :changed, due = :due, attempts = :attempts, trouble = :trouble, \
                   blocked_by = :blocked_by, nar_hash = :nar_hash, nar_size = :nar_size, file_hash = :file_hash, \
                   file_size = :file_size, compression = :compression, url = :url WHERE id = :id";
        database
            .prepare_cached(sql)?
            .execute(named_params! {
                ":id": self.id,
                ":derivation": self.derivation.as_ref().map(ToString::to_string),
                ":state": state.label(),
                ":origin": origin.label(),
                ":queued": queued.seconds(),
                ":changed": changed.seconds(),
                ":due": due.seconds(),
                ":attempts": attempts,
                ":trouble": trouble,
                ":blocked_by": blocked_by.as_ref().map(ToString::to_string),
                ":nar_hash": nar.map(|nar| *nar.nar_hash.digest()),
                ":nar_size": nar.map(|nar| nar.nar_size),
                ":file_hash": nar.map(|nar| *nar.file_hash.digest()),
                ":file_size": nar.map(|nar| nar.file_size),
                ":compression": nar.map(|nar| &nar.compression),
                ":url": nar.map(|nar| &nar.url),
            })
            .map(drop)
    }
}

impl Trouble {
    pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            destination: row.get(0)?,
            text: row.get(1)?,
            since: Timestamp::from_seconds(row.get(2)?),
            until: Timestamp::from_seconds(row.get(3)?),
        })
    }
}

/// A value that we would not have written.
fn unexpected(column: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, "a value of another program".to_owned(), Type::Text)
}
