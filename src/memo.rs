//! Verdicts: asked for once, remembered for a time by outcome, withdrawn when a late answer dissents.
//!
//! However many clients want one path, its caches are asked once. A verdict lasts as long as the answers that
//! it rests on; a defer is never remembered, but the answers behind it are, so that a retry asks only the
//! caches that were silent. Nothing here survives the process.

use crate::clock;
use crate::countersigner::Countersigner;
use crate::format::HashPart;
use crate::question::{Question, lasts, recollect};
use crate::status::VerdictCounts;
use crate::transfer::{Relay, Withdrawn};
use crate::trust::{Ballot, Endorsed, NarGrant, Verdict};
use crate::upstream::{Known, Upstreams};
use bytes::Bytes;
use moka::future::Cache;
use moka::{Entry, Expiry};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};

/// The verdicts of one configuration.
#[derive(Clone, Debug)]
pub struct Verdicts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    upstreams: Arc<Upstreams>,
    countersigner: Arc<Countersigner>,
    relay: Arc<Relay>,
    held: Cache<HashPart, Arc<Held>>,
    known: Cache<HashPart, Arc<[Known]>>,
    prefetching: Option<Arc<Semaphore>>,
    counts: Counts,
}

/// How often each outcome was reached.
#[derive(Debug, Default)]
struct Counts {
    endorse: AtomicU64,
    refuse: AtomicU64,
    defer: AtomicU64,
    absent: AtomicU64,
}

/// A verdict and what is served on it.
#[derive(Debug)]
pub struct Held {
    /// What the rule of trust says.
    pub verdict: Verdict,
    /// The narinfo to serve, printed and countersigned, if anything is.
    pub narinfo: Option<Bytes>,
    served: Option<Endorsed>,
    withdrawn: Withdrawn,
    lasts: Duration,
    looked_ahead: AtomicBool,
    /// A late answer has changed the verdict. The late answer can be quicker than the putting in of what it
    /// changes, so being thrown out is not enough.
    superseded: AtomicBool,
}

impl Held {
    /// What is served: the endorsed core, in observe mode the admitted one.
    pub fn served(&self) -> Option<&Endorsed> {
        self.served.as_ref()
    }

    /// Leave to fetch the bytes, and the flag that a late dissent raises.
    pub fn grant(&self) -> Option<(NarGrant, Withdrawn)> {
        self.served.as_ref().map(|endorsed| (endorsed.grant(), self.withdrawn.clone()))
    }
}

/// Lets an entry live as long as its verdict lasts.
#[derive(Debug)]
struct ByOutcome;

impl Expiry<HashPart, Arc<Held>> for ByOutcome {
    fn expire_after_create(&self, _: &HashPart, held: &Arc<Held>, _: Instant) -> Option<Duration> {
        Some(held.lasts)
    }
}

impl Verdicts {
    /// No verdicts yet.
    pub fn new(
        upstreams: Arc<Upstreams>,
        countersigner: Arc<Countersigner>,
        relay: Arc<Relay>,
        prefetch: bool,
    ) -> Self {
        let held = Cache::builder().max_capacity(MOST_HELD).expire_after(ByOutcome).build();
        let known = Cache::builder().max_capacity(MOST_KNOWN).time_to_idle(KNOWN_IDLE).build();
        let prefetching = prefetch.then(|| Arc::new(Semaphore::new(PREFETCHING)));
        let counts = Counts::default();
        Self(Arc::new(Inner { upstreams, countersigner, relay, held, known, prefetching, counts }))
    }

    /// The verdict on a path, remembered or asked for now.
    pub async fn of(&self, asked: HashPart) -> Arc<Held> {
        if let Some(held) = self.0.current(asked).await {
            self.look_ahead(&held);
            return held;
        }
        let held = self.judge(asked).await;
        self.look_ahead(&held);
        held
    }

    /// Asks, or waits for whoever is asking already.
    async fn judge(&self, asked: HashPart) -> Arc<Held> {
        let inner = Arc::clone(&self.0);
        // A task of its own: a client that goes away does not end the question for the others.
        let flight = tokio::spawn(async move {
            let question = Arc::clone(&inner);
            inner.held.get_with(asked, question.ask(asked)).await
        });
        match flight.await {
            Ok(held) => held,
            Err(fault) => {
                tracing::error!(path = %asked, %fault, "a question ended early");
                Arc::new(self.0.undecided(asked))
            }
        }
    }

    /// The verdict on a path from what is remembered alone; nobody is asked.
    pub async fn known(&self, asked: HashPart) -> Arc<Held> {
        match self.0.current(asked).await {
            Some(held) => held,
            None => {
                let known = self.0.known.get(&asked).await;
                let known = known.as_deref().unwrap_or_default();
                Arc::new(self.0.hold(&recollect(&self.0.upstreams, asked, known), known))
            }
        }
    }

    /// How often each outcome was reached.
    pub fn counts(&self) -> VerdictCounts {
        let Counts { endorse, refuse, defer, absent } = &self.0.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        VerdictCounts {
            endorse: read(endorse),
            refuse: read(refuse),
            defer: read(defer),
            absent: read(absent),
        }
    }

    /// How many verdicts are remembered.
    pub fn count(&self) -> u64 {
        // The cache's own count lags behind what was just put in.
        self.0.held.iter().count() as u64
    }

