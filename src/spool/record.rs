//! What the hook reports of one build, and its text. Pure, and shared with the hook's own program.
//!
//! ```text
//! countersign-spool 1         the format and its version
//! built 1767225600            when the hook ran, seconds since 1970
//! store /nix/store
//! drv HASH-NAME.drv           at most once
//! out HASH-NAME               at most 64
//! end
//! ```
//!
//! A record is a hint: it says that something was built, and the store is asked what. Rule kept: one text per
//! record. What does not print again as the same bytes is refused, and so is what has no `end`.

use crate::format::store_path::{StoreDir, StoreDirError, StorePath, StorePathError};
use std::fmt::Write;
use thiserror::Error;

/// One build: its derivation, its outputs as far as the hook could tell, and when.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    built: u64,
    store: StoreDir,
    drv: Option<StorePath>,
    outputs: Vec<StorePath>,
}

impl Record {
    /// Longest text of a record, in bytes.
    pub const TEXT_MAX: usize = 65_536;
    /// Most outputs that a record names. Of a build with more, the store knows the rest.
    pub const OUTPUTS_MAX: usize = 64;
    /// Longest store directory, in bytes. With it 64 of the longest outputs stay far below [`Self::TEXT_MAX`].
    pub const STORE_MAX: usize = 1024;

    /// From its parts; an output that is named twice is kept once, and outputs past [`Self::OUTPUTS_MAX`] are
    /// left out.
    ///
    /// # Errors
    /// [`RecordError`] if it names neither a derivation nor an output, if what should be a derivation is not
    /// called `.drv`, or if the store directory is too long.
    pub fn new(
        built: u64,
        store: StoreDir,
        drv: Option<StorePath>,
        outputs: impl IntoIterator<Item = StorePath>,
    ) -> Result<Self, RecordError> {
        if store.as_str().len() > Self::STORE_MAX {
            return Err(RecordError::StoreTooLong { found: store.as_str().len() });
        }
        if drv.as_ref().is_some_and(|path| !is_derivation(path)) {
            return Err(RecordError::NotADerivation);
        }
        let mut kept: Vec<StorePath> = Vec::new();
        for output in outputs {
            if kept.len() == Self::OUTPUTS_MAX {
                break;
            }
            if !kept.contains(&output) {
                kept.push(output);
            }
        }
        if drv.is_none() && kept.is_empty() {
            return Err(RecordError::Empty);
        }
        Ok(Self { built, store, drv, outputs: kept })
    }

    /// Reads the text of a record.
    ///
    /// # Errors
    /// [`RecordError`] if it is not exactly what [`Self::encode`] prints of some record.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > Self::TEXT_MAX {
            return Err(RecordError::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| RecordError::Format)?;
        let version = text.strip_prefix(FORMAT).ok_or(RecordError::Format)?;
        let rest = version.strip_prefix(" 1\n").ok_or(RecordError::Version)?;
        let body = match rest.strip_suffix("end\n") {
            Some(body) if body.ends_with('\n') => body,
            _ => return Err(RecordError::Unfinished),
        };
        let (mut built, mut store, mut drv, mut outputs) = (None, None, None, Vec::new());
        // The first line is read above, and people count from one.
        for (line, number) in body.lines().zip(2_usize..) {
            match line.split_once(' ') {
                Some(("built", text)) => built = text.parse().ok(),
                Some(("store", text)) => store = Some(StoreDir::new(text)?),
                Some(("drv", text)) => drv = Some(StorePath::from_base_name(text)?),
                Some(("out", text)) => outputs.push(StorePath::from_base_name(text)?),
                _ => return Err(RecordError::Line { number }),
            }
        }
        let built = built.ok_or(RecordError::Built)?;
        let record = Self::new(built, store.ok_or(RecordError::NoStore)?, drv, outputs)?;
        // Order, repetition and the spelling of numbers, all at once.
        if record.encode() == text { Ok(record) } else { Err(RecordError::Spelling) }
    }

    /// The text, at most [`Self::TEXT_MAX`] bytes.
    pub fn encode(&self) -> String {
        let mut text = format!("{FORMAT} 1\nbuilt {}\nstore {}\n", self.built, self.store);
        // Writing to a string does not fail.
        if let Some(drv) = &self.drv {
            writeln!(text, "drv {drv}").unwrap_or_default();
        }
        for output in &self.outputs {
            writeln!(text, "out {output}").unwrap_or_default();
        }
        text.push_str("end\n");
        text
    }

    /// When the hook ran, in seconds since 1970, by the clock of the machine that built.
    pub const fn built(&self) -> u64 {
        self.built
    }

    /// The store directory that the hook was told of. A reader of another store wants nothing of this record.
    pub const fn store(&self) -> &StoreDir {
        &self.store
    }

    /// The derivation, if the hook was told of one.
    pub const fn drv(&self) -> Option<&StorePath> {
        self.drv.as_ref()
    }

    /// The outputs that the hook knew of; Nix 2.8.0 and content-addressed derivations leave some out.
    pub fn outputs(&self) -> &[StorePath] {
        &self.outputs
    }
}

/// Whether a path is called as derivations are.
pub fn is_derivation(path: &StorePath) -> bool {
    path.name().strip_suffix(".drv").is_some_and(|name| !name.is_empty())
}

/// What every record begins with.
const FORMAT: &str = "countersign-spool";

/// Why a text is not a record.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum RecordError {
    /// More bytes than any record has.
    #[error("it is longer than {} bytes", Record::TEXT_MAX)]
    TooLong,
    /// Something else.
    #[error("it is no record of this program")]
    Format,
    /// A version that this program does not know.
    #[error("it is a record of another version of this program")]
    Version,
    /// Cut off.
    #[error("it has no last line `end`")]
    Unfinished,
    /// A line of no known kind.
    #[error("line {number} is of no known kind")]
    Line {
        /// Its number, from one.
        number: usize,
    },
    /// No time, or one that is no number.
    #[error("it does not say when")]
    Built,
    /// No store directory.
    #[error("it names no store directory")]
    NoStore,
    /// A store directory that is none.
    #[error(transparent)]
    Store(#[from] StoreDirError),
    /// A longer store directory than is carried.
    #[error("its store directory has {found} bytes, {} are carried", Record::STORE_MAX)]
    StoreTooLong {
        /// The bytes found.
        found: usize,
    },
    /// A path that is none.
    #[error(transparent)]
    Path(#[from] StorePathError),
    /// A derivation that is not called `.drv`.
    #[error("its derivation is not called .drv")]
    NotADerivation,
    /// Neither derivation nor output.
    #[error("it names nothing that was built")]
    Empty,
    /// Right in its parts, but not as this program writes it.
    #[error("its lines are not in the order and spelling in which they are written")]
    Spelling,
}

#[cfg(test)]
// Named, because the hook compiles this file from elsewhere.
#[path = "record/tests.rs"]
mod tests;
