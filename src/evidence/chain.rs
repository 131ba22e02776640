//! The chain of verdicts: every row carries the hash of the row before, and heads of it are signed.
//!
//! ```text
//! hash of row n = SHA-256("countersign-verdict;1;" ‖ hash of row n−1 ‖ the row's number and fields, each with its length)
//! hash of row 0 = 32 zero bytes
//! head          = countersign-head;1;SERIAL;NUMBER;HASH;TIME;KEY:SIGNATURE
//! checkpoint    = countersign-checkpoint;1;0;NUMBER;HASH;TIME;KEY:SIGNATURE
//! ```
//!
//! A head says which hash the row of its number has, the first head that there was none; heads are counted, so that a removed one leaves a gap. A
//! checkpoint says of which row the hash is that the oldest one left is chained to. What is signed begins with its kind
//! and a version, so it can be taken for nothing else that the key signs: Nix's fingerprints begin with `1;`. Pure.

use crate::evidence::{VerdictRow, codec};
use crate::format::{KeyError, Signature, SigningKey, VerifyingKey};
use crate::trust::Timestamp;
use sha2::{Digest, Sha256};
use std::fmt;

/// The hash of a row, and through it of every row before.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainHash([u8; 32]);

impl ChainHash {
    /// What the first row is chained to.
    pub const START: Self = Self([0; 32]);

    /// From its 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash of the row that follows the one with this hash.
    pub fn next(&self, number: u64, carried: Option<Carried>, row: &VerdictRow) -> Self {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(VERDICT);
        bytes.extend_from_slice(&self.0);
        codec::put_verdict(&mut bytes, number, carried, row);
        Self(Sha256::digest(&bytes).into())
    }
}

impl fmt::Display for ChainHash {
    /// 64 characters of lower-case base16.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainHash({self})")
    }
}

/// Where a row stood before, if it is of an installed path and the rows that it stood among were pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The number that it had when it was first written.
    pub from: u64,
    /// When it was written again.
    pub at: Timestamp,
}

/// A verdict with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chained {
    /// Its number; they begin at 1 and have no gaps.
    pub number: u64,
    /// Its hash, as stored.
    pub hash: ChainHash,
    /// Where it stood before.
    pub carried: Option<Carried>,
    /// The verdict.
    pub row: VerdictRow,
}

impl Chained {
    /// When it was written here.
    pub fn written(&self) -> Timestamp {
        self.carried.map_or(self.row.at, |carried| carried.at)
    }
}

/// What a signature is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SealKind {
    /// The row has this hash.
    Head,
    /// The rows up to this one, which had this hash, were pruned.
    Checkpoint,
}

impl SealKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Head => "countersign-head",
            Self::Checkpoint => "countersign-checkpoint",
        }
    }
}

/// A place in the chain, to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whether it is a head or a checkpoint.
    pub kind: SealKind,
    /// Which head it is, counted from 1; 0 for a checkpoint.
    pub serial: u64,
    /// The number of the row.
    pub number: u64,
    /// The row's hash.
    pub hash: ChainHash,
    /// When this was signed.
    pub at: Timestamp,
}

impl Head {
    /// Signs it.
    pub fn sign(self, key: &SigningKey) -> SignedHead {
        let signature = key.sign(self.to_string().as_bytes());
        SignedHead { head: self, signature }
    }
}

impl fmt::Display for Head {
    /// What is signed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, serial, number, hash, at } = self;
        write!(f, "{};1;{serial};{number};{hash};{at}", kind.prefix())
    }
}

/// A signed head or checkpoint, whose signature may be anybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    /// What is signed.
    pub head: Head,
    /// The signature.
    pub signature: Signature,
}

impl SignedHead {
    /// Reads the line that [`fmt::Display`] writes, and no other spelling of it.
    ///
    /// # Errors
    /// [`HeadError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, HeadError> {
        if text.len() > LONGEST_HEAD {
            return Err(HeadError::Form);
        }
        let mut parts = text.splitn(7, ';');
        let mut part = || parts.next().ok_or(HeadError::Form);
        let kind = match part()? {
            "countersign-head" => SealKind::Head,
            "countersign-checkpoint" => SealKind::Checkpoint,
            _ => return Err(HeadError::Form),
        };
        if part()? != "1" {
            return Err(HeadError::Version);
        }
        let serial = part()?.parse().map_err(|_| HeadError::Form)?;
        let number = part()?.parse().map_err(|_| HeadError::Form)?;
        let hash = data_encoding::HEXLOWER.decode(part()?.as_bytes()).map_err(|_| HeadError::Form)?;
        let hash = ChainHash(hash.try_into().map_err(|_| HeadError::Form)?);
        let at = Timestamp::from_seconds(part()?.parse().map_err(|_| HeadError::Form)?);
        let signature = Signature::parse(part()?)?;
        let read = Self { head: Head { kind, serial, number, hash, at }, signature };
        // `+7` and `007` are numbers too.
        if read.to_string() == text { Ok(read) } else { Err(HeadError::Form) }
    }

    /// Whether one of these keys signed it. The name of the signature plays no part.
    #[must_use]
    pub fn is_signed_by(&self, keys: &[VerifyingKey]) -> bool {
        let text = self.head.to_string();
        keys.iter().any(|key| key.verify(text.as_bytes(), &self.signature))
    }
}

impl fmt::Display for SignedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};{}", self.head, self.signature)
    }
}

/// Why a text is no signed head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Not in the one form that heads have.
    #[error("not of the form countersign-head;1;SERIAL;NUMBER;HASH;TIME;KEY:SIGNATURE")]
    Form,
    /// Of a version that this program does not know.
    #[error("a head of another version than 1, which this program does not know")]
    Version,
    /// Its signature is malformed.
    #[error("the signature of a head: {0}")]
    Signature(#[from] KeyError),
}

/// What the hash of a row begins with.
const VERDICT: &[u8] = b"countersign-verdict;1;";

/// Longer than any head: 22 of kind, three numbers of 20, 64 of hash, 217 of signature.
const LONGEST_HEAD: usize = 512;

#[cfg(test)]
mod tests;
