//! What is known of one cache's health, kept as answers come in and told of when it changes.
//!
//! The rules are in [`crate::upstream::health`]; here are the clock, the locks and the log. A machine that is offline is
//! told of once, and no cache's breaker counts what it could not be asked for.

use crate::http_client::Names;
use crate::trust::Silence;
use crate::upstream::RemoteCache;
use crate::upstream::ask::{Trouble, trouble};
use crate::upstream::asking::Turns;
use crate::upstream::cache::FetchError;
use crate::upstream::health::{Breaker, Event, Latency, Line, Opened, State, Treatment, Turn, Why};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// What is known of one cache.
#[derive(Debug)]
pub(super) struct Standing {
    claims: Mutex<Claims>,
    bytes: Mutex<Breaker>,
    /// Whether the breaker for claims is open: questions that wait then do so no longer.
    is_open: watch::Sender<bool>,
    /// Shared by all caches.
    line: Arc<Mutex<Line>>,
    pub(super) turns: Turns,
}

#[derive(Debug)]
struct Claims {
    breaker: Breaker,
    latency: Latency,
    /// The times the machine had been offline when the breaker was last asked.
    offline: u64,
}

/// What came of a question.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// An answer in time.
    Answered,
    /// An answer after its time was up.
    AnsweredLate,
    /// No answer in time; whether no address of the cache was known all the while.
    TimedOut { is_cut_off: bool },
    /// After its time was up: it will not be answered.
    Lost,
    /// No answer.
    Failed(Trouble),
}

/// Why a NAR was not delivered, as far as the cache's health is concerned.
#[derive(Clone, Copy, Debug)]
pub enum Undelivered<'a> {
    /// The transfer could not begin.
    Refused(&'a FetchError),
    /// It broke off.
    Broken,
    /// Nothing came for too long, or too little.
    Stalled,
}

/// A cache's health, for reports.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    /// Why it is not waited for, and since when; `None` if it is.
    pub opened: Option<(Why, Instant)>,
    /// How long it takes to answer.
    pub latency: Latency,
    /// Since when its bytes are not counted on; `None` if they are.
    pub bytes_opened: Option<Instant>,
}

impl Standing {
    /// Of a cache of which nothing is known. `probe` is the least time between two probes.
    pub(super) fn new(line: &Arc<Mutex<Line>>, probe: Duration) -> Self {
        let claims = Claims { breaker: Breaker::new(probe), latency: Latency::default(), offline: 0 };
        Self {
            claims: Mutex::new(claims),
            bytes: Mutex::new(Breaker::new(probe)),
            is_open: watch::Sender::new(false),
            line: Arc::clone(line),
            turns: Turns::new(),
        }
    }

    /// Returns when the cache is not waited for any more.
    pub(super) async fn opened(&self) -> Silence {
        // The sender is in `self`.
        drop(self.is_open.subscribe().wait_for(|is_open| *is_open).await);
        silence_of(self.claims().breaker)
    }

    fn claims(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes(&self) -> MutexGuard<'_, Breaker> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_offline(&self) -> bool {
        self.line().offline_since().is_some()
    }
}

/// What a cache that is not waited for has said: nothing yet, if it is slow.
fn silence_of(breaker: Breaker) -> Silence {
    match breaker.opened().map(|opened| opened.why) {
        Some(Why::Slow) => Silence::TimedOut,
        Some(Why::Down | Why::Busy | Why::Offline) | None => Silence::Down,
    }
}

impl RemoteCache {
    /// How to treat it in a new question, and what it has said where it is not waited for.
    pub(super) fn treat(&self, ahead: bool, now: Instant) -> (Treatment, Silence) {
        let offline = self.standing.line().times();
        let mut claims = self.standing.claims();
        if claims.offline != offline {
            // Back or not, it has to answer once before it is waited for.
            claims.offline = offline;
            claims.breaker = claims.breaker.on(Event::CutOff, now, now);
        }
        let (treatment, after) = claims.breaker.treat(ahead, now);
        claims.breaker = after;
        self.standing.is_open.send_replace(!after.is_closed());
        (treatment, silence_of(after))
    }

