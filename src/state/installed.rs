//! The moment from which on builds are swept: `installed`, one line, a moment as RFC 3339 has it.
//!
//! Written when the first uploader starts and never again by us. A person may write an earlier or a later one into it.

use super::{StateDirectory, StateError, sync_parent, write_beside};
use crate::trust::Timestamp;
use std::io;
use std::path::PathBuf;

impl StateDirectory {
    /// The moment that was noted; `None` if none is.
    ///
    /// # Errors
    /// [`StateError::Io`] if the file cannot be read, [`StateError::Moment`] if it holds something else.
    pub fn installed(&self) -> Result<Option<Timestamp>, StateError> {
        let path = self.installed_file();
        match std::fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse::<jiff::Timestamp>() {
                Ok(moment) => Ok(Some(Timestamp::from_seconds(moment.as_second()))),
                Err(_) => Err(StateError::Moment { path }),
            },
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) if source.kind() == io::ErrorKind::InvalidData => Err(StateError::Moment { path }),
            Err(source) => Err(StateError::Io { doing: "read", path, source }),
        }
    }

    /// Notes the moment, unless one is noted already.
    ///
    /// # Errors
    /// [`StateError::Io`] if it cannot be written.
    pub fn note_installed(&self, at: Timestamp) -> Result<(), StateError> {
        let path = self.installed_file();
        let moment = jiff::Timestamp::from_second(at.seconds()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let fresh = write_beside(&path, &format!("{moment}\n"))?;
        // A link fails where a rename would replace: of two first starts, one moment wins.
        let linked = std::fs::hard_link(&fresh, &path);
        std::fs::remove_file(&fresh).unwrap_or_default();
        match linked {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                Err(StateError::Io { doing: "write", path, source })
            }
            _ => sync_parent(&path),
        }
    }

    /// The file of that moment.
    pub fn installed_file(&self) -> PathBuf {
        self.0.join("installed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_is_noted_once() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDirectory::at(dir.path().to_owned());
        assert_eq!(state.installed().unwrap(), None);
        state.note_installed(Timestamp::from_seconds(1_700_000_000)).unwrap();
        state.note_installed(Timestamp::from_seconds(1_800_000_000)).unwrap();
        assert_eq!(state.installed().unwrap(), Some(Timestamp::from_seconds(1_700_000_000)));
        assert_eq!(std::fs::read_to_string(state.installed_file()).unwrap(), "2023-11-14T22:13:20Z\n");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn something_else_is_no_moment() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDirectory::at(dir.path().to_owned());
        for text in ["", "1700000000\n", "yesterday", "2026-13-01T00:00:00Z"] {
            std::fs::write(state.installed_file(), text).unwrap();
            assert!(matches!(state.installed(), Err(StateError::Moment { .. })), "{text:?}");
        }
    }
}
