//! Evidence: who said what, what was decided on it, what became of the bytes, and what was built here (design §8).
//!
//! [`row`] has the rows, which are plain values; [`storage`] the interface behind which they are kept, and
//! [`ledger`] the handle that the service writes through: off the request path for what is routine, before the answer
//! for a refusal, and never in the way of serving. What is read back is not trusted: a claim is a claim again,
//! which is parsed, checked and judged. [`comparison`] holds what was built here against claims.

pub mod account;
mod backlog;
pub mod chain;
mod checkpointer;
mod codec;
pub mod comparison;
pub mod ledger;
mod reader;
mod retention;
pub mod row;
mod sieve;
pub mod sqlite;
pub mod storage;
pub mod verify;
mod writer;

pub use account::Account;
pub use chain::{Carried, ChainHash, Chained, Head, HeadError, SealKind, SignedHead};
pub use comparison::{Claimed, compare, counted, counting};
pub use ledger::{Ledger, LedgerStatus, LedgerTerms};
pub use row::{
    BuildKind, BuildRow, ClaimRow, ClaimSeen, EventKind, EventRow, Fate, FateRow, Heard, Outcome, VerdictRow,
    Word,
};
pub use sqlite::{Sqlite, Terms};
pub use storage::{
    Aged, Batch, Each, Earlier, Filter, Kind, Piece, Sign, Source, Storage, StorageError, Tally,
};
pub use verify::{Flaw, Report, verify};

#[cfg(test)]
mod tests;
