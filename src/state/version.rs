//! The mark by which a state directory says which layout it has.
//!
//! `version` holds one number. A newer program raises it when it changes what lies in the directory; an older one
//! then refuses to use it, because it would misread what it finds. Without the mark the layout is the first.

use super::{StateDirectory, StateError, rename, write_beside};
use std::io;

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

/// The layout that this program reads and writes.
pub(super) const LAYOUT: u32 = 1;
