//! A folder of its own for each NAR that is packed: packed files are named by their contents, and two destinations, or
//! two paths with the same contents, would else take each other's away.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder that nobody else uses; gone with what is in it when dropped.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// A new one in a directory that this process alone uses.
    pub(super) fn create(within: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let path = within.join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
        std::fs::create_dir(&path).map(|()| Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "could not remove a packed NAR");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_do_not_meet_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two] = [(), ()].map(|()| Folder::create(dir.path()).unwrap());
        for folder in [&one, &two] {
            std::fs::write(folder.path().join("same.nar"), "same").unwrap();
        }
        drop(one);
        assert!(two.path().join("same.nar").exists());
        drop(two);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
