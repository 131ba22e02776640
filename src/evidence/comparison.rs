//! What was built here, held against what caches claim of the same path. Pure.
//!
//! A build here is one more opinion, which never votes (design §3.10): what comes of the comparison is events, for
//! people to look at. Of a claim only those count that a signer vouches for now; a claim that was read back from the
//! ledger is a claim again, whose signatures are tried anew ([`counting`]).
//!
//! Compared are NarHash and NarSize, and the references where the caller knows those of the build. A build whose
//! result was not kept says nothing.

use crate::evidence::{BuildRow, ClaimRow, EventKind, EventRow};
use crate::format::narinfo::{Limits, NarInfo};
use crate::format::{NarHash, References};
use crate::trust::{CacheId, CheckedClaim, Claim, Policy, Timestamp};

/// What a cache claims of a path, on the word of signers whose signatures count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The cache's name in the configuration.
    pub cache: Box<str>,
    /// The NarHash that it claims.
    pub nar_hash: NarHash,
    /// The NarSize that it claims.
    pub nar_size: u64,
    /// The references that it claims.
    pub references: References,
    /// The signers who vouch for that, in the order of the configuration; never empty.
    pub signers: Vec<Box<str>>,
}

impl Claimed {
    /// What a checked claim says, if anybody's signature on it counts now.
    pub fn of(claim: &CheckedClaim, policy: &Policy, now: Timestamp) -> Option<Self> {
        let name = |id| policy.signer(id).map(|signer| signer.name.clone());
        let signers: Vec<_> = claim.counting(policy, now).iter().filter_map(name).collect();
        let core = claim.core();
        (!signers.is_empty()).then_some(Self {
            cache: policy.cache(claim.cache())?.name.clone(),
            nar_hash: core.nar_hash,
            nar_size: core.nar_size,
            references: core.references.clone(),
            signers,
        })
    }

    /// Whether this is what was built. `references` are those of the build, where they are known.
    pub fn is_of(&self, build: &BuildRow, references: Option<&References>) -> bool {
        build.nar_hash == Some(self.nar_hash)
            && build.nar_size.is_none_or(|size| size == self.nar_size)
            && references.is_none_or(|references| *references == self.references)
    }
}

/// The last word of each cache that counts now, out of what the ledger has of one path, the last heard first. Caches
/// that the policy no longer knows have none.
pub fn counting(rows: &[ClaimRow], policy: &Policy, limits: &Limits, now: Timestamp) -> Vec<Claimed> {
    let mut claims: Vec<Claimed> = Vec::new();
    for row in rows {
        if claims.iter().any(|known| known.cache == row.cache) {
            continue;
        }
        claims.extend(counted(row, policy, limits, now));
    }
    claims
}

/// What a row says, if anybody's signature on it counts now.
pub fn counted(row: &ClaimRow, policy: &Policy, limits: &Limits, now: Timestamp) -> Option<Claimed> {
    Claimed::of(&checked(row, policy, limits)?, policy, now)
}

/// A row as the claim that it was: parsed and its signatures tried like any other's.
fn checked(row: &ClaimRow, policy: &Policy, limits: &Limits) -> Option<CheckedClaim> {
    let named = |id: &CacheId| policy.cache(*id).is_some_and(|cache| cache.name == row.cache);
    let cache = policy.cache_ids().find(named)?;
    let dir = policy.store_dir();
    let narinfo = NarInfo::parse(row.text(dir).as_bytes(), dir, limits).ok()?;
    let claim = Claim::new(cache, row.core.store_path.hash_part(), narinfo, None, dir).ok()?;
    Some(CheckedClaim::check(claim, policy, &[]))
}

/// One event for each claim: the build agrees with it, or differs. A build without a result has none.
pub fn compare(build: &BuildRow, references: Option<&References>, claims: &[Claimed]) -> Vec<EventRow> {
    let Some(nar_hash) = build.nar_hash else { return Vec::new() };
    let built = content(nar_hash, build.nar_size);
    let event = |claim: &Claimed| {
        let agrees = claim.is_of(build, references);
        let same_content = claim.is_of(build, None);
        let (claimed, apart) = match references {
            Some(references) if same_content && !agrees => (listed(&claim.references), listed(references)),
            _ => (String::new(), String::new()),
        };
        let said = content(claim.nar_hash, Some(claim.nar_size));
        EventRow {
            kind: if agrees { EventKind::BuildAgrees } else { EventKind::BuildDiffers },
            path: build.path.hash_part(),
            name: Some(build.path.name().into()),
            party: claim.cache.clone(),
            before: format!("claimed as {said}{claimed}, vouched for by {}", claim.signers.join(", ")).into(),
            after: format!("{} here as {built}{apart}", verb(build)).into(),
            first_seen: build.at,
            last_seen: build.at,
            count: 1,
        }
    };
    claims.iter().map(event).collect()
}

fn verb(build: &BuildRow) -> &'static str {
    use crate::evidence::BuildKind::{Built, Failed, RebuiltEqual, RebuiltOther};
    match build.kind {
        Built | Failed => "built",
        RebuiltEqual | RebuiltOther => "built again",
    }
}

fn content(nar_hash: NarHash, nar_size: Option<u64>) -> String {
    match nar_size {
        Some(size) => format!("{nar_hash}, {size} bytes"),
        None => nar_hash.to_string(),
    }
}

/// References as far as a line bears them.
fn listed(references: &References) -> String {
    let names: Vec<String> = references.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = references.len().saturating_sub(names.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    match names.as_slice() {
        [] => " without references".to_owned(),
        names => format!(" that refers to {}{more}", names.join(" ")),
    }
}

/// References that an event spells out. A guess: enough to see which one it is.
const SHOWN: usize = 20;

#[cfg(test)]
mod tests;
