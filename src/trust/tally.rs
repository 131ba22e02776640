//! Counting: which core of several a rule settles on, given who vouches for each.
//!
//! This is design §3.3 and §3.5 alone, over sets. It knows neither claims nor caches, so the same code
//! judges what was said and what a missing answer could still add.

use crate::trust::policy::{Dissent, OperatorId, Policy, Rule};
use crate::trust::{SignerId, SignerSet};
use std::collections::BTreeSet;

/// The support of one core among credible claims.
#[derive(Clone, Debug, Default)]
pub(super) struct Support {
    /// Signers that vouch for it in answers given now.
    pub(super) live: SignerSet,
    /// The same, and in the last claims of caches that are silent now: those make dissent, never support.
    pub(super) shown: SignerSet,
    /// Signers whose word for it has no voice, since they vouched for another core before.
    pub(super) void: SignerSet,
    /// The operators of the credible claims given now, as far as they count.
    pub(super) operators: BTreeSet<OperatorId>,
}

/// What a rule makes of the cores before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It settles on this core, which satisfies it.
    Chosen(usize),
    /// There is one core, and it falls short.
    Short(Vec<Lack>),
    /// There are several, and the rule does not settle on one that satisfies it.
    Dissent,
}

/// One way in which a core falls short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// Too few voices for a clause.
    Voices {
        /// The clause's place in the rule.
        clause: usize,
        /// How many voices there are.
        found: u32,
    },
    /// Too few operators.
    Operators,
}

/// Settles a rule on one of the cores; `supports` is never empty where this matters.
pub(super) fn settle(policy: &Policy, rule: &Rule, supports: &[Support]) -> Outcome {
    if let [alone] = supports {
        let lacks = lacks(policy, rule, alone, SignerSet::EMPTY);
        return if lacks.is_empty() { Outcome::Chosen(0) } else { Outcome::Short(lacks) };
    }
    let chosen = match &rule.dissent {
        Dissent::Refuse => None,
        Dissent::Outvote => outvoting(policy, rule, supports),
        Dissent::Prefer(list) => preferred(list, supports),
    };
    let satisfied = chosen.filter(|&(index, void)| {
        supports.get(index).is_some_and(|support| lacks(policy, rule, support, void).is_empty())
    });
    satisfied.map_or(Outcome::Dissent, |(index, _)| Outcome::Chosen(index))
}

/// What `support` lacks under the rule when the voices of `void` do not count.
fn lacks(policy: &Policy, rule: &Rule, support: &Support, void: SignerSet) -> Vec<Lack> {
    let mut lacks = Vec::new();
    for (clause, needs) in rule.clauses.iter().enumerate() {
        let counting = support.live.difference(support.void).difference(void);
        let found = policy.voices(counting.intersection(needs.of));
        if found < u32::from(needs.at_least.get()) {
            lacks.push(Lack::Voices { clause, found });
        }
    }
    if support.operators.len() < usize::from(rule.operators.get()) {
        lacks.push(Lack::Operators);
    }
    lacks
}

/// The core that strictly more voices of the rule's `of` vouch for than for all others together, and the
/// signers whose word does not count because their voice vouches for another core too.
///
/// One voice is a signer with all that derive from it, so a source and its re-signer that vouch for
/// different cores contradict each other: neither counts for, both count against.
fn outvoting(policy: &Policy, rule: &Rule, supports: &[Support]) -> Option<(usize, SignerSet)> {
    let voters = rule.voters();
    (0..supports.len()).find_map(|index| {
        let support = supports.get(index)?;
        let own = support.live.difference(support.void).intersection(voters);
        let against = others(supports, index).intersection(voters);
        let roots = against.iter().fold(SignerSet::EMPTY, |set, id| set.union(policy.roots(id)));
        let void: SignerSet = own.iter().filter(|&id| policy.roots(id).meets(roots)).collect();
        (policy.voices(own.difference(void)) > policy.voices(against)).then_some((index, void))
    })
}

/// The core of the first listed signer that vouches for exactly one and vouched for no other before, and the signers that vouch for that
/// core and another: their word is no support for either. Where that signer vouched in a claim from before alone,
/// nothing is settled, since memories help nobody (design §3.6).
fn preferred(list: &[SignerId], supports: &[Support]) -> Option<(usize, SignerSet)> {
    let (signer, index) = list.iter().find_map(|&signer| {
        let mut vouched =
            (0..supports.len()).filter(|&i| supports.get(i).is_some_and(|s| s.shown.contains(signer)));
        let index = vouched.next()?;
        let is_one = vouched.next().is_none() && !supports.get(index)?.void.contains(signer);
        is_one.then_some((signer, index))
    })?;
    supports.get(index)?.live.contains(signer).then(|| (index, others(supports, index)))
}

/// Everybody who vouches for a core other than the one at `index`.
fn others(supports: &[Support], index: usize) -> SignerSet {
    supports
        .iter()
        .enumerate()
        .filter(|&(i, _)| i != index)
        .fold(SignerSet::EMPTY, |set, (_, s)| set.union(s.shown))
}
