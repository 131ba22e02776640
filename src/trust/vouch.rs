//! Checking a claim's signatures against the policy's keys.
//!
//! [`CheckedClaim::check`] consumes a [`Claim`] and tries its signatures, strictly and at most as many as the
//! parser let through. Which of the good ones *count* depends on the time, the package and the cache, and is
//! asked when a verdict is reached ([`CheckedClaim::counting`]).

use crate::format::fingerprint::fingerprint;
use crate::format::narinfo::{Core, Hints};
use crate::format::{Signature, VerifyingKey};
use crate::trust::{CacheId, Claim, Location, Policy, SignerId, SignerSet, Timestamp};
use std::sync::Arc;

/// A claim whose signatures have been tried.
#[derive(Clone, Debug)]
pub struct CheckedClaim {
    pub(super) cache: CacheId,
    pub(super) core: Arc<Core>,
    pub(super) hints: Hints,
    pub(super) location: Option<Location>,
    /// As received; `vouches` has those that verify.
    signatures: Vec<Signature>,
    vouches: Vec<Vouch>,
}

/// A signature that verifies under a key of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vouch {
    signer: SignerId,
    key: usize,
    pub(super) signature: Signature,
}

impl CheckedClaim {
    /// Tries the claim's signatures under the keys that bear their names.
    ///
    /// A signature that a claim in `others` has shown for the same core is not computed again. A key is done
    /// at its first success, so many signatures by one key cost little and count once.
    pub fn check(claim: Claim, policy: &Policy, others: &[&Self]) -> Self {
        let Claim { cache, narinfo, location } = claim;
        let core = others
            .iter()
            .find(|other| *other.core == narinfo.core)
            .map_or_else(|| Arc::new(narinfo.core), |other| Arc::clone(&other.core));
        let known: Vec<&Vouch> =
            others.iter().filter(|o| Arc::ptr_eq(&o.core, &core)).flat_map(|o| &o.vouches).collect();
        let mut text = None;
        let mut vouches: Vec<Vouch> = Vec::new();
        for signature in &narinfo.signatures {
            for (signer, key, verifying) in keys_named(policy, signature) {
                if vouches.iter().any(|v| v.signer == signer && v.key == key) {
                    continue;
                }
                let vouch = Vouch { signer, key, signature: signature.clone() };
                let good = known.contains(&&vouch) || {
                    let text = text.get_or_insert_with(|| fingerprint(policy.store_dir(), &core));
                    verifying.verify(text.as_bytes(), &vouch.signature)
                };
                if good {
                    vouches.push(vouch);
                }
            }
        }
        Self { cache, core, hints: narinfo.hints, location, signatures: narinfo.signatures, vouches }
    }

    /// The cache that made the claim.
    pub fn cache(&self) -> CacheId {
        self.cache
    }

    /// What it claims.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// What it claims, shared with every claim that says the same.
    pub fn shared_core(&self) -> &Arc<Core> {
        &self.core
    }

    /// What it says beside that, under no signature.
    pub fn hints(&self) -> &Hints {
        &self.hints
    }

    /// The signatures that it showed, as received; most may be anybody's.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Whether it is credible: a signer that the rule of its name asks for counts on it (design §2).
    pub fn is_credible(&self, policy: &Policy, now: Timestamp) -> bool {
        let rule = policy.rule(policy.rule_for(self.core.store_path.name(), now));
        rule.is_some_and(|rule| rule.named().meets(self.counting(policy, now)))
    }

    /// The signers whose signatures on this claim count now, shown by this cache, for a path of this name.
    pub fn counting(&self, policy: &Policy, now: Timestamp) -> SignerSet {
        self.counting_vouches(policy, now).map(|v| v.signer).collect()
    }

    /// The signatures behind [`Self::counting`].
    pub(super) fn counting_vouches(
        &self,
        policy: &Policy,
        now: Timestamp,
    ) -> impl Iterator<Item = &Vouch> + use<'_> {
        let showable = policy.showable(self.cache, self.core.store_path.name(), now);
        let valid = |vouch: &Vouch| {
            let keys = policy.signer(vouch.signer).map(|s| s.keys.as_slice()).unwrap_or_default();
            showable.contains(vouch.signer) && keys.get(vouch.key).is_some_and(|k| k.is_valid(now))
        };
        self.vouches.iter().filter(move |v| valid(v)).collect::<Vec<_>>().into_iter()
    }
}

/// The keys of the policy that bear the signature's key name. Several parties may use one name; the bytes
/// decide.
fn keys_named<'a>(
    policy: &'a Policy,
    signature: &'a Signature,
) -> impl Iterator<Item = (SignerId, usize, &'a VerifyingKey)> {
    policy.signer_ids().flat_map(move |id| {
        let keys = policy.signer(id).map(|s| s.keys.as_slice()).unwrap_or_default();
        keys.iter().enumerate().filter_map(move |(index, key)| {
            (key.key.name() == signature.key_name()).then_some((id, index, &key.key))
        })
    })
}
