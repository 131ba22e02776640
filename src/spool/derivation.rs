//! The outputs that a derivation names, read from the first bytes of its file. Pure, and shared with the hook's
//! own program.
//!
//! A derivation's text is `Derive([("out","/nix/store/…","",""),…],…`, or `DrvWithVersion("…",[…` for dynamic
//! ones; only that first list is read. Strings escape `"`, `\`, newline, return and tab with a backslash. An
//! output whose path is not known before the build (content-addressed) has an empty one, and is left out.
//! Source: NixOS/nix `src/libstore/derivations.cc`, `parseDerivation`.
//!
//! What this finds is a hint for the garbage collector's sake; the uploader asks the store.

use crate::format::store_path::{StoreDir, StorePath};

/// How many of a derivation's first bytes are wanted: more than 64 outputs with the longest names take.
pub const PREFIX_LEN: usize = 65_536;

/// The paths of the first outputs, at most `most`, that lie in `store`.
///
/// What is no derivation has none; one that is cut off or damaged has those before the damage.
pub fn outputs(text: &[u8], store: &StoreDir, most: usize) -> Vec<StorePath> {
    let mut rest = Rest(text);
    let mut found = Vec::new();
    if rest.begin().is_none() {
        return found;
    }
    while found.len() < most {
        let Some(path) = rest.output() else { break };
        found.extend(StorePath::from_absolute_path(store, &path).ok());
        if rest.take(b",").is_none() {
            break;
        }
    }
    found
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// Up to the bracket of the list of outputs.
    fn begin(&mut self) -> Option<()> {
        if self.take(b"Derive(").is_none() {
            self.take(b"DrvWithVersion(")?;
            self.text()?;
            self.take(b",")?;
        }
        self.take(b"[")
    }

    /// One output of four texts: its path.
    fn output(&mut self) -> Option<String> {
        self.take(b"(")?;
        self.text()?;
        self.take(b",")?;
        let path = self.text()?;
        self.take(b",")?;
        self.text()?;
        self.take(b",")?;
        self.text()?;
        self.take(b")")?;
        Some(path)
    }

    fn take(&mut self, token: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(token)?;
        Some(())
    }

    /// A quoted text. Bytes that are not UTF-8 stand for no path, so what they become does not matter.
    fn text(&mut self) -> Option<String> {
        self.take(b"\"")?;
        let mut bytes = Vec::new();
        loop {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            match byte {
                b'"' => return Some(String::from_utf8_lossy(&bytes).into_owned()),
                b'\\' => {
                    let (&escaped, rest) = self.0.split_first()?;
                    self.0 = rest;
                    bytes.push(match escaped {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        itself => itself,
                    });
                }
                plain => bytes.push(plain),
            }
        }
    }
}

#[cfg(test)]
// Named, because the hook compiles this file from elsewhere.
#[path = "derivation/tests.rs"]
mod tests;
