//! Hashes as Nix writes them, and the hash of a NAR as a type of its own.
//!
//! A hash is written `algo:digest`, where the digest is base16 (either case), base32 or base64, told apart by
//! length, or as SRI, `algo-base64`. The bare digest without its algorithm is read only where the algorithm is
//! known from elsewhere. Nothing is hashed here.
//!
//! Rules kept: base64 is canonical (Nix itself takes it without padding or with anything after it); output is
//! always base32 unless SRI is asked for; a hash of one thing cannot be taken for the hash of another, so the
//! signed hash of a NAR is a [`NarHash`] and always sha256. Source: NixOS/nix `src/libutil/hash.cc`.

use std::fmt;
use std::str::FromStr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use thiserror::Error;

use super::base32;
use super::base64::{self, Base64Error};

/// A hash of any algorithm that Nix knows.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum NixHash {
    /// MD5, 16 bytes; found in old fixed outputs.
    Md5([u8; 16]),
    /// SHA-1, 20 bytes; found in old fixed outputs.
    Sha1([u8; 20]),
    /// SHA-256, 32 bytes; the algorithm of everything that is signed.
    Sha256([u8; 32]),
    /// SHA-512, 64 bytes.
    Sha512([u8; 64]),
}

impl NixHash {
    /// A hash from its digest, if that has the algorithm's length.
    pub fn from_digest(algo: HashAlgo, digest: &[u8]) -> Result<Self, HashError> {
        let length = HashError::Digest { algo, found: digest.len() };
        match algo {
            HashAlgo::Md5 => digest.try_into().map(Self::Md5),
            HashAlgo::Sha1 => digest.try_into().map(Self::Sha1),
            HashAlgo::Sha256 => digest.try_into().map(Self::Sha256),
            HashAlgo::Sha512 => digest.try_into().map(Self::Sha512),
        }
        .map_err(|_| length)
    }

    /// Reads `algo:digest` in base16, base32 or base64, or SRI.
    pub fn from_nix_str(text: &str) -> Result<Self, HashError> {
        match text.split_once(':') {
            Some((algo, digest)) => Self::from_str(digest, algo.parse()?),
            None => Self::from_sri_str(text),
        }
    }

    /// Reads SRI: `algo-` and the digest in canonical base64, one hash and no options.
    pub fn from_sri_str(text: &str) -> Result<Self, HashError> {
        let (algo, digest) = text.split_once('-').ok_or(HashError::NoAlgorithm)?;
        let algo: HashAlgo = algo.parse()?;
        let digest = digest.as_bytes();
        Ok(match algo {
            HashAlgo::Md5 => Self::Md5(base64::decode_fixed(digest)?),
            HashAlgo::Sha1 => Self::Sha1(base64::decode_fixed(digest)?),
            HashAlgo::Sha256 => Self::Sha256(base64::decode_fixed(digest)?),
            HashAlgo::Sha512 => Self::Sha512(base64::decode_fixed(digest)?),
        })
    }

    /// Reads a digest without its algorithm, in base16, base32 or base64.
    pub fn from_str(digest: &str, algo: HashAlgo) -> Result<Self, HashError> {
        Ok(match algo {
            HashAlgo::Md5 => Self::Md5(decode_digest(digest, algo)?),
            HashAlgo::Sha1 => Self::Sha1(decode_digest(digest, algo)?),
            HashAlgo::Sha256 => Self::Sha256(decode_digest(digest, algo)?),
            HashAlgo::Sha512 => Self::Sha512(decode_digest(digest, algo)?),
        })
    }

    /// The algorithm.
    pub const fn algo(&self) -> HashAlgo {
        match self {
            Self::Md5(_) => HashAlgo::Md5,
            Self::Sha1(_) => HashAlgo::Sha1,
            Self::Sha256(_) => HashAlgo::Sha256,
            Self::Sha512(_) => HashAlgo::Sha512,
        }
    }

    /// The digest.
    pub const fn digest_as_bytes(&self) -> &[u8] {
        match self {
            Self::Md5(digest) => digest,
            Self::Sha1(digest) => digest,
            Self::Sha256(digest) => digest,
            Self::Sha512(digest) => digest,
        }
    }

    /// `algo:` and base32, the form that narinfos carry.
    pub fn to_nix_nixbase32_string(&self) -> String {
        format!("{}:{}", self.algo(), base32::encode(self.digest_as_bytes()))
    }

    /// `algo-` and base64.
    pub fn to_sri_string(&self) -> String {
        format!("{}-{}", self.algo(), base64::encode(self.digest_as_bytes()))
    }

    /// The digest alone in lower-case base16.
    pub fn to_plain_hex_string(&self) -> String {
        HEXLOWER.encode(self.digest_as_bytes())
    }
}

/// The sha256 of a NAR: what signatures cover and what bytes are checked against.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NarHash([u8; 32]);

