//! Verdicts: asked for once, remembered for a time by outcome, withdrawn when a late answer dissents.
//!
//! However many clients want one path, its caches are asked once, and so many questions are under way at once:
//! further clients wait in `line`, and those who have waited for `decision-timeout` are told what is known. A
//! verdict lasts as long as the answers that it rests on; a defer is never remembered, but the answers behind it
//! are, so that a retry asks only the caches that were silent. Nothing here survives the process.
//!
//! Verdicts are held with all that is served on them, as many as little memory allows, the last used ones. The
//! answers of many more paths are remembered: those are judged again without asking anybody.

mod flight;
mod line;
mod told;
mod uploaded;

pub use line::Peer;

use crate::clock;
use crate::countersigner::Countersigner;
use crate::evidence::{Account, Earlier, Ledger};
use crate::format::HashPart;
use crate::memo::flight::{Flight, Flights};
use crate::memo::line::Line;
use crate::memo::told::Told;
use crate::memo::uploaded::Uploaded;
use crate::question::{Question, lasts, recall, recollect};
use crate::status::VerdictCounts;
use crate::transfer::{Relay, Withdrawn};
use crate::trust::{Ballot, CacheId, Endorsed, NarGrant, Timestamp, Verdict};
use crate::upstream::{Known, Occasion, Remembered, Upstreams};
use bytes::Bytes;
use moka::Expiry;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The verdicts of one configuration.
#[derive(Clone, Debug)]
pub struct Verdicts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    upstreams: Arc<Upstreams>,
    countersigner: Arc<Countersigner>,
    relay: Arc<Relay>,
    held: Cache<HashPart, Arc<Held>>,
    answers: Remembered,
    ledger: Ledger,
    told: Told,
    uploaded: Uploaded,
    flights: Flights,
    line: Line,
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
    /// In observe mode, what is served whatever the verdict says.
    admitted: Option<Option<Endorsed>>,
    withdrawn: Withdrawn,
    lasts: Duration,
    /// When time alone could change it. A clock that is put right can pass that at once, so it is asked of the clock
    /// and not of a timer.
    changes: Option<Timestamp>,
    looked_ahead: AtomicBool,
    /// A late answer has changed the verdict. The late answer can be quicker than the putting in of what it
    /// changes, so being thrown out is not enough.
    superseded: AtomicBool,
}

impl Held {
    /// What is served: the endorsed core, in observe mode the admitted one.
    pub fn served(&self) -> Option<&Endorsed> {
        match (&self.admitted, &self.verdict) {
            (Some(admitted), _) => admitted.as_ref(),
            (None, Verdict::Endorse(endorsed)) => Some(endorsed),
            (None, Verdict::Absent | Verdict::Defer(_) | Verdict::Refuse(_)) => None,
        }
    }

    /// Leave to fetch the bytes, and the flag that a late dissent raises.
    pub fn grant(&self) -> Option<(NarGrant, Withdrawn)> {
        self.served().map(|endorsed| (endorsed.grant(), self.withdrawn.clone()))
    }

    /// Whether its references have been asked for ahead.
    pub fn has_looked_ahead(&self) -> bool {
        self.looked_ahead.load(Ordering::Relaxed)
    }

    /// About how much memory it takes, in bytes. What is printed is held once more in parts.
    fn weight(&self) -> u32 {
        let printed = self.narinfo.as_ref().map_or(0, Bytes::len);
        u32::try_from(printed).unwrap_or(u32::MAX).saturating_mul(2).saturating_add(HELD_OVERHEAD)
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
        answers: Remembered,
        ledger: Ledger,
        prefetch: bool,
    ) -> Self {
        // Nix asks for a closure's narinfos first and for its NARs soon after: the last used are used again.
        let held = Cache::builder()
            .max_capacity(MOST_HELD)
            .weigher(|_, held: &Arc<Held>| held.weight())
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(ByOutcome)
            .build();
        let prefetching = prefetch.then(|| Arc::new(Semaphore::new(PREFETCHING)));
        let (flights, line, counts) = (Flights::default(), Line::new(QUESTIONS), Counts::default());
        let told = Told::default();
        Self(Arc::new(Inner {
            upstreams,
            countersigner,
            relay,
            held,
            answers,
            ledger,
            told,
            uploaded: Uploaded::default(),
            flights,
            line,
            prefetching,
            counts,
        }))
    }

