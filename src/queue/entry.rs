//! One path on its way to one destination: a state machine without I/O and without a clock.
//!
//! ```text
//!             NarStored             Published
//!   queued ────────────▶ stored ───────────────▶ done
//!    │ ▲ │                │  │                    │
//!    │ │ └─ Published ────┼──┼───────────────▶ ───┤   (it was there already)
//!    │ └──── NarLost ─────┘  │                    │
//!    │                       │                    │
//!    ├──── Skipped ──────────┼──▶ skipped ────────┤
//!    ├──── GivenUp ──────────┴──▶ dead ───────────┤
//!    └◀───────────── Asked, Retried ──────────────┘
//! ```
//!
//! *queued*: nothing of it is known to be at the destination. *stored*: its NAR is there and was read back.
//! *done*: its narinfo is there and was read back. *skipped*: it needs not go. *dead*: given up, kept and listed
//! until someone asks for it again. `Failed` and `Held` leave the state and set when it is looked at next;
//! past the time to give up they end in *dead*. What is not drawn changes nothing: an event that comes late,
//! after somebody dropped or retried the entry, does no harm.

use crate::format::{FileHash, NarHash, StorePath};
use crate::trust::Timestamp;
use std::time::Duration;

/// One path on its way to one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How far it is.
    pub state: State,
    /// Why it is here.
    pub origin: Origin,
    /// When it was asked for; giving up is counted from here.
    pub queued: Timestamp,
    /// When it last changed its state.
    pub changed: Timestamp,
    /// When to look at it next.
    pub due: Timestamp,
    /// Failures in a row.
    pub attempts: u32,
    /// What is wrong, in one line; empty if nothing is.
    pub trouble: String,
    /// The reference that it waits for.
    pub blocked_by: Option<StorePath>,
}

/// How far an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing of it is known to be there.
    Queued,
    /// Its NAR is there.
    Stored(StoredNar),
    /// Its narinfo is there.
    Done,
    /// It needs not go.
    Skipped,
    /// Given up.
    Dead,
}

/// A NAR that was stored at the destination and read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredNar {
    /// The sha256 of the NAR, hashed here while it was packed.
    pub nar_hash: NarHash,
    /// Its length, in bytes.
    pub nar_size: u64,
    /// The sha256 of the compressed file.
    pub file_hash: FileHash,
    /// Its length, in bytes.
    pub file_size: u64,
    /// Its compression, as a narinfo names it.
    pub compression: Box<str>,
    /// Its name below the destination.
    pub url: Box<str>,
}

/// Why an entry is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Something that goes refers to it.
    Reference,
    /// The store has it as built here, and no hook reported it.
    Swept,
    /// A person asked for it.
    Pushed,
    /// The hook reported its build.
    Built,
}

/// What happened to an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its NAR was stored and read back.
    NarStored(StoredNar),
    /// The NAR that was stored is no longer there.
    NarLost,
    /// Its narinfo was stored and read back, or was there already.
    Published,
    /// It needs not go, for this reason.
    Skipped(String),
    /// An attempt failed; try again, not before so long.
    Failed(String, Duration),
    /// It cannot go until something else changes: perhaps this reference.
    Held(String, Option<StorePath>),
    /// What it waited for has changed.
    Woken,
    /// It can never go, for this reason.
    GivenUp(String),
    /// It is wanted, for this reason; perhaps again.
    Asked(Origin),
    /// A person wants it to be tried again, now.
    Retried,
}

/// What an event is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The time.
    pub now: Timestamp,
    /// When to lay aside what keeps failing.
    pub give_up_after: Duration,
    /// A random number, to spread attempts.
    pub jitter: u32,
}

impl Entry {
    /// A path that is wanted.
    pub fn new(origin: Origin, now: Timestamp) -> Self {
        Self {
            state: State::Queued,
            origin,
            queued: now,
            changed: now,
            due: now,
            attempts: 0,
            trouble: String::new(),
            blocked_by: None,
        }
    }

