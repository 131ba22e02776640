//! The bytes of NARs: fetched, decoded, checked, given out.
//!
//! [`decode`] and [`verify`] are pure; the rest is a ring around them. What is to be fetched comes as a
//! [`crate::trust::NarGrant`], which only an endorsement gives.

pub mod decode;
mod fetch;
mod relay;
mod spool;
#[expect(clippy::module_inception, reason = "the file is named for its type")]
mod transfer;
pub mod verify;
mod withdrawn;

pub use decode::{Codec, memory_needed};
pub use fetch::Interrupted;
pub use relay::{Extent, NarBytes, Relay};
pub use spool::Spooled;
pub use transfer::{Transfer, TransferError};
pub use withdrawn::Withdrawn;