    /// Takes note of what came of a question that was `asked` then.
    pub(super) fn note(self: &Arc<Self>, outcome: Outcome, asked: Instant) {
        let now = Instant::now();
        let (event, is_cut_off) = match outcome {
            Outcome::Answered => (Event::Answered, false),
            Outcome::AnsweredLate => (Event::AnsweredLate, false),
            Outcome::TimedOut { is_cut_off } => (Event::TimedOut, is_cut_off),
            Outcome::Lost => (Event::Lost, false),
            Outcome::Failed(Trouble::NoLine) => (Event::Failed, true),
            Outcome::Failed(Trouble::Busy(pause)) => (Event::AskedToWait(pause), false),
            Outcome::Failed(Trouble::Other) => (Event::Failed, false),
        };
        // Silence says nothing of the line.
        let is_silence = matches!(outcome, Outcome::TimedOut { .. } | Outcome::Lost);
        if is_cut_off {
            self.note_cut_off(now);
        } else if !is_silence {
            self.note_found(now);
        }
        if (is_cut_off || is_silence) && self.standing.is_offline() {
            return;
        }
        let (before, after) = {
            let mut claims = self.standing.claims();
            if matches!(event, Event::Answered | Event::AnsweredLate) {
                claims.latency = claims.latency.after(now.saturating_duration_since(asked), now);
            }
            let before = claims.breaker;
            claims.breaker = before.on(event, asked, now);
            self.standing.is_open.send_replace(!claims.breaker.is_closed());
            (before, claims.breaker)
        };
        if is_cut_off {
            self.report_unless_offline(before, after);
        } else {
            self.report(before, after, now);
        }
    }

