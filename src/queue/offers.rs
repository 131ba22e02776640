//! What a sweep puts into the queue, and what it needs to remember there.
//!
//! A sweep finds builds that no hook reported. It *offers* them: of what has an entry already, in whatever state, or was
//! dropped by a person, nothing changes. What a person pushes or a hook reports is asked for, which is more.

use crate::format::StorePath;
use crate::queue::database::find;
use crate::queue::{Entry, Queue, QueueError, Row, Terms, Wish};
use crate::trust::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

impl Queue {
    /// Notes what a sweep found, all of it or nothing, as far as nothing is known of it. The paths that are now wanted
    /// somewhere and were not before, each once if the wishes for a path come together.
    ///
    /// # Errors
    /// [`QueueError::Database`]; nothing was noted.
    pub fn offer(&mut self, wishes: &[Wish], terms: &Terms) -> Result<Vec<StorePath>, QueueError> {
        self.change(|transaction| {
            let mut taken: Vec<StorePath> = Vec::new();
            for wish in wishes {
                let is_known = find(transaction, &wish.destination, &wish.path)?.is_some();
                if is_known || is_dropped(transaction, wish)? {
                    continue;
                }
                Row::insert(transaction, wish, &Entry::new(wish.origin, terms.now))?;
                if taken.last() != Some(&wish.path) {
                    taken.push(wish.path.clone());
                }
            }
            Ok(taken)
        })
    }

    /// Those wishes of which nothing is known: [`Self::offer`] would take them.
    ///
    /// # Errors
    /// [`QueueError::Database`].
    pub fn unknown(&self, wishes: Vec<Wish>) -> Result<Vec<Wish>, QueueError> {
        let mut unknown = Vec::new();
        for wish in wishes {
            let is_known = find(&self.database, &wish.destination, &wish.path)
                .and_then(|row| Ok(row.is_some() || is_dropped(&self.database, &wish)?));
            if !is_known.map_err(|source| self.failed(source))? {
                unknown.push(wish);
            }
        }
        Ok(unknown)
    }

    /// The moment from which on builds are swept, as it was noted here.
    ///
    /// # Errors
    /// [`QueueError::Database`].
    pub fn installed(&self) -> Result<Option<Timestamp>, QueueError> {
        let sql = "SELECT at FROM marks WHERE name = 'installed'";
        let read = self.database.query_row(sql, [], |row| row.get(0).map(Timestamp::from_seconds)).optional();
        read.map_err(|source| self.failed(source))
    }

    /// Notes it, in place of what was noted before.
    ///
    /// # Errors
    /// [`QueueError::Database`].
    pub fn note_installed(&mut self, at: Timestamp) -> Result<(), QueueError> {
        let sql = "INSERT OR REPLACE INTO marks (name, at) VALUES ('installed', ?)";
        self.change(|transaction| transaction.execute(sql, [at.seconds()]).map(drop))
    }
}

/// Whether a person dropped it, and nobody asked for it since.
fn is_dropped(database: &Connection, wish: &Wish) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM dropped WHERE destination = ? AND path = ?)";
    let given = params![wish.destination, wish.path.to_string()];
    database.prepare_cached(sql)?.query_row(given, |row| row.get(0))
}

/// A person wants it forgotten.
pub(super) fn note_dropped(database: &Connection, row: &Row) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO dropped (destination, path) VALUES (?, ?)";
    database.prepare_cached(sql)?.execute(params![row.destination, row.path.to_string()]).map(drop)
}

/// It is asked for: that it was dropped once means nothing any more.
pub(super) fn forget_dropped(database: &Connection, wish: &Wish) -> rusqlite::Result<()> {
    let sql = "DELETE FROM dropped WHERE destination = ? AND path = ?";
    let given = params![wish.destination, wish.path.to_string()];
    database.prepare_cached(sql)?.execute(given).map(drop)
}

/// What version 2 of the schema has more than version 1.
pub(super) const SCHEMA: &str = "
DROP INDEX IF EXISTS entries_due;
CREATE INDEX entries_due ON entries (destination, (origin = 'swept'), state, due, id)
  WHERE state IN ('queued', 'stored');
CREATE TABLE dropped (
  destination TEXT NOT NULL,
  path TEXT NOT NULL,
  PRIMARY KEY (destination, path)
) STRICT, WITHOUT ROWID;
CREATE TABLE marks (
  name TEXT PRIMARY KEY,
  at INTEGER NOT NULL
) STRICT;
";

#[cfg(test)]
mod tests;
