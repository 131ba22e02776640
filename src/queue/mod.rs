//! The queue: what is to go where, and how far it is. Survives being killed at any moment.
//!
//! [`Entry`] is the state machine, pure; [`Queue`] keeps entries in `queue.db`, one row for each path and
//! destination, and every change is on the disk before anything is done because of it.

mod database;
mod entry;
mod offers;
mod rows;

pub use database::{Queue, QueueError, Wish};
pub use entry::{Entry, Event, Origin, State, StoredNar, Terms, after, back_off};
pub use rows::{Row, Trouble};