    /// The verdict that is held on a path, unless a late answer or the time has changed it.
    pub fn at_hand(&self, asked: HashPart) -> Option<Arc<Held>> {
        self.0.current(asked)
    }

    /// The verdict on a path, held or asked for now.
    pub async fn of(&self, asked: HashPart, peer: Peer) -> Arc<Held> {
        match self.at_hand(asked) {
            Some(held) => held,
            None => self.judge(asked, peer).await,
        }
    }

    /// Asks when the peer's turn has come, or waits for whoever is asking already.
    async fn judge(&self, asked: HashPart, peer: Peer) -> Arc<Held> {
        match self.fly(asked, peer).await {
            // A question that was asked ahead probes no sick cache; one that somebody waits for may.
            (held, Occasion::Ahead) if matches!(held.verdict, Verdict::Defer(_)) => {
                self.fly(asked, peer).await.0
            }
            (held, _) => held,
        }
    }

    /// One question, and what it was asked for.
    async fn fly(&self, asked: HashPart, peer: Peer) -> (Arc<Held>, Occasion) {
        let flight = self.0.flights.join(asked);
        if !flight.has_departed() {
            let turn = timeout(self.0.upstreams.decision_timeout(), self.0.line.turn(peer));
            let turn = tokio::select! {
                biased;
                Some(held) = flight.landed() => return (held, flight.occasion()),
                turn = turn => turn,
            };
            match turn {
                Ok(turn) => self.depart(&flight, asked, Occasion::Wanted, turn),
                Err(_) if flight.has_departed() => {}
                Err(_) => {
                    tracing::debug!(path = %asked, "not asked: too many questions are under way");
                    return (self.known(asked).await, Occasion::Wanted);
                }
            }
        }
        let held = flight.landed().await;
        (held.unwrap_or_else(|| Arc::new(self.0.undecided(asked))), flight.occasion())
    }

