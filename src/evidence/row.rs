//! The rows of the ledger, as values: nothing here touches a disk or a clock.

mod build;
mod claim;
mod event;
mod fate;
mod verdict;

pub use build::{BuildKind, BuildRow};
pub use claim::{ClaimRow, ClaimSeen};
pub use event::{EventKind, EventRow};
pub use fate::{Fate, FateRow};
pub use verdict::{Heard, Outcome, VerdictRow, Word};
