//! Content addresses: the `CA` field, and the store path that follows from one.
//!
//! A store path can be bound to its contents instead of to a signature: then its hash part is made from a hash
//! of the contents, its name and (for two kinds) its references, and `CA` says which hash. This file redoes that
//! computation. It hashes no contents: whether a file or a NAR has the hash that is claimed is checked where the
//! bytes are, except that a NAR's sha256 can be compared at once ([`ContentAddress::binds_nar_hash`]).
//!
//! Rules kept: the `CA` line is signed by nobody, so it counts only if the path follows from it; paths that refer
//! to themselves are as if they had none, because Nix versions disagree on their hash; `git` is refused.
//! References are bound for `text:` and `fixed:r:sha256:`, and must be absent for every other kind. Source:
//! NixOS/nix `src/libstore/store-dir-config.cc` and `content-address.cc`.

use std::fmt;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::base32;
use super::hash::{HashAlgo, HashError, NarHash, NixHash};
use super::narinfo::{Core, References};
use super::store_path::{HashPart, StoreDir, StorePath, StorePathError};

/// What a path claims to be bound to.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ContentAddress {
    /// `text:sha256:`, the sha256 of one file's bytes; such a path may have references.
    Text([u8; 32]),
    /// `fixed:`, the hash of one file's bytes; no references.
    Flat(NixHash),
    /// `fixed:r:`, the hash of the NAR; references only if it is sha256.
    Recursive(NixHash),
}

impl ContentAddress {
    /// Reads the value of a `CA` field; the hash in base16, base32 or base64, but not SRI.
    pub fn from_nix_str(text: &str) -> Result<Self, ContentAddressError> {
        if let Some(hash) = text.strip_prefix("text:") {
            let hash = prefixed_hash(hash)?;
            let not_sha256 = HashError::NotSha256 { found: hash.algo() };
            return match hash {
                NixHash::Sha256(digest) => Ok(Self::Text(digest)),
                NixHash::Md5(_) | NixHash::Sha1(_) | NixHash::Sha512(_) => Err(not_sha256.into()),
            };
        }
        let rest = text.strip_prefix("fixed:").ok_or(ContentAddressError::Kind)?;
        if rest.starts_with("git:") {
            return Err(ContentAddressError::Git);
        }
        Ok(match rest.strip_prefix("r:") {
            Some(hash) => Self::Recursive(prefixed_hash(hash)?),
            None => Self::Flat(prefixed_hash(rest)?),
        })
    }

    /// The path that has this content address, this name and these references, none of which is the path itself.
    pub fn store_path(
        &self,
        dir: &StoreDir,
        name: &str,
        references: &References,
    ) -> Result<StorePath, RecomputeError> {
        let (mut text, digest) = match self {
            Self::Text(digest) => (with_references("text", dir, references), *digest),
            Self::Recursive(NixHash::Sha256(digest)) => (with_references("source", dir, references), *digest),
            Self::Recursive(_) | Self::Flat(_) if !references.is_empty() => {
                return Err(RecomputeError::References);
            }
            Self::Recursive(hash) => (String::from("output:out"), fixed_output("r:", hash)),
            Self::Flat(hash) => (String::from("output:out"), fixed_output("", hash)),
        };
        text.push_str(&format!(":sha256:{}:{dir}:{name}", HEXLOWER.encode(&digest)));
        let hash_part = HashPart::from_digest(fold(&Sha256::digest(text.as_bytes()).into()));
        Ok(StorePath::from_parts(hash_part, name)?)
    }

    /// Whether the core's path follows from this address, the core's name and its references.
    ///
    /// Says nothing of the contents: they are checked against the address where the bytes are.
    #[must_use]
    pub fn certifies(&self, dir: &StoreDir, core: &Core) -> bool {
        !core.references.contains(&core.store_path)
            && self
                .store_path(dir, core.store_path.name(), &core.references)
                .is_ok_and(|path| path == core.store_path)
    }

    /// The hash that the path's NAR must have, where the address is that hash: `fixed:r:sha256:`.
    pub const fn binds_nar_hash(&self) -> Option<NarHash> {
        match self {
            Self::Recursive(NixHash::Sha256(digest)) => Some(NarHash::from_digest(*digest)),
            Self::Recursive(_) | Self::Flat(_) | Self::Text(_) => None,
        }
    }
}

impl fmt::Display for ContentAddress {
    /// The value of a `CA` field, its hash in base32.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(digest) => write!(out, "text:{}:{}", HashAlgo::Sha256, base32::encode(digest)),
            Self::Flat(hash) => write!(out, "fixed:{}", hash.to_nix_nixbase32_string()),
            Self::Recursive(hash) => write!(out, "fixed:r:{}", hash.to_nix_nixbase32_string()),
        }
    }
}

/// Why a text is not a content address.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ContentAddressError {
    /// Neither `text:` nor `fixed:`.
    #[error("a content address begins with text: or fixed:")]
    Kind,
    /// `fixed:git:`, an experiment of newer Nix whose hashes are of git objects.
    #[error("git content addresses are not supported")]
    Git,
    /// The rest is no `algo:digest`, or an algorithm that `text:` cannot have.
    #[error(transparent)]
    Hash(#[from] HashError),
}

/// Why no store path can have this address, name and references.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum RecomputeError {
    /// References, where the path would not be bound to them.
    #[error("a path of this kind cannot have references")]
    References,
    /// The name is none.
    #[error(transparent)]
    Path(#[from] StorePathError),
}

/// Reads `algo:digest`.
fn prefixed_hash(text: &str) -> Result<NixHash, HashError> {
    let (algo, digest) = text.split_once(':').ok_or(HashError::NoAlgorithm)?;
    NixHash::from_str(digest, algo.parse()?)
}

/// The kind and, each after a colon, the references in full.
fn with_references(kind: &str, dir: &StoreDir, references: &References) -> String {
    let mut text = String::from(kind);
    for reference in references.iter() {
        text.push(':');
        reference.push_absolute_path(dir, &mut text);
    }
    text
}

/// The sha256 that stands for a fixed output: of its method, algorithm and hash written out.
fn fixed_output(method: &str, hash: &NixHash) -> [u8; 32] {
    let text = format!("fixed:out:{method}{}:{}:", hash.algo(), hash.to_plain_hex_string());
    Sha256::digest(text.as_bytes()).into()
}

/// 32 bytes folded into the 20 of a hash part: those past the end are XORed onto the front.
fn fold(digest: &[u8; 32]) -> [u8; HashPart::DIGEST_LEN] {
    let mut folded = [0u8; HashPart::DIGEST_LEN];
    for chunk in digest.chunks(HashPart::DIGEST_LEN) {
        for (byte, other) in folded.iter_mut().zip(chunk) {
            *byte ^= other;
        }
    }
    folded
}

#[cfg(test)]
mod tests;
