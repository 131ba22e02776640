//! SQLite's write-ahead log for databases that several processes open, any of them first.

use rusqlite::{Connection, ErrorCode};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Has a database written through a log, waiting as long as `patience` for others to let go of it.
///
/// SQLite's own `busy_timeout` does not hold here: whoever turns a new database to its log needs it alone, and of two
/// who read it already neither may wait for the other, so both are refused at once (sqlite3's pager.c,
/// `pagerExclusiveLock`, and btree.c, `sqlite3BtreeBeginTrans`: no busy handler is called while a read is under way).
/// One of them has it a moment later.
///
/// # Errors
/// SQLite's, `SQLITE_BUSY` after `patience`.
pub(crate) fn write_ahead(database: &Connection, patience: Duration) -> rusqlite::Result<()> {
    let began = Instant::now();
    loop {
        match database.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                if began.elapsed() > patience {
                    return Err(error);
                }
                sleep(PAUSE);
            }
            done => return done,
        }
    }
}

/// Between two tries; what holds the database takes less.
const PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn of_several_who_open_a_new_database_none_is_refused() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let all = Barrier::new(8);
            let one = || {
                let database = Connection::open(dir.path().join("x.db")).unwrap();
                all.wait();
                write_ahead(&database, Duration::from_secs(10)).unwrap();
            };
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(one);
                }
            });
        }
    }

    /// A database that stays taken is told of, and not waited for without end.
    #[test]
    fn one_that_stays_taken_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Connection::open(dir.path().join("x.db")).unwrap();
        let holder = open();
        holder.execute_batch("BEGIN EXCLUSIVE; CREATE TABLE t (x)").unwrap();
        let refused = write_ahead(&open(), Duration::from_millis(20)).unwrap_err();
        assert_eq!(refused.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
    }
}
