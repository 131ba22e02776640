//! The unsigned fields of a narinfo: where a NAR might be, how it might be packed, and hearsay.
//!
//! Any cache may write here what it likes under a perfectly signed core. The bytes are checked against the core;
//! these values say only where to look. `CA` alone can be checked by itself, with
//! [`ContentAddress::certifies`].

use crate::format::content_address::ContentAddress;
use crate::format::hash::NixHash;
use crate::format::store_path::StorePath;

/// What no signature covers. There is no `==`: hints are never compared.
#[derive(Clone, Debug)]
pub struct Hints {
    /// Where the NAR is said to be; may be relative or absolute and may point anywhere. Not empty, printable ASCII
    /// without spaces.
    pub url: String,
    /// How the file at the URL is said to be compressed.
    pub compression: Compression,
    /// The hash of that file.
    pub file_hash: Option<NixHash>,
    /// The size of that file.
    pub file_size: Option<u64>,
    /// The derivation that is said to have made the path.
    pub deriver: Option<StorePath>,
    /// What the path is said to be bound to. Counts only once recomputed.
    pub content_address: Option<ContentAddress>,
    /// The platform; written by old caches.
    pub system: Option<String>,
}

/// The name of a compression.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Compression {
    /// `none`: the file is the NAR.
    None,
    /// `xz`
    Xz,
    /// `bzip2`, and what an absent or empty field means.
    Bzip2,
    /// `zstd`
    Zstd,
    /// `gzip`
    Gzip,
    /// `br`
    Br,
    /// A name that we do not decode; some versions of Nix do, some by starting other programs.
    Other(Box<str>),
}

impl Compression {
    /// Reads a name; every text is one.
    pub fn parse(name: &str) -> Self {
        match name {
            "none" => Self::None,
            "xz" => Self::Xz,
            "" | "bzip2" => Self::Bzip2,
            "zstd" => Self::Zstd,
            "gzip" => Self::Gzip,
            "br" => Self::Br,
            other => Self::Other(Box::from(other)),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Br => "br",
            Self::Other(name) => name,
        }
    }
}
