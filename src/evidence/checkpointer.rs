//! Moving what was written from SQLite's log into the database, beside the writer instead of in its commits: that waits
//! for a disk, and whoever waits for a refusal's row would wait with it.

use crate::evidence::sqlite;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Wakes the thread that does it, which ends with this value.
#[derive(Debug)]
pub(super) struct Checkpointer(SyncSender<()>);

impl Checkpointer {
    /// Starts the thread for the ledger of a state directory.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn start(state: &Path) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let path = state.join(sqlite::FILE);
        let work = move || run(&path, &woken);
        std::thread::Builder::new().name("ledger-log".into()).spawn(work)?;
        Ok(Self(wake))
    }

    /// Something was written. Never waits: one call that waits stands for all.
    pub(super) fn wake(&self) {
        self.0.try_send(()).unwrap_or_default();
    }
}

fn run(path: &PathBuf, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        std::thread::sleep(GATHER);
        // What fails here is found by the writer as well, which says it and has a bound of its own for the log.
        if let Err(error) = checkpoint(path) {
            tracing::debug!(%error, "the ledger's log stays as it is for now");
        }
    }
}

/// Opened each time: the file may have been replaced, and this takes far less than what follows.
fn checkpoint(path: &PathBuf) -> rusqlite::Result<()> {
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Passive: it waits for nobody, and nobody for it.
    database.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

/// How long writing gathers before it is moved: each time the disk is synced twice.
const GATHER: Duration = Duration::from_millis(100);
