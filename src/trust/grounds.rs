//! What the judge gathers once it has decided: an endorsement's grounds, a reason's names, and whether a
//! missing answer could still change the outcome.

use crate::format::content_address::ContentAddress;
use crate::format::narinfo::{Compression, Core};
use crate::format::{Signature, StorePath};
use crate::trust::judge::{Candidate, Judge, Weighed, contradicted, operator};
use crate::trust::policy::{Dissent, Role, Rule};
use crate::trust::reason::{Reason, ReasonKind, Settling, Shortfall, Side};
use crate::trust::tally::{Lack, Outcome, Support, settle};
use crate::trust::verdict::{Basis, Endorsed, Grounds};
use crate::trust::{CacheId, CheckedClaim, Offer, SignerSet};
use std::iter;
use std::sync::Arc;

impl<'a> Judge<'a> {
    /// Endorses a core, if a source offers its bytes in a form that can be fetched and decoded.
    pub(super) fn endorse(
        &self,
        core: &Arc<Core>,
        basis: Basis,
        rule: &Rule,
        content_address: Option<ContentAddress>,
    ) -> Option<Endorsed> {
        let offers = self.offers(core);
        if offers.is_empty() {
            return None;
        }
        let mut signatures: Vec<Signature> = Vec::new();
        for claim in self.agreeing(core) {
            signatures.extend(claim.counting_vouches(self.policy, self.now).map(|v| v.signature.clone()));
        }
        signatures.sort();
        signatures.dedup();
        Some(Endorsed::on(Grounds {
            core: Arc::clone(core),
            basis,
            rule: rule.name.clone(),
            signatures,
            deriver: self.deriver(core),
            content_address,
            offers,
        }))
    }

    /// The claims given now for this core, credible or not: the bytes are the same whoever delivers them.
    fn agreeing<'s>(&'s self, core: &'s Arc<Core>) -> impl Iterator<Item = &'a CheckedClaim> + use<'a, 's> {
        self.live.iter().copied().filter(move |claim| claim.core == *core)
    }

    /// Where the bytes of a core are offered, best priority first.
    pub(super) fn offers(&self, core: &Arc<Core>) -> Vec<Offer> {
        let mut offers: Vec<(u32, Offer)> = Vec::new();
        for claim in self.agreeing(core) {
            let Some(cache) = self.policy.cache(claim.cache).filter(|c| c.role == Role::Source) else {
                continue;
            };
            let Some(location) = claim.location.clone() else { continue };
            if matches!(claim.hints.compression, Compression::Other(_)) {
                continue;
            }
            let offer = Offer {
                cache: claim.cache,
                location,
                compression: claim.hints.compression.clone(),
                file_size: claim.hints.file_size,
                file_hash: claim.hints.file_hash,
            };
            offers.push((cache.priority, offer));
        }
        offers.sort_by_key(|(priority, offer)| (*priority, offer.cache));
        offers.into_iter().map(|(_, offer)| offer).collect()
    }

    /// The deriver that every agreeing claim with one states. Where there are signed claims, only they are
    /// heard: a cache that signs nothing neither gives nor takes one.
    fn deriver(&self, core: &Arc<Core>) -> Option<StorePath> {
        let is_signed = |claim: &&CheckedClaim| !claim.counting(self.policy, self.now).is_empty();
        let any_signed = self.agreeing(core).any(|claim| is_signed(&claim));
        let heard = self.agreeing(core).filter(|claim| !any_signed || is_signed(claim));
        let mut stated = heard.filter_map(|claim| claim.hints.deriver.as_ref());
        let first = stated.next()?;
        stated.all(|other| other == first).then(|| first.clone())
    }

    /// A content address that the path binds to the NarHash, needing no bytes to be verified.
    pub(super) fn bound_address(&self, core: &Arc<Core>) -> Option<ContentAddress> {
        self.agreeing(core).filter_map(|claim| claim.hints.content_address.as_ref()).find_map(|address| {
            let bound = address.binds_nar_hash() == Some(core.nar_hash)
                && address.certifies(self.policy.store_dir(), core);
            bound.then_some(*address)
        })
    }

    /// Whether some answers of the missing caches would make the rule settle on a core that satisfies it.
    ///
    /// A missing cache helps a core most by claiming it with every signature that it may show; what it said
    /// before is then superseded. So each core that is claimed, each that was, and one that nobody has claimed is
    /// tried with that: they differ in who has no voice for them.
    pub(super) fn could_lift<'c>(
        &self,
        rule: &Rule,
        name: &str,
        candidates: impl Iterator<Item = &'c Candidate<'a>>,
        weighed: &[Weighed<'a>],
    ) -> bool
    where
        'a: 'c,
    {
        if self.missing.is_empty() {
            return false;
        }
        let extra = self.most_from_missing(rule, name);
        let (mut cores, mut supports) = (Vec::new(), Vec::new());
        for candidate in candidates.filter(|c| c.claims.iter().any(Weighed::is_live)) {
            supports.push(Support { shown: candidate.support.live, ..candidate.support.clone() });
            cores.push(Some(candidate.core));
        }
        let claimed = cores.len();
        for memory in weighed.iter().filter(|w| !w.is_live() && w.claim.core.store_path.name() == name) {
            if !cores.contains(&Some(&memory.claim.core)) {
                cores.push(Some(&memory.claim.core));
            }
        }
        cores.push(None);
        cores.iter().enumerate().any(|(index, core)| {
            let mut tried = supports.clone();
            let index = index.min(claimed);
            if index == claimed {
                tried.push(Support::default());
            }
            let Some(support) = tried.get_mut(index) else { return false };
            support.live = support.live.union(extra.live);
            support.shown = support.shown.union(extra.live);
            support.void = contradicted(self.policy, weighed, *core);
            support.operators.extend(&extra.operators);
            settle(self.policy, rule, &tried) == Outcome::Chosen(index)
        })
    }

