//! The open directories, and the rules for names. Keeps one name for each level, which is all that strict
//! ordering needs.

use super::NarErrorKind;

/// The last entry's name of every open directory, outermost first; empty before its first entry.
#[derive(Debug, Default)]
pub(super) struct Levels(Vec<Vec<u8>>);

impl Levels {
    pub(super) fn depth(&self) -> usize {
        self.0.len()
    }

    pub(super) fn enter(&mut self) {
        self.0.push(Vec::new());
    }

    pub(super) fn leave(&mut self) {
        self.0.pop();
    }

    /// Admits `name` as the next entry of the innermost directory. Its length was judged before.
    #[inline]
    pub(super) fn admit(&mut self, name: &[u8]) -> Result<(), NarErrorKind> {
        if name == b"." || name == b".." {
            return Err(NarErrorKind::NameDots);
        }
        // Without a branch for each byte, this is compared many bytes at a time.
        if name.iter().fold(false, |bad, byte| bad | (*byte == b'/') | (*byte == 0)) {
            let slash = name.contains(&b'/');
            return Err(if slash { NarErrorKind::NameSlash } else { NarErrorKind::NameNul });
        }
        let Some(last) = self.0.last_mut().filter(|last| name > last.as_slice()) else {
            return Err(NarErrorKind::NameOrder);
        };
        last.clear();
        last.extend_from_slice(name);
        Ok(())
    }
}
