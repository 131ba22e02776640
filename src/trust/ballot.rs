//! One question: an answer per cache, and when nothing more need be waited for.
//!
//! A ballot is opened for a path, takes at most one answer per cache (a later one replaces the earlier), and
//! gives a verdict at any time; caches that have not answered count as missing. The order in which answers
//! are cast does not matter.

use crate::format::HashPart;
use crate::format::content_address::ContentAddress;
use crate::format::narinfo::Core;
use crate::trust::judge::{Judge, Judged};
use crate::trust::{
    Answer, CacheId, CheckedClaim, Claim, Endorsed, Offer, Policy, Silence, Timestamp, Verdict,
};
use std::sync::Arc;

/// The answers to one question.
#[derive(Clone, Debug)]
pub struct Ballot {
    policy: Arc<Policy>,
    asked: HashPart,
    slots: Vec<Slot>,
    content: Vec<(ContentQuestion, bool)>,
}

/// What one cache said, now and before.
#[derive(Clone, Debug)]
struct Slot {
    said: Said,
    /// What it said before, the latest first: for dissent alone.
    before: Vec<(Timestamp, CheckedClaim)>,
}

#[derive(Clone, Debug)]
enum Said {
    Claim(Box<CheckedClaim>),
    NotFound,
    Nothing(Silence),
}

/// A path that would certify itself, if its bytes agree with its content address and its NarSize
/// (design §3.7). Whoever can fetch bytes answers it with [`Ballot::content_checked`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentQuestion {
    pub(super) core: Arc<Core>,
    pub(super) address: ContentAddress,
    pub(super) offers: Vec<Offer>,
}

impl ContentQuestion {
    /// The core whose NarHash and NarSize the bytes must have.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// The address that they must have as well.
    pub fn address(&self) -> &ContentAddress {
        &self.address
    }

    /// Where they are offered.
    pub fn offers(&self) -> &[Offer] {
        &self.offers
    }
}

/// Whether a ballot needs more answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Nothing that is still out could matter, or nothing is out.
    Yes,
    /// Answers are out that a verdict has to wait for.
    No,
}

impl Ballot {
    /// Opens the question for a path: every cache of the policy is pending.
    pub fn open(policy: Arc<Policy>, asked: HashPart) -> Self {
        let slot = || Slot { said: Said::Nothing(Silence::Pending), before: Vec::new() };
        let slots = policy.cache_ids().map(|_| slot()).collect();
        Self { policy, asked, slots, content: Vec::new() }
    }

    /// The policy it is judged by.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The path asked for.
    pub fn asked(&self) -> HashPart {
        self.asked
    }

    /// Takes a cache's answer. An answer of a cache that the policy does not know is ignored.
    pub fn cast(&mut self, cache: CacheId, answer: Answer) {
        let said = match answer {
            Answer::Claim(claim) if claim.cache() == cache && self.is_asked(&claim) => {
                Said::Claim(Box::new(CheckedClaim::check(*claim, &self.policy, &self.checked())))
            }
            Answer::Claim(_) => Said::Nothing(Silence::Faulty),
            Answer::NotFound => Said::NotFound,
            Answer::NoAnswer(silence) => Said::Nothing(silence),
        };
        if let Some(slot) = self.slots.get_mut(usize::from(cache.0)) {
            slot.said = said;
        }
    }

    /// Recalls a claim that a cache made before, `at` this time. It is checked again like any other. It never helps
    /// to satisfy a rule: the last credible one of a cache that gives no answer makes dissent (design §3.6), and who
    /// vouched in any has no voice for another core (design §3.5).
    pub fn recall(&mut self, claim: Claim, at: Timestamp) {
        if !self.is_asked(&claim) {
            return;
        }
        let place = usize::from(claim.cache().0);
        let checked = CheckedClaim::check(claim, &self.policy, &self.checked());
        let Some(slot) = self.slots.get_mut(place) else { return };
        // In an order of their own, whatever the order they came in.
        slot.before.push((at, checked));
        slot.before.sort_by(|(at, a), (than, b)| than.cmp(at).then_with(|| a.core.cmp(&b.core)));
        slot.before.truncate(MOST_MEMORIES);
    }