    /// Looks up its host's name, and says what is wrong with it.
    pub(super) async fn look_up_name(&self, names: &Names, host: &str) {
        let cache = self.name();
        match timeout(SLOW_LOOKUP, names.look_up(host)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                self.set_fault(Some(error.to_string()));
                self.note_cut_off(Instant::now());
                sleep(TOGETHER).await;
                if !self.standing.is_offline() {
                    tracing::warn!(cache, %error, "cannot be asked now; every question tries again");
                }
            }
            Err(_) => tracing::warn!(
                cache,
                host,
                "the lookup of the name has not ended after {} seconds; other caches do not wait for it",
                SLOW_LOOKUP.as_secs()
            ),
        }
    }

    /// No address of the cache was found, or no way to it.
    pub(super) fn note_cut_off(&self, now: Instant) {
        let turn = self.standing.line().lost(usize::from(self.id().0), now);
        if turn.is_some() {
            let error = self.fault().unwrap_or_default();
            tracing::warn!(
                cache = self.name(),
                %error,
                "offline: no cache can be reached; nothing waits for them until one is"
            );
        }
    }

    fn note_found(&self, now: Instant) {
        let turn = self.standing.line().found(usize::from(self.id().0), now);
        if let Some(Turn::Online(after)) = turn {
            tracing::info!(cache = self.name(), seconds = after.as_secs(), "online again");
        }
    }

    /// Says that a name was not found only if that was not so for every cache: their tries end together, or nearly.
    fn report_unless_offline(self: &Arc<Self>, before: Breaker, after: Breaker) {
        if !is_worth_a_line(before, after) {
            return;
        }
        let cache = Arc::clone(self);
        tokio::spawn(async move {
            sleep(TOGETHER).await;
            if !cache.standing.is_offline() {
                cache.report(before, after, Instant::now());
            }
        });
    }

    fn report(&self, before: Breaker, after: Breaker, now: Instant) {
        if !is_worth_a_line(before, after) {
            return;
        }
        let cache = self.name();
        let error = self.fault().unwrap_or_default();
        match (before.opened(), after.opened()) {
            (None, None) => tracing::info!(cache, %error, "gave no answer"),
            (Some(_), None) => tracing::info!(cache, "is back"),
            (_, Some(Opened { why: Why::Down, .. })) => {
                tracing::warn!(cache, %error, "is down: it is not waited for until it answers");
            }
            (None, Some(Opened { why: Why::Slow, .. })) => tracing::warn!(
                cache,
                "answers too late: it is asked, and not waited for until it answers within its `claim-timeout`"
            ),
            (Some(_), Some(Opened { why: Why::Slow, .. })) => {
                tracing::info!(cache, "answers, but too late to be waited for");
            }
            (_, Some(Opened { why: Why::Busy, next, .. })) => {
                let seconds = next.saturating_duration_since(now).as_secs();
                tracing::warn!(cache, %error, seconds, "asks to be left alone: it is not asked for so long");
            }
            // Told of once for all caches.
            (_, Some(Opened { why: Why::Offline, .. })) => {}
        }
    }

    /// Whether its NARs can be counted on: the last ones came, or it is time to try again. To be asked as often as one
    /// likes while sources are compared.
    pub fn delivers(&self) -> bool {
        self.standing.bytes().treat(false, Instant::now()).0 != Treatment::Skip
    }

    /// To be called when a NAR is about to be fetched: [`Treatment::Ask`] says that it can be counted on;
    /// [`Treatment::Probe`] that it has failed, and this is the one that finds out whether it still does;
    /// [`Treatment::Skip`] that it has failed just now, and is for when no other source is left.
    pub fn begin_delivery(&self) -> Treatment {
        let mut bytes = self.standing.bytes();
        let (treatment, after) = bytes.treat(false, Instant::now());
        *bytes = after;
        treatment
    }

    /// Takes note that a NAR was delivered whole, or as far as it was wanted.
    pub fn delivered(&self, began: Instant) {
        self.note_delivery(Event::Answered, began);
    }

    /// Takes note that a NAR was not delivered. What was wrong with the bytes is another matter
    /// ([`RemoteCache::mark_liar`]), and so is a NAR that the cache does not have. It never stops questions: a
    /// cache may answer them all while the host of its NARs is dead.
    pub fn delivery_failed(&self, why: Undelivered<'_>, began: Instant) {
        match why {
            Undelivered::Refused(error) => match trouble(error) {
                Some(Trouble::NoLine) if self.standing.is_offline() => {}
                Some(Trouble::Busy(pause)) => self.note_delivery(Event::AskedToWait(pause), began),
                Some(Trouble::NoLine | Trouble::Other) => self.note_delivery(Event::Failed, began),
                None => {}
            },
            Undelivered::Broken => self.note_delivery(Event::Failed, began),
            Undelivered::Stalled => self.note_delivery(Event::Stalled, began),
        }
    }

    fn note_delivery(&self, event: Event, began: Instant) {
        let (was_closed, is_closed) = {
            let mut bytes = self.standing.bytes();
            let before = *bytes;
            *bytes = before.on(event, began, Instant::now());
            (before.is_closed(), bytes.is_closed())
        };
        let cache = self.name();
        match (was_closed, is_closed) {
            (true, false) => {
                tracing::warn!(cache, "does not deliver: its NARs are fetched where no other has them")
            }
            (false, true) => tracing::info!(cache, "delivers again"),
            (true, true) | (false, false) => {}
        }
    }

    /// What is known of its health, for reports.
    pub fn health(&self) -> Health {
        let offline = self.standing.line().offline_since();
        let claims = self.standing.claims();
        let opened = claims.breaker.opened().map(|opened| (opened.why, opened.since));
        Health {
            opened: offline.map(|since| (Why::Offline, since)).or(opened),
            latency: claims.latency,
            bytes_opened: self.standing.bytes().opened().map(|opened| opened.since),
        }
    }
}

/// Whether people are told: of the first silence, and of every change between being waited for and not.
fn is_worth_a_line(before: Breaker, after: Breaker) -> bool {
    let is_first = matches!(before.state(), State::Closed { silences: 0, .. })
        && matches!(after.state(), State::Closed { silences: 1.., .. });
    let why = |breaker: Breaker| breaker.opened().map(|opened| opened.why);
    let is_return = after.is_closed() && why(before) == Some(Why::Offline);
    is_first || (why(before) != why(after) && !is_return)
}

/// How long a lookup may take at the start before that is worth a word: as long as a cache is waited for.
const SLOW_LOOKUP: Duration = Duration::from_secs(5);

/// How long the tries of several caches may end apart and still be one event.
const TOGETHER: Duration = Duration::from_millis(500);
