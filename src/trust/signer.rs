//! Signers: parties with keys, and how many independent voices a set of them has.
//!
//! Voices are counted, not keys and not signers (design §3.2): a signer that re-signs what it copied
//! from another (`derives-from`) is one voice with it. The roots of a signer are the signers at the end
//! of its `derives-from` edges, itself if it has none; voices are the largest set of signers whose roots
//! are disjoint.

use crate::format::VerifyingKey;
use crate::trust::{Glob, Timestamp};
use std::fmt;

/// A signer's place in [`crate::trust::Policy::signers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignerId(u8);

impl SignerId {
    /// The most signers a policy may have: a set of them is one machine word.
    pub const MOST: usize = 128;

    /// The signer at `index`, if a policy can have that many.
    pub fn new(index: usize) -> Option<Self> {
        u8::try_from(index).ok().filter(|&i| usize::from(i) < Self::MOST).map(Self)
    }

    /// The place in the list of signers.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A set of signers.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SignerSet(u128);

impl SignerSet {
    /// No signer.
    pub const EMPTY: Self = Self(0);

    /// One signer alone.
    pub fn only(id: SignerId) -> Self {
        Self(1_u128.checked_shl(u32::from(id.0)).unwrap_or(0))
    }

    /// Adds a signer.
    pub fn insert(&mut self, id: SignerId) {
        self.0 |= Self::only(id).0;
    }

    /// Whether the signer is in the set.
    pub fn contains(self, id: SignerId) -> bool {
        self.0 & Self::only(id).0 != 0
    }

    /// Whether no signer is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many signers are in it. Not how many voices: see [`Policy::voices`](crate::trust::Policy::voices).
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Signers in either.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Signers in both.
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Signers in this set alone.
    pub fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the two have a signer in common.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether every signer of this set is in `other`.
    pub fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The signers, in the order of the configuration.
    pub fn iter(self) -> impl Iterator<Item = SignerId> {
        (0_u8..128).map(SignerId).filter(move |&id| self.contains(id))
    }
}

impl FromIterator<SignerId> for SignerSet {
    fn from_iter<I: IntoIterator<Item = SignerId>>(ids: I) -> Self {
        ids.into_iter().fold(Self::EMPTY, |set, id| set.union(Self::only(id)))
    }
}

impl fmt::Debug for SignerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(SignerId::index)).finish()
    }
}

/// A party: a name, its keys, and what its word is good for.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The name in the configuration.
    pub name: Box<str>,
    /// Its keys, one voice all together.
    pub keys: Vec<SignerKey>,
    /// The packages that its signatures count for.
    pub scope: Scope,
    /// The signers that it re-signs, directly; empty for a signer of its own.
    pub derives_from: SignerSet,
    /// Why it neither vouches nor vetoes for now, if so.
    pub suspended: Option<Box<str>>,
}

/// A key of a signer and when its signatures count.
#[derive(Clone, Debug)]
pub struct SignerKey {
    /// The public key under its name.
    pub key: VerifyingKey,
    /// First moment at which its signatures count.
    pub not_before: Option<Timestamp>,
    /// Last moment at which its signatures count; after it the old ones stop counting too.
    pub not_after: Option<Timestamp>,
    /// Why the key is revoked, if it is.
    pub revoked: Option<Box<str>>,
}

impl SignerKey {
    /// Whether signatures of this key count now: not revoked, and inside its validity (design §3.1).
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked.is_none()
            && self.not_before.is_none_or(|from| from <= now)
            && self.not_after.is_none_or(|to| now <= to)
    }
}

/// The packages that a signer may vouch for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every package.
    Everything,
    /// The packages whose name matches one of the patterns.
    Matching(Vec<Glob>),
}

impl Scope {
    /// The scope that a list of patterns gives; a pattern that matches everything lifts the limit.
    pub fn of(patterns: Vec<Glob>) -> Self {
        if patterns.iter().any(Glob::is_everything) { Self::Everything } else { Self::Matching(patterns) }
    }

