//! Whether one cache is asked, and waited for.
//!
//! ```text
//!          silences in a row, late too often, Retry-After, offline
//!   Closed ───────────────────────────────────────────────────────▶ Open
//!     ▲  ▲                                                          │  ▲
//!     │  └───────────── answers in time, as many as wanted ─────────┘  │ no answer, or a late one
//!     │                                                             │  │
//!     │                                         a question, once its time has come: it is the probe
//!     │                                                             ▼  │
//!     └──────────────── answers in time, as many as wanted ──────── HalfOpen ──┐
//!                                                                     ▲        │ a question, `probe` later:
//!                                                                     └────────┘ another probe
//! ```
//!
//! *Closed*: asked and waited for. *Open*: "no answer" at once. *Half open*: the same, and one question is under way
//! as a probe, for which nobody waits. There is at most one probe each [`crate::config::Patience::probe`], carried by a
//! question that somebody asks: a cache that returns is found as soon as it is wanted, and one that nobody wants is left
//! alone. A probe that gets no answer does not keep the next one back, or a cache whose packets were swallowed
//! would be found only when its time is up.
//!
//! **Silences.** Five in a row open it (design §3.9: at most five). A quick failure costs nobody any time and counts
//! once. A time-out costs everybody the whole `claim-timeout`: it counts three times if nothing at all was heard of the
//! cache since the question was asked, so that two questions in a row are enough; and five times if the cache has never
//! answered, so that a black hole holds up the first questions and no others. While anything is heard, to whatever
//! question, a time-out counts once.
//!
//! **Slowness** is measured against `claim-timeout` alone: it is what the owner of the machine has said that he waits
//! for this cache. A cache opens as *slow* if more than half of its answers come later than that (a moving share over
//! about eight), or if the five silences in a row were late answers. It is never compared with other caches. A mirror
//! in the next room is a hundred times quicker than an honest cache across an ocean, and whoever runs it must not be
//! able to silence the other's dissent by being quick.
//!
//! A slow cache is not waited for, but **every question is still put to it**, and its late answers are judged: its
//! dissent withdraws a verdict (design §3.9). The same holds for one that was opened by time-outs, until five questions
//! have got nothing even late: until then it may be a slow one as well, and a verdict that is given meanwhile is remembered
//! for minutes. A cache that is known to be down is asked by probes alone. Four answers in time, in a row, close it; the next late answer after that opens it again, so a cache
//! that is late more often than not does not go in and out. A cache that is down closes with one answer in time.
//!
//! **Retry-After** opens at once: the cache is left alone as long as it asks, but 30 s at most, since that is how long the
//! design leaves a cache without a probe (§3.9).
//!
//! A fault ("not a claim") is an answer here: the cache is there, and holds nobody up.

use std::time::{Duration, Instant};

/// The breaker of one cache for one kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    state: State,
    /// When something was last heard, and whether that was too late.
    heard: Option<(Instant, bool)>,
    late: Share,
    probe: Duration,
}

/// Where a breaker is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Asked and waited for.
    Closed {
        /// When it was last closed, if it was ever open.
        since: Option<Instant>,
        /// Silences in a row, counted as the module says.
        silences: u8,
    },
    /// Not waited for.
    Open(Opened),
    /// Not waited for, and a question is under way as a probe.
    HalfOpen(Opened),
}

/// What is known of a breaker that is not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Why.
    pub why: Why,
    /// Since when it has not been closed.
    pub since: Instant,
    /// When a question may be the next probe.
    pub next: Instant,
    /// Answers in time, in a row, that are wanted before it closes.
    pub wanted: u8,
    /// Whether every question is put to it all the same, not waited for, since its answers may come late.
    pub is_heard: bool,
    /// Silences in a row while it is heard: five say that nothing comes even late.
    pub silences: u8,
}

/// Why a cache is not waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It gives no answer.
    Down,
    /// It answers too late.
    Slow,
    /// It has asked not to be asked for a while.
    Busy,
    /// This machine reached no cache at all; it has not been heard since.
    Offline,
}

