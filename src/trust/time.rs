//! A moment as the rule of trust knows it: whole seconds, given as an argument, never read from a clock.

use std::fmt;

/// Seconds since 1970-01-01T00:00:00Z; negative before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `seconds` after the epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since the epoch.
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// The later of two moments: "now" is never earlier than the newest row of the ledger (design §3.1).
    pub fn not_before(self, floor: Option<Self>) -> Self {
        floor.map_or(self, |floor| self.max(floor))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
