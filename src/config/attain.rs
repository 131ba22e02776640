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
use crate::config::fault::{At, Complaint, Fault};
use crate::config::item::quoted;
use crate::config::reach::{Budget, Question, answers};
use crate::config::read::Desk;
use crate::config::rules::RawRule;
use crate::config::signers::RawSigner;
use crate::trust::{
    CacheId, Clause, Glob, OperatorId, Policy, Rule, RuleId, Scope, Signer, SignerId, SignerKey, SignerSet,
    Subject, Timestamp,
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
    let attain = Attain::new(raw, draft, policy, now);
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
            let hint = "the rule moved up, or other `packages`, or an exception that names it";
            desk.put(at.error(found, hint));
        } else if draft.clauses_sure.get(index) == Some(&true) {
            attain.faults(raw_rule, rule, &combinations).into_iter().for_each(|fault| desk.put(fault));
        }
    }
}

impl<'a> Attain<'a> {
    fn new(raw: &Raw, draft: &'a Draft, policy: &'a Policy, now: Timestamp) -> Self {
        let those = |of: &dyn Fn(&RawSigner, &Signer) -> bool| -> SignerSet {
            let signers = raw.signers.iter().zip(policy.signers()).zip(policy.signer_ids());
            signers.filter(|((raw, signer), _)| of(raw, signer)).map(|(_, id)| id).collect()
        };
        let with_key = |good: &dyn Fn(&SignerKey) -> bool| {
            those(&|raw, signer| {
                !raw.sure || signer.keys.iter().any(|key| key.revoked.is_none() && good(key))
            })
        };
        let shown = policy.signer_ids().filter(|&id| is_shown(policy, id)).collect();
        let lasting = with_key(&|key| key.not_after.is_none_or(|end| now <= end));
        let suspended = those(&|_, signer| signer.suspended.is_some());
        Self {
            policy,
            doubtful: those(&|raw, _| !raw.sure),
            ever: with_key(&|_| true).intersection(shown),
            at_present: lasting.difference(suspended).intersection(shown),
            packages_sure: &draft.packages_sure,
        }
    }

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

    /// What keeps a rule from being met for good; if nothing does, what keeps it from that at present.
    fn faults(&self, raw: &RawRule, rule: &Rule, combinations: &[SignerSet]) -> Vec<Fault> {
        let forever = self.shortages(raw, rule, combinations, self.ever);
        if !forever.is_empty() {
            return forever.into_iter().map(|(at, wrong)| at.error(wrong.found, wrong.would_do)).collect();
        }
        let warning = |(at, wrong): (&At, Complaint)| {
            at.warning(format!("at present, {}", wrong.found), wrong.would_do)
        };
        self.shortages(raw, rule, combinations, self.at_present).into_iter().map(warning).collect()
    }

    /// What is missing if only `able` signers vouch.
    fn shortages<'r>(
        &self,
        raw: &'r RawRule,
        rule: &Rule,
        combinations: &[SignerSet],
        able: SignerSet,
    ) -> Vec<(&'r At, Complaint)> {
        let mut missing = Vec::new();
        for (clause, raw_clause) in rule.clauses.iter().zip(&raw.clauses) {
            let voices = |free: &SignerSet| self.voices(clause.of, *free, able);
            let most = combinations.iter().map(voices).max().unwrap_or(0);
            if most < u32::from(clause.at_least.get()) {
                let wrong = self.too_few_voices(most, clause.of, combinations, able);
                missing.push((&raw_clause.at_least.at, wrong));
            }
        }
        let name = raw.name.as_ref().map_or(&raw.at, |name| &name.at);
        // Where signers are missing already, only what caches lack is news.
        let credible = if missing.is_empty() { rule.named().intersection(able) } else { rule.named() };
        let operators = self.operators(credible);
        if operators.len() < usize::from(rule.operators.get()) {
            let at = raw.operators.as_ref().map_or(name, |asked| &asked.at);
            missing.push((at, self.too_few_operators(&operators)));
        }
        let met = |free: &SignerSet| {
            let enough = |c: &Clause| self.voices(c.of, *free, able) >= u32::from(c.at_least.get());
            let credible = self.operators(rule.named().intersection(*free).intersection(able));
            rule.clauses.iter().all(enough) && credible.len() >= usize::from(rule.operators.get())
        };
        if missing.is_empty() && !combinations.iter().any(met) {
            let found = "no package that the rule is for could meet all of it at once";
            let hint = "signers whose `may-vouch-for` is wide enough, or `packages` that are narrower";
            missing.push((name, Complaint::new(found, hint)));
        }
        missing
    }

    fn voices(&self, of: SignerSet, free: SignerSet, able: SignerSet) -> u32 {
        self.policy.voices(of.intersection(free).intersection(able))
    }

    fn too_few_voices(
        &self,
        most: u32,
        of: SignerSet,
        combinations: &[SignerSet],
        able: SignerSet,
    ) -> Complaint {
        let found = match most {
            0 => "none of the signers could vouch for a package that the rule is for".to_owned(),
            1 => "no package that the rule is for could have more than 1 voice".to_owned(),
            _ => format!("no package that the rule is for could have more than {most} voices"),
        };
        let lower = if most == 0 { String::new() } else { format!("at most {most}, or ") };
        Complaint::new(found, format!("{lower}other signers{}", self.reasons(of, combinations, able)))
    }

    fn too_few_operators(&self, operators: &BTreeSet<OperatorId>) -> Complaint {
        let named = |id: &OperatorId| self.policy.operators().get(usize::from(id.0)).map(|name| quoted(name));
        let names = operators.iter().filter_map(named).collect::<Vec<_>>().join(", ");
        let found = match operators.len() {
            0 => "no cache that counts towards `operators` may show the rule's signers".to_owned(),
            1 => "only 1 operator has a cache that counts and may show the rule's signers".to_owned(),
            n => format!("only {n} operators have a cache that counts and may show the rule's signers"),
        };
        let hint = match operators.len() {
            0 => "a cache over https, or on this machine, that may show the rule's signers".to_owned(),
            n => format!("at most {n} ({names}), or further such caches, over https"),
        };
        Complaint::new(found, hint)
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

    /// Why signers that are asked do not count, for the hint.
    fn reasons(&self, of: SignerSet, combinations: &[SignerSet], able: SignerSet) -> String {
        let reason = |id: SignerId| {
            let signer = self.policy.signer(id)?;
            let reason = if !is_shown(self.policy, id) {
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

/// Whether any cache may show a signer.
fn is_shown(policy: &Policy, id: SignerId) -> bool {
    policy.caches().iter().any(|cache| cache.accept_signers.is_none_or(|accepted| accepted.contains(id)))
}

fn matches(globs: &[Glob], name: &str) -> bool {
    globs.iter().any(|glob| glob.matches(name))
}
