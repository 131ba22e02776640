//! Keeping the outputs from the garbage collector until the uploader has them.
//!
//! What Nix calls an indirect root: `STATE/gcroots/auto/NAME` → `SPOOL/roots/HASH-NAME` → the store path. The
//! uploader removes the middle one, and Nix then the first. Under the daemon the hook is root and makes both; in
//! other builds it makes what it may.

use crate::spool::layout::{self, ROOTS};
use crate::spool::place::Place;
use crate::spool::record::Record;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, fstat, mkdirat, openat, readlinkat, symlinkat};
use rustix::io::Errno;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Links every output of a record.
///
/// # Errors
/// Why at least one could not be linked. That there is no `gcroots/auto`, or that it is not ours to write, is
/// none: in a store under another root or of another user, only the uploader can ask the daemon.
pub(crate) fn make(place: &Place, record: &Record, me: u32, state: &Path) -> Result<(), String> {
    if record.outputs().is_empty() {
        return Ok(());
    }
    let links = place.path.join(ROOTS);
    let cannot = |doing: &str, path: &Path, errno: Errno| format!("cannot {doing} {path:?}: {errno}");
    let roots = open_roots(place, me).map_err(|errno| cannot("open", &links, errno))?;
    let stat = fstat(&roots).map_err(|errno| cannot("look at", &links, errno))?;
    if (stat.st_uid != 0 && stat.st_uid != place.owner) || stat.st_mode & 0o022 != 0 {
        return Err(format!("others may write to {links:?}"));
    }
    let auto_path = state.join("gcroots/auto");
    let auto = match open_auto(&auto_path) {
        Ok(auto) => Some(auto),
        Err(Errno::NOENT | Errno::ACCESS) => None,
        Err(errno) => return Err(cannot("open", &auto_path, errno)),
    };
    for output in record.outputs() {
        let name = output.to_string();
        let link = links.join(&name);
        let linked = make_link(&roots, &name, output.to_absolute_path(record.store()).as_bytes());
        linked.map_err(|errno| cannot("make", &link, errno))?;
        let Some(auto) = &auto else { continue };
        let target = link.as_os_str().as_bytes();
        match make_link(auto, &layout::indirect_root_name(target), target) {
            Ok(()) | Err(Errno::ACCESS | Errno::PERM) => {}
            Err(errno) => return Err(cannot("write to", &auto_path, errno)),
        }
    }
    Ok(())
}

/// Opens the folder of indirect roots; Nix makes it with the first of them.
fn open_auto(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match openat(CWD, path, flags, Mode::empty()) {
        Err(Errno::NOENT) => {
            match mkdirat(CWD, path, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            openat(CWD, path, flags, Mode::empty())
        }
        opened => opened,
    }
}

/// Opens the folder of links, made if the spool is ours: one that root made in somebody else's would be of no use.
fn open_roots(place: &Place, me: u32) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&place.dir, ROOTS, flags, Mode::empty()) {
        Err(Errno::NOENT) if me == place.owner => {
            match mkdirat(&place.dir, ROOTS, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            openat(&place.dir, ROOTS, flags, Mode::empty())
        }
        opened => opened,
    }
}

/// Makes a link; one that is there already and says the same is as good.
fn make_link(dir: &OwnedFd, name: &str, target: &[u8]) -> rustix::io::Result<()> {
    match symlinkat(target, dir, name) {
        Err(Errno::EXIST) => {
            let there = readlinkat(dir, name, Vec::new())?;
            if there.as_bytes() == target { Ok(()) } else { Err(Errno::EXIST) }
        }
        made => made,
    }
}