/// How to treat a cache in a new question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Ask and wait for it.
    Ask,
    /// Ask, and do not wait.
    Hear,
    /// Ask as a probe, and do not wait.
    Probe,
    /// Leave it alone.
    Skip,
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An answer in time, "not found" and what is no claim included.
    Answered,
    /// An answer after its time was up.
    AnsweredLate,
    /// No answer, known before its time was up.
    Failed,
    /// It was to deliver bytes, and none came. Somebody has waited, so two in a row are enough.
    Stalled,
    /// Its time is up. [`Event::AnsweredLate`] or [`Event::Lost`] may follow.
    TimedOut,
    /// After its time was up: no answer will come.
    Lost,
    /// The cache asks not to be asked for so long.
    AskedToWait(Duration),
    /// This machine was cut off from every cache.
    CutOff,
}

impl Breaker {
    /// For a cache of which nothing is known: it is waited for. `probe` is the least time between two probes.
    pub const fn new(probe: Duration) -> Self {
        Self { state: State::Closed { since: None, silences: 0 }, heard: None, late: Share(0), probe }
    }

    /// Where it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the cache is asked and waited for.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// What is known of it while it is not closed.
    pub fn opened(&self) -> Option<Opened> {
        match self.state {
            State::Closed { .. } => None,
            State::Open(opened) | State::HalfOpen(opened) => Some(opened),
        }
    }

    /// How to treat the cache now, and the breaker after that. What is asked `ahead` of anybody's need is never a
    /// probe; a slow cache hears it all the same, or its dissent would be missing from what is remembered.
    pub fn treat(self, ahead: bool, now: Instant) -> (Treatment, Self) {
        match self.opened() {
            None => (Treatment::Ask, self),
            Some(opened) if !ahead && now >= opened.next => {
                let probed = Opened { next: later(now, self.probe), ..opened };
                (Treatment::Probe, self.with(State::HalfOpen(probed)))
            }
            Some(Opened { is_heard: true, .. }) => (Treatment::Hear, self),
            Some(_) => (Treatment::Skip, self),
        }
    }

    /// The breaker after what came of a question that was `asked` then.
    pub fn on(mut self, event: Event, asked: Instant, now: Instant) -> Self {
        match event {
            Event::Answered => self.heard = Some((now, false)),
            Event::AnsweredLate => self.heard = Some((now, true)),
            Event::Failed
            | Event::Stalled
            | Event::TimedOut
            | Event::Lost
            | Event::AskedToWait(_)
            | Event::CutOff => {}
        }
        match self.state {
            State::Closed { since, silences } => self.closed_on(since, silences, event, asked, now),
            State::Open(opened) if opened.why == Why::Busy && now < opened.next => {
                self.busy_on(opened, event, now)
            }
            State::Open(opened) | State::HalfOpen(opened) => self.open_on(opened, event, asked, now),
        }
    }

    fn closed_on(
        mut self,
        since: Option<Instant>,
        silences: u8,
        event: Event,
        asked: Instant,
        now: Instant,
    ) -> Self {
        // Asked before it returned: that says nothing of it since.
        let is_stale = since.is_some_and(|since| asked < since);
        let counted = match event {
            Event::Answered => {
                self.late = self.late.after(false);
                return self.with(State::Closed { since, silences: 0 });
            }
            // Counted when its time was up.
            Event::AnsweredLate | Event::Lost => return self,
            Event::Failed | Event::Stalled | Event::TimedOut if is_stale => return self,
            Event::Failed => 1,
            Event::Stalled => UNHEARD,
            Event::TimedOut => {
                self.late = self.late.after(true);
                match self.heard {
                    None => SILENCES,
                    Some((at, _)) if at < asked => UNHEARD,
                    Some(_) => 1,
                }
            }
            Event::AskedToWait(pause) => {
                return self.open(Why::Busy, false, now, later(now, self.kept(pause)));
            }
            Event::CutOff => return self.open(Why::Offline, false, now, now),
        };
        let silences = silences.saturating_add(counted);
        let is_late = self.heard.is_some_and(|(_, is_late)| is_late);
        let next = later(now, self.probe);
        if silences >= SILENCES {
            self.open(if is_late { Why::Slow } else { Why::Down }, event == Event::TimedOut, now, next)
        } else if self.late > Share::HALF {
            self.open(Why::Slow, true, now, next)
        } else {
            self.with(State::Closed { since, silences })
        }
    }

