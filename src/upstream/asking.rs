//! One question to one cache, from its turn to its answer, the late one included.
//!
//! **What is bounded**, for each cache: 1,000 questions under way, of which 100 are asked at one time; of a cache that is
//! slow 16, so that it is not made slower; and 100 that are listened for after their time was up. A question that finds
//! no room is "no answer" at once: a thousand others are before it, and it would be late. One that waits for its turn is "no
//! answer" when the cache's `claim-timeout` is over, and stays in its place: its answer is judged when it comes. That
//! wait is ours, so the cache's time begins with its turn, and nothing of it counts as the cache's slowness.
//!
//! Late listening has places of its own: a hundred questions in a black hole must not keep the next ones, or the
//! probe that would find it again, from being asked.

use crate::format::HashPart;
use crate::format::narinfo::Limits;
use crate::trust::{Answer, Policy, Silence};
use crate::upstream::RemoteCache;
use crate::upstream::ask::Reply;
use crate::upstream::health::Treatment;
use crate::upstream::poll::Told;
use crate::upstream::standing::Outcome;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, mpsc};
use tokio::time::{sleep_until, timeout};

/// The places of the questions to one cache.
#[derive(Debug)]
pub(super) struct Turns {
    under_way: Arc<Semaphore>,
    asking: Semaphore,
    hearing: Semaphore,
    late: Semaphore,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            under_way: Arc::new(Semaphore::new(MOST_UNDER_WAY)),
            asking: Semaphore::new(MOST_ASKED),
            hearing: Semaphore::new(MOST_HEARD),
            late: Semaphore::new(MOST_LATE),
        }
    }

    /// Room for one more question, if there is any.
    pub(super) fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.under_way).try_acquire_owned().ok()
    }

    /// A turn to be asked. A probe has none to wait for: there is one a second.
    async fn turn(&self, treatment: Treatment) -> Option<SemaphorePermit<'_>> {
        let places = match treatment {
            Treatment::Ask => &self.asking,
            Treatment::Hear => &self.hearing,
            Treatment::Probe | Treatment::Skip => return None,
        };
        // Never closed.
        places.acquire().await.ok()
    }
}

/// A question to one cache.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) asked: HashPart,
    pub(super) policy: Arc<Policy>,
    pub(super) limits: Limits,
    pub(super) treatment: Treatment,
    /// How long an answer is listened for after its time was up.
    pub(super) late: Duration,
    pub(super) room: OwnedSemaphorePermit,
}

/// Whoever asked, as long as the cache is waited for.
#[derive(Debug)]
struct Waiter {
    answers: mpsc::UnboundedSender<Told>,
    /// Until when it waits; `None` once it does not.
    until: Option<tokio::time::Instant>,
}

impl RemoteCache {
    /// Puts a question, and sends what comes of it: the answer, or none and then the answer if one still comes.
    pub(super) async fn answer(self: Arc<Self>, question: Asking, answers: mpsc::UnboundedSender<Told>) {
        let Asking { asked, policy, limits, treatment, late, room: _room } = question;
        let end = tokio::time::Instant::now() + self.claim_timeout();
        let mut waiter = Waiter { answers, until: (treatment == Treatment::Ask).then_some(end) };
        let taking = self.standing.turns.turn(treatment);
        tokio::pin!(taking);
        let turn = loop {
            tokio::select! {
                biased;
                turn = &mut taking => break turn,
                silence = self.given_up(waiter.until) => waiter.give_up(&self, silence),
                () = sleep_until(end + late) => return,
            }
        };
        let began = Instant::now();
        let time_is_up = tokio::time::Instant::now() + self.claim_timeout();
        let asking = self.ask(asked, &policy, &limits);
        tokio::pin!(asking);
        let reply = loop {
            tokio::select! {
                biased;
                reply = &mut asking => break Some(reply),
                () = sleep_until(time_is_up) => break None,
                silence = self.given_up(waiter.until) => waiter.give_up(&self, silence),
            }
        };
        drop(turn);
        if let Some(reply) = reply {
            self.count(&reply.answer);
            self.note(reply.trouble.map_or(Outcome::Answered, Outcome::Failed), began);
            return waiter.tell(&self, reply);
        }
        self.count(&Answer::NoAnswer(Silence::TimedOut));
        self.set_fault(Some(self.lateness()));
        self.note(Outcome::TimedOut { is_cut_off: self.host_looked_up().is_some() }, began);
        if waiter.until.is_some() {
            waiter.give_up(&self, Silence::TimedOut);
        }
        // Without a place to listen the answer is lost, and nothing is known of it.
        let Ok(_place) = self.standing.turns.late.try_acquire() else { return };
        match timeout(late, asking).await {
            Ok(reply) => {
                self.note(reply.trouble.map_or(Outcome::AnsweredLate, |_| Outcome::Lost), began);
                waiter.tell(&self, reply);
            }
            Err(_) => self.note(Outcome::Lost, began),
        }
    }

    /// Returns when a waiter must not wait any longer: its time is up, or the cache is known to be down or slow.
    async fn given_up(&self, until: Option<tokio::time::Instant>) -> Silence {
        let Some(until) = until else { return std::future::pending().await };
        tokio::select! {
            silence = self.standing.opened() => silence,
            () = sleep_until(until) => Silence::TimedOut,
        }
    }

    fn count(&self, answer: &Answer) {
        let counter = match answer {
            Answer::Claim(_) => &self.heard().claims,
            Answer::NotFound => &self.heard().not_found,
            Answer::NoAnswer(_) => &self.heard().silences,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// What keeps it from answering in time, as far as is known.
    fn lateness(&self) -> String {
        match self.host_looked_up() {
            Some(host) => format!("the lookup of the name {host} has not ended"),
            None => format!("nothing came within {} s", self.claim_timeout().as_secs_f32()),
        }
    }

    /// Its host, while that is being looked up.
    fn host_looked_up(&self) -> Option<String> {
        self.names().filter(|(names, host)| names.is_looking_up(host)).map(|(_, host)| host)
    }
}

impl Waiter {
    /// Nobody listening any more is fine: the answer came for nothing.
    fn tell(&self, cache: &RemoteCache, Reply { answer, text, .. }: Reply) {
        drop(self.answers.send(Told { cache: cache.id(), answer, text }));
    }

    fn give_up(&mut self, cache: &RemoteCache, silence: Silence) {
        self.until = None;
        let answer = Answer::NoAnswer(silence);
        self.tell(cache, Reply { answer, text: Bytes::new(), trouble: None });
    }
}

/// Questions under way at one cache, those that wait for their turn included. As many clients as are let in by default
/// may each want a path of their own, and 64 more are asked for ahead; a place takes a few KB.
const MOST_UNDER_WAY: usize = 1000;

/// Questions that are asked of one cache at one time: four times what one Nix process asks at once.
const MOST_ASKED: usize = 100;

/// The same of a cache that is slow: what ordinary servers work on at one time, a guess.
const MOST_HEARD: usize = 16;

/// Questions of which a late answer is listened for: as many as can be asked at one time.
const MOST_LATE: usize = 100;