impl NarHash {
    /// From the 32 bytes of a sha256.
    pub const fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// Reads any encoding that [`NixHash::from_nix_str`] reads, but no other algorithm than sha256.
    pub fn from_nix_str(text: &str) -> Result<Self, HashError> {
        match NixHash::from_nix_str(text)? {
            NixHash::Sha256(digest) => Ok(Self(digest)),
            other @ (NixHash::Md5(_) | NixHash::Sha1(_) | NixHash::Sha512(_)) => {
                Err(HashError::NotSha256 { found: other.algo() })
            }
        }
    }

    /// Reads 52 characters of base32, without `sha256:`; the form used in URLs.
    pub fn parse_nixbase32(text: &str) -> Result<Self, HashError> {
        Ok(Self(base32::decode_fixed(text.as_bytes())?))
    }

    /// The 32 bytes.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.0
    }

    /// 52 characters of base32, without `sha256:`.
    pub fn nixbase32(&self) -> String {
        base32::encode(&self.0)
    }
}

impl fmt::Display for NarHash {
    /// `sha256:` and base32, as in the signed text.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", HashAlgo::Sha256, self.nixbase32())
    }
}

impl fmt::Debug for NarHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "NarHash({self})")
    }
}

/// The sha256 of a file as it is uploaded: it names the file, and nobody signs it.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FileHash([u8; 32]);

impl FileHash {
    /// From the 32 bytes of a sha256.
    pub const fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The 32 bytes.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.0
    }

    /// 52 characters of base32, without `sha256:`; the form used in file names.
    pub fn nixbase32(&self) -> String {
        base32::encode(&self.0)
    }
}

impl From<FileHash> for NixHash {
    fn from(hash: FileHash) -> Self {
        Self::Sha256(hash.0)
    }
}

impl fmt::Debug for FileHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "FileHash({})", NixHash::from(*self).to_nix_nixbase32_string())
    }
}

/// The algorithms that a hash in a narinfo may name.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum HashAlgo {
    /// `md5`
    Md5,
    /// `sha1`
    Sha1,
    /// `sha256`
    Sha256,
    /// `sha512`
    Sha512,
}

impl HashAlgo {
    /// The name as Nix writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The length of a digest in bytes.
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl FromStr for HashAlgo {
    type Err = HashError;

    fn from_str(name: &str) -> Result<Self, HashError> {
        match name {
            "md5" => Ok(Self::Md5),
            "sha1" => Ok(Self::Sha1),
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(HashError::UnknownAlgorithm),
        }
    }
}

impl fmt::Display for HashAlgo {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Why a text is not a hash.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum HashError {
    /// Neither `algo:` nor `algo-` stands in front.
    #[error("the hash does not name its algorithm")]
    NoAlgorithm,
    /// An algorithm that is none of [`HashAlgo`].
    #[error("the hash algorithm is none of md5, sha1, sha256, sha512")]
    UnknownAlgorithm,
    /// The right form, but an algorithm that cannot stand here.
    #[error("the hash must be sha256, not {found}")]
    NotSha256 {
        /// The algorithm found.
        found: HashAlgo,
    },
    /// A text whose length is that of no encoding of this digest.
    #[error("{found} characters are no base16, base32 or base64 of a {algo} digest")]
    Length {
        /// The algorithm named.
        algo: HashAlgo,
        /// The bytes of text found.
        found: usize,
    },
    /// A digest of another length than the algorithm's.
    #[error("{found} bytes are no {algo} digest")]
    Digest {
        /// The algorithm named.
        algo: HashAlgo,
        /// The bytes found.
        found: usize,
    },
    /// A text as long as base16 that is not.
    #[error("no base16 digit at offset {offset}")]
    Base16 {
        /// Offset of the first wrong byte in the digest's text.
        offset: usize,
    },
    /// A text as long as base32 that is not.
    #[error(transparent)]
    Base32(#[from] base32::DecodeError),
    /// A text as long as base64 that is not, or SRI that is not base64.
    #[error(transparent)]
    Base64(#[from] Base64Error),
}

/// Reads a digest in the encoding that its length gives away; no two lengths coincide for one algorithm.
fn decode_digest<const K: usize>(text: &str, algo: HashAlgo) -> Result<[u8; K], HashError> {
    let (text, found) = (text.as_bytes(), text.len());
    if found == base32::encode_len(K) {
        Ok(base32::decode_fixed(text)?)
    } else if found == HEXLOWER_PERMISSIVE.encode_len(K) {
        let mut digest = [0u8; K];
        HEXLOWER_PERMISSIVE
            .decode_mut(text, &mut digest)
            .map_err(|partial| HashError::Base16 { offset: partial.error.position })?;
        Ok(digest)
    } else if found == base64::encode_len(K) {
        Ok(base64::decode_fixed(text)?)
    } else {
        Err(HashError::Length { algo, found })
    }
}

#[cfg(test)]
mod tests;