    /// Whether the bytes of a path that would certify itself do so.
    pub fn content_checked(&mut self, question: ContentQuestion, agrees: bool) {
        self.content.retain(|(known, _)| *known != question);
        self.content.push((question, agrees));
    }

    /// What each cache said, in the order of the policy.
    pub fn said(&self) -> impl Iterator<Item = (CacheId, Result<Option<&CheckedClaim>, Silence>)> {
        self.policy.cache_ids().zip(&self.slots).map(|(id, slot)| {
            let said = match &slot.said {
                Said::Claim(claim) => Ok(Some(&**claim)),
                Said::NotFound => Ok(None),
                Said::Nothing(silence) => Err(*silence),
            };
            (id, said)
        })
    }

    /// What was recalled of each cache, the latest first.
    pub fn recalled(&self) -> impl Iterator<Item = &CheckedClaim> {
        self.slots.iter().flat_map(|slot| &slot.before).map(|(_, claim)| claim)
    }

    /// The caches that have not answered yet.
    pub fn pending(&self) -> impl Iterator<Item = CacheId> {
        self.said().filter(|(_, said)| matches!(said, Err(Silence::Pending))).map(|(id, _)| id)
    }

    /// Whether a verdict may be given before more answers are in: no cache is pending, or there is dissent
    /// that no missing answer could lift (design §3.5, §3.9).
    pub fn settled(&self, now: Timestamp) -> Settled {
        if self.pending().next().is_none() || self.judge(now).is_final_dissent() {
            Settled::Yes
        } else {
            Settled::No
        }
    }

    /// The verdict over what has been cast. "Now" is the caller's, never earlier than the ledger's newest row.
    pub fn verdict(&self, now: Timestamp) -> Verdict {
        self.judge(now).verdict
    }

    /// Paths that would certify themselves once their bytes are checked, if that could matter.
    pub fn content_questions(&self, now: Timestamp) -> Vec<ContentQuestion> {
        self.judge(now).questions
    }

    /// What observe mode serves: a core that one allowed signature admits, of several the one that the
    /// best-priority cache claims (design §3.10).
    pub fn admitted(&self, now: Timestamp) -> Option<Endorsed> {
        self.judging(now, |judge| judge.admitted())
    }

    fn judge(&self, now: Timestamp) -> Judged {
        self.judging(now, |judge| judge.judge())
    }

    fn judging<T>(&self, now: Timestamp, act: impl FnOnce(&Judge<'_>) -> T) -> T {
        let mut live = Vec::new();
        let mut memories = Vec::new();
        let mut missing = Vec::new();
        for ((id, said), slot) in self.said().zip(&self.slots) {
            match said {
                Ok(Some(claim)) => live.push(claim),
                Ok(None) => {}
                Err(_) => missing.push(id),
            }
            memories.extend(slot.before.iter().map(|(_, claim)| claim));
        }
        act(&Judge {
            policy: &self.policy,
            asked: self.asked,
            now,
            live,
            memories,
            missing,
            content: &self.content,
        })
    }

    fn is_asked(&self, claim: &Claim) -> bool {
        claim.core().store_path.hash_part() == self.asked
    }

    fn checked(&self) -> Vec<&CheckedClaim> {
        let said = self.slots.iter().filter_map(|slot| match &slot.said {
            Said::Claim(claim) => Some(&**claim),
            Said::NotFound | Said::Nothing(_) => None,
        });
        let before = self.slots.iter().flat_map(|slot| &slot.before);
        said.chain(before.map(|(_, claim)| claim)).collect()
    }
}

/// Memories of one cache that are looked at, the latest: more than the ledger keeps of what is credible.
const MOST_MEMORIES: usize = 64;
