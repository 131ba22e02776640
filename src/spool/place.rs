//! Opening the spool directory without trusting the way there. Shared with the hook's own program.
//!
//! Rules kept, for every directory from `/` down: owned by root or by the spool's owner, and written by nobody
//! else, or sticky with the next step owned by one of those two. A symlink on the way is followed where only
//! those two could have put it there; the spool itself is no symlink. So nobody but root and the spool's owner
//! decides which directory is opened. Files are then made and read relative to it.

use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open, openat, readlinkat};
use rustix::io::Errno;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use thiserror::Error;

/// A spool directory that was opened.
#[derive(Debug)]
pub struct Place {
    /// The directory.
    pub dir: OwnedFd,
    /// The user who owns it.
    pub owner: u32,
    /// Its path, without trailing slashes or `.`: what links to the roots in it are made of.
    pub path: PathBuf,
}

impl Place {
    /// Opens the spool at an absolute path, as user `me`: root, or the spool's owner.
    ///
    /// # Errors
    /// [`PlaceError`] if it is not there, or somebody else has a say in what it is.
    pub fn open(path: &Path, me: u32) -> Result<Self, PlaceError> {
        let path = plain(path)?;
        let mut walk = Walk::from_root(&path)?;
        while let Some(name) = walk.ahead.pop() {
            walk.step(name)?;
        }
        let stat = fstat(&walk.at).map_err(|errno| cannot("look at", &path, errno))?;
        if me != 0 && stat.st_uid != me {
            return Err(PlaceError::NotOurs { path, owner: stat.st_uid, me });
        }
        if stat.st_mode & OTHERS_WRITE != 0 {
            return Err(PlaceError::Open { mode: stat.st_mode & 0o7777, path });
        }
        if let Some((owner, step)) = walk.says.into_iter().find(|(uid, _)| *uid != 0 && *uid != stat.st_uid) {
            return Err(PlaceError::Way { path, step, owner });
        }
        let dir = openat(&walk.at, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let dir = dir.map_err(|errno| cannot("open", &path, errno))?;
        Ok(Self { dir, owner: stat.st_uid, path })
    }
}

/// An absolute path of plain steps.
fn plain(path: &Path) -> Result<PathBuf, PlaceError> {
    let odd = path.components().any(|step| !matches!(step, Component::RootDir | Component::Normal(_)));
    if odd || !path.is_absolute() || path.parent().is_none() {
        return Err(PlaceError::NotAbsolute { path: path.to_owned() });
    }
    Ok(path.components().collect())
}

/// On the way from `/` to the spool.
struct Walk<'a> {
    spool: &'a Path,
    at: OwnedFd,
    here: PathBuf,
    /// Whether others may make entries in `at`, but not replace those of another.
    is_sticky: bool,
    /// The steps to come, the next one last.
    ahead: Vec<OsString>,
    links: usize,
    /// Who has had a say so far, and where.
    says: Vec<(u32, PathBuf)>,
}

impl<'a> Walk<'a> {
    fn from_root(spool: &'a Path) -> Result<Self, PlaceError> {
        let (at, root) = (root(spool)?, PathBuf::from("/"));
        let ahead = steps(spool);
        let mut walk = Self { spool, at, here: root, is_sticky: false, ahead, links: 0, says: Vec::new() };
        walk.judge()?;
        Ok(walk)
    }

    fn step(&mut self, name: OsString) -> Result<(), PlaceError> {
        let there = self.here.join(&name);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = openat(&self.at, &name, flags, Mode::empty());
        let found = found.map_err(|errno| cannot("open", &there, errno))?;
        let stat = fstat(&found).map_err(|errno| cannot("look at", &there, errno))?;
        // Where everybody may make entries, the one who made this one has a say.
        if self.is_sticky {
            self.says.push((stat.st_uid, there.clone()));
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                (self.at, self.here) = (found, there);
                // The spool's own mode is judged more strictly, by the caller.
                if self.ahead.is_empty() { Ok(()) } else { self.judge() }
            }
            FileType::Symlink if !self.ahead.is_empty() => self.follow(&found, &there),
            FileType::Symlink => Err(PlaceError::Symlink { path: there }),
            _ => Err(PlaceError::NotADirectory { path: there }),
        }
    }

    fn follow(&mut self, link: &OwnedFd, there: &Path) -> Result<(), PlaceError> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(cannot("open", there, Errno::LOOP));
        }
        let target = readlinkat(link, "", Vec::new()).map_err(|errno| cannot("read", there, errno))?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        self.ahead.extend(steps(&target));
        if target.is_absolute() {
            (self.at, self.here) = (root(self.spool)?, PathBuf::from("/"));
            self.judge()?;
        }
        Ok(())
    }

    /// Who may put what into the directory that was reached.
    fn judge(&mut self) -> Result<(), PlaceError> {
        let stat: Stat = fstat(&self.at).map_err(|errno| cannot("look at", &self.here, errno))?;
        self.is_sticky = stat.st_mode & OTHERS_WRITE != 0;
        if self.is_sticky && stat.st_mode & STICKY == 0 {
            let (path, step) = (self.spool.to_owned(), self.here.clone());
            return Err(PlaceError::OpenWay { path, step, mode: stat.st_mode & 0o7777 });
        }
        self.says.push((stat.st_uid, self.here.clone()));
        Ok(())
    }
}

fn root(spool: &Path) -> Result<OwnedFd, PlaceError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open("/", flags, Mode::empty()).map_err(|errno| cannot("open", spool, errno))
}

/// The steps of a path, the first one last. `..` stays one, as in a link to `../data/spool`.
fn steps(path: &Path) -> Vec<OsString> {
    let is_step = |step: &Component<'_>| matches!(step, Component::Normal(_) | Component::ParentDir);
    path.components().rev().filter(is_step).map(|step| step.as_os_str().to_owned()).collect()
}

fn cannot(doing: &'static str, path: &Path, errno: Errno) -> PlaceError {
    PlaceError::Io { doing, path: path.to_owned(), source: errno.into() }
}

const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;
/// As many as the kernel follows.
const LINKS_MAX: usize = 40;

/// Why a spool directory is not used.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// A relative path, `/`, or one with `..`.
    #[error("{path:?} must be an absolute path without `..`")]
    NotAbsolute {
        /// The path.
        path: PathBuf,
    },
    /// Something cannot be opened or looked at.
    #[error("cannot {doing} {path:?}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// A symlink in the spool's place.
    #[error("{path:?} is a symlink; name the directory that it points to")]
    Symlink {
        /// The path.
        path: PathBuf,
    },
    /// Something else than a directory.
    #[error("{path:?} is no directory")]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The spool of somebody else.
    #[error("{path:?} belongs to user {owner}, and this is user {me}")]
    NotOurs {
        /// The spool.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who we are.
        me: u32,
    },
    /// A spool that others may write to.
    #[error("{path:?} has mode {mode:04o}, so others may write to it: run `chmod go-w` on it")]
    Open {
        /// The spool.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A step on the way that others may write to.
    #[error(
        "{step:?} on the way to {path:?} has mode {mode:04o}, so others may put another directory in its place"
    )]
    OpenWay {
        /// The spool.
        path: PathBuf,
        /// The step.
        step: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A step on the way that somebody else owns.
    #[error(
        "{step:?} on the way to {path:?} belongs to user {owner}, who may put another directory in its place"
    )]
    Way {
        /// The spool.
        path: PathBuf,
        /// The step.
        step: PathBuf,
        /// Its owner.
        owner: u32,
    },
}