    /// Asks, unless somebody does already, and holds `leave` until the verdict is there. In a task of its own: a client
    /// that goes away does not end the question for the others.
    fn depart<T: Send + 'static>(&self, flight: &Arc<Flight>, asked: HashPart, occasion: Occasion, leave: T) {
        if !flight.depart(occasion) {
            return;
        }
        let landing =
            Landing { inner: Arc::clone(&self.0), flight: Arc::clone(flight), asked, has_landed: false };
        tokio::spawn(landing.ask(leave));
    }

    /// The verdict on a path from what is remembered alone; nobody is asked.
    pub async fn known(&self, asked: HashPart) -> Arc<Held> {
        match self.at_hand(asked) {
            Some(held) => held,
            None => {
                let (known, earlier) = (self.0.answers.of(asked).await, self.0.ledger.earlier(asked).await);
                let mut ballot = recollect(&self.0.upstreams, asked, &known);
                recall(&self.0.upstreams, &mut ballot, &earlier);
                let held = Arc::new(self.0.hold(&ballot, &known));
                self.0.keep(&ballot, &earlier, &[], &held).await;
                held
            }
        }
    }

    /// Who says what of a path, for people: whoever said nothing fresh is asked. What is learned by it is kept.
    pub async fn question(&self, asked: HashPart) -> Question {
        let inner = &self.0;
        let (known, earlier) = (inner.answers.of(asked).await, inner.ledger.earlier(asked));
        let question =
            Question::ask(&inner.upstreams, &inner.relay, asked, &known, earlier, Occasion::Wanted).await;
        if !question.heard.is_empty() {
            inner.remember(asked, &question.known).await;
            let after = inner.hold(&question.ballot, &question.known);
            if let Some(held) = inner.held.get(&asked) {
                inner.supersede(asked, &held, &after);
            }
            inner.keep(&question.ballot, &question.earlier, &question.heard, &after).await;
        }
        question
    }

    /// That these caches, by their names, do not have a path is not remembered: it was published there just now. What they
    /// and others claim of it stays.
    pub async fn forget_absence(&self, asked: HashPart, caches: &[String]) {
        let inner = &self.0;
        let policy = inner.upstreams.policy();
        let is_named = |id: &CacheId| {
            policy.cache(*id).is_some_and(|cache| caches.iter().any(|name| **name == *cache.name))
        };
        let named: Vec<CacheId> = policy.cache_ids().filter(is_named).collect();
        if named.is_empty() {
            return;
        }
        inner.uploaded.note(asked, Instant::now());
        inner.answers.forget_absence(asked, &named).await;
        // Judged again when somebody asks. What is being sent on it goes on: nothing has been said against it.
        inner.held.invalidate(&asked);
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

    /// Of how many paths a verdict, or what it would rest on, is remembered.
    pub fn count(&self) -> u64 {
        self.0.answers.count()
    }

    /// Asks ahead, once, for the references of what a client was given: it will ask for them next. One level
    /// only, since it may have the rest. Clients come first: asking ahead has room of its own, those that find none in
    /// it are not asked for, and where clients wait nobody is.
    pub fn look_ahead(&self, held: &Held) {
        if held.looked_ahead.swap(true, Ordering::Relaxed) {
            return;
        }
        let (Some(room), Some(endorsed)) = (&self.0.prefetching, held.served()) else { return };
        for reference in endorsed.core().references.iter() {
            let path = reference.hash_part();
            if self.0.held.contains_key(&path) || self.0.answers.is_recent(path) {
                continue;
            }
            let Ok(permit) = Arc::clone(room).try_acquire_owned() else { return };
            if !self.0.line.is_empty() {
                return;
            }
            self.depart(&self.0.flights.join(path), path, Occasion::Ahead, permit);
        }
    }
}

/// The end of a question, which those who wait for it hear of whatever happens.
struct Landing {
    inner: Arc<Inner>,
    flight: Arc<Flight>,
    asked: HashPart,
    has_landed: bool,
}

impl Landing {
    /// Asks, gives the verdict, and goes on listening for late answers.
    async fn ask<T>(mut self, leave: T) {
        let (inner, asked) = (Arc::clone(&self.inner), self.asked);
        // Somebody may have had it judged between being looked for and being asked for.
        if let Some(held) = inner.current(asked) {
            return self.land(held);
        }
        let known = inner.answers.of(asked).await;
        let (earlier, occasion) = (inner.ledger.earlier(asked), self.flight.occasion());
        let question = Question::ask(&inner.upstreams, &inner.relay, asked, &known, earlier, occasion).await;
        if !question.heard.is_empty() {
            inner.remember(asked, &question.known).await;
        }
        let held = Arc::new(inner.hold(&question.ballot, &question.known));
        inner.report(&held, asked);
        inner.keep(&question.ballot, &question.earlier, &question.heard, &held).await;
        if !held.lasts.is_zero() {
            inner.held.insert(asked, Arc::clone(&held));
            // Looked at afterwards: that may have been said just now.
            if inner.is_uploaded(asked) {
                inner.held.invalidate(&asked);
            }
        }
        drop(leave);
        self.land(Arc::clone(&held));
        drop(self);
        inner.listen_on(asked, question, held).await;
    }

    fn land(&mut self, held: Arc<Held>) {
        self.has_landed = true;
        self.flight.land(held);
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !self.has_landed {
            // Else the process is ending.
            if std::thread::panicking() {
                tracing::error!(path = %self.asked, "a question ended early");
            }
            self.flight.land(Arc::new(self.inner.undecided(self.asked)));
        }
    }
}

impl Inner {
    /// The remembered verdict, unless a late answer or the time has changed it.
    fn current(&self, asked: HashPart) -> Option<Arc<Held>> {
        let held = self.held.get(&asked)?;
        let is_past = held.changes.is_some_and(|at| clock::now() >= at);
        if is_past || held.superseded.load(Ordering::Acquire) {
            self.held.invalidate(&asked);
            return None;
        }
        Some(held)
    }

