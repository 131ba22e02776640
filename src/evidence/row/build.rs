//! What was built on this machine: one more opinion of a path, which never votes (design §3.10).

use crate::format::{NarHash, StorePath};
use crate::trust::Timestamp;

/// The result of a build here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildRow {
    /// The output.
    pub path: StorePath,
    /// What it hashed to; `None` where a rebuild failed or its result was not kept.
    pub nar_hash: Option<NarHash>,
    /// How long its NAR is, in bytes.
    pub nar_size: Option<u64>,
    /// The derivation that it was built from, if that is known.
    pub derivation: Option<StorePath>,
    /// Why it was built.
    pub kind: BuildKind,
    /// When it was reported.
    pub at: Timestamp,
}

/// Why something was built, and how that went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BuildKind {
    /// Nix built it, and the hook or a sweep reported it.
    Built,
    /// `countersign rebuild` built it again: the same as what is installed.
    RebuiltEqual,
    /// `countersign rebuild` built it again: another content than what is installed.
    RebuiltOther,
    /// `countersign rebuild` could not build it.
    Failed,
}

impl BuildKind {
    /// The word for tables and files.
    pub fn label(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::RebuiltEqual => "rebuilt-equal",
            Self::RebuiltOther => "rebuilt-other",
            Self::Failed => "failed",
        }
    }

    /// The kind of a label.
    pub fn parse(label: &str) -> Option<Self> {
        [Self::Built, Self::RebuiltEqual, Self::RebuiltOther, Self::Failed]
            .into_iter()
            .find(|kind| kind.label() == label)
    }
}
