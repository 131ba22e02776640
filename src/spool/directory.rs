//! The spool as the uploader holds it: opened, listed, swept.
//!
//! What a record says is read in `take`; the links for the garbage collector are in `roots`.

use super::layout;
use super::place::{Place, PlaceError};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, Stat, fstat, fsync, mkdirat, openat, stat, statat, unlinkat};
use rustix::io::Errno;
use std::collections::HashSet;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use thiserror::Error;

/// An open spool.
#[derive(Debug)]
pub struct Spool {
    pub(super) shared: Arc<Shared>,
    /// What could not even be moved aside, so that it is reported once and never in the way.
    pub(super) left: Mutex<HashSet<Vec<u8>>>,
}

/// What records that were taken hold on to.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) dir: OwnedFd,
    pub(super) roots: OwnedFd,
    pub(super) refused: OwnedFd,
    pub(super) path: PathBuf,
    pub(super) me: u32,
}

impl Spool {
    /// Opens the spool at an absolute path, and makes the folders in it that are missing.
    ///
    /// # Errors
    /// [`SpoolError::Place`] if it is not there, is not this user's, or others may write to it or to the way
    /// there; [`SpoolError::Io`] if its folders cannot be made.
    pub fn open(path: &Path) -> Result<Self, SpoolError> {
        let me = rustix::process::geteuid().as_raw();
        let Place { dir, owner, path } = Place::open(path, me)?;
        if owner != me {
            return Err(PlaceError::NotOurs { path, owner, me }.into());
        }
        let roots = folder(&dir, &path, layout::ROOTS, me)?;
        let refused = folder(&dir, &path, layout::REFUSED, me)?;
        let shared = Arc::new(Shared { dir, roots, refused, path, me });
        Ok(Self { shared, left: Mutex::default() })
    }

    /// The same, made first if it is not there; its parent must be.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn create(path: &Path) -> Result<Self, SpoolError> {
        match std::fs::DirBuilder::new().mode(0o755).create(path) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                Err(SpoolError::Io { doing: "make", path: path.to_owned(), source })
            }
            // Ours or not, it is judged on opening. The umask may have taken what the owner needs.
            Err(_) => Self::open(path),
            Ok(()) => {
                use std::os::unix::fs::PermissionsExt;
                let open = std::fs::Permissions::from_mode(0o755);
                std::fs::set_permissions(path, open).map_err(|source| SpoolError::Io {
                    doing: "set the mode of",
                    path: path.to_owned(),
                    source,
                })?;
                Self::open(path)
            }
        }
    }

    /// Its path, without trailing slashes.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// How many records wait.
    ///
    /// # Errors
    /// [`SpoolError`] if the spool cannot be listed.
    pub fn waiting(&self) -> Result<usize, SpoolError> {
        let mut waiting = 0;
        self.names(|name| waiting += usize::from(layout::is_record(name)))?;
        Ok(waiting)
    }

    /// Removes what hooks left that were killed while they wrote; how many there were.
    ///
    /// A hook gives up after half a minute, so whatever is ten minutes old is nobody's. Should one wake up that
    /// was stopped for longer, it finds its file gone and begins again.
    ///
    /// # Errors
    /// [`SpoolError`] if the spool cannot be listed or an entry cannot be removed.
    pub fn sweep(&self, now: SystemTime) -> Result<usize, SpoolError> {
        let mut unfinished = Vec::new();
        self.names(|name| {
            if layout::is_unfinished(name) {
                unfinished.push(name.to_owned());
            }
        })?;
        let mut swept = 0;
        for name in unfinished {
            let age = match statat(&self.shared.dir, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => now.duration_since(modified(&stat)).unwrap_or_default(),
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(self.shared.failed("look at", &name, errno)),
            };
            if age >= UNFINISHED_MAX {
                swept += usize::from(self.shared.remove(&name)?);
            }
        }
        Ok(swept)
    }

    /// Shows every name in the spool, in no order.
    pub(super) fn names(&self, mut each: impl FnMut(&[u8])) -> Result<(), SpoolError> {
        self.shared.still_there()?;
        list(&self.shared.dir, &mut each).map_err(|errno| self.shared.failed("list", b"", errno))
    }
}

impl Shared {
    /// Whether the path still leads to this directory. A spool that was made anew is opened anew.
    fn still_there(&self) -> Result<(), SpoolError> {
        let here = fstat(&self.dir).map_err(|errno| self.failed("look at", b"", errno))?;
        match stat(&self.path) {
            Ok(there) if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino) => Ok(()),
            Ok(_) | Err(Errno::NOENT) => Err(SpoolError::Gone { path: self.path.clone() }),
            Err(errno) => Err(self.failed("look at", b"", errno)),
        }
    }

    /// Removes an entry; whether it was there.
    pub(super) fn remove(&self, name: &[u8]) -> Result<bool, SpoolError> {
        match unlinkat(&self.dir, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(self.failed("remove", name, errno)),
        }
    }

    /// Makes what was done to the spool's entries outlive a crash.
    pub(super) fn sync(&self) -> Result<(), SpoolError> {
        fsync(&self.dir).map_err(|errno| self.failed("sync", b"", errno))
    }

    pub(super) fn failed(&self, doing: &'static str, name: &[u8], errno: Errno) -> SpoolError {
        use std::os::unix::ffi::OsStrExt;
        let path = self.path.join(std::ffi::OsStr::from_bytes(name));
        SpoolError::Io { doing, path, source: errno.into() }
    }
}

/// Shows every name in a directory but `.` and `..`.
pub(super) fn list(dir: &OwnedFd, each: &mut impl FnMut(&[u8])) -> rustix::io::Result<()> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            each(name);
        }
    }
    Ok(())
}

/// When a file was last written to.
pub(super) fn modified(stat: &Stat) -> SystemTime {
    let since = u64::try_from(stat.st_mtime).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since)
}

/// Opens a folder of the spool, made if missing.
fn folder(dir: &OwnedFd, path: &Path, name: &str, me: u32) -> Result<OwnedFd, SpoolError> {
    let path = path.join(name);
    let failed =
        |doing| move |path: PathBuf, errno: Errno| SpoolError::Io { doing, path, source: errno.into() };
    match mkdirat(dir, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(failed("make")(path, errno)),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = match openat(dir, name, flags, Mode::empty()) {
        Ok(folder) => folder,
        Err(errno) => return Err(failed("open")(path, errno)),
    };
    let stat = match fstat(&folder) {
        Ok(stat) => stat,
        Err(errno) => return Err(failed("look at")(path, errno)),
    };
    if stat.st_uid != me {
        return Err(PlaceError::NotOurs { path, owner: stat.st_uid, me }.into());
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(PlaceError::Open { path, mode: stat.st_mode & 0o7777 }.into());
    }
    Ok(folder)
}

/// When an unfinished record is nobody's; twenty times as long as a hook lives.
const UNFINISHED_MAX: Duration = Duration::from_secs(600);

/// Why the spool cannot be used.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// The directory is refused.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Something in it cannot be read or written.
    #[error("cannot {doing} {path:?}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// Removed or replaced since it was opened: open it again.
    #[error("{path:?} is no longer the directory that was opened")]
    Gone {
        /// The spool.
        path: PathBuf,
    },
}
