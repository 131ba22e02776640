//! What is known of the caches' health. **Pure**: time is an argument, and nothing here asks anybody.
//!
//! [`Breaker`] says whether a cache is asked and waited for, [`Latency`] how long it takes to answer, and [`Line`]
//! whether this machine can reach any cache at all. A cache has two breakers of the same type, one for what it
//! says and one for the bytes that it delivers: a cache may answer every question while the host of its NARs is
//! dead, and the other way round.

mod breaker;
mod latency;
mod line;

pub use breaker::{Breaker, Event, Opened, State, Treatment, Why};
pub use latency::Latency;
pub use line::{Line, Turn, Way};
