//! Files that are written aside and stand in their place whole, or not at all.
//!
//! A file is written as `NAME.tmp.PID.cN` beside its place, synced, and renamed or linked to it; so whoever reads
//! the place sees the old file, the new one, or none. While it is written its writer holds a lock on it: what has
//! such a name and no lock was left by a writer that died, on this machine or on another that shares the
//! directory, and [`sweep`] removes it. Nix names its own such files alike but for the `c`; they are left alone.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file that has no place yet. It is gone with its owner unless it is kept.
#[derive(Debug)]
pub struct Aside {
    file: File,
    path: PathBuf,
    /// Its name is no longer ours to remove.
    moved: bool,
}

impl Aside {
    /// A new file in a directory, which must exist. `mode` holds whatever the umask.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(directory: &Path, name: &str, mode: u32) -> io::Result<Self> {
        loop {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = directory.join(format!("{name}{MARK}{}.c{n}", std::process::id()));
            let opened = OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(&path);
            let file = match opened {
                // Left by a process that had our number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                opened => opened?,
            };
            let aside = Self { file, path, moved: false };
            // Where there are no locks, as on some network file systems, a sweep removes nothing either.
            while aside.file.lock().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {}
            aside.file.set_permissions(Permissions::from_mode(mode))?;
            // A sweeper may have had the lock before us and removed it.
            if aside.file.metadata()?.nlink() > 0 {
                return Ok(aside);
            }
        }
    }

    /// The file, to be written.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Puts it in its place, replacing what is there.
    ///
    /// # Errors
    /// What the system says; the place is then as it was.
    pub fn keep(mut self, place: &Path, durability: Durability) -> io::Result<()> {
        durability.sync_file(&self.file)?;
        fs::rename(&self.path, place)?;
        self.moved = true;
        durability.sync_parent(place)
    }

    /// Puts it in its place if nothing is there, and says whether it did.
    ///
    /// # Errors
    /// What the system says.
    pub fn keep_new(self, place: &Path, durability: Durability) -> io::Result<bool> {
        durability.sync_file(&self.file)?;
        // A link fails where a rename would replace.
        match fs::hard_link(&self.path, place) {
            Ok(()) => durability.sync_parent(place).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.moved {
            // If it cannot be removed now, a later sweep does it.
            fs::remove_file(&self.path).unwrap_or_default();
        }
    }
}

/// Whether a file counts only once the disk has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Durability {
    /// It survives the machine's end: file and directory are synced.
    Synced,
    /// It may be lost with the machine, for what can be made again.
    Unsynced,
}

impl Durability {
    fn sync_file(self, file: &File) -> io::Result<()> {
        match self {
            Self::Synced => file.sync_all(),
            Self::Unsynced => Ok(()),
        }
    }

    /// Syncs the directory that a place is in.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync_parent(self, place: &Path) -> io::Result<()> {
        match (self, place.parent()) {
            (Self::Synced, Some(parent)) => File::open(parent)?.sync_all(),
            _ => Ok(()),
        }
    }
}

/// Removes what writers that died have left in a directory, and says how many files that were. A directory that
/// is not there holds none.
///
/// # Errors
/// What the system says of the directory; files that cannot be removed are left.
pub fn sweep(directory: &Path) -> io::Result<usize> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_ours) && remove_unlocked(&entry.path()).unwrap_or(false)
        {
            removed += 1;
        }
    }
    Ok(removed)
}

/// `NAME.tmp.PID.cN`
fn is_ours(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((_, numbers)) = name.rsplit_once(MARK) else { return false };
    numbers.split_once(".c").is_some_and(|(pid, n)| is_number(pid) && is_number(n))
}

fn remove_unlocked(path: &Path) -> io::Result<bool> {
    // Not through a link, and not waiting for whoever writes into a pipe.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // Its writer may have put it in its place since, and another one taken the name.
    let same = |a: fs::Metadata, b: fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    if !same(file.metadata()?, fs::symlink_metadata(path)?) {
        return Ok(false);
    }
    fs::remove_file(path)?;
    Ok(true)
}

/// Between the name of the place and the numbers.
const MARK: &str = ".tmp.";

static NEXT: AtomicU64 = AtomicU64::new(0);

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("x");
        let mut aside = Aside::create(dir.path(), "x", 0o644).unwrap();
        aside.file().write_all(b"new").unwrap();
        assert!(!place.exists());
        aside.keep(&place, Durability::Synced).unwrap();
        assert_eq!(names(dir.path()), ["x"]);
        assert_eq!(fs::read(&place).unwrap(), b"new");

        let mut second = Aside::create(dir.path(), "x", 0o600).unwrap();
        second.file().write_all(b"newer").unwrap();
        assert!(!second.keep_new(&place, Durability::Unsynced).unwrap());
        assert_eq!(fs::read(&place).unwrap(), b"new");

        drop(Aside::create(dir.path(), "x", 0o600).unwrap());
        assert_eq!(names(dir.path()), ["x"]);
    }

    #[test]
    fn the_mode_holds_whatever_the_umask() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o644, 0o666, 0o600] {
            let mut aside = Aside::create(dir.path(), "x", mode).unwrap();
            assert_eq!(aside.file().metadata().unwrap().permissions().mode() & 0o777, mode);
        }
    }

    #[test]
    fn a_sweep_removes_what_the_dead_left_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for name in
            ["a.narinfo", "a.narinfo.tmp.4000000.c0", "b.tmp.1.7", "c.tmp.x.c1", "d.tmp.1.c", ".tmp.1.c2"]
        {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        let live = Aside::create(dir.path(), "live", 0o644).unwrap();
        assert_eq!(sweep(dir.path()).unwrap(), 2);
        let live_name = live.path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut expected = vec!["a.narinfo", "b.tmp.1.7", "c.tmp.x.c1", "d.tmp.1.c", &live_name];
        expected.sort();
        assert_eq!(names(dir.path()), expected);
        assert_eq!(sweep(&dir.path().join("none")).unwrap(), 0);
    }

    #[test]
    fn a_sweep_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("precious");
        fs::write(&target, "x").unwrap();
        std::os::unix::fs::symlink(&target, dir.path().join("x.tmp.1.c1")).unwrap();
        sweep(dir.path()).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"x");
    }
}
