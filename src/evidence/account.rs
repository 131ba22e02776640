//! What one question adds to the ledger: who said what, the verdict, and what does not happen every day.
//!
//! Pure: a ballot, what was known before, and the time in, rows out.

use crate::evidence::{
    Batch, ClaimRow, ClaimSeen, Claimed, Earlier, EventKind, EventRow, Heard, Outcome, VerdictRow, Word,
    compare,
};
use crate::format::NarHash;
use crate::format::narinfo::Core;
use crate::trust::{
    Ballot, Basis, CacheId, CheckedClaim, Policy, Reason, ReasonKind, SignerId, Timestamp, Verdict,
};

/// A question that has been judged.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// The answers.
    pub ballot: &'a Ballot,
    /// What was decided on them.
    pub verdict: &'a Verdict,
    /// The core that is served, whatever was decided.
    pub served: Option<NarHash>,
    /// What the ledger had of the path before.
    pub earlier: &'a Earlier,
    /// The caches that were heard just now; others' answers were remembered and have been noted.
    pub heard: &'a [CacheId],
    /// Whether nothing is enforced.
    pub observing: bool,
    /// The time.
    pub now: Timestamp,
}

impl Account<'_> {
    /// The rows: claims that were heard, the verdict unless it is plain absence, events.
    pub fn rows(&self) -> Batch {
        let mut rows = Batch { claims: self.claims(), events: self.events(), ..Batch::default() };
        rows.verdicts.extend(self.verdict_row());
        rows
    }

    fn policy(&self) -> &Policy {
        self.ballot.policy()
    }

    fn cache_name(&self, id: CacheId) -> Box<str> {
        self.policy().cache(id).map(|cache| cache.name.clone()).unwrap_or_default()
    }

    fn signer_names(&self, claim: &CheckedClaim) -> Vec<Box<str>> {
        let counting = claim.counting(self.policy(), self.now);
        counting.iter().filter_map(|id| self.signer_name(id)).collect()
    }

    fn signer_name(&self, id: SignerId) -> Option<Box<str>> {
        self.policy().signer(id).map(|signer| signer.name.clone())
    }

    /// The claims given now, in the order of the configuration.
    fn given(&self) -> impl Iterator<Item = &CheckedClaim> {
        self.ballot.said().filter_map(|(_, said)| said.ok().flatten())
    }

    fn is_credible(&self, claim: &CheckedClaim) -> bool {
        claim.is_credible(self.policy(), self.now)
    }

    fn claims(&self) -> Vec<ClaimSeen> {
        let heard = self.given().filter(|claim| self.heard.contains(&claim.cache()));
        let seen = |claim: &CheckedClaim| ClaimSeen {
            cache: self.cache_name(claim.cache()),
            core: claim.shared_core().clone(),
            signatures: claim.signatures().to_vec(),
            deriver: claim.hints().deriver.clone(),
            content_address: claim.hints().content_address,
            is_credible: self.is_credible(claim),
            at: self.now,
        };
        heard.map(seen).collect()
    }

    /// Plain absence is not kept.
    fn verdict_row(&self) -> Option<VerdictRow> {
        let (outcome, rule, label, reason) = match self.verdict {
            Verdict::Absent => return None,
            Verdict::Endorse(endorsed) => {
                let (rule, basis) = (Some(endorsed.rule().into()), basis(endorsed.basis()));
                (Outcome::Endorse, rule, basis, String::new())
            }
            Verdict::Refuse(reason) => {
                (Outcome::Refuse, reason.rule.clone(), reason.label(), reason.to_string())
            }
            Verdict::Defer(reason) => {
                (Outcome::Defer, reason.rule.clone(), reason.label(), reason.to_string())
            }
        };
        let word = |said| match said {
            Ok(Some(claim)) => self.claimed(claim),
            Ok(None) => Word::NotFound,
            Err(_) => Word::Nothing,
        };
        let heard = self.ballot.said();
        Some(VerdictRow {
            at: self.now,
            asked: Some(self.ballot.asked()),
            name: self.name(),
            outcome,
            observing: self.observing,
            rule,
            nar_hash: self.served,
            label: label.into(),
            reason: reason.into(),
            heard: heard.map(|(id, said)| Heard { cache: self.cache_name(id), word: word(said) }).collect(),
        })
    }

    fn claimed(&self, claim: &CheckedClaim) -> Word {
        Word::Claim { nar_hash: claim.core().nar_hash, signers: self.signer_names(claim) }
    }

    fn name(&self) -> Option<Box<str>> {
        let told = match self.verdict {
            Verdict::Endorse(endorsed) => Some(endorsed.core().store_path.name()),
            Verdict::Absent | Verdict::Defer(_) | Verdict::Refuse(_) => {
                self.verdict.reason().and_then(|reason| reason.name.as_deref())
            }
        };
        told.or_else(|| self.given().map(|claim| claim.core().store_path.name()).next()).map(Into::into)
    }

    /// Where nothing new was heard nothing new has happened.
    fn events(&self) -> Vec<EventRow> {
        let mut events = Vec::new();
        if self.heard.is_empty() {
            return events;
        }
        events.extend(self.dissent());
        events.extend(self.contradictions());
        for (cache, said) in self.ballot.said().filter(|(cache, _)| self.heard.contains(cache)) {
            match said {
                Ok(Some(claim)) => events.extend(self.changed_word(claim)),
                Ok(None) => events.extend(self.gone(cache)),
                Err(_) => {}
            }
        }
        events.extend(self.shortfall());
        events.extend(self.third_opinion());
        events
    }

    /// What was built here, held against what was heard just now.
    fn third_opinion(&self) -> Vec<EventRow> {
        let Some(build) = self.earlier.builds.iter().find(|build| build.nar_hash.is_some()) else {
            return Vec::new();
        };
        let heard = self.given().filter(|claim| self.heard.contains(&claim.cache()));
        let claims: Vec<Claimed> =
            heard.filter_map(|claim| Claimed::of(claim, self.policy(), self.now)).collect();
        let events = compare(build, None, &claims).into_iter();
        events.map(|event| EventRow { first_seen: self.now, last_seen: self.now, ..event }).collect()
    }

    fn event(&self, kind: EventKind, party: Box<str>, before: String, after: String) -> EventRow {
        EventRow {
            kind,
            path: self.ballot.asked(),
            name: self.name(),
            party,
            before: before.into(),
            after: after.into(),
            first_seen: self.now,
            last_seen: self.now,
            count: 1,
        }
    }

    /// A claim in words: what it says, who shows it, who signed.
    fn words(&self, claim: &CheckedClaim) -> String {
        let signers = self.signer_names(claim);
        side(claim.core(), &self.cache_name(claim.cache()), &signers)
    }

    /// Credible claims that are given now and differ, whatever the rule makes of that.
    fn dissent(&self) -> Option<EventRow> {
        let credible: Vec<&CheckedClaim> = self.given().filter(|claim| self.is_credible(claim)).collect();
        let (first, others) = credible.split_first()?;
        let differing = others.iter().filter(|claim| claim.core() != first.core());
        let against: Vec<String> = differing.map(|claim| self.words(claim)).collect();
        let event = || self.event(EventKind::Dissent, Box::default(), self.words(first), against.join("; "));
        (!against.is_empty()).then(event)
    }

    /// Signers that vouch for one core now and for another now or before.
    fn contradictions(&self) -> Vec<EventRow> {
        let mut events: Vec<EventRow> = Vec::new();
        let given: Vec<&CheckedClaim> = self.given().collect();
        for (place, claim) in given.iter().enumerate() {
            let counting = claim.counting(self.policy(), self.now);
            let others = given.iter().take(place).copied().chain(self.ballot.recalled());
            for other in others.filter(|other| other.core() != claim.core()) {
                let both = counting.intersection(other.counting(self.policy(), self.now));
                for signer in both.iter().filter_map(|id| self.signer_name(id)) {
                    if !events.iter().any(|event| event.party == signer) {
                        let (before, after) = (self.words(other), self.words(claim));
                        events.push(self.event(EventKind::Contradiction, signer, before, after));
                    }
                }
            }
        }
        events
    }

    /// What a cache said last was something else. What is noise before and after is not worth an event.
    fn changed_word(&self, claim: &CheckedClaim) -> Option<EventRow> {
        let last = self.last_word(claim.cache())?;
        let is_worth = last.credible_at.is_some() || self.is_credible(claim);
        (is_worth && *last.core != *claim.core()).then(|| {
            let cache = self.cache_name(claim.cache());
            let before = format!("{} {}", last.core.nar_hash, seen(last));
            self.event(EventKind::ChangedWord, cache, before, self.words(claim))
        })
    }

    /// A cache that had the path credibly has it no more, and another one has.
    fn gone(&self, cache: CacheId) -> Option<EventRow> {
        let last = self.last_word(cache).filter(|last| last.credible_at.is_some())?;
        let keeper = self.given().next()?;
        let before = format!("{} {}", last.core.nar_hash, seen(last));
        let after = format!("not found; still {}", self.words(keeper));
        Some(self.event(EventKind::Gone, self.cache_name(cache), before, after))
    }

    fn last_word(&self, cache: CacheId) -> Option<&ClaimRow> {
        let name = self.policy().cache(cache).map(|cache| &cache.name)?;
        self.earlier.claims.iter().filter(|row| row.cache == *name).max_by_key(|row| row.last_seen)
    }

    fn shortfall(&self) -> Option<EventRow> {
        let Verdict::Refuse(reason @ Reason { kind: ReasonKind::Short(_), rule, .. }) = self.verdict else {
            return None;
        };
        let claims: Vec<String> = self.given().map(|claim| self.words(claim)).collect();
        let rule = rule.clone().unwrap_or_default();
        Some(self.event(EventKind::Shortfall, rule, claims.join("; "), reason.to_string()))
    }
}

fn side(core: &Core, cache: &str, signers: &[Box<str>]) -> String {
    let signers = if signers.is_empty() { "nobody who counts".to_owned() } else { signers.join(", ") };
    format!("{} by {cache} (signed by {signers})", core.nar_hash)
}

fn seen(row: &ClaimRow) -> String {
    format!("(first heard {}, last {})", date(row.first_seen), date(row.last_seen))
}

fn date(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.seconds()).map_or_else(|_| at.to_string(), |at| at.to_string())
}

/// The word for what an endorsement rests on.
fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::Rule => "rule",
        Basis::Content => "content",
        Basis::Observed => "observed",
    }
}
