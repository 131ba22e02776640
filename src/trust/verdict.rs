//! The four outcomes, and the one type that may be served.
//!
//! [`Endorsed`] has private fields and one constructor, visible to the judge alone. Everything that prints a
//! narinfo, fetches bytes or countersigns takes an `Endorsed` or what it grants, so unverified data cannot
//! reach a response by type:
//!
//! ```compile_fail,E0451
//! // Outside this module nobody makes one, and there is no way from a claim to it.
//! fn forge(core: std::sync::Arc<countersign::format::narinfo::Core>) -> countersign::trust::Endorsed {
//!     countersign::trust::Endorsed { core, ..panic!() }
//! }
//! ```
//!
//! ```compile_fail,E0308
//! // A claim cannot be rendered.
//! fn leak(claim: &countersign::trust::Claim, key: &countersign::format::SigningKey) -> String {
//!     countersign::trust::render(claim, &countersign::format::StoreDir::default(), Some(key))
//! }
//! ```
//!
//! It is not deserialised either: what is read back from disk is a claim again.

use crate::format::content_address::ContentAddress;
use crate::format::narinfo::Core;
use crate::format::{HashPart, NarHash, Signature, StorePath};
use crate::trust::{Offer, Reason};
use std::sync::Arc;

/// What the rule of trust says of a path.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Every cache answered and none has it.
    Absent,
    /// Not satisfied, and an answer that is missing could change that.
    Defer(Reason),
    /// The policy is met.
    Endorse(Endorsed),
    /// It is not, and no missing answer could change that.
    Refuse(Reason),
}

impl Verdict {
    /// The word for headers, logs and counters.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Defer(_) => "defer",
            Self::Endorse(_) => "endorse",
            Self::Refuse(_) => "refuse",
        }
    }

    /// Why it is not endorsed.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Absent | Self::Endorse(_) => None,
            Self::Defer(reason) | Self::Refuse(reason) => Some(reason),
        }
    }
}

/// A core that may be served.
#[derive(Clone, Debug)]
pub struct Endorsed {
    core: Arc<Core>,
    basis: Basis,
    rule: Box<str>,
    signatures: Vec<Signature>,
    deriver: Option<StorePath>,
    content_address: Option<ContentAddress>,
    offers: Vec<Offer>,
}

/// What an endorsement rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The signatures and operators that the rule demands.
    Rule,
    /// The path's own content address; Nix checks it itself, and no countersignature is given.
    Content,
    /// One allowed signature, in observe mode: what plain Nix would have taken.
    Observed,
}

/// The parts of an [`Endorsed`], for the judge.
pub(super) struct Grounds {
    pub(super) core: Arc<Core>,
    pub(super) basis: Basis,
    pub(super) rule: Box<str>,
    pub(super) signatures: Vec<Signature>,
    pub(super) deriver: Option<StorePath>,
    pub(super) content_address: Option<ContentAddress>,
    pub(super) offers: Vec<Offer>,
}

impl Endorsed {
    /// The one constructor, for the judge alone.
    pub(super) fn on(grounds: Grounds) -> Self {
        let Grounds { core, basis, rule, signatures, deriver, content_address, offers } = grounds;
        Self { core, basis, rule, signatures, deriver, content_address, offers }
    }

    /// What is endorsed.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// What the endorsement rests on.
    pub fn basis(&self) -> Basis {
        self.basis
    }

    /// The name of the rule that was met.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// Every signature that vouched, sorted, each once.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The deriver, if the caches that agree on the core concur.
    pub fn deriver(&self) -> Option<&StorePath> {
        self.deriver.as_ref()
    }

    /// The content address, if it was verified.
    pub fn content_address(&self) -> Option<&ContentAddress> {
        self.content_address.as_ref()
    }

    /// Which bytes may be fetched, and from where.
    pub fn grant(&self) -> NarGrant {
        NarGrant {
            path: self.core.store_path.hash_part(),
            nar_hash: self.core.nar_hash,
            nar_size: self.core.nar_size,
            offers: self.offers.clone().into_boxed_slice(),
        }
    }
}

/// Leave to fetch the bytes of one endorsed NAR from the sources that offer it.
#[derive(Clone, Debug)]
pub struct NarGrant {
    path: HashPart,
    nar_hash: NarHash,
    nar_size: u64,
    offers: Box<[Offer]>,
}

impl NarGrant {
    /// The path that was endorsed.
    pub fn path(&self) -> HashPart {
        self.path
    }

    /// The hash that the bytes must have.
    pub fn nar_hash(&self) -> NarHash {
        self.nar_hash
    }

    /// Their exact number.
    pub fn nar_size(&self) -> u64 {
        self.nar_size
    }

    /// Where they are offered, best priority first; never empty.
    pub fn offers(&self) -> &[Offer] {
        &self.offers
    }
}
