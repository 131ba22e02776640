//! Derivations as they lie in the store.

use crate::format::StoreDir;
use crate::format::derivation::{self, Derivation};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Reads the derivation in a file, which is not followed if it is a symlink.
///
/// # Errors
/// [`DerivationError`] if the file cannot be read or holds none.
pub fn read_derivation(file: &Path, dir: &StoreDir) -> Result<Derivation, DerivationError> {
    let io = |source| DerivationError::Io { path: file.to_owned(), source };
    // NONBLOCK: a pipe must not make us wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::open(file, flags, Mode::empty()).map_err(|errno| io(errno.into()))?;
    let mut text = Vec::new();
    // One byte more than is allowed shows that there are more.
    let limit = derivation::Limits::default().bytes as u64 + 1;
    File::from(opened).take(limit).read_to_end(&mut text).map_err(io)?;
    Derivation::parse(&text, dir, &derivation::Limits::default())
        .map_err(|source| DerivationError::Parse { path: file.to_owned(), source })
}

/// Why a file gives no derivation.
#[derive(Debug, thiserror::Error)]
pub enum DerivationError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: derivation::DerivationFault,
    },
}
