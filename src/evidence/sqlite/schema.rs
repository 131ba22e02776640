//! The tables, and how those of an older version become those of this one.

use rusqlite::{Connection, TransactionBehavior};

/// What each version adds to the one before; the first to an empty database. The number of them is the version.
pub(super) const VERSIONS: &[&str] = &[FIRST];

/// Brings a database to the newest version. Returns the version that it has then: a later one than is known, if a later
/// program has made it, and then nothing was changed.
pub(super) fn migrate(database: &mut Connection, versions: &[&str]) -> rusqlite::Result<i64> {
    let found = version(database)?;
    let known = i64::try_from(versions.len()).unwrap_or(i64::MAX);
    if found >= known {
        return Ok(found);
    }
    // Another program may do the same at this moment; whoever is second finds it done.
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    for step in versions.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        transaction.execute_batch(step)?;
    }
    let reached = found.max(known);
    transaction.pragma_update(None, "user_version", reached)?;
    transaction.commit()?;
    Ok(reached)
}

fn version(database: &Connection) -> rusqlite::Result<i64> {
    database.pragma_query_value(None, "user_version", |row| row.get(0))
}

const FIRST: &str = "
CREATE TABLE tally (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  newest INTEGER,
  claims INTEGER NOT NULL,
  noise INTEGER NOT NULL
) STRICT;
INSERT INTO tally VALUES (1, NULL, 0, 0);
CREATE TABLE caches (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE cores (
  id INTEGER PRIMARY KEY,
  path BLOB NOT NULL,
  name TEXT NOT NULL,
  nar_hash BLOB NOT NULL,
  nar_size INTEGER NOT NULL,
  refs BLOB NOT NULL
) STRICT;
CREATE INDEX cores_path ON cores (path);
CREATE TABLE claims (
  core INTEGER NOT NULL,
  cache INTEGER NOT NULL,
  day INTEGER NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  credible_at INTEGER,
  count INTEGER NOT NULL,
  weight INTEGER NOT NULL,
  signatures BLOB NOT NULL,
  deriver BLOB,
  address TEXT,
  PRIMARY KEY (core, cache)
) STRICT, WITHOUT ROWID;
CREATE INDEX claims_age ON claims (day);
CREATE INDEX claims_noise ON claims (day) WHERE credible_at IS NULL;
CREATE TABLE verdicts (
  number INTEGER PRIMARY KEY,
  hash BLOB NOT NULL,
  carried_from INTEGER,
  carried_at INTEGER,
  at INTEGER NOT NULL,
  asked BLOB,
  name TEXT,
  outcome TEXT NOT NULL,
  observing INTEGER NOT NULL,
  rule TEXT,
  nar_hash BLOB,
  label TEXT NOT NULL,
  reason TEXT NOT NULL,
  heard BLOB NOT NULL
) STRICT;
CREATE INDEX verdicts_path ON verdicts (asked) WHERE asked IS NOT NULL;
CREATE TABLE heads (
  serial INTEGER PRIMARY KEY,
  text TEXT NOT NULL
) STRICT;
CREATE TABLE checkpoint (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  text TEXT NOT NULL
) STRICT;
CREATE TABLE events (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  path BLOB NOT NULL,
  name TEXT,
  party TEXT NOT NULL,
  before TEXT NOT NULL,
  after TEXT NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  count INTEGER NOT NULL,
  UNIQUE (path, kind, party)
) STRICT;
CREATE TABLE fates (
  id INTEGER PRIMARY KEY,
  nar_hash BLOB NOT NULL,
  cache INTEGER NOT NULL,
  fate TEXT NOT NULL,
  at INTEGER NOT NULL,
  count INTEGER NOT NULL,
  UNIQUE (nar_hash, cache, fate)
) STRICT;
CREATE INDEX fates_false ON fates (cache) WHERE fate = 'false';
CREATE TABLE builds (
  id INTEGER PRIMARY KEY,
  path BLOB NOT NULL,
  name TEXT NOT NULL,
  nar_hash BLOB,
  nar_size INTEGER,
  derivation BLOB,
  kind TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;
CREATE INDEX builds_path ON builds (path);
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_version_is_brought_up_once_and_a_newer_one_is_left_alone() {
        let mut database = Connection::open_in_memory().unwrap();
        let first = "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (7)";
        assert_eq!(migrate(&mut database, &[first]).unwrap(), 1);
        let second = "ALTER TABLE a ADD COLUMN y INTEGER";
        for _ in 0..2 {
            assert_eq!(migrate(&mut database, &[first, second]).unwrap(), 2);
        }
        let row: (i64, Option<i64>) =
            database.query_row("SELECT x, y FROM a", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(row, (7, None), "what was there is there");
        assert_eq!(migrate(&mut database, &[first]).unwrap(), 2, "a newer one");
    }

    #[test]
    fn a_step_that_fails_leaves_the_version_before() {
        let mut database = Connection::open_in_memory().unwrap();
        let steps = ["CREATE TABLE a (x INTEGER)", "CREATE TABLE b (x INTEGER); CREATE TABLE a (x INTEGER)"];
        migrate(&mut database, &steps[..1]).unwrap();
        migrate(&mut database, &steps).unwrap_err();
        assert_eq!(version(&database).unwrap(), 1);
        database.prepare("SELECT * FROM b").unwrap_err();
    }
}
