//! Evidence: who said what, what was decided on it, what became of the bytes, and what was built here (design §8).
//!
//! [`row`] has the rows, which are plain values; [`storage`] the interface behind which they are kept, and
//! [`ledger`] the handle that the service writes through: off the request path for what is routine, before the answer
//! for a refusal, and never in the way of serving. What is read back is not trusted: a claim is a claim again,
//! which is parsed, checked and judged.

pub mod ledger;
pub mod row;
pub mod storage;

pub use ledger::Ledger;
pub use row::{
    BuildKind, BuildRow, ClaimRow, ClaimSeen, EventKind, EventRow, Fate, FateRow, Heard, Outcome, VerdictRow,
    Word,
};
pub use storage::{Batch, Earlier, Filter, Storage, StorageError};
