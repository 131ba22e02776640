//! Moving what was written from SQLite's log into the database, beside the writer instead of in its commits: that waits
//! for a disk, and whoever waits for a refusal's row would wait with it.

use crate::evidence::sqlite;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Wakes the thread that does it, which ends with this value.
#[derive(Debug)]
pub(super) struct Checkpointer {
    wake: SyncSender<()>,
    is_emptying: Arc<AtomicBool>,
}

impl Checkpointer {
    /// Starts the thread for the ledger of a state directory.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn start(state: &Path) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let path = state.join(sqlite::FILE);
        let is_emptying = Arc::new(AtomicBool::new(false));
        let said = Arc::clone(&is_emptying);
        let work = move || run(&path, &woken, &said);
        std::thread::Builder::new().name("ledger-log".into()).spawn(work)?;
        Ok(Self { wake, is_emptying })
    }

    /// Something was written. Never waits: one call that waits stands for all.
    pub(super) fn wake(&self) {
        self.wake.try_send(()).unwrap_or_default();
    }

    /// Whether a log that has grown long is being emptied. SQLite begins it anew only where all of it has been moved, so
    /// what can wait is not written meanwhile; without that it grows until the writer has to move it in a commit.
    pub(super) fn is_emptying(&self) -> bool {
        self.is_emptying.load(Ordering::Relaxed)
    }
}

fn run(path: &PathBuf, woken: &Receiver<()>, is_emptying: &AtomicBool) {
    while woken.recv().is_ok() {
        std::thread::sleep(GATHER);
        let mut before = None;
        for _ in 0..MOST_ROUNDS {
            let log = match checkpoint(path) {
                Ok(log) => log,
                // The writer finds it as well, says it, and has a bound of its own for the log.
                Err(error) => {
                    tracing::debug!(%error, "the ledger's log stays as it is for now");
                    break;
                }
            };
            // Whatever was written meanwhile is not moved yet, and keeps the log from beginning anew.
            let is_done = log.moved == log.pages && before == Some(log.pages);
            if log.pages <= LONG || is_done {
                break;
            }
            before = Some(log.pages);
            is_emptying.store(true, Ordering::Relaxed);
        }
        is_emptying.store(false, Ordering::Relaxed);
    }
}

/// What a checkpoint found and did, in pages.
struct Log {
    pages: i64,
    moved: i64,
}

/// Opened each time: the file may have been replaced, and this takes far less than what follows.
fn checkpoint(path: &PathBuf) -> rusqlite::Result<Log> {
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Passive: it waits for nobody, and nobody for it.
    let log = |row: &rusqlite::Row<'_>| Ok(Log { pages: row.get(1)?, moved: row.get(2)? });
    database.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], log)
}

/// How long writing gathers before it is moved: each time the disk is synced twice.
const GATHER: Duration = Duration::from_millis(100);

/// From so many pages on the log is emptied: 16 MiB, a quarter of what the writer lets it grow to.
const LONG: i64 = 4096;

/// A reader that stays, or a writer that never rests, keeps a log from becoming empty.
const MOST_ROUNDS: usize = 50;
