//! The contract of a storage, over SQLite and over memory; the rest is beside what it tests.

mod contract;
mod memory;
pub(super) mod samples;
