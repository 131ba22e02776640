//! The mark by which a state directory says which layout it has.
//!
//! `version` holds one number. A newer program raises it when it changes what lies in the directory; an older one
//! then refuses to use it, because it would misread what it finds. Without the mark the layout is the first. The
//! file's own time is when the service last started.

use super::{StateDirectory, StateError, rename, write_beside};
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

impl StateDirectory {
    /// Whether this program knows the layout.
    ///
    /// # Errors
    /// [`StateError::Newer`] if not, [`StateError::Io`] if the mark cannot be read.
    pub fn check_version(&self) -> Result<(), StateError> {
        self.marked_version().map(|_| ())
    }

    /// Marks the directory where it is not marked yet. That it cannot be written is no fault: no mark means the
    /// layout that is known.
    pub(super) fn mark_version(&self) {
        let path = self.0.join(MARK);
        if let Ok(None) = self.marked_version() {
            let written = write_beside(&path, &format!("{LAYOUT}\n"));
            written.and_then(|fresh| rename(&fresh, &path)).unwrap_or_default();
        }
    }

    /// The newest of the files that are kept here, and when it was written.
    pub fn newest(&self) -> Option<(PathBuf, SystemTime)> {
        let written = |name: &str| {
            let path = self.0.join(name);
            let at = std::fs::metadata(&path).and_then(|file| file.modified()).ok()?;
            Some((path, at))
        };
        KEPT.iter().filter_map(|name| written(name)).max_by_key(|(_, at)| *at)
    }

    /// Notes that it has been this time: no later start takes it to be earlier. Where nothing can be written,
    /// nothing is noted.
    pub fn note_time(&self, now: SystemTime) {
        let mark = std::fs::File::options().append(true).open(self.0.join(MARK));
        mark.and_then(|file| file.set_modified(now)).unwrap_or_default();
    }

    /// Dates now what is dated later: the files of a clock that was ahead. Which those were.
    ///
    /// # Errors
    /// [`StateError::Io`] if one of them cannot be dated; those before it are.
    pub fn forget_future(&self, now: SystemTime) -> Result<Vec<PathBuf>, StateError> {
        let mut dated = Vec::new();
        for path in KEPT.iter().map(|name| self.0.join(name)) {
            let written = std::fs::metadata(&path).and_then(|file| file.modified());
            if !written.is_ok_and(|at| at > now) {
                continue;
            }
            let opened = std::fs::File::options().append(true).open(&path);
            let done = opened.and_then(|file| file.set_modified(now));
            done.map_err(|source| StateError::Io { doing: "date", path: path.clone(), source })?;
            dated.push(path);
        }
        Ok(dated)
    }

    fn marked_version(&self) -> Result<Option<u32>, StateError> {
        let path = self.0.join(MARK);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(source) => return Err(StateError::Io { doing: "read", path, source }),
        };
        match text.trim_end().parse() {
            Ok(version) if version <= LAYOUT => Ok(Some(version)),
            _ => {
                let found = text.trim_end().chars().filter(|c| !c.is_control()).take(20).collect();
                Err(StateError::Newer { path: self.0.clone(), found })
            }
        }
    }
}

/// The file that holds the mark.
const MARK: &str = "version";

/// The files whose times are those of this machine's clock.
const KEPT: [&str; 6] = [MARK, "machine.sec", "machine.pub", "observe.sec", "observe.pub", "retired.pub"];

/// The layout that this program reads and writes.
pub(super) const LAYOUT: u32 = 1;
