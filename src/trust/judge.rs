//! The rule of trust (design §3) over one set of answers.
//!
//! Pure: answers, the policy and the time in, one verdict out. The order of answers does not matter, because
//! they are looked at in the order of the configuration.

use crate::format::HashPart;
use crate::format::content_address::ContentAddress;
use crate::format::narinfo::Core;
use crate::trust::policy::{Exception, OperatorId, Policy, Rule, RuleId, Subject};
use crate::trust::reason::ReasonKind;
use crate::trust::tally::{Outcome, Support, settle};
use crate::trust::verdict::{Basis, Endorsed, Verdict};
use crate::trust::{CacheId, CheckedClaim, ContentQuestion, SignerSet, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The answers, sorted by what they are worth.
pub(super) struct Judge<'a> {
    pub(super) policy: &'a Policy,
    pub(super) asked: HashPart,
    pub(super) now: Timestamp,
    /// Claims of caches that answered.
    pub(super) live: Vec<&'a CheckedClaim>,
    /// Claims from before, cache by cache, of each the latest first.
    pub(super) memories: Vec<&'a CheckedClaim>,
    /// Caches that gave no answer.
    pub(super) missing: Vec<CacheId>,
    /// Bytes that were fetched and checked.
    pub(super) content: &'a [(ContentQuestion, bool)],
}

/// A verdict, and what would be needed to go on.
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    pub(super) questions: Vec<ContentQuestion>,
    /// Whether caches are missing and an answer of theirs may still have a pinned build endorsed: its signatures
    /// or its source may be what they bring, whatever the other claims come to.
    pub(super) pin_open: bool,
}

impl Judged {
    /// Whether this is dissent that no missing answer could lift.
    pub(super) fn is_final_dissent(&self) -> bool {
        match &self.verdict {
            Verdict::Refuse(reason) => {
                !self.pin_open && matches!(reason.kind, ReasonKind::Dissent { .. } | ReasonKind::Names(_))
            }
            Verdict::Absent | Verdict::Defer(_) | Verdict::Endorse(_) => false,
        }
    }
}

impl From<Verdict> for Judged {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, questions: Vec::new(), pin_open: false }
    }
}

/// A claim and what it weighs under its own name's rule.
#[derive(Clone, Copy)]
pub(super) struct Weighed<'a> {
    pub(super) claim: &'a CheckedClaim,
    pub(super) counting: SignerSet,
    pub(super) standing: Standing,
    pub(super) rule: RuleId,
    pub(super) credible: bool,
}

impl Weighed<'_> {
    pub(super) fn is_live(&self) -> bool {
        self.standing == Standing::Live
    }
}

/// What a claim may do. Only what is said now supports a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is said now.
    Live,
    /// The last credible claim of a cache that is silent now (design §3.6); its answer would take its place.
    Last,
    /// It was said before: who vouched for it has no voice for another core.
    Past,
}

/// One core among credible claims.
pub(super) struct Candidate<'a> {
    pub(super) core: &'a Arc<Core>,
    pub(super) claims: Vec<Weighed<'a>>,
    pub(super) support: Support,
}

impl<'a> Judge<'a> {
    /// The verdict: a pinned build by its exception's rule, else every claim by its own name's.
    pub(super) fn judge(&self) -> Judged {
        let mut deferred: Option<Judged> = None;
        let mut pin_open = false;
        for (exception, rule) in self.pins() {
            let Subject::Pinned { path, nar_hash } = &exception.subject else { continue };
            let of_pin = |core: &Core| core.store_path == *path && core.nar_hash == *nar_hash;
            let weighed = self.weighed(Some(exception.rule), of_pin);
            if !weighed.iter().any(Weighed::is_live) && !self.could_bring(rule, path.name(), &weighed) {
                continue;
            }
            pin_open |= !self.missing.is_empty();
            let judged = self.judge_claims(&weighed);
            match judged.verdict {
                Verdict::Endorse(_) => return judged,
                Verdict::Defer(_) => match &mut deferred {
                    Some(first) => first.questions.extend(judged.questions),
                    None => deferred = Some(judged),
                },
                Verdict::Absent | Verdict::Refuse(_) => {}
            }
        }
        let judged = Judged { pin_open, ..self.judge_claims(&self.weighed(None, |_| true)) };
        match (&judged.verdict, deferred) {
            (Verdict::Endorse(_), _) | (_, None) => judged,
            // What the pin waits for is told, whatever noise makes of the rest.
            (Verdict::Absent | Verdict::Defer(_) | Verdict::Refuse(_), Some(mut deferred)) => {
                deferred.questions.extend(judged.questions);
                deferred
            }
        }
    }

