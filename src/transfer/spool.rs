//! NARs that are checked whole before their first byte is sent, in files without a name.
//!
//! A file is unlinked as soon as it is open: nobody else can change it, and nothing is left behind by a
//! crash. The space of all of them is bounded; a NAR waits for room.

use crate::transfer::fetch::Interrupted;
use crate::transfer::transfer::{Next, Transfer, TransferError};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Space for NARs that are checked whole.
#[derive(Debug)]
pub(super) struct Spool {
    directory: PathBuf,
    room: Arc<Semaphore>,
    total: u32,
    next: AtomicU64,
}

/// A checked NAR in a file without a name, at its start. It holds its room until it is dropped.
#[derive(Debug)]
pub struct Spooled {
    /// The file.
    pub file: File,
    _room: OwnedSemaphorePermit,
}

impl Spool {
    pub(super) fn new(directory: PathBuf, bytes: u64) -> Self {
        let total = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).max(1);
        Self { directory, room: Arc::new(Semaphore::new(total as usize)), total, next: AtomicU64::new(0) }
    }

    /// Takes in the whole of a transfer and gives the checked bytes as a file at its start.
    pub(super) async fn take(&self, size: u64, transfer: &mut Transfer) -> Result<Spooled, TransferError> {
        let units = u32::try_from(size.div_ceil(UNIT)).unwrap_or(u32::MAX);
        if units > self.total {
            return Err(Interrupted::Spool(io::Error::other("the NAR is larger than `limits.spool`")).into());
        }
        // The semaphore is never closed.
        let room =
            Arc::clone(&self.room).acquire_many_owned(units).await.map_err(|_| TransferError::Withdrawn)?;
        let mut file = self.unnamed().await.map_err(Interrupted::Spool)?;
        loop {
            match transfer.next().await? {
                Next::Bytes(bytes) => file.write_all(&bytes).await.map_err(Interrupted::Spool)?,
                Next::Again => {
                    file.rewind().await.map_err(Interrupted::Spool)?;
                    file.set_len(0).await.map_err(Interrupted::Spool)?;
                }
                Next::End => break,
            }
        }
        file.flush().await.map_err(Interrupted::Spool)?;
        file.rewind().await.map_err(Interrupted::Spool)?;
        Ok(Spooled { file, _room: room })
    }

    async fn unnamed(&self) -> io::Result<File> {
        tokio::fs::create_dir_all(&self.directory).await?;
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(format!("nar.{}.{n}", std::process::id()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path).await?;
        tokio::fs::remove_file(&path).await?;
        Ok(file)
    }
}

impl fmt::Display for Spool {
    /// Where it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.directory.display())
    }
}

/// Room is counted in these.
const UNIT: u64 = 1024 * 1024;
