//! What `tests/bench/soak.rs` takes from here.

pub mod bad_cache;
pub mod client;
pub mod dice;
pub mod party;
pub mod port;