    /// The exceptions that pin a build of the asked path and still hold.
    fn pins(&self) -> impl Iterator<Item = (&'a Exception, &'a Rule)> {
        let pinned = |e: &&'a Exception| {
            e.holds(self.now)
                && matches!(&e.subject, Subject::Pinned { path, .. } if path.hash_part() == self.asked)
        };
        self.policy.exceptions().iter().filter(pinned).filter_map(|e| Some((e, self.policy.rule(e.rule)?)))
    }

    /// Every claim about a core that is asked for, with its weight. `forced` is the rule of a pinned exception.
    pub(super) fn weighed(
        &self,
        forced: Option<RuleId>,
        is_asked: impl Fn(&Core) -> bool,
    ) -> Vec<Weighed<'a>> {
        let weigh = |&claim: &&'a CheckedClaim, standing| {
            let rule = forced.unwrap_or_else(|| self.policy.rule_for(claim.core.store_path.name(), self.now));
            let counting = claim.counting(self.policy, self.now);
            let credible = self.policy.rule(rule).is_some_and(|r| r.named().meets(counting));
            Weighed { claim, counting, standing, rule, credible }
        };
        let asked = |claim: &&&CheckedClaim| is_asked(&claim.core);
        let live: Vec<_> = self.live.iter().filter(asked).map(|claim| weigh(claim, Standing::Live)).collect();
        let before = self.memories.iter().filter(asked).map(|claim| weigh(claim, Standing::Past));
        let mut silent = self.missing.clone();
        let stand = |memory: Weighed<'a>| {
            let of_silent = silent.iter().position(|&cache| memory.credible && cache == memory.claim.cache);
            let last = of_silent.map(|place| silent.swap_remove(place));
            Weighed { standing: last.map_or(Standing::Past, |_| Standing::Last), ..memory }
        };
        let before: Vec<_> = before.map(stand).collect();
        live.into_iter().chain(before).collect()
    }

    /// The verdict on these claims. An answer takes the place of what its cache said before, so what is
    /// refused for the sake of a memory alone is deferred.
    fn judge_claims(&self, weighed: &[Weighed<'a>]) -> Judged {
        let judged = self.judge_shown(weighed);
        let Verdict::Refuse(reason) = &judged.verdict else { return judged };
        if reason.kind == ReasonKind::NoSource || weighed.iter().all(|w| w.standing != Standing::Last) {
            return judged;
        }
        let superseded = |w: &Weighed<'a>| match w.standing {
            Standing::Last => Weighed { standing: Standing::Past, ..*w },
            Standing::Live | Standing::Past => *w,
        };
        let left: Vec<Weighed<'a>> = weighed.iter().map(superseded).collect();
        let stands = match self.judge_shown(&left).verdict {
            Verdict::Refuse(reason) => reason.kind != ReasonKind::NoSource,
            Verdict::Absent | Verdict::Endorse(_) | Verdict::Defer(_) => false,
        };
        if stands { judged } else { Verdict::Defer(reason.clone()).into() }
    }

    fn judge_shown(&self, weighed: &[Weighed<'a>]) -> Judged {
        let shown = |w: &&Weighed<'a>| w.credible && w.standing != Standing::Past;
        let mut candidates = candidates(self.policy, weighed.iter().filter(shown).copied());
        for candidate in &mut candidates {
            candidate.support.void = contradicted(self.policy, weighed, Some(candidate.core));
        }
        let candidates = match self.with_one_name(candidates, weighed) {
            Ok(candidates) => candidates,
            Err(verdict) => return (*verdict).into(),
        };
        let Some((first, rule)) = candidates.first().and_then(|c| Some((c, self.rule_of(c)?))) else {
            return self.judge_noise(weighed);
        };
        let supports: Vec<Support> = candidates.iter().map(|c| c.support.clone()).collect();
        let outcome = settle(self.policy, rule, &supports);
        let kind = match outcome {
            Outcome::Chosen(index) => match candidates.get(index) {
                Some(candidate) => return self.chosen(candidate, rule).into(),
                None => ReasonKind::NoClaim,
            },
            Outcome::Short(lacks) => {
                if let Some(judged) = self.by_content(weighed, Some(first.core)) {
                    return judged;
                }
                self.short(rule, first, &lacks)
            }
            Outcome::Dissent => self.dissent(rule, &candidates),
        };
        let reason = self.reason(Some(first.core.store_path.name()), Some(rule), kind);
        if self.could_lift(rule, first.core.store_path.name(), candidates.iter(), weighed) {
            Verdict::Defer(reason).into()
        } else {
            Verdict::Refuse(reason).into()
        }
    }

    fn rule_of(&self, candidate: &Candidate<'a>) -> Option<&'a Rule> {
        candidate.claims.first().and_then(|w| self.policy.rule(w.rule))
    }

    /// Design §3.4: beside a name that an unlimited signer gives now, other names that only limited signers
    /// vouch for are noise; names that still differ are refused.
    fn with_one_name(
        &self,
        candidates: Vec<Candidate<'a>>,
        weighed: &[Weighed<'a>],
    ) -> Result<Vec<Candidate<'a>>, Box<Verdict>> {
        if names(&candidates).len() <= 1 {
            return Ok(candidates);
        }
        let is_unlimited = |c: &Candidate<'a>, vouching: SignerSet| {
            self.rule_of(c).is_some_and(|rule| self.has_unlimited(rule, vouching))
        };
        let firm = candidates.iter().filter(|c| is_unlimited(c, c.support.live));
        let firm: BTreeSet<&str> = firm.map(|c| c.core.store_path.name()).collect();
        let stays = |c: &Candidate<'a>| {
            firm.is_empty() || firm.contains(c.core.store_path.name()) || is_unlimited(c, c.support.shown)
        };
        let (left, _noise): (Vec<_>, Vec<_>) = candidates.into_iter().partition(stays);
        let names_left = names(&left);
        if names_left.len() <= 1 {
            return Ok(left);
        }
        let liftable =
            firm.is_empty() && names_left.iter().any(|name| self.could_prevail(name, &left, weighed));
        let kind = ReasonKind::Names(names_left.iter().map(|&n| n.into()).collect());
        let reason = self.reason(None, None, kind);
        Err(Box::new(if liftable { Verdict::Defer(reason) } else { Verdict::Refuse(reason) }))
    }

    fn has_unlimited(&self, rule: &Rule, vouching: SignerSet) -> bool {
        vouching.intersection(rule.named()).iter().any(|id| self.policy.is_unlimited(id))
    }

    /// Whether the missing caches could show an unlimited signer for this name, where anybody gives another one now, and
    /// all that it then needs: nothing more, where the one core of the name that anybody claims certifies itself.
    fn could_prevail(&self, name: &str, candidates: &[Candidate<'a>], weighed: &[Weighed<'a>]) -> bool {
        let of_name = |c: &&Candidate<'a>| c.core.store_path.name() == name;
        let own = || candidates.iter().filter(of_name);
        own().next().and_then(|c| self.rule_of(c)).is_some_and(|rule| {
            let mut live = weighed.iter().filter(|w| w.is_live() && w.claim.core.store_path.name() == name);
            let is_only = |w: &Weighed<'a>| {
                let mut claimed = own().filter(|c| c.claims.iter().any(Weighed::is_live));
                claimed.all(|c| *c.core == w.claim.core)
            };
            let has_rival = candidates.iter().any(|c| !of_name(&c) && c.claims.iter().any(Weighed::is_live));
            (!has_rival || self.has_unlimited(rule, self.most_from_missing(rule, name).live))
                && (self.could_lift(rule, name, own(), weighed)
                    || live.any(|w| is_only(w) && self.certifies(w, rule)))
        })
    }

    /// Whether the claim's content address makes its path, if its bytes agree.
    fn certifies(&self, w: &Weighed<'a>, rule: &Rule) -> bool {
        let address = w.claim.hints.content_address.as_ref();
        rule.verify_content_addressed
            && address.is_some_and(|a| a.certifies(self.policy.store_dir(), &w.claim.core))
    }

    /// A core that satisfies its rule: endorsed, if the caches that must answer did and a source has it.
    fn chosen(&self, candidate: &Candidate<'a>, rule: &Rule) -> Verdict {
        let name = Some(candidate.core.store_path.name());
        if let Some(kind) = self.must_answer(rule) {
            return Verdict::Defer(self.reason(name, Some(rule), kind));
        }
        let address = self.bound_address(candidate.core);
        match self.endorse(candidate.core, Basis::Rule, rule, address) {
            Some(endorsed) => Verdict::Endorse(endorsed),
            None => Verdict::Refuse(self.reason(name, Some(rule), ReasonKind::NoSource)),
        }
    }

    fn must_answer(&self, rule: &Rule) -> Option<ReasonKind> {
        let silent: Vec<CacheId> =
            rule.must_answer.iter().copied().filter(|id| self.missing.contains(id)).collect();
        (!silent.is_empty()).then(|| ReasonKind::MustAnswer(self.cache_names(&silent)))
    }

    /// No credible claim: a path that certifies itself, else nothing to rest on.
    fn judge_noise(&self, weighed: &[Weighed<'a>]) -> Judged {
        if let Some(judged) = self.by_content(weighed, None) {
            return judged;
        }
        let noise: Vec<&Weighed<'a>> = weighed.iter().filter(|w| w.is_live()).collect();
        let Some(first) = noise.first() else {
            let reason = || self.reason(None, None, ReasonKind::NoClaim);
            return if self.missing.is_empty() { Verdict::Absent } else { Verdict::Defer(reason()) }.into();
        };
        let Some(rule) = self.policy.rule(first.rule) else { return Verdict::Absent.into() };
        let kind = ReasonKind::NotCredible {
            needed: self.signer_names(rule.named()),
            caches: self.cache_names(&noise.iter().map(|w| w.claim.cache).collect::<Vec<_>>()),
        };
        let reason = self.reason(Some(first.claim.core.store_path.name()), Some(rule), kind);
        let could = noise.iter().any(|w| {
            let name = w.claim.core.store_path.name();
            self.policy.rule(w.rule).is_some_and(|rule| self.could_bring(rule, name, weighed))
        });
        if could { Verdict::Defer(reason) } else { Verdict::Refuse(reason) }.into()
    }

    /// Design §3.7: a path that certifies itself. `only` is the one credible core, where there is one.
    /// `None` where nothing certifies itself.
    fn by_content(&self, weighed: &[Weighed<'a>], only: Option<&Arc<Core>>) -> Option<Judged> {
        let mut certified: Vec<(&Arc<Core>, &ContentAddress, &Rule)> = Vec::new();
        for w in weighed.iter().filter(|w| w.is_live() && only.is_none_or(|core| *core == w.claim.core)) {
            let (Some(address), Some(rule)) = (&w.claim.hints.content_address, self.policy.rule(w.rule))
            else {
                continue;
            };
            let is_known =
                certified.iter().any(|(core, known, _)| **core == w.claim.core && *known == address);
            if !is_known && self.certifies(w, rule) {
                certified.push((&w.claim.core, address, rule));
            }
        }
        let bound = |(core, address, _): &(&Arc<Core>, &ContentAddress, &Rule)| {
            address.binds_nar_hash() == Some(core.nar_hash)
        };
        // One core whose NarHash its path binds needs no bytes; NarSize is not bound, so rivals do.
        let proven = match certified.as_slice() {
            [only] if bound(only) => Some(*only),
            _ => certified.iter().copied().find(|&(core, address, _)| {
                self.content.iter().any(|(q, agrees)| *agrees && q.core == *core && q.address == *address)
            }),
        };
        let Some((core, address, rule)) = proven else {
            return self.ask_for_bytes(&certified);
        };
        if let Some(kind) = self.must_answer(rule) {
            return Some(Verdict::Defer(self.reason(Some(core.store_path.name()), Some(rule), kind)).into());
        }
        let verdict = match self.endorse(core, Basis::Content, rule, Some(*address)) {
            Some(endorsed) => Verdict::Endorse(endorsed),
            None => {
                Verdict::Refuse(self.reason(Some(core.store_path.name()), Some(rule), ReasonKind::NoSource))
            }
        };
        Some(verdict.into())
    }

    fn ask_for_bytes(&self, certified: &[(&Arc<Core>, &ContentAddress, &Rule)]) -> Option<Judged> {
        let mut questions = Vec::new();
        for (core, address, _) in certified {
            let is_answered = self.content.iter().any(|(q, _)| q.core == **core && q.address == **address);
            let offers = self.offers(core);
            if !is_answered && !offers.is_empty() {
                let question = ContentQuestion { core: Arc::clone(core), address: **address, offers };
                questions.push(question);
            }
        }
        let (core, _, rule) =
            certified.iter().find(|(core, ..)| questions.iter().any(|q| q.core == **core))?;
        let reason = self.reason(Some(core.store_path.name()), Some(rule), ReasonKind::BytesUnchecked);
        Some(Judged { verdict: Verdict::Defer(reason), questions, pin_open: false })
    }

    /// What observe mode serves: the core of the best-priority cache whose claim one allowed signature, or
    /// its own content address, admits.
    pub(super) fn admitted(&self) -> Option<Endorsed> {
        let weighed = self.weighed(None, |_| true);
        let mut admitted: Vec<&Weighed<'a>> =
            weighed.iter().filter(|w| w.is_live() && !w.counting.is_empty()).collect();
        admitted.sort_by_key(|w| self.policy.cache(w.claim.cache).map(|c| (c.priority, w.claim.cache)));
        let by_signature = admitted.iter().find_map(|w| {
            let rule = self.policy.rule(w.rule)?;
            self.endorse(&w.claim.core, Basis::Observed, rule, self.bound_address(&w.claim.core))
        });
        by_signature.or_else(|| match self.by_content(&weighed, None)?.verdict {
            Verdict::Endorse(endorsed) => Some(endorsed),
            Verdict::Absent | Verdict::Defer(_) | Verdict::Refuse(_) => None,
        })
    }
}

/// Groups credible claims by core, in the order of the configuration.
pub(super) fn candidates<'a>(
    policy: &Policy,
    credible: impl Iterator<Item = Weighed<'a>>,
) -> Vec<Candidate<'a>> {
    let mut candidates: Vec<Candidate<'a>> = Vec::new();
    for w in credible {
        let index = candidates.iter().position(|c| **c.core == *w.claim.core).unwrap_or_else(|| {
            candidates.push(Candidate {
                core: &w.claim.core,
                claims: Vec::new(),
                support: Support::default(),
            });
            candidates.len().saturating_sub(1)
        });
        let Some(candidate) = candidates.get_mut(index) else { continue };
        candidate.support.shown = candidate.support.shown.union(w.counting);
        if w.is_live() {
            candidate.support.live = candidate.support.live.union(w.counting);
            candidate.support.operators.extend(operator(policy, w.claim.cache));
        }
        candidate.claims.push(w);
    }
    candidates
}

/// The signers that vouched before for another core than this one, and those of one voice with them: their word for
/// this one has no voice, since a signer with two cores is dissent with itself (design §3.5).
pub(super) fn contradicted(policy: &Policy, weighed: &[Weighed<'_>], core: Option<&Arc<Core>>) -> SignerSet {
    let of_another = weighed.iter().filter(|w| !w.is_live() && Some(&w.claim.core) != core);
    let before = of_another.fold(SignerSet::EMPTY, |set, w| set.union(w.counting));
    let roots = before.iter().fold(SignerSet::EMPTY, |set, id| set.union(policy.roots(id)));
    policy.signer_ids().filter(|&id| policy.roots(id).meets(roots)).collect()
}

/// The operator behind a cache, if its word counts towards `operators`.
pub(super) fn operator(policy: &Policy, id: CacheId) -> Option<OperatorId> {
    policy.cache(id).filter(|c| c.counts_as_operator).map(|c| c.operator)
}

fn names<'a>(candidates: &[Candidate<'a>]) -> BTreeSet<&'a str> {
    candidates.iter().map(|c| c.core.store_path.name()).collect()
}
