//! The bytes of NARs: fetched, decoded, checked, given out.
//!
//! [`decode`] and [`verify`] are pure; the rest is a ring around them. What is to be fetched comes as a
//! [`crate::trust::NarGrant`], which only an endorsement gives.

mod broken;
mod budget;
mod cost;
pub mod decode;
mod fates;
mod fetch;
mod input;
mod plan;
mod relay;
mod sources;
mod spool;
#[expect(clippy::module_inception, reason = "the file is named for its type")]
mod transfer;
pub mod verify;
mod withdrawn;
mod work;

pub use decode::{Codec, memory_needed};
pub use fetch::Interrupted;
pub use relay::{Extent, NarBytes, Relay};
pub use spool::Spooled;
pub use transfer::{Next, Transfer, TransferError};
pub use withdrawn::Withdrawn;