    /// Whether a package of this name is inside.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Matching(patterns) => patterns.iter().any(|p| p.matches(name)),
        }
    }

    /// Whether anything is outside.
    pub fn is_limited(&self) -> bool {
        *self != Self::Everything
    }
}

/// How many independent voices `set` has: the largest number of its signers whose `roots` are disjoint.
///
/// Roots are looked up by `roots_of`. A signer with one root is always worth picking first (at most one
/// chosen signer can hold that root, and it can be exchanged for this one); what is left, signers that
/// copy from several sources, is searched exactly. [`crate::trust::Policy::new`] bounds their number.
pub(super) fn voices(set: SignerSet, roots_of: impl Fn(SignerId) -> SignerSet) -> u32 {
    let mut taken = SignerSet::EMPTY;
    let mut count = 0_u32;
    let mut several = Vec::new();
    for id in set.iter() {
        let roots = roots_of(id);
        if roots.len() > 1 {
            several.push(roots);
        } else if !roots.meets(taken) {
            taken = taken.union(roots);
            count = count.saturating_add(1);
        }
    }
    several.retain(|roots| !roots.meets(taken));
    count.saturating_add(most_disjoint(&several, SignerSet::EMPTY))
}

/// The most sets of `left` that meet neither `taken` nor each other. Depth is bounded by `left`'s length.
fn most_disjoint(left: &[SignerSet], taken: SignerSet) -> u32 {
    let Some((first, rest)) = left.split_first() else { return 0 };
    let without = most_disjoint(rest, taken);
    if first.meets(taken) {
        return without;
    }
    without.max(most_disjoint(rest, taken.union(*first)).saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(ids: &[usize]) -> SignerSet {
        ids.iter().map(|&i| SignerId::new(i).unwrap()).collect()
    }

    fn count(roots: &[&[usize]]) -> u32 {
        let roots: Vec<SignerSet> = roots.iter().map(|r| set(r)).collect();
        let all = (0..roots.len()).map(|i| SignerId::new(i).unwrap()).collect();
        voices(all, |id| roots[id.index()])
    }

    #[test]
    fn independent_signers_are_a_voice_each() {
        assert_eq!(count(&[&[0], &[1], &[2]]), 3);
    }

    #[test]
    fn a_resigner_and_its_source_are_one_voice() {
        assert_eq!(count(&[&[0], &[0]]), 1);
    }

    #[test]
    fn a_resigner_of_two_sources_adds_nothing_to_them() {
        assert_eq!(count(&[&[0], &[1], &[0, 1]]), 2);
    }

    #[test]
    fn two_resigners_with_a_common_source_are_one_voice() {
        assert_eq!(count(&[&[5, 6], &[6, 7]]), 1);
        assert_eq!(count(&[&[5, 6], &[7, 8]]), 2);
        assert_eq!(count(&[&[5, 6], &[6, 7], &[7, 8]]), 2);
    }

    #[test]
    fn nobody_has_no_voice() {
        assert_eq!(count(&[]), 0);
    }

    #[test]
    fn more_signers_than_a_set_holds_are_refused() {
        assert!(SignerId::new(127).is_some());
        assert!(SignerId::new(128).is_none());
        assert!(SignerId::new(300).is_none());
    }

    proptest! {
        /// The definition itself: try every subset.
        #[test]
        fn voices_are_the_largest_disjoint_subset(roots in prop::collection::vec(1_u8..64, 0..9)) {
            let sets: Vec<SignerSet> = roots.iter()
                .map(|bits| (0..6).filter(|i| bits >> i & 1 == 1).map(|i| SignerId::new(i).unwrap()).collect())
                .collect();
            let mut best = 0;
            for subset in 0_u32..1 << sets.len() {
                let mut taken = SignerSet::EMPTY;
                let disjoint = (0..sets.len()).filter(|i| subset >> i & 1 == 1).all(|i| {
                    let free = !sets[i].meets(taken);
                    taken = taken.union(sets[i]);
                    free
                });
                if disjoint { best = best.max(subset.count_ones()); }
            }
            let all = (0..sets.len()).map(|i| SignerId::new(i).unwrap()).collect();
            prop_assert_eq!(voices(all, |id| sets[id.index()]), best);
        }
    }
}
