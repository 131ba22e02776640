//! The rule of trust: pure decisions over what caches claim. **No I/O, no clock, no panic.**
//!
//! In: the path's hash part, each cache's [`Answer`], earlier claims, the [`Policy`], the time.
//! Out: one [`Verdict`]. In prose:
//!
//! 1. A signature *counts* for a signer when it verifies strictly under one of the signer's keys, valid and
//!    not revoked now, for a package inside the signer's `may-vouch-for`, on a claim of a cache that may show
//!    that signer. A suspended signer neither vouches nor vetoes.
//! 2. Signatures for one core are pooled over caches. *Voices* are counted: the largest set of vouching
//!    signers whose roots through `derives-from` are disjoint.
//! 3. A claim is *credible* under its own name's rule when it carries a counting signature of a signer that
//!    the rule names. A core *satisfies* a rule when every clause has its voices and the credible claims come
//!    from enough operators.
//! 4. Credible claims with different names, or different cores, are dissent: refused, outvoted, or settled
//!    by preference. The last credible claim of a silent cache still dissents, and never helps.
//! 5. A path that recomputes from its content address certifies itself where no credible claim differs.
//! 6. Not satisfied is a refusal if no missing answer could change it, else it is deferred.
//!
//! The steps by value: [`Claim`] → [`CheckedClaim`] → [`Ballot`] → [`Verdict`] → [`Endorsed`] → [`NarGrant`].
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm
)]

mod ballot;
mod claim;
mod glob;
mod grounds;
mod judge;
mod policy;
mod reason;
mod render;
mod signer;
mod tally;
mod time;
mod verdict;
mod vouch;

#[cfg(test)]
mod tests;

pub use ballot::{Ballot, ContentQuestion, Settled};
pub use claim::{Answer, Claim, Location, NoClaim, Offer, Silence};
pub use glob::{Glob, GlobError};
pub use policy::{
    Cache, CacheId, Clause, Dissent, Exception, OperatorId, Parts, Policy, PolicyError, Role, Rule, RuleId,
    Subject,
};
pub use reason::{Reason, ReasonKind, Settling, Shortfall, Side};
pub use render::{nar_url, render};
pub use signer::{Scope, Signer, SignerId, SignerKey, SignerSet};
pub use time::Timestamp;
pub use verdict::{Basis, Endorsed, NarGrant, Verdict};
pub use vouch::CheckedClaim;
