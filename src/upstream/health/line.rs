//! Whether this machine can reach any cache at all.
//!
//! ```text
//!             the last try of every cache found no name or no route
//!   Online ───────────────────────────────────────────────────────▶ Offline ──┐
//!     ▲                                                              │   ▲    │ a question, `probe` later: one
//!     └──────────── any cache is reached, however it answers ────────┘   └────┘ probe, of the next cache in turn
//! ```
//!
//! A laptop that is closed, or a network without names, is no fault of any cache: no breaker counts it, nobody is told of
//! each cache, and nothing waits. While it lasts one probe goes out at a time for all caches together, so that the
//! return is found by one request and not by as many as were waiting; each cache is then asked once, and waited for
//! when it has answered.
//!
//! A refused connection, a status, or bytes that are no claim all show that there is a line. Silence shows nothing.

use std::time::{Duration, Instant};

/// What is known of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Of each cache, whether its last try found no name or no route.
    cut: Vec<bool>,
    offline: Option<Offline>,
    /// How often it went offline: a cache that has not noticed can tell.
    times: u64,
    probe: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offline {
    since: Instant,
    next: Instant,
    turn: usize,
}

/// A change that people are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// No cache can be reached any more.
    Offline,
    /// One was reached again, after so long.
    Online(Duration),
}

/// Which caches a question may be put to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// All, as their breakers say.
    All,
    /// Only this one, as a probe.
    Only(usize),
    /// None.
    Nowhere,
}

impl Line {
    /// For so many caches, taken for reachable. `probe` is the least time between two probes while offline.
    pub fn new(caches: usize, probe: Duration) -> Self {
        Self { cut: vec![false; caches], offline: None, times: 0, probe }
    }

    /// Since when no cache can be reached.
    pub fn offline_since(&self) -> Option<Instant> {
        self.offline.map(|offline| offline.since)
    }

    /// How often it went offline.
    pub fn times(&self) -> u64 {
        self.times
    }

    /// A try of this cache found no name or no route.
    pub fn lost(&mut self, cache: usize, now: Instant) -> Option<Turn> {
        *self.cut.get_mut(cache)? = true;
        if self.offline.is_some() || self.cut.contains(&false) {
            return None;
        }
        let next = now.checked_add(self.probe).unwrap_or(now);
        self.offline = Some(Offline { since: now, next, turn: cache });
        self.times = self.times.saturating_add(1);
        Some(Turn::Offline)
    }

    /// This cache was reached, however it answered.
    pub fn found(&mut self, cache: usize, now: Instant) -> Option<Turn> {
        match self.offline.take() {
            Some(offline) => {
                // What the others' last tries found is of the time before.
                self.cut.fill(false);
                Some(Turn::Online(now.saturating_duration_since(offline.since)))
            }
            None => {
                *self.cut.get_mut(cache)? = false;
                None
            }
        }
    }

    /// Which of these caches a question may be put to now. What is asked `ahead` is no probe.
    pub fn way(&mut self, caches: &[usize], ahead: bool, now: Instant) -> Way {
        let Some(offline) = &mut self.offline else { return Way::All };
        if ahead || now < offline.next {
            return Way::Nowhere;
        }
        let after = caches.iter().filter(|cache| **cache > offline.turn).min();
        let Some(turn) = after.or_else(|| caches.iter().min()) else { return Way::Nowhere };
        *offline = Offline { turn: *turn, next: now.checked_add(self.probe).unwrap_or(now), ..*offline };
        Way::Only(*turn)
    }
}

#[cfg(test)]
mod tests;
