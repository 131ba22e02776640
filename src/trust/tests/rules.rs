//! Design §3, one test for each sentence that the pure rule can keep or break, each beside its honest twin.

mod before;
mod content;
mod counting;
mod dissent;
mod missing;
mod names;
