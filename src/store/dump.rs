//! The NAR of a file tree, written while the tree is read.
//!
//! Nothing is followed: every name is opened relative to the directory that it was listed in, and a symlink is
//! what it says and nothing behind it, so a directory that is swapped for a symlink while it is read cannot lead
//! outside. What a NAR cannot hold is refused: devices, pipes, sockets, names and nesting beyond the limits of
//! [`crate::format::nar::Limits`]. A file that does not have the size that it had when it was opened is an error;
//! any other change while it is read is seen by whoever compares the hash.
//!
//! One buffer takes everything: frames are appended to it, and files are read straight into it. A small file
//! costs four system calls, a symlink one.
//!
//! Source: NixOS/nix `src/libutil/archive.cc`; of the mode only the owner's execute bit counts.

use crate::format::nar::{Limits, encode};
use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, fstat, openat, readlinkat_raw, statat};
use rustix::io::Errno;
use std::ffi::{CStr, CString, OsStr};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Writes the NAR of what lies at `path` and returns its size in bytes. `out` gets large pieces.
///
/// # Errors
/// [`DumpError`], with the file at fault, if the tree cannot be read, holds what a NAR cannot, or changes; or if
/// `out` fails.
pub fn dump(path: &Path, out: &mut impl Write) -> Result<u64, DumpError> {
    let limits = Limits::default();
    let mut dump = Dump {
        out,
        buffer: Vec::with_capacity(BUFFER),
        listing: Vec::with_capacity(LISTING),
        written: 0,
        limits,
    };
    let in_root = |kind| DumpError { path: path.to_owned(), kind };
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| in_root(DumpErrorKind::Name))?;
    encode::magic(&mut dump.buffer);
    dump.node(CWD, &name, FileType::Unknown, 1).map_err(|fault| fault.at_root(path))?;
    dump.flush().map_err(|fault| in_root(fault.kind))?;
    Ok(dump.written)
}

/// Why a tree cannot be written as a NAR.
#[derive(Debug, thiserror::Error)]
#[error("cannot dump {}: {kind}", path.display())]
pub struct DumpError {
    /// The file at fault; where the fault is not a file's, the tree itself.
    pub path: PathBuf,
    /// What is wrong with it.
    pub kind: DumpErrorKind,
}

/// What is wrong with a file in a tree.
#[derive(Debug, thiserror::Error)]
pub enum DumpErrorKind {
    /// Its size or its directory changed while it was read.
    #[error("it changed while it was read")]
    Changed,
    /// More directories in one another than a NAR may have.
    #[error("more than {limit} levels of directories")]
    Depth {
        /// The levels allowed.
        limit: usize,
    },
    /// Neither a regular file nor a directory nor a symlink.
    #[error("it is neither a regular file nor a directory nor a symlink")]
    FileType,
    /// A name that no NAR may hold.
    #[error("its name is longer than 255 bytes or holds a NUL byte")]
    Name,
    /// The file system.
    #[error(transparent)]
    Read(io::Error),
    /// A symlink that points nowhere, or further than Linux allows.
    #[error("the symlink's target has no bytes, or more than 4095")]
    Target,
    /// Where the NAR goes.
    #[error("writing its NAR: {0}")]
    Write(io::Error),
}

/// A fault, and the names that lead to it, innermost first.
struct Found {
    kind: DumpErrorKind,
    names: Vec<Vec<u8>>,
}

impl Found {
    fn inside(mut self, name: &CStr) -> Self {
        self.names.push(name.to_bytes().to_vec());
        self
    }

    fn at_root(self, root: &Path) -> DumpError {
        let path =
            self.names.iter().rev().fold(root.to_owned(), |path, name| path.join(OsStr::from_bytes(name)));
        DumpError { path, kind: self.kind }
    }
}

impl From<DumpErrorKind> for Found {
    fn from(kind: DumpErrorKind) -> Self {
        Self { kind, names: Vec::new() }
    }
}

impl From<Errno> for Found {
    fn from(errno: Errno) -> Self {
        // A name that was a directory when it was listed and is a symlink now, or the other way round.
        let swapped = matches!(errno, Errno::LOOP | Errno::NOTDIR);
        if swapped { DumpErrorKind::Changed } else { DumpErrorKind::Read(errno.into()) }.into()
    }
}

/// A NAR that is being written.
struct Dump<'a, W> {
    out: &'a mut W,
    buffer: Vec<u8>,
    /// Where the kernel lists a directory; always empty otherwise.
    listing: Vec<u8>,
    written: u64,
    limits: Limits,
}

/// An entry of a directory.
struct Entry {
    name: CString,
    kind: FileType,
}

