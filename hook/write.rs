//! One record into the spool, whole or not at all.
//!
//! Written under a name of its own, synced, renamed, and the directory synced: whoever sees the final name sees
//! the whole record, also after a crash, and once this ends well it is there for good.

use crate::spool::layout::Stem;
use crate::spool::place::Place;
use crate::spool::record::Record;
use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, Uid, fchown, fsync, openat, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Duration;

/// Writes a record.
///
/// # Errors
/// What went wrong; nothing is left of the attempt, unless the disk refuses even that.
pub(crate) fn write(place: &Place, record: &Record, me: u32, now: Duration) -> Result<(), String> {
    let text = record.encode();
    allow_file_size(text.len())?;
    let mut last = ("make", Errno::EXIST);
    for attempt in 0..ATTEMPTS {
        let pid = std::process::id();
        let stem = Stem { seconds: now.as_secs(), nanos: now.subsec_nanos(), pid, attempt };
        match write_as(place, stem, &text, me) {
            // A name that another hook has, or a file that the sweeper took because we slept for long.
            Err(failure @ (_, Errno::EXIST | Errno::NOENT)) => last = failure,
            Err(failure) => {
                last = failure;
                break;
            }
            Ok(()) => return Ok(()),
        }
    }
    let (doing, errno) = last;
    Err(format!("cannot {doing} a record in {:?}: {errno}", place.path))
}

/// What was being done, and how it failed.
type Failure = (&'static str, Errno);

fn write_as(place: &Place, stem: Stem, text: &str, me: u32) -> Result<(), Failure> {
    let unfinished = stem.unfinished();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&place.dir, &unfinished, flags, Mode::from_raw_mode(0o600)).map_err(|e| ("make", e))?;
    let written = fill(&file, text, (me != place.owner).then_some(place.owner))
        .and_then(|()| rename(&place.dir, &unfinished, &stem.record()).map_err(|e| ("rename", e)));
    if let Err(failure) = written {
        // It may be gone already, and the sweeper comes by.
        unlinkat(&place.dir, &unfinished, AtFlags::empty()).unwrap_or_default();
        return Err(failure);
    }
    fsync(&place.dir).map_err(|e| ("sync", e))
}

/// Everything into the file, and the file to the spool's owner and to the disk.
fn fill(file: &OwnedFd, text: &str, owner: Option<u32>) -> Result<(), Failure> {
    if let Some(owner) = owner {
        fchown(file, Some(Uid::from_raw(owner)), None).map_err(|e| ("give away", e))?;
    }
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match rustix::io::write(file, rest) {
            Ok(0) => return Err(("write", Errno::NOSPC)),
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(("write", errno)),
        }
    }
    fsync(file).map_err(|e| ("sync", e))
}

fn rename(dir: &OwnedFd, from: &str, to: &str) -> rustix::io::Result<()> {
    match renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE) {
        // A file system that cannot refuse to replace. The name is this process's own.
        Err(Errno::INVAL | Errno::NOSYS) => renameat(dir, from, dir, to),
        renamed => renamed,
    }
}

/// Lifts the limit on the size of files as far as it goes. To write past it would end us by a signal.
fn allow_file_size(wanted: usize) -> Result<(), String> {
    let limit = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap_or_default();
    match file_size_max() {
        Some(most) if usize::try_from(most).is_ok_and(|most| most < wanted) => {
            Err(format!("files may have {most} bytes here, and the record has {wanted}: see `ulimit -f`"))
        }
        _ => Ok(()),
    }
}

/// How large a file may become, in bytes; `None` without limit.
pub(crate) fn file_size_max() -> Option<u64> {
    getrlimit(Resource::Fsize).current
}

/// Two hooks with one process number and one nanosecond are two machines' or namespaces'; sixteen are none.
const ATTEMPTS: u32 = 16;
