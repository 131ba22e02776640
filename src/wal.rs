//! SQLite's databases that several processes and threads open, any of them first: the file, and its write-ahead log.

use rusqlite::{Connection, ErrorCode};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::Errno;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Makes the empty file of a database with mode 0600, unless it is there, so that SQLite does not make it for all to read.
///
/// The file is not opened for that: whoever closes a file takes from its own process every lock on it (fcntl(2)), also
/// those of a connection that is open, and another process, which then takes itself for the last one, removes the log
/// under it (SQLite's page "How To Corrupt An SQLite Database File", section 2.2).
///
/// # Errors
/// The system's.
pub(crate) fn make(path: &Path) -> io::Result<()> {
    match mknodat(CWD, path, FileType::RegularFile, Mode::RUSR | Mode::WUSR, 0) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

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
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::sync::Barrier;

    /// What this process has locked of a file, as the kernel tells it (proc_locks(5)).
    fn locks(path: &Path) -> usize {
        let inode = std::fs::metadata(path).unwrap().ino();
        let (process, file) = (format!(" {} ", std::process::id()), format!(":{inode} "));
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        locks.lines().filter(|line| line.contains(&process) && line.contains(&file)).count()
    }

    /// While a connection is open, its lock on the file is what keeps others from taking its log away.
    #[test]
    fn who_makes_it_again_takes_no_lock_from_those_who_have_it_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        make(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let database = Connection::open(&path).unwrap();
        write_ahead(&database, Duration::from_secs(10)).unwrap();
        database.execute_batch("CREATE TABLE t (x)").unwrap();
        assert_eq!(locks(&path), 1);
        make(&path).unwrap();
        assert_eq!(locks(&path), 1);
    }

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
