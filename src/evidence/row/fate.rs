//! What became of the bytes that a source was asked for.

use crate::format::NarHash;
use crate::trust::Timestamp;

/// What became of one fetch; kept as one row for each NAR, cache and fate, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FateRow {
    /// The NAR.
    pub nar_hash: NarHash,
    /// The source's name in the configuration.
    pub cache: Box<str>,
    /// What became of it.
    pub fate: Fate,
    /// When, at last.
    pub at: Timestamp,
    /// How often; 1 for what is written.
    pub count: u64,
}

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// All or a part of a NAR that was found right.
    Right,
    /// It broke off, stalled, was too slow or could not be reached; others were turned to.
    BrokenOff,
    /// Bytes that did not match. Such a source is spooled whole from then on (design §5).
    False,
}

impl Fate {
    /// The word for tables and files.
    pub fn label(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::BrokenOff => "broken-off",
            Self::False => "false",
        }
    }

    /// The fate of a label.
    pub fn parse(label: &str) -> Option<Self> {
        [Self::Right, Self::BrokenOff, Self::False].into_iter().find(|fate| fate.label() == label)
    }
}