impl<W: Write> Dump<'_, W> {
    /// Writes what is called `name` in a directory.
    fn node(&mut self, dir: BorrowedFd<'_>, name: &CStr, kind: FileType, level: usize) -> Result<(), Found> {
        let kind = match kind {
            // Some file systems do not say in the listing.
            FileType::Unknown => {
                FileType::from_raw_mode(statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
            }
            told => told,
        };
        self.make_room(FRAMES)?;
        match kind {
            FileType::RegularFile => self.file(dir, name),
            FileType::Symlink => self.symlink(dir, name),
            FileType::Directory => self.directory(dir, name, level),
            _ => Err(DumpErrorKind::FileType.into()),
        }
    }

    fn directory(&mut self, parent: BorrowedFd<'_>, name: &CStr, level: usize) -> Result<(), Found> {
        let dir = openat(parent, name, OPEN | OFlags::DIRECTORY, Mode::empty())?;
        let entries = self.list(&dir)?;
        if !entries.is_empty() && level >= self.limits.depth {
            return Err(DumpErrorKind::Depth { limit: self.limits.depth }.into());
        }
        encode::directory_start(&mut self.buffer);
        for Entry { name, kind } in &entries {
            self.make_room(FRAMES)?;
            encode::entry_start(&mut self.buffer, name.to_bytes());
            self.node(dir.as_fd(), name, *kind, level + 1).map_err(|fault| fault.inside(name))?;
            self.make_room(FRAMES)?;
            encode::entry_end(&mut self.buffer);
        }
        self.make_room(FRAMES)?;
        encode::directory_end(&mut self.buffer);
        Ok(())
    }

    /// The entries of a directory, ascending by the bytes of their names.
    fn list(&mut self, dir: &OwnedFd) -> Result<Vec<Entry>, Found> {
        let mut entries = Vec::new();
        let mut listing = RawDir::new(dir, self.listing.spare_capacity_mut());
        while let Some(entry) = listing.next() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if name.to_bytes().len() > self.limits.name {
                return Err(Found::from(DumpErrorKind::Name).inside(name));
            }
            entries.push(Entry { name: name.to_owned(), kind: entry.file_type() });
        }
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        // A file that is renamed while its directory is listed can be seen twice.
        match entries.array_windows().find(|[one, other]| one.name == other.name) {
            Some([twice, _]) => Err(Found::from(DumpErrorKind::Changed).inside(&twice.name)),
            None => Ok(entries),
        }
    }

    fn symlink(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Found> {
        let mut target = [0; TARGET];
        let (target, _) = readlinkat_raw(dir, name, &mut target[..]).map(|length| target.split_at(length))?;
        if target.is_empty() || target.len() > self.limits.target {
            return Err(DumpErrorKind::Target.into());
        }
        encode::symlink(&mut self.buffer, target);
        Ok(())
    }

    fn file(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Found> {
        // NONBLOCK: should a pipe stand here by now, opening it must not wait for a writer.
        let file = openat(dir, name, OPEN | OFlags::NONBLOCK, Mode::empty())?;
        let stat = fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(DumpErrorKind::Changed.into());
        }
        let size = u64::try_from(stat.st_size).map_err(|_| DumpErrorKind::Changed)?;
        encode::file_start(&mut self.buffer, stat.st_mode & OWNER_EXECUTE != 0, size);
        self.contents(&file, size)?;
        self.make_room(FRAMES)?;
        encode::file_end(&mut self.buffer, size);
        Ok(())
    }

    /// Copies exactly `size` bytes, after which the file must end.
    fn contents(&mut self, file: &OwnedFd, size: u64) -> Result<(), Found> {
        let mut left = size;
        loop {
            // One byte more than is due fits where possible: that none comes says that the file ends here, and
            // saves the call that would ask.
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).saturating_add(1);
            self.make_room(wanted.min(WORTH_READING))?;
            let room = self.buffer.capacity() - self.buffer.len();
            let read = match rustix::io::read(file, spare_capacity(&mut self.buffer)) {
                Err(Errno::INTR) => continue,
                read => read?,
            };
            let after = left.checked_sub(read as u64).ok_or(DumpErrorKind::Changed)?;
            if after == 0 && (read == 0 || read < room) {
                return Ok(());
            }
            if read == 0 {
                return Err(DumpErrorKind::Changed.into());
            }
            left = after;
        }
    }

    /// Makes room for so many bytes behind what the buffer holds.
    fn make_room(&mut self, bytes: usize) -> Result<(), Found> {
        if self.buffer.capacity() - self.buffer.len() < bytes { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Found> {
        self.out.write_all(&self.buffer).map_err(DumpErrorKind::Write)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// How everything is opened.
const OPEN: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);

const OWNER_EXECUTE: u32 = 0o100;

/// Pieces that `out` gets. From 128 KiB on, reading gets no faster.
const BUFFER: usize = 256 << 10;

/// Room for one listing of a few hundred entries.
const LISTING: usize = 32 << 10;

/// Frames of a node and its entry, with the longest name or target.
const FRAMES: usize = TARGET + 2 * encode::FRAME_MAX;

/// One byte more than the longest target.
const TARGET: usize = 4096;

/// Less room than this is not read into: what is there goes out first.
const WORTH_READING: usize = 64 << 10;
