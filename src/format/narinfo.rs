//! The narinfo: what a cache says of one store path.
//!
//! One `Name: value` line per field. [`NarInfo`] keeps apart what signatures cover ([`Core`]: path, NarHash,
//! NarSize, References) and what any cache may write as it likes ([`Hints`]: everything else), so that nobody
//! compares or trusts a hint. Nothing is verified here. A [`NarInfo`] cannot be printed: [`Printed`] is filled field
//! by field, from decided values, by whoever serves or publishes.
//!
//! Rule kept: a strict profile of the format. The Nix client skips the byte after the colon unseen, so
//! `NarSize:196040` reads 96040, lets the last of two StorePath lines win, and more; where a reader could see
//! another value than the signer meant, the text is refused. In particular: printable ASCII and `\n` only, the
//! last byte a `\n`; each line `^[A-Za-z]+: .*$`; no known field twice except `Sig`, nor in other case; store
//! path, sizes and references in their one spelling; sha256 for the NarHash. Tolerated and recorded in
//! [`Quirks`]: what cannot change the [`Core`]. Source: NixOS/nix `src/libstore/nar-info.cc`; the fields as the
//! public caches write them.

use super::hash::NarHash;
use super::key::Signature;
use super::store_path::{StoreDir, StorePath};

mod error;
mod hints;
mod lines;
mod print;
mod references;
mod values;

pub use error::{ErrorKind, Field, ParseError};
pub use hints::{Compression, Hints};
pub use print::Printed;
pub use references::References;

use lines::Lines;

/// One cache's word on one store path, well formed and nothing more.
#[derive(Clone, Debug)]
pub struct NarInfo {
    /// What signatures cover.
    pub core: Core,
    /// What they do not cover.
    pub hints: Hints,
    /// The well-formed ones among the first [`Limits::signatures`] `Sig` lines, in their order. None is verified.
    pub signatures: Vec<Signature>,
    /// What was let through although it should not be so.
    pub quirks: Quirks,
}

impl NarInfo {
    /// Reads a narinfo of a cache for this store directory.
    ///
    /// Whether the path is the one that was asked for is the caller's to check.
    pub fn parse(text: &[u8], dir: &StoreDir, limits: &Limits) -> Result<Self, ParseError> {
        let lines = Lines::read(text, limits)?;
        let mut quirks = Quirks {
            unknown_fields: lines.unknown_fields,
            ignored_signatures: lines.ignored_signatures,
            ..Quirks::default()
        };
        Ok(Self {
            core: values::core(&lines, dir, limits, &mut quirks)?,
            hints: values::hints(&lines, limits, &mut quirks)?,
            signatures: values::signatures(&lines, &mut quirks),
            quirks,
        })
    }
}

/// The signed part. Two caches say the same of a path when their cores are equal.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Core {
    /// The path that is spoken of.
    pub store_path: StorePath,
    /// The sha256 of its NAR.
    pub nar_hash: NarHash,
    /// The length of its NAR, in bytes.
    pub nar_size: u64,
    /// The paths that its contents refer to, itself possibly among them.
    pub references: References,
}

/// Oddities that were tolerated. None of them can change the [`Core`] or make a signature valid.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Quirks {
    /// `Sig` lines that are no signature, dropped. Nix from 2.34 on refuses the whole narinfo.
    pub malformed_signatures: u32,
    /// `Sig` lines past [`Limits::signatures`], not looked at.
    pub ignored_signatures: u32,
    /// A `CA` line that is malformed or `git`, dropped. Forwarded, it could kill the client.
    pub unusable_content_address: bool,
    /// References out of order. A signature over them in that order is none to Nix, nor to us.
    pub unsorted_references: bool,
    /// References that were there before.
    pub repeated_references: u32,
    /// A NarHash or FileHash in another spelling than `algo:` and base32.
    pub hash_not_base32: bool,
    /// Well-formed lines with a name that is no field's.
    pub unknown_fields: u32,
    /// `Deriver: unknown-deriver`, read as no deriver.
    pub unknown_deriver: bool,
}

impl Quirks {
    /// Whether there was nothing to tolerate.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How much a narinfo may ask of its reader.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Longest text, in bytes.
    pub bytes: usize,
    /// `Sig` lines looked at; more are counted only.
    pub signatures: usize,
    /// Most references, repeats included.
    pub references: usize,
    /// Largest NarSize, and largest FileSize.
    pub nar_size: u64,
}

impl Default for Limits {
    /// 1 MiB, 64 signatures, 20,000 references, 64 GiB. Of 978 published narinfos the longest has 37,528 bytes.
    fn default() -> Self {
        Self { bytes: 1 << 20, signatures: 64, references: 20_000, nar_size: 64 << 30 }
    }
}

#[cfg(test)]
mod differential;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
