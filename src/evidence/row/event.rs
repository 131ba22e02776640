//! What does not happen every day: one row for each kind, path and party, counted.

use crate::format::HashPart;
use crate::trust::Timestamp;

/// Something that happened, and how often it has been seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// What kind of thing.
    pub kind: EventKind,
    /// The path that it is about.
    pub path: HashPart,
    /// The package's name, where it is known.
    pub name: Option<Box<str>>,
    /// The cache or signer that it is about; empty where it is about several.
    pub party: Box<str>,
    /// One side, in words: what was said before, or by the first.
    pub before: Box<str>,
    /// The other side: what is said now, or by the others.
    pub after: Box<str>,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// How often.
    pub count: u64,
}

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// Credible claims differ.
    Dissent,
    /// A cache says another thing of a path than it said before.
    ChangedWord,
    /// A signer vouches for two cores of one path.
    Contradiction,
    /// A source delivered bytes that did not match.
    FalseBytes,
    /// A cache that had the path says that it does not have it, and another one has it.
    Gone,
    /// Claims agree, and are not enough.
    Shortfall,
    /// What was built here is not what a cache claims.
    BuildDiffers,
    /// What was built here is what a cache claims.
    BuildAgrees,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Dissent,
        Self::ChangedWord,
        Self::Contradiction,
        Self::FalseBytes,
        Self::Gone,
        Self::Shortfall,
        Self::BuildDiffers,
        Self::BuildAgrees,
    ];

    /// The word for tables, files and filters.
    pub fn label(self) -> &'static str {
        match self {
            Self::Dissent => "dissent",
            Self::ChangedWord => "changed-word",
            Self::Contradiction => "contradiction",
            Self::FalseBytes => "false-bytes",
            Self::Gone => "gone",
            Self::Shortfall => "shortfall",
            Self::BuildDiffers => "build-differs",
            Self::BuildAgrees => "build-agrees",
        }
    }

    /// The kind of a label.
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == label)
    }
}