    /// Whether nothing more will happen to it by itself.
    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::Done | State::Skipped | State::Dead)
    }

    /// The entry after an event.
    #[must_use]
    pub fn on(self, event: Event, terms: &Terms) -> Self {
        let now = terms.now;
        match (&self.state, event) {
            (State::Queued, Event::NarStored(nar)) => self.turn(State::Stored(nar), now),
            (State::Stored(_), Event::NarLost) => self.turn(State::Queued, now),
            (State::Queued | State::Stored(_), Event::Published) => self.turn(State::Done, now),
            (State::Queued | State::Stored(_), Event::Skipped(why)) => {
                Self { trouble: why, ..self.turn(State::Skipped, now) }
            }
            (State::Queued | State::Stored(_), Event::GivenUp(why)) => {
                Self { trouble: why, ..self.turn(State::Dead, now) }
            }
            (State::Queued | State::Stored(_), Event::Failed(trouble, least)) => {
                let attempts = self.attempts.saturating_add(1);
                let due = after(now, back_off(attempts, terms.jitter).max(least));
                Self { attempts, due, trouble, blocked_by: None, ..self }.or_give_up(terms)
            }
            (State::Queued | State::Stored(_), Event::Held(trouble, blocked_by)) => {
                let due = after(now, RECHECK);
                Self { attempts: 0, due, trouble, blocked_by, ..self }.or_give_up(terms)
            }
            (State::Queued | State::Stored(_), Event::Woken | Event::Retried) => {
                Self { due: now, attempts: 0, blocked_by: None, ..self }
            }
            (State::Queued | State::Stored(_), Event::Asked(origin)) => {
                Self { origin: self.origin.max(origin), ..self }
            }
            (State::Done, Event::Asked(Origin::Reference)) if now < after(self.changed, RENEW) => self,
            (State::Skipped | State::Dead, Event::Asked(Origin::Reference)) => self,
            // It was found once more; nobody wants it again.
            (State::Done | State::Skipped | State::Dead, Event::Asked(Origin::Swept)) => self,
            (State::Done | State::Skipped | State::Dead, Event::Asked(origin)) => {
                Self { state: State::Queued, ..Self::new(self.origin.max(origin), now) }
            }
            (State::Skipped | State::Dead, Event::Retried) => Self::new(self.origin, now),
            // What comes too late changes nothing.
            (State::Stored(_), Event::NarStored(_))
            | (State::Queued, Event::NarLost)
            | (State::Done, Event::Retried)
            | (
                State::Done | State::Skipped | State::Dead,
                Event::NarStored(_)
                | Event::NarLost
                | Event::Published
                | Event::Skipped(_)
                | Event::Failed(..)
                | Event::Held(..)
                | Event::Woken
                | Event::GivenUp(_),
            ) => self,
        }
    }

    /// In another state, due at once, with nothing wrong.
    fn turn(self, state: State, now: Timestamp) -> Self {
        let Self { origin, queued, .. } = self;
        Self {
            state,
            origin,
            queued,
            changed: now,
            due: now,
            attempts: 0,
            trouble: String::new(),
            blocked_by: None,
        }
    }

    /// Dead, if it has been tried for long enough.
    fn or_give_up(self, terms: &Terms) -> Self {
        if terms.now < after(self.queued, terms.give_up_after) {
            return self;
        }
        Self { state: State::Dead, changed: terms.now, blocked_by: None, ..self }
    }
}

impl State {
    /// A stable word for it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Stored(_) => "stored",
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Dead => "dead",
        }
    }
}

impl Origin {
    /// A stable word for it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Swept => "swept",
            Self::Pushed => "pushed",
            Self::Built => "built",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Reference, Self::Swept, Self::Pushed, Self::Built]
            .into_iter()
            .find(|origin| origin.label() == text)
    }
}

/// How long to wait after so many failures in a row: 5 s doubled each time up to an hour, of which a random
/// part of up to one half is taken off, so that what failed together does not come back together.
pub fn back_off(attempts: u32, jitter: u32) -> Duration {
    let doubled =
        FIRST_PAUSE.saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX));
    let whole = doubled.min(LONGEST_PAUSE);
    let half = whole / 2;
    whole.saturating_sub(half.mul_f64(f64::from(jitter) / f64::from(u32::MAX)))
}

/// A moment later by so long; parts of a second are rounded up.
pub fn after(moment: Timestamp, by: Duration) -> Timestamp {
    let whole = by.as_secs().saturating_add(u64::from(by.subsec_nanos() > 0));
    Timestamp::from_seconds(moment.seconds().saturating_add(i64::try_from(whole).unwrap_or(i64::MAX)))
}

/// After the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// After any number of them.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// How often something held is looked at, although nothing woke it.
const RECHECK: Duration = Duration::from_secs(600);

/// How long a path that is done is believed to stay where it is, when something else refers to it.
const RENEW: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests;
