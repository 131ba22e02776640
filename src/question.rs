//! One question: asking the caches for one path until the rule of trust can decide.

use crate::clock;
use crate::evidence::Earlier;
use crate::format::HashPart;
use crate::transfer::Relay;
use crate::trust::{Answer, Ballot, CacheId, CheckedClaim, Settled, Timestamp};
use crate::upstream::{Known, Occasion, Said, Told, Upstreams};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::timeout_at;

/// The answers to one question, and those that may still come.
#[derive(Debug)]
pub struct Question {
    /// What has been answered.
    pub ballot: Ballot,
    /// The same, with when it was said, to be remembered.
    pub known: Vec<Known>,
    /// The caches that said something that was not known before.
    pub heard: Vec<CacheId>,
    /// What the ledger has of the path.
    pub earlier: Earlier,
    late: mpsc::UnboundedReceiver<Told>,
}

impl Question {
    /// Asks the caches of which nothing fresh is known, and waits as long as design §3.9 says. `earlier` is looked up
    /// meanwhile.
    pub async fn ask(
        upstreams: &Upstreams,
        relay: &Relay,
        asked: HashPart,
        known: &[Known],
        earlier: impl Future<Output = Earlier>,
        occasion: Occasion,
    ) -> Self {
        let deadline = tokio::time::Instant::now() + upstreams.decision_timeout();
        let ballot = recollect(upstreams, asked, known);
        let missing: Vec<_> = ballot.pending().collect();
        let poll = upstreams.poll(asked, occasion, missing.into_iter());
        let (known, heard, late) = (known.to_vec(), Vec::new(), poll.answers);
        let mut question = Self { ballot, known, heard, earlier: earlier.await, late };
        for (cache, silence) in poll.unwaited {
            question.ballot.cast(cache, Answer::NoAnswer(silence));
        }
        recall(upstreams, &mut question.ballot, &question.earlier);
        while question.ballot.settled(clock::now()) == Settled::No {
            let Ok(Some(told)) = timeout_at(deadline, question.late.recv()).await else { break };
            question.take(upstreams, told);
        }
        question.check_content(upstreams, relay, deadline).await;
        question
    }

    /// Waits for an answer that comes after the verdict; `None` when none can come any more.
    pub async fn late_answer(&mut self, upstreams: &Upstreams) -> Option<()> {
        self.heard.clear();
        loop {
            let told = self.late.recv().await?;
            if !matches!(told.answer, Answer::NoAnswer(_)) {
                self.take(upstreams, told);
                return Some(());
            }
        }
    }

    fn take(&mut self, upstreams: &Upstreams, Told { cache, answer, text }: Told) {
        let said = match &answer {
            Answer::Claim(_) => Some(Said::Claim(text)),
            Answer::NotFound => Some(Said::NotFound),
            Answer::NoAnswer(_) => None,
        };
        if let Some(said) = said {
            self.known.retain(|known| known.cache != cache);
            self.known.push(Known { cache, at: Instant::now(), said });
            self.heard.push(cache);
        }
        self.ballot.cast(cache, answer);
        recall(upstreams, &mut self.ballot, &self.earlier);
    }

    /// Fetches the bytes of paths that would certify themselves, where that could matter.
    async fn check_content(&mut self, upstreams: &Upstreams, relay: &Relay, deadline: tokio::time::Instant) {
        for question in self.ballot.content_questions(clock::now()).into_iter().take(MOST_CONTENT_QUESTIONS) {
            let Ok(checked) = timeout_at(deadline, relay.certifies(upstreams, &question)).await else {
                return;
            };
            if let Some(agrees) = checked {
                self.ballot.content_checked(question, agrees);
            }
        }
    }
}

/// A ballot with the answers that are still fresh cast, and the older claims recalled.
pub fn recollect(upstreams: &Upstreams, asked: HashPart, known: &[Known]) -> Ballot {
    let now = Instant::now();
    let mut ballot = Ballot::open(Arc::clone(upstreams.policy()), asked);
    for known in known {
        let is_fresh = known.fresh_for(now).is_some();
        match &known.said {
            Said::Claim(text) => match upstreams.read_back(known.cache, asked, text) {
                Some(claim) if is_fresh => ballot.cast(known.cache, Answer::Claim(Box::new(claim))),
                Some(claim) => ballot.recall(claim, heard(now, known.at)),
                None => {}
            },
            Said::NotFound if is_fresh => ballot.cast(known.cache, Answer::NotFound),
            Said::NotFound => {}
        }
    }
    ballot
}

/// Recalls what the ledger has of the path, where it could matter: claims of another core than one that is claimed now,
/// and all of them where none is. Each is read, checked and judged like any claim.
pub fn recall(upstreams: &Upstreams, ballot: &mut Ballot, earlier: &Earlier) {
    if earlier.claims.is_empty() {
        return;
    }
    let policy = Arc::clone(upstreams.policy());
    for row in &earlier.claims {
        let could_matter = {
            let mut given = ballot.said().filter_map(|(_, said)| said.ok().flatten()).peekable();
            given.peek().is_none() || given.any(|claim| claim.core() != &*row.core)
        };
        let by_name = |id: &CacheId| policy.cache(*id).is_some_and(|cache| cache.name == row.cache);
        let Some(cache) = policy.cache_ids().find(by_name).filter(|_| could_matter) else { continue };
        let is_recalled = |ballot: &Ballot| {
            let is_it = |claim: &CheckedClaim| {
                claim.cache() == cache && *claim.core() == *row.core && claim.signatures() == row.signatures
            };
            ballot.recalled().any(is_it)
        };
        if is_recalled(ballot) {
            continue;
        }
        let text = row.text(policy.store_dir());
        if let Some(claim) = upstreams.read_back(cache, ballot.asked(), text.as_bytes()) {
            ballot.recall(claim, row.credible_at.unwrap_or(row.last_seen));
        }
    }
}

/// The time at which something was said, by the wall clock.
fn heard(now: Instant, at: Instant) -> Timestamp {
    let ago = i64::try_from(now.saturating_duration_since(at).as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_seconds(clock::now().seconds().saturating_sub(ago))
}

/// How long a verdict over these answers may be remembered: until the first of them has to be asked for again
/// (design §3.10), five minutes where a cache gave none.
pub fn lasts(ballot: &Ballot, known: &[Known]) -> Duration {
    let now = Instant::now();
    let answered = known.iter().filter_map(|known| known.fresh_for(now)).min();
    let silent = ballot.said().any(|(_, said)| said.is_err()).then_some(crate::upstream::NOT_FOUND_FRESH);
    answered.into_iter().chain(silent).min().unwrap_or(Duration::ZERO)
}

/// Contradicting self-certifying claims whose bytes are fetched for one verdict.
const MOST_CONTENT_QUESTIONS: usize = 4;
