//! `nix-cache-info`: what a cache says of itself, and what we say of ourselves.
//!
//! Lines `Key: value`. Unlike a narinfo it decides nothing about any path, so it is read as leniently as the Nix
//! client reads it: values are trimmed, unknown keys and lines without a colon ignored, of repeats the last one
//! holds, every key may be missing. Even an HTML page is a valid one.
//!
//! Rules kept: the size is bounded; a value that is there must make sense. A priority that is no number, which
//! aborts the client, is an error. Source: NixOS/nix `src/libstore/http-binary-cache-store.cc` and
//! `binary-cache-store.cc`.

use thiserror::Error;

use super::store_path::{StoreDir, StoreDirError};

/// `Content-Type` of a narinfo.
pub const NARINFO_MIME: &str = "text/x-nix-narinfo";
/// `Content-Type` of a NAR.
pub const NAR_MIME: &str = "application/x-nix-nar";
/// `Content-Type` of `nix-cache-info`.
pub const CACHE_INFO_MIME: &str = "text/x-nix-cache-info";

/// The longest text read. A guess: the public cache's has 52 bytes, an error page rarely more than this.
pub const CACHE_INFO_MAX: usize = 64 * 1024;

/// What a cache says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NixCacheInfo {
    /// The store directory of its paths; `/nix/store` where it says nothing.
    pub store_dir: StoreDir,
    /// Whether clients may ask for many paths merely to know which exist. No, where it says nothing.
    pub want_mass_query: bool,
    /// Its wish to be asked before caches of a higher number. The client takes 0 where it says nothing.
    pub priority: Option<u32>,
}

impl NixCacheInfo {
    /// Reads what a cache says.
    pub fn parse(text: &[u8]) -> Result<Self, CacheInfoError> {
        if text.len() > CACHE_INFO_MAX {
            return Err(CacheInfoError::TooLong);
        }
        let mut info = Self { store_dir: StoreDir::default(), want_mass_query: false, priority: None };
        for (line, number) in text.split(|&byte| byte == b'\n').zip(1usize..) {
            info.read(line, number)?;
        }
        Ok(info)
    }

    /// Takes over one line.
    fn read(&mut self, line: &[u8], number: usize) -> Result<(), CacheInfoError> {
        let mut halves = line.splitn(2, |&byte| byte == b':');
        let (Some(key), Some(value)) = (halves.next(), halves.next()) else {
            return Ok(());
        };
        // Lossy text has no spelling in common with any value that is accepted below.
        let value = String::from_utf8_lossy(value.trim_ascii());
        match key {
            b"StoreDir" => {
                self.store_dir = StoreDir::new(&value)
                    .map_err(|source| CacheInfoError::StoreDir { line: number, source })?;
            }
            b"WantMassQuery" => self.want_mass_query = value == "1",
            b"Priority" => {
                let priority = value.parse().map_err(|_| CacheInfoError::Priority { line: number })?;
                self.priority = Some(priority);
            }
            _ => {}
        }
        Ok(())
    }

    /// The text to serve. A priority that is not given is left out.
    pub fn to_text(&self) -> String {
        let priority = self.priority.map(|priority| format!("Priority: {priority}\n")).unwrap_or_default();
        let mass_query = u8::from(self.want_mass_query);
        format!("StoreDir: {}\nWantMassQuery: {mass_query}\n{priority}", self.store_dir)
    }
}

/// Why a text cannot be taken for a cache's word on itself.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum CacheInfoError {
    /// More than [`CACHE_INFO_MAX`] bytes.
    #[error("nix-cache-info has more than {CACHE_INFO_MAX} bytes")]
    TooLong,
    /// A priority that is no number from 0 to 2³²-1.
    #[error("line {line}, Priority: not a number")]
    Priority {
        /// The line.
        line: usize,
    },
    /// A store directory that is none.
    #[error("line {line}, StoreDir: {source}")]
    StoreDir {
        /// The line.
        line: usize,
        /// What is wrong with it.
        source: StoreDirError,
    },
}

#[cfg(test)]
mod tests;
