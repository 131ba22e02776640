//! Nix's text formats as types: what a binary cache says, read strictly, before anyone decides anything.
//!
//! Everything here is pure: bytes and text in, values or small errors out. No files, no sockets, no clock, no
//! policy. The one thing kept secret is the signing key. A value of these types says only that its text was
//! well formed; whether to believe it is decided elsewhere.
//!
//! Rules kept by every parser here:
//!
//! - it refuses rather than repairs; the few oddities that real caches show and that harm nobody are let
//!   through and recorded ([`narinfo::Quirks`]);
//! - it never panics, and never allocates more than in proportion to the bytes it was given;
//! - what it accepts has one spelling on the way out, so equal values print equally.
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

pub mod base32;
mod base64;
pub mod cache_info;
pub mod content_address;
pub mod derivation;
pub mod fingerprint;
pub mod hash;
pub mod key;
pub mod nar;
pub mod narinfo;
#[cfg(test)]
mod samples;
pub mod store_path;

pub use base64::Base64Error;
pub use cache_info::NixCacheInfo;
pub use content_address::ContentAddress;
pub use fingerprint::fingerprint;
pub use hash::{FileHash, HashAlgo, NarHash, NixHash};
pub use key::{KeyError, KeyName, Signature, SigningKey, VerifyingKey};
pub use narinfo::{Compression, Core, Hints, Limits, NarInfo, Quirks, References};
pub use store_path::{HashPart, StoreDir, StorePath};