    /// Remembers what was said of a path, but for absences where it was published a moment ago.
    async fn remember(&self, asked: HashPart, known: &[Known]) {
        self.answers.add(asked, known).await;
        if self.is_uploaded(asked) {
            let all: Vec<CacheId> = self.upstreams.policy().cache_ids().collect();
            self.answers.forget_absence(asked, &all).await;
        }
    }

    fn is_uploaded(&self, asked: HashPart) -> bool {
        self.uploaded.is_recent(asked, Instant::now())
    }

    /// What is known of a path of which nobody has been asked.
    fn undecided(&self, asked: HashPart) -> Held {
        self.hold(&Ballot::open(Arc::clone(self.upstreams.policy()), asked), &[])
    }

    fn hold(&self, ballot: &Ballot, known: &[Known]) -> Held {
        let now = clock::now();
        let verdict = ballot.verdict(now);
        let admitted = self.countersigner.is_observing().then(|| ballot.admitted(now));
        let lasts = if matches!(verdict, Verdict::Defer(_)) { Duration::ZERO } else { lasts(ballot, known) };
        let mut held = Held {
            verdict,
            narinfo: None,
            admitted,
            withdrawn: Withdrawn::default(),
            lasts,
            changes: ballot.policy().next_change(now),
            looked_ahead: AtomicBool::new(false),
            superseded: AtomicBool::new(false),
        };
        held.narinfo = held.served().map(|endorsed| self.countersigner.print(endorsed));
        held
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
        while question.late_answer(&self.upstreams).await.is_some() {
            self.remember(asked, &question.known).await;
            let after = self.hold(&question.ballot, &question.known);
            if self.supersede(asked, &held, &after) {
                self.report(&after, asked);
            }
            self.keep(&question.ballot, &question.earlier, &question.heard, &after).await;
        }
    }

    /// Withdraws a verdict that another one has taken the place of; says whether it has.
    fn supersede(&self, asked: HashPart, held: &Held, after: &Held) -> bool {
        let is_served_alike = after.served().map(Endorsed::core) == held.served().map(Endorsed::core);
        if is_served_alike && after.verdict.label() == held.verdict.label() {
            return false;
        }
        held.superseded.store(true, Ordering::Release);
        self.held.invalidate(&asked);
        if held.served().is_some() && !is_served_alike && held.withdrawn.raise() {
            tracing::warn!(path = %asked, "withdrew the verdict: a late answer changed it");
        }
        true
    }

    /// Puts into the ledger what was said and decided. A refusal is there when this returns, before anybody is told.
    async fn keep(&self, ballot: &Ballot, earlier: &Earlier, heard: &[CacheId], held: &Held) {
        let account = Account {
            ballot,
            verdict: &held.verdict,
            served: held.served().map(|endorsed| endorsed.core().nar_hash),
            earlier,
            heard,
            observing: self.countersigner.is_observing(),
            now: clock::now(),
        };
        let rows = account.rows();
        self.told.tell(&rows.events);
        match &held.verdict {
            Verdict::Refuse(_) => self.ledger.record(rows).await,
            Verdict::Absent | Verdict::Defer(_) | Verdict::Endorse(_) => self.ledger.note(rows),
        }
    }
}

/// Bytes that the verdicts that are held may take: some 2,500 of the usual size.
const MOST_HELD: u64 = 8 << 20;

/// What a verdict takes beside what is printed: itself, its place among the others, and pieces of text.
const HELD_OVERHEAD: u32 = 1024;

/// Questions under way at once, over all clients: one alone gets half (see `line`). Nix asks for 25 narinfos at a
/// time by default; a guess for a few of it. Each takes a connection to each cache that speaks HTTP/1.1.
const QUESTIONS: usize = 128;

/// References asked for ahead at one time, beside those.
const PREFETCHING: usize = 64;
