//! Links that keep outputs from the garbage collector until they are uploaded.
//!
//! A link here is half of what Nix calls an indirect root; the other half is in `gcroots/auto`, made by the hook
//! where it may, or by the daemon on request. Once the half here is gone, Nix removes the other at its next
//! collection.

use super::directory::{Spool, SpoolError, list, modified};
use super::layout;
use crate::format::store_path::{StoreDir, StorePath};
use rustix::fs::{AtFlags, readlinkat, statat, symlinkat, unlinkat};
use rustix::io::Errno;
use std::path::PathBuf;
use std::time::SystemTime;

/// A path that has a link.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rooted {
    /// The path.
    pub path: StorePath,
    /// When its link was made.
    pub since: SystemTime,
}

impl Spool {
    /// Makes the link for a path, if there is none; gives the link's path, to be named to the daemon
    /// (`AddIndirectRoot`).
    ///
    /// # Errors
    /// [`SpoolError::Io`] if it cannot be made.
    pub fn root(&self, store: &StoreDir, path: &StorePath) -> Result<PathBuf, SpoolError> {
        let (name, target) = (path.to_string(), path.to_absolute_path(store));
        let link = PathBuf::from(layout::ROOTS).join(&name);
        let failed = |errno| self.shared.failed("make", link.as_os_str().as_encoded_bytes(), errno);
        match symlinkat(&target, &self.shared.roots, &name) {
            Ok(()) => {}
            // One that points elsewhere protects nothing.
            Err(Errno::EXIST) => {
                let there = readlinkat(&self.shared.roots, &name, Vec::new());
                if there.is_ok_and(|there| there.as_bytes() == target.as_bytes()) {
                    return Ok(self.shared.path.join(link));
                }
                unlinkat(&self.shared.roots, &name, AtFlags::empty()).map_err(failed)?;
                symlinkat(&target, &self.shared.roots, &name).map_err(failed)?;
            }
            Err(errno) => return Err(failed(errno)),
        }
        Ok(self.shared.path.join(link))
    }

    /// Removes a path's link; no harm if there is none.
    ///
    /// # Errors
    /// [`SpoolError::Io`] if it cannot be removed.
    pub fn unroot(&self, path: &StorePath) -> Result<(), SpoolError> {
        let name = path.to_string();
        match unlinkat(&self.shared.roots, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => {
                Err(self.shared.failed("remove", format!("{}/{name}", layout::ROOTS).as_bytes(), errno))
            }
        }
    }

    /// Every path that has a link. A hook that was killed after it made one left no record: such links are old
    /// and known to no queue.
    ///
    /// # Errors
    /// [`SpoolError::Io`] if they cannot be listed.
    pub fn rooted(&self) -> Result<Vec<Rooted>, SpoolError> {
        let failed = |errno| self.shared.failed("list", layout::ROOTS.as_bytes(), errno);
        let mut names = Vec::new();
        list(&self.shared.roots, &mut |name| names.push(name.to_owned())).map_err(failed)?;
        let mut rooted = Vec::new();
        for name in names {
            let path = std::str::from_utf8(&name).ok().and_then(|name| StorePath::from_base_name(name).ok());
            let Some(path) = path else { continue };
            match statat(&self.shared.roots, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => rooted.push(Rooted { path, since: modified(&stat) }),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        Ok(rooted)
    }
}
