//! Taking records out of the spool.
//!
//! Rule kept: a record stays until its taker says that it is stored elsewhere ([`Taken::done`]), so a crash in
//! between shows it again; and what is no record is told once, moved aside and in nobody's way.

use super::directory::{Shared, Spool, SpoolError, list};
use super::layout;
use super::record::{Record, RecordError};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, renameat, unlinkat};
use rustix::io::Errno;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, PoisonError};
use thiserror::Error;

/// What one look into the spool found.
#[derive(Debug, Default)]
pub struct Batch {
    /// The records, oldest first.
    pub taken: Vec<Taken>,
    /// What had a record's name and was none; told once.
    pub refused: Vec<Refused>,
}

/// A record, still in the spool.
#[derive(Debug)]
pub struct Taken {
    record: Record,
    name: Vec<u8>,
    shared: Arc<Shared>,
}

/// A file that had a record's name and was none.
#[derive(Debug)]
pub struct Refused {
    /// Its name.
    pub name: String,
    /// What was wrong with it.
    pub fault: Fault,
    /// Whether it is out of the way, in `refused/`. If not, it stays where it is and is not looked at again.
    pub is_moved: bool,
}

/// What is wrong with a file.
#[derive(Debug, Error)]
pub enum Fault {
    /// A directory, a link, a device.
    #[error("it is no regular file")]
    Kind,
    /// Somebody else's.
    #[error("it belongs to user {owner}, neither root nor us")]
    Owner {
        /// Whose.
        owner: u32,
    },
    /// One that others may write to.
    #[error("it has mode {mode:04o}, so others may have written it")]
    Mode {
        /// Its mode.
        mode: u32,
    },
    /// One that cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// One that is no record.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Spool {
    /// The oldest records, at most `most`; they stay in the spool until they are [`Taken::done`].
    ///
    /// Every look lists the whole spool, so a taker of many asks for hundreds at once.
    ///
    /// # Errors
    /// [`SpoolError`] if the spool cannot be listed. No single file makes an error.
    pub fn records(&self, most: usize) -> Result<Batch, SpoolError> {
        self.batch(most, layout::is_record)
    }

    /// The oldest records that are held, at most `most`; as with [`Self::records`].
    ///
    /// # Errors
    /// As [`Self::records`].
    pub fn held(&self, most: usize) -> Result<Batch, SpoolError> {
        self.batch(most, layout::is_held)
    }

    /// Puts a record aside that is done but for the ledger, if no more than `most` are held already, and says whether it
    /// did. It is no longer among [`Self::records`].
    ///
    /// # Errors
    /// [`SpoolError`] if it cannot be put aside; it is then where it was.
    pub fn hold(&self, taken: &Taken, most: usize) -> Result<bool, SpoolError> {
        let mut held = 0_usize;
        self.names(|name| held = held.saturating_add(usize::from(layout::is_held(name))))?;
        if held >= most {
            return Ok(false);
        }
        let name = layout::held(&taken.name);
        let renamed = renameat(&self.shared.dir, taken.name.as_slice(), &self.shared.dir, name.as_slice());
        renamed.map_err(|errno| self.shared.failed("rename", &taken.name, errno))?;
        self.shared.sync().map(|()| true)
    }

    fn batch(&self, most: usize, is_wanted: fn(&[u8]) -> bool) -> Result<Batch, SpoolError> {
        let mut batch = Batch::default();
        for name in self.oldest(most, is_wanted)? {
            match self.shared.read(&name) {
                Ok(Some(record)) => {
                    batch.taken.push(Taken { record, name, shared: Arc::clone(&self.shared) })
                }
                Ok(None) => {}
                Err(fault) => batch.refused.push(self.refuse(name, fault)),
            }
        }
        Ok(batch)
    }

    /// As [`Taken::done`] for several, with one wait for the disk.
    ///
    /// # Errors
    /// [`SpoolError`] if one cannot be removed; it is then shown again.
    pub fn done(&self, taken: impl IntoIterator<Item = Taken>) -> Result<(), SpoolError> {
        for one in taken {
            self.shared.remove(&one.name)?;
        }
        self.shared.sync()
    }

    /// The names that sort first. The heap keeps memory down, however full the spool is.
    fn oldest(&self, most: usize, is_wanted: fn(&[u8]) -> bool) -> Result<Vec<Vec<u8>>, SpoolError> {
        let mut oldest: BinaryHeap<Vec<u8>> = BinaryHeap::new();
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        self.names(|name| {
            if !is_wanted(name) || left.contains(name) {
                return;
            }
            if oldest.len() < most {
                oldest.push(name.to_owned());
            } else if let Some(mut newest) = oldest.peek_mut()
                && name < newest.as_slice()
            {
                newest.clear();
                newest.extend_from_slice(name);
            }
        })?;
        Ok(oldest.into_sorted_vec())
    }

    fn refuse(&self, name: Vec<u8>, fault: Fault) -> Refused {
        let text = String::from_utf8_lossy(&name).into_owned();
        let is_moved = self.shared.move_aside(&name).is_ok();
        if !is_moved {
            self.left.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        }
        Refused { name: text, fault, is_moved }
    }
}

impl Taken {
    /// What the record says.
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// The file's name in the spool.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }

    /// Removes the record from the spool, now that it is stored elsewhere.
    ///
    /// # Errors
    /// [`SpoolError`] if it cannot be removed; it is then shown again.
    pub fn done(self) -> Result<(), SpoolError> {
        self.shared.remove(&self.name)?;
        self.shared.sync()
    }
}

impl Shared {
    /// Reads one record; `None` if it is gone.
    fn read(&self, name: &[u8]) -> Result<Option<Record>, Fault> {
        // Opening a pipe or a device must neither wait nor make a terminal ours.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match openat(&self.dir, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(Fault::Kind),
            Err(errno) => return Err(Fault::Io(errno.into())),
        };
        let stat = fstat(&file).map_err(io::Error::from)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Fault::Kind);
        }
        if stat.st_uid != 0 && stat.st_uid != self.me {
            return Err(Fault::Owner { owner: stat.st_uid });
        }
        if stat.st_mode & 0o022 != 0 {
            return Err(Fault::Mode { mode: stat.st_mode & 0o7777 });
        }
        let mut text = Vec::new();
        // One byte more than a record has: what is longer is then seen to be.
        let cap = u64::try_from(Record::TEXT_MAX).unwrap_or(u64::MAX).saturating_add(1);
        File::from(file).take(cap).read_to_end(&mut text)?;
        Ok(Some(Record::parse(&text)?))
    }

    /// Out of the way, as long as there is room; then away.
    fn move_aside(&self, name: &[u8]) -> rustix::io::Result<()> {
        let mut kept = 0_usize;
        list(&self.refused, &mut |_| kept = kept.saturating_add(1))?;
        if kept < REFUSED_MAX {
            renameat(&self.dir, name, &self.refused, name)
        } else {
            unlinkat(&self.dir, name, AtFlags::empty())
        }
    }
}

/// How many files are kept for somebody to look at. A guess: enough to see what is wrong.
const REFUSED_MAX: usize = 100;