    /// Whether the missing caches alone could bring a core of this name that satisfies the rule, or one that
    /// certifies itself.
    pub(super) fn could_bring(&self, rule: &Rule, name: &str, weighed: &[Weighed<'a>]) -> bool {
        !self.missing.is_empty()
            && (rule.verify_content_addressed || self.could_lift(rule, name, iter::empty(), weighed))
    }

    /// The most support that the missing caches could give to one core of this name.
    pub(super) fn most_from_missing(&self, rule: &Rule, name: &str) -> Support {
        let mut most = Support::default();
        for &cache in &self.missing {
            let showable = self.policy.showable(cache, name, self.now);
            most.live = most.live.union(showable);
            if showable.meets(rule.named()) {
                most.operators.extend(operator(self.policy, cache));
            }
        }
        most
    }

    pub(super) fn reason(&self, name: Option<&str>, rule: Option<&Rule>, kind: ReasonKind) -> Reason {
        let asked = self.asked;
        let path = name.map(|name| format!("{}/{asked}-{name}", self.policy.store_dir().as_str()));
        Reason {
            path: path.unwrap_or_else(|| asked.to_string()).into(),
            name: name.map(Into::into),
            rule: rule.map(|r| r.name.clone()),
            kind,
            missing: self.cache_names(&self.missing),
        }
    }

    /// By how much one core falls short, and whether it does because signers contradict themselves.
    pub(super) fn short(&self, rule: &Rule, candidate: &Candidate<'a>, lacks: &[Lack]) -> ReasonKind {
        let support = &candidate.support;
        let shortfalls = self.shortfalls(rule, support, lacks);
        let void = support.live.intersection(support.void).intersection(rule.voters());
        if void.is_empty() {
            return ReasonKind::Short(shortfalls);
        }
        ReasonKind::Contradiction {
            signers: self.signer_names(void),
            nar_hash: candidate.core.nar_hash,
            shortfalls,
        }
    }

    fn shortfalls(&self, rule: &Rule, support: &Support, lacks: &[Lack]) -> Vec<Shortfall> {
        let name = |lack: &Lack| match lack {
            Lack::Voices { clause, found } => {
                let clause = rule.clauses.get(*clause)?;
                Some(Shortfall::Voices {
                    needed: u32::from(clause.at_least.get()),
                    found: *found,
                    of: self.signer_names(clause.of),
                    vouching: self
                        .signer_names(support.live.difference(support.void).intersection(clause.of)),
                })
            }
            Lack::Operators => {
                let found = support.operators.iter();
                let found = found.filter_map(|o| self.policy.operators().get(usize::from(o.0)).cloned());
                Some(Shortfall::Operators { needed: u32::from(rule.operators.get()), found: found.collect() })
            }
        };
        lacks.iter().filter_map(name).collect()
    }

    pub(super) fn dissent(&self, rule: &Rule, candidates: &[Candidate<'a>]) -> ReasonKind {
        let settled_by = match rule.dissent {
            Dissent::Refuse => Settling::Refuse,
            Dissent::Outvote => Settling::Outvote,
            Dissent::Prefer(_) => Settling::Prefer,
        };
        let names = |candidate: &Candidate<'a>, live| {
            let claims = candidate.claims.iter().filter(|w| w.is_live() == live);
            self.cache_names(&claims.map(|w| w.claim.cache).collect::<Vec<_>>())
        };
        let side = |candidate: &Candidate<'a>| Side {
            nar_hash: candidate.core.nar_hash,
            caches: names(candidate, true),
            before: names(candidate, false),
            signers: self.signer_names(candidate.support.shown),
        };
        ReasonKind::Dissent { settled_by, sides: candidates.iter().map(side).collect() }
    }

    pub(super) fn cache_names(&self, ids: &[CacheId]) -> Vec<Box<str>> {
        ids.iter().filter_map(|&id| self.policy.cache(id)).map(|c| c.name.clone()).collect()
    }

    pub(super) fn signer_names(&self, set: SignerSet) -> Vec<Box<str>> {
        set.iter().filter_map(|id| self.policy.signer(id)).map(|s| s.name.clone()).collect()
    }
}
