//! The spool: what the post-build hook hands to the uploader.
//!
//! One file for each build ([`Record`]), written by `countersign-hook`, which may be killed at any moment, and
//! read by the uploader, which believes none of it: a record is a hint that something was built, and the store
//! is asked what. The directory belongs to the uploader's user; only that user and root write to it, and both
//! sides refuse any other ([`place`]).
//!
//! ```text
//!   hook ──► record ─► SPOOL/….build ─► Spool::records ─► queue ─► Taken::done
//!       └──► root ───► SPOOL/roots/… ──────────────────────────► Spool::unroot
//! ```
//!
//! [`record`], [`derivation`], [`layout`] and [`place`] are compiled into the hook as well, which links nothing
//! else of this library. The first three are pure.

pub mod derivation;
mod directory;
pub mod layout;
mod notices;
pub mod place;
pub mod record;
mod roots;
mod take;

pub use directory::{Spool, SpoolError};
pub use notices::Notices;
pub use place::PlaceError;
pub use record::{Record, RecordError};
pub use roots::Rooted;
pub use take::{Batch, Fault, Refused, Taken};

#[cfg(test)]
mod tests;