    /// While the cache has asked to be left alone, only how long can change.
    fn busy_on(self, opened: Opened, event: Event, now: Instant) -> Self {
        match event {
            Event::AskedToWait(pause) => {
                let next = later(now, self.kept(pause)).max(opened.next);
                self.with(State::Open(Opened { next, ..opened }))
            }
            Event::Answered
            | Event::AnsweredLate
            | Event::Failed
            | Event::Stalled
            | Event::TimedOut
            | Event::Lost
            | Event::CutOff => self,
        }
    }

    fn open_on(mut self, opened: Opened, event: Event, asked: Instant, now: Instant) -> Self {
        let is_slow = opened.why == Why::Slow;
        // What was asked before says nothing new, unless it is an answer or was counted on to be one.
        let is_stale = asked < opened.since && !opened.is_heard;
        let silenced = opened.silences.saturating_add(1);
        let after = match event {
            Event::Answered if opened.wanted <= 1 => {
                self.late = if is_slow { Share::HALF } else { Share(0) };
                return self.with(State::Closed { since: Some(now), silences: 0 });
            }
            Event::Answered => Opened { wanted: opened.wanted.saturating_sub(1), silences: 0, ..opened },
            Event::AnsweredLate => {
                Opened { why: Why::Slow, wanted: WANTED_OF_SLOW, is_heard: true, silences: 0, ..opened }
            }
            Event::Failed | Event::Stalled | Event::TimedOut | Event::Lost if is_stale => return self,
            Event::Failed | Event::Stalled | Event::Lost if opened.is_heard && silenced < SILENCES => {
                Opened { silences: silenced, ..opened }
            }
            Event::Failed | Event::Stalled | Event::Lost if opened.is_heard => {
                Opened { why: Why::Down, wanted: 1, is_heard: false, silences: 0, ..opened }
            }
            Event::TimedOut if is_slow => Opened { wanted: WANTED_OF_SLOW, ..opened },
            Event::Failed | Event::Stalled | Event::TimedOut => Opened { why: Why::Down, ..opened },
            // Its time was up long ago; the probe that is under way is another.
            Event::Lost => return self,
            Event::AskedToWait(pause) => {
                let next = later(now, self.kept(pause));
                Opened { why: Why::Busy, next, wanted: 1, is_heard: false, silences: 0, ..opened }
            }
            Event::CutOff => {
                Opened { why: Why::Offline, next: now, wanted: 1, is_heard: false, silences: 0, ..opened }
            }
        };
        self.with(State::Open(after))
    }

    fn open(self, why: Why, is_heard: bool, since: Instant, next: Instant) -> Self {
        let (wanted, is_heard) = if why == Why::Slow { (WANTED_OF_SLOW, true) } else { (1, is_heard) };
        self.with(State::Open(Opened { why, since, next, wanted, is_heard, silences: 0 }))
    }

    /// How long a pause that was asked for is kept.
    fn kept(&self, pause: Duration) -> Duration {
        pause.max(self.probe).min(LONGEST_PAUSE)
    }

    fn with(self, state: State) -> Self {
        Self { state, ..self }
    }
}

/// A moving share of late answers, in 1/1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Share(u16);

impl Share {
    const ONE: u16 = 1024;
    const HALF: Self = Self(Self::ONE / 2);

    /// Each answer counts for an eighth, as in TCP's estimate of round trips (RFC 6298): a handful of late answers is
    /// needed, and a few dozen in time make them forgotten.
    fn after(self, is_late: bool) -> Self {
        let rest = self.0.saturating_sub(self.0.div_ceil(8));
        Self(if is_late { rest.saturating_add(Self::ONE / 8) } else { rest })
    }
}

/// A time that cannot be said is not reached in this process's life; the next probe is then at once.
fn later(now: Instant, by: Duration) -> Instant {
    now.checked_add(by).unwrap_or(now)
}

/// Silences in a row that take a cache for down (design §3.9).
const SILENCES: u8 = 5;

/// What a time-out counts for, if nothing was heard of the cache since its question was asked: two in a row open.
const UNHEARD: u8 = 3;

/// Answers in time, in a row, that close a slow cache: one that is late four times in five gives them once in 600.
const WANTED_OF_SLOW: u8 = 4;

/// The longest that a cache is left alone because it asks for it (design §3.9: a probe at most every 30 s).
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