    /// Asks ahead, once, for the references of what a client was given: it will ask for them next. One level
    /// only, since it may have the rest; those that find no room are not asked for.
    fn look_ahead(&self, held: &Held) {
        let (Some(room), Some(endorsed)) = (&self.0.prefetching, held.served()) else { return };
        if held.looked_ahead.swap(true, Ordering::Relaxed) {
            return;
        }
        for reference in endorsed.core().references.iter() {
            let path = reference.hash_part();
            if self.0.held.contains_key(&path) {
                continue;
            }
            let Ok(permit) = Arc::clone(room).try_acquire_owned() else { return };
            let verdicts = self.clone();
            tokio::spawn(async move {
                verdicts.judge(path).await;
                drop(permit);
            });
        }
    }
}

impl Inner {
    /// The remembered verdict, unless a late answer has changed it.
    async fn current(&self, asked: HashPart) -> Option<Arc<Held>> {
        let held = self.held.get(&asked).await?;
        if held.superseded.load(Ordering::Acquire) {
            self.held.invalidate(&asked).await;
            return None;
        }
        Some(held)
    }

    /// Asks, gives the verdict, and goes on listening for late answers.
    async fn ask(self: Arc<Self>, asked: HashPart) -> Arc<Held> {
        let (sender, receiver) = oneshot::channel();
        let inner = Arc::clone(&self);
        tokio::spawn(async move {
            let known = inner.known.get(&asked).await;
            let known = known.as_deref().unwrap_or_default();
            let question = Question::ask(&inner.upstreams, &inner.relay, asked, known).await;
            inner.remember(asked, &question.known).await;
            let held = Arc::new(inner.hold(&question.ballot, &question.known));
            inner.report(&held, asked);
            // The asker may be gone; the answers are remembered all the same.
            drop(sender.send(Arc::clone(&held)));
            inner.listen_on(asked, question, held).await;
        });
        match receiver.await {
            Ok(held) => held,
            Err(_) => Arc::new(self.undecided(asked)),
        }
    }

    /// Remembers what was said, of each cache the newest: another question may have learned more meanwhile.
    async fn remember(&self, asked: HashPart, said: &[Known]) {
        if said.is_empty() {
            return;
        }
        let said = said.to_vec();
        let merge = move |before: Option<Entry<HashPart, Arc<[Known]>>>| {
            let mut newest = said;
            for known in before.iter().flat_map(|entry| entry.value().iter()) {
                match newest.iter_mut().find(|n| n.cache == known.cache) {
                    Some(ours) if ours.at < known.at => *ours = known.clone(),
                    Some(_) => {}
                    None => newest.push(known.clone()),
                }
            }
            std::future::ready(Arc::from(newest))
        };
        self.known.entry(asked).and_upsert_with(merge).await;
    }

    /// What is known of a path of which nobody has been asked.
    fn undecided(&self, asked: HashPart) -> Held {
        self.hold(&Ballot::open(Arc::clone(self.upstreams.policy()), asked), &[])
    }

    fn hold(&self, ballot: &Ballot, known: &[Known]) -> Held {
        let now = clock::now();
        let verdict = ballot.verdict(now);
        let served = if self.countersigner.is_observing() {
            ballot.admitted(now)
        } else if let Verdict::Endorse(endorsed) = &verdict {
            Some(endorsed.clone())
        } else {
            None
        };
        let narinfo = served.as_ref().map(|endorsed| self.countersigner.print(endorsed));
        let lasts = if matches!(verdict, Verdict::Defer(_)) { Duration::ZERO } else { lasts(ballot, known) };
        Held {
            verdict,
            narinfo,
            served,
            withdrawn: Withdrawn::default(),
            lasts,
            looked_ahead: AtomicBool::new(false),
            superseded: AtomicBool::new(false),
        }
    }

    /// Counts a verdict; one line for each that is not routine.
    fn report(&self, held: &Held, asked: HashPart) {
        let count = match &held.verdict {
            Verdict::Absent => &self.counts.absent,
            Verdict::Defer(_) => &self.counts.defer,
            Verdict::Endorse(_) => &self.counts.endorse,
            Verdict::Refuse(_) => &self.counts.refuse,
        };
        count.fetch_add(1, Ordering::Relaxed);
        match &held.verdict {
            Verdict::Absent => tracing::debug!(path = %asked, "absent"),
            Verdict::Endorse(e) => tracing::debug!(path = %e.core().store_path, rule = e.rule(), "endorsed"),
            Verdict::Defer(reason) | Verdict::Refuse(reason) => tracing::info!(
                path = %asked,
                name = reason.name.as_deref().unwrap_or_default(),
                verdict = held.verdict.label(),
                code = reason.code(),
                reason = %reason,
                lift = reason.lift(),
                "not endorsed"
            ),
        }
    }

    /// Judges answers that come after the verdict; one that changes what is served withdraws it.
    async fn listen_on(&self, asked: HashPart, mut question: Question, held: Arc<Held>) {
        while question.late_answer().await.is_some() {
            self.remember(asked, &question.known).await;
            let after = self.hold(&question.ballot, &question.known);
            let is_served_alike = after.served().map(Endorsed::core) == held.served().map(Endorsed::core);
            if is_served_alike && after.verdict.label() == held.verdict.label() {
                continue;
            }
            held.superseded.store(true, Ordering::Release);
            self.held.invalidate(&asked).await;
            if held.served().is_some() && !is_served_alike && held.withdrawn.raise() {
                tracing::warn!(path = %asked, "withdrew the verdict: a late answer changed it");
            }
            self.report(&after, asked);
        }
    }
}

/// Verdicts remembered at most.
const MOST_HELD: u64 = 100_000;

/// Paths whose answers are remembered at most.
const MOST_KNOWN: u64 = 20_000;

/// Answers that nobody asked for in a day are forgotten.
const KNOWN_IDLE: Duration = Duration::from_secs(24 * 3600);

/// References asked for ahead at one time.
const PREFETCHING: usize = 64;
