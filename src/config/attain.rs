//! Rules that could never apply, and thresholds that could never be met.
//!
//! Both are decided for the names of packages, not guessed from patterns: [`crate::config::reach`] gives, for
//! the names that a rule judges, every combination of signers that may vouch for one of them, and each
//! combination is counted as the rule of trust itself counts voices and operators.
//!
//! What can never be met is an error. What cannot be met *at present*, because keys have run out or signers
//! are suspended, is a warning: the day a key runs out must not keep the program from starting, and whoever
//! suspends a signer must not find the change refused for it.

use crate::config::draft::{Draft, Raw};
use crate::config::fault::{At, Fault};
use crate::config::item::quoted;
use crate::config::reach::{Budget, Question, answers};
use crate::config::read::Desk;
use crate::config::rules::RawRule;
use crate::trust::{
    CacheId, Glob, OperatorId, Policy, Rule, RuleId, Scope, SignerId, SignerKey, SignerSet, Subject,
    Timestamp,
};
use std::collections::BTreeSet;

/// What the checks of all rules share.
struct Attain<'a> {
    policy: &'a Policy,
    /// Signers that could not be read: they are taken to be able to do anything.
    doubtful: SignerSet,
    /// Signers with a key that is not revoked and a cache that may show them.
    ever: SignerSet,
    /// Those of them that are not suspended and have a key that has not run out.
    at_present: SignerSet,
    packages_sure: &'a [bool],
}

/// Checks every rule whose meaning is not in doubt.
pub(super) fn check_rules(raw: &Raw, draft: &Draft, policy: &Policy, now: Timestamp, desk: &Desk) {
    let doubtful =
        raw.signers.iter().zip(policy.signer_ids()).filter(|(s, _)| !s.sure).map(|(_, id)| id).collect();
    let shown =
        |id: SignerId| policy.caches().iter().any(|c| c.accept_signers.is_none_or(|a| a.contains(id)));
    let with_key = |good: &dyn Fn(&SignerKey) -> bool| -> SignerSet {
        let has = |id: &SignerId| policy.signer(*id).is_some_and(|s| s.keys.iter().any(good));
        policy
            .signer_ids()
            .filter(|id| shown(*id) && (has(id) || SignerSet::contains(doubtful, *id)))
            .collect()
    };
    let ever = with_key(&|key| key.revoked.is_none());
    let lasting = with_key(&|key| key.revoked.is_none() && key.not_after.is_none_or(|end| now <= end));
    let suspended: SignerSet =
        policy.signer_ids().filter(|id| policy.signer(*id).is_some_and(|s| s.suspended.is_some())).collect();
    let packages_sure = &draft.packages_sure;
    let at_present = lasting.difference(suspended);
    let attain = Attain { policy, doubtful, ever, at_present, packages_sure };
    let mut budget = Budget::usual();
    for (index, (raw_rule, rule)) in raw.rules.iter().zip(policy.rules()).enumerate() {
        if draft.packages_sure.get(index) != Some(&true) {
            continue;
        }
        let Some(combinations) = attain.combinations(index, rule, draft.exceptions_sure, &mut budget) else {
            continue;
        };
        if combinations.is_empty() {
            let at = raw_rule.name.as_ref().map_or(&raw_rule.at, |name| &name.at);
            let found = "no package reaches this rule: the rules before it take all that it is for";
            desk.put(
                at.error(found, "the rule moved up, or other `packages`, or an exception that names it"),
            );
        } else if draft.clauses_sure.get(index) == Some(&true)
            && let Some(fault) = attain.fault(raw_rule, rule, &combinations)
        {
            desk.put(fault);
        }
    }
}

