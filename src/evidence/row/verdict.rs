//! What was decided on a path, and on whose word: append-only, each row bound to the one before.

use crate::format::{HashPart, NarHash};
use crate::trust::Timestamp;

/// A verdict as it was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictRow {
    /// When.
    pub at: Timestamp,
    /// The path asked for; `None` where the row is about none.
    pub asked: Option<HashPart>,
    /// The package's name, where a claim told it.
    pub name: Option<Box<str>>,
    /// What was decided.
    pub outcome: Outcome,
    /// Whether nothing was enforced (`mode = "observe"`).
    pub observing: bool,
    /// The name of the rule that applied.
    pub rule: Option<Box<str>>,
    /// The core endorsed, or served while observing.
    pub nar_hash: Option<NarHash>,
    /// The label of the reason (`trust::Reason::label`), of an endorsement what it rests on; else empty.
    pub label: Box<str>,
    /// The reason in one sentence; empty for an endorsement.
    pub reason: Box<str>,
    /// What each cache said, in the order of the configuration.
    pub heard: Vec<Heard>,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The policy is met.
    Endorse,
    /// It is not.
    Refuse,
    /// An answer is missing that could change that.
    Defer,
    /// Every cache answered and none has it. Not kept, but after a withdrawal.
    Absent,
    /// The clock was reset: no path, the reason says from when to when.
    ClockReset,
}

/// What one cache said when the verdict was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The cache's name.
    pub cache: Box<str>,
    /// Its word.
    pub word: Word,
}

/// A cache's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It claims a core.
    Claim {
        /// The NarHash of the core.
        nar_hash: NarHash,
        /// The signers whose signatures counted.
        signers: Vec<Box<str>>,
    },
    /// It does not have the path.
    NotFound,
    /// It gave no answer.
    Nothing,
}

impl Outcome {
    /// The word for tables, files and filters.
    pub fn label(self) -> &'static str {
        match self {
            Self::Endorse => "endorse",
            Self::Refuse => "refuse",
            Self::Defer => "defer",
            Self::Absent => "absent",
            Self::ClockReset => "clock-reset",
        }
    }

    /// The outcome of a label.
    pub fn parse(label: &str) -> Option<Self> {
        [Self::Endorse, Self::Refuse, Self::Defer, Self::Absent, Self::ClockReset]
            .into_iter()
            .find(|outcome| outcome.label() == label)
    }
}
