//! One uploader at a time: `upload.lock` in the state directory, locked as long as the process lives.

use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Held by the uploader that runs.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not read")] File);

/// Why the lock cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another uploader has it.
    #[error("another uploader runs for {state}")]
    Taken {
        /// The state directory.
        state: PathBuf,
    },
    /// The file.
    #[error("cannot lock {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

impl Lock {
    /// Takes the lock of a state directory, without waiting.
    ///
    /// # Errors
    /// [`LockError::Taken`] if another process has it.
    pub fn take(state: &Path) -> Result<Self, LockError> {
        let path = state.join("upload.lock");
        let failed = |source| LockError::Io { path: path.clone(), source };
        let mut options = std::fs::OpenOptions::new();
        let file =
            options.write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::Taken { state: state.to_owned() }),
            Err(errno) => Err(failed(errno.into())),
        }
    }

    /// Whether an uploader has the lock of a state directory. Who only looks shares the lock for an instant with others
    /// who look, and takes none of them for an uploader.
    #[must_use]
    pub fn is_taken(state: &Path) -> bool {
        let looked = File::open(state.join("upload.lock"));
        looked.is_ok_and(|file| {
            flock(&file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_had_once_and_given_back() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!Lock::is_taken(dir.path()));
        let lock = Lock::take(dir.path()).unwrap();
        assert!(Lock::is_taken(dir.path()));
        assert!(matches!(Lock::take(dir.path()), Err(LockError::Taken { .. })));
        drop(lock);
        assert!(!Lock::is_taken(dir.path()));
    }

    #[test]
    fn who_looks_is_not_taken_for_an_uploader() {
        let dir = tempfile::tempdir().unwrap();
        drop(Lock::take(dir.path()).unwrap());
        let looker = File::open(dir.path().join("upload.lock")).unwrap();
        flock(&looker, FlockOperation::NonBlockingLockShared).unwrap();
        assert!(!Lock::is_taken(dir.path()));
    }
}