impl Attain<'_> {
    /// For the names that a rule judges, every set of signers inside whose `may-vouch-for` one of them is;
    /// `None` if that is not known.
    fn combinations(
        &self,
        index: usize,
        rule: &Rule,
        exceptions_sure: bool,
        budget: &mut Budget,
    ) -> Option<Vec<SignerSet>> {
        let policy = self.policy;
        let own = RuleId(u16::try_from(index).ok()?);
        let earlier = policy.rules().iter().zip(self.packages_sure).take(index);
        let taken =
            earlier.filter(|(_, sure)| **sure).filter_map(|(rule, _)| rule.packages.as_deref()).collect();
        let mut found = self.ask(rule, rule.packages.as_deref(), taken, budget)?;
        for exception in policy.exceptions().iter().filter(|e| e.rule == own) {
            match &exception.subject {
                // Also if it has ended: the day it does, the rule must not become an error.
                Subject::Packages(globs) => found.extend(self.ask(rule, Some(globs), Vec::new(), budget)?),
                Subject::Pinned { path, .. } => {
                    let inside =
                        |id: &SignerId| self.scope(*id).is_none_or(|globs| matches(globs, path.name()));
                    found.push(rule.named().iter().filter(inside).collect());
                }
            }
        }
        // An exception that could not be read may be the one that reaches it.
        if found.is_empty() && !exceptions_sure { None } else { Some(found) }
    }

    fn ask(
        &self,
        rule: &Rule,
        inside: Option<&[Glob]>,
        outside: Vec<&[Glob]>,
        budget: &mut Budget,
    ) -> Option<Vec<SignerSet>> {
        let named: Vec<SignerId> = rule.named().iter().collect();
        let (limited, free): (Vec<_>, Vec<_>) = named.into_iter().partition(|&id| self.scope(id).is_some());
        let watched = limited.iter().filter_map(|&id| self.scope(id)).collect();
        let answers = answers(&Question { inside, outside, watched }, budget)?;
        let signers = |bits: u128| {
            let chosen =
                (0_u32..).zip(&limited).filter(|(bit, _)| bits.checked_shr(*bit).unwrap_or(0) & 1 == 1);
            chosen.map(|(_, &id)| id).chain(free.iter().copied()).collect()
        };
        Some(answers.into_keys().map(signers).collect())
    }

    /// The patterns that limit a signer, if any do.
    fn scope(&self, id: SignerId) -> Option<&[Glob]> {
        match &self.policy.signer(id)?.scope {
            Scope::Matching(globs) if !self.doubtful.contains(id) => Some(globs),
            Scope::Matching(_) | Scope::Everything => None,
        }
    }

    /// The first thing that keeps a rule from being met, for good or at present.
    fn fault(&self, raw: &RawRule, rule: &Rule, combinations: &[SignerSet]) -> Option<Fault> {
        let forever = self.shortage(raw, rule, combinations, self.ever);
        let now = || self.shortage(raw, rule, combinations, self.at_present);
        match forever {
            Some((at, found, hint)) => Some(at.error(found, hint)),
            None => now().map(|(at, found, hint)| at.warning(format!("at present, {found}"), hint)),
        }
    }

    /// What is missing if only `able` signers vouch.
    fn shortage<'r>(
        &self,
        raw: &'r RawRule,
        rule: &Rule,
        combinations: &[SignerSet],
        able: SignerSet,
    ) -> Option<(&'r At, String, String)> {
        let voices =
            |of: SignerSet, free: &SignerSet| self.policy.voices(of.intersection(*free).intersection(able));
        for (clause, raw_clause) in rule.clauses.iter().zip(&raw.clauses) {
            let most = combinations.iter().map(|free| voices(clause.of, free)).max().unwrap_or(0);
            if most < u32::from(clause.at_least.get()) {
                let found = match most {
                    0 => "none of the signers could vouch for a package that the rule is for".to_owned(),
                    1 => "no package that the rule is for could have more than 1 voice".to_owned(),
                    _ => format!("no package that the rule is for could have more than {most} voices"),
                };
                let lower = if most == 0 { String::new() } else { format!("at most {most}, or ") };
                let hint = format!("{lower}other signers{}", self.reasons(clause.of, combinations, able));
                return Some((&raw_clause.at_least.at, found, hint));
            }
        }
        let at = raw.name.as_ref().map_or(&raw.at, |name| &name.at);
        let operators = self.operators(rule.named().intersection(able));
        if operators.len() < usize::from(rule.operators.get()) {
            let found = match operators.len() {
                0 => "no cache that counts towards `operators` may show the rule's signers".to_owned(),
                1 => "only 1 operator has a cache that counts and may show the rule's signers".to_owned(),
                n => format!("only {n} operators have a cache that counts and may show the rule's signers"),
            };
            let at = raw.operators.as_ref().map_or(at, |asked| &asked.at);
            return Some((at, found, self.operator_hint(&operators)));
        }
        let met = combinations.iter().any(|free| {
            let clauses = rule.clauses.iter().all(|c| voices(c.of, free) >= u32::from(c.at_least.get()));
            let credible = rule.named().intersection(*free).intersection(able);
            clauses && self.operators(credible).len() >= usize::from(rule.operators.get())
        });
        let hint = "signers whose `may-vouch-for` is wide enough, or `packages` that are narrower";
        (!met).then(|| {
            (at, "no package that the rule is for could meet all of it at once".to_owned(), hint.to_owned())
        })
    }

    /// The operators whose claims could be credible if these signers vouch.
    fn operators(&self, credible: SignerSet) -> BTreeSet<OperatorId> {
        let counts = |id: &CacheId| {
            self.policy
                .cache(*id)
                .is_some_and(|c| c.counts_as_operator && credible.meets(c.accept_signers.unwrap_or(credible)))
        };
        self.policy
            .cache_ids()
            .filter(counts)
            .filter_map(|id| Some(self.policy.cache(id)?.operator))
            .collect()
    }

    fn operator_hint(&self, operators: &BTreeSet<OperatorId>) -> String {
        let named = |id: &OperatorId| self.policy.operators().get(usize::from(id.0)).map(|name| quoted(name));
        let names: Vec<String> = operators.iter().filter_map(named).collect();
        match names.is_empty() {
            true => "a cache over https, or on this machine, that may show the rule's signers".to_owned(),
            false => {
                format!("at most {} ({}), or further such caches, over https", names.len(), names.join(", "))
            }
        }
    }

    /// Why signers that are asked do not count, for the hint.
    fn reasons(&self, of: SignerSet, combinations: &[SignerSet], able: SignerSet) -> String {
        let reason = |id: SignerId| {
            let signer = self.policy.signer(id)?;
            let shown = self.policy.caches().iter().any(|c| c.accept_signers.is_none_or(|a| a.contains(id)));
            let reason = if !shown {
                "may be shown by no cache"
            } else if signer.keys.iter().all(|key| key.revoked.is_some()) {
                "has only revoked keys"
            } else if signer.suspended.is_some() && !able.contains(id) {
                "is suspended"
            } else if !able.contains(id) {
                "has only keys that have run out"
            } else if combinations.iter().all(|free| !free.contains(id)) {
                "may not vouch for them"
            } else if self.policy.roots(id) != SignerSet::only(id) {
                "derives from others"
            } else {
                return None;
            };
            Some(format!("{} {reason}", quoted(&signer.name)))
        };
        let reasons: Vec<String> = of.iter().filter_map(reason).collect();
        if reasons.is_empty() { String::new() } else { format!("; {}", reasons.join(", ")) }
    }
}

fn matches(globs: &[Glob], name: &str) -> bool {
    globs.iter().any(|glob| glob.matches(name))
}
