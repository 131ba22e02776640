//! Moving what was written from SQLite's log into the database, beside the writer instead of in its commits: that waits
//! for a disk, and whoever waits for a refusal's row would wait with it.

use crate::evidence::sqlite;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
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

fn run(path: &Path, woken: &Receiver<()>, is_emptying: &AtomicBool) {
    let mut log = Log { path, open: None };
    loop {
        let wake = match log.open {
            Some(_) => woken.recv_timeout(IDLE),
            None => woken.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match wake {
            Ok(()) => {
                std::thread::sleep(GATHER);
                log.empty(is_emptying);
                is_emptying.store(false, Ordering::Relaxed);
            }
            // Whoever closes the file last puts the log away, and that is to be the writer.
            Err(RecvTimeoutError::Timeout) => log.open = None,
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// The log, and a connection to move it with for as long as there is something to move: to open one takes longer than
/// what is then done with it.
struct Log<'a> {
    path: &'a Path,
    open: Option<(Connection, (u64, u64))>,
}

/// What a checkpoint found and did, in pages.
struct Moved {
    pages: i64,
    moved: i64,
}

impl Log<'_> {
    /// Moves what is there, and where that is much, until nothing is left.
    fn empty(&mut self, is_emptying: &AtomicBool) {
        let mut before = None;
        for _ in 0..MOST_ROUNDS {
            let Moved { pages, moved } = match self.checkpoint() {
                Ok(done) => done,
                // The writer finds it as well, says it, and has a bound of its own for the log.
                Err(error) => {
                    tracing::debug!(%error, "the ledger's log stays as it is for now");
                    self.open = None;
                    return;
                }
            };
            // Whatever was written meanwhile is not moved yet, and keeps the log from beginning anew.
            if pages <= LONG || (moved == pages && before == Some(pages)) {
                return;
            }
            before = Some(pages);
            is_emptying.store(true, Ordering::Relaxed);
        }
    }

    fn checkpoint(&mut self) -> Result<Moved, Box<dyn std::error::Error>> {
        let is_at = sqlite::identity(self.path)?;
        let (database, _) = match self.open.take_if(|(_, was_at)| *was_at == is_at) {
            Some(open) => self.open.insert(open),
            None => {
                self.open = None;
                let database = Connection::open_with_flags(self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
                self.open.insert((database, is_at))
            }
        };
        // Passive: it waits for nobody, and nobody for it.
        let done = |row: &rusqlite::Row<'_>| Ok(Moved { pages: row.get(1)?, moved: row.get(2)? });
        Ok(database.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], done)?)
    }
}

/// How long writing gathers before it is moved: each time the disk is synced twice.
const GATHER: Duration = Duration::from_millis(100);

/// From so many pages on the log is emptied: 16 MiB, a quarter of what the writer lets it grow to.
const LONG: i64 = 4096;

/// A reader that stays, or a writer that never rests, keeps a log from becoming empty.
const MOST_ROUNDS: usize = 50;

/// How soon the connection is closed when nothing is written.
const IDLE: Duration = Duration::from_secs(1);
