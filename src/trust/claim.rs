//! What one cache answered about one path.
//!
//! A [`Claim`] is unverified: it is tagged with the cache that made it, it is about the path that was asked
//! for, and nothing else is known of it. It has no printer and gives nothing out but to the checks of this
//! module's siblings.

use crate::format::narinfo::{Compression, Core, Hints, NarInfo};
use crate::format::{HashPart, NixHash, StoreDir, StorePath};
use crate::trust::CacheId;
use std::fmt;

/// A cache's answer to the question for one path.
#[derive(Debug)]
pub enum Answer {
    /// It claims the path.
    Claim(Box<Claim>),
    /// It says that it does not have the path: 404, 410, or a 403 from S3.
    NotFound,
    /// It did not answer, or what it said is no answer. Silence is never a vote.
    NoAnswer(Silence),
}

/// Why there is no answer of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Silence {
    /// It has not been asked, or has not answered yet.
    Pending,
    /// It is known to be down and was not waited for.
    Down,
    /// Its time was up.
    TimedOut,
    /// It could not be reached.
    Unreachable,
    /// It answered with something that is no claim for the asked path.
    Faulty,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "has not answered yet",
            Self::Down => "is known to be down",
            Self::TimedOut => "did not answer in time",
            Self::Unreachable => "could not be reached",
            Self::Faulty => "answered with something that is no claim",
        })
    }
}

/// Where a cache offers the bytes of a claim: an absolute URL that the asking ring has resolved and found
/// inside what the cache may point to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location(pub Box<str>);

/// What one cache says of the asked path.
#[derive(Clone, Debug)]
pub struct Claim {
    pub(super) cache: CacheId,
    pub(super) narinfo: NarInfo,
    pub(super) location: Option<Location>,
}

/// Why a narinfo is no claim for the asked path: a fault of the cache.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoClaim {
    /// It speaks of another path.
    #[error("the narinfo is for {told}, not for {asked}")]
    OtherPath {
        /// The hash part that was asked for.
        asked: HashPart,
        /// The path that the narinfo names.
        told: StorePath,
    },
    /// Its content address makes the path, and contradicts its NarHash.
    #[error("the content address of the narinfo demands another NarHash than it states")]
    ContradictsItself,
}

impl Claim {
    /// Tags a narinfo with the cache that showed it, if it is for the asked path and does not contradict
    /// itself (design §3.7: `fixed:r:sha256` demands NarHash = H).
    ///
    /// `location` is where its bytes are, `None` if its URL leads outside what the cache may point to.
    ///
    /// # Errors
    /// [`NoClaim`]; the answer is then none, of a faulty cache.
    pub fn new(
        cache: CacheId,
        asked: HashPart,
        narinfo: NarInfo,
        location: Option<Location>,
        store_dir: &StoreDir,
    ) -> Result<Self, NoClaim> {
        if narinfo.core.store_path.hash_part() != asked {
            return Err(NoClaim::OtherPath { asked, told: narinfo.core.store_path });
        }
        if let Some(address) = &narinfo.hints.content_address
            && address.binds_nar_hash().is_some_and(|h| h != narinfo.core.nar_hash)
            && address.certifies(store_dir, &narinfo.core)
        {
            return Err(NoClaim::ContradictsItself);
        }
        Ok(Self { cache, narinfo, location })
    }

    /// The cache that made the claim.
    pub fn cache(&self) -> CacheId {
        self.cache
    }

    /// The signed part, not verified.
    pub fn core(&self) -> &Core {
        &self.narinfo.core
    }

    /// The part that no signature covers.
    pub fn hints(&self) -> &Hints {
        &self.narinfo.hints
    }
}

/// A place where the bytes of a core are offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The cache that offers them.
    pub cache: CacheId,
    /// Where they are.
    pub location: Location,
    /// How they are compressed.
    pub compression: Compression,
    /// How long the compressed file is said to be.
    pub file_size: Option<u64>,
    /// What the compressed file is said to hash to: a hint that nobody signs. Two offers with the same one may be
    /// continued with each other's bytes; whether they are the same shows in the NAR.
    pub file_hash: Option<NixHash>,
}
