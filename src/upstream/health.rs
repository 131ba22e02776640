//! Whether a cache is known to be down. **Pure**: time is an argument.
//!
//! ```text
//!            answer                     5th silence in a row
//!   ┌────────────────────┐   ┌───────────────────────────────────┐
//!   │                    ▼   │                                   ▼
//!   └──────────────── Up(silences) ◄──── answer to a probe ──── Down(tried)
//!                                                                │   ▲
//!                                                                └───┘ silence
//! ```
//!
//! A cache that is up is asked and waited for. One that is down is "no answer" at once; a question that
//! passes by a second or more after the last try takes a probe along, which nobody waits for. Without
//! questions there are no probes. The design proposes probes every 5 to 30 seconds on a timer; asking with
//! demand instead finds a cache that has returned within a second of somebody wanting it, and never more
//! than once a second.

use std::time::{Duration, Instant};

/// What is known of a cache's reachability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It is waited for; so many silences in a row have been seen.
    Up {
        /// Silences since the last answer.
        silences: u8,
    },
    /// It is not waited for.
    Down {
        /// When it was last tried.
        tried: Instant,
    },
}

/// How to treat a cache in a new question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Ask and wait for it.
    Ask,
    /// Ask, and do not wait.
    Probe,
    /// Leave it alone.
    Skip,
}

impl Health {
    /// A cache of which nothing is known: taken for up.
    pub const NEW: Self = Self::Up { silences: 0 };

    /// How to treat the cache now, and its health after that.
    pub fn treat(self, now: Instant) -> (Treatment, Self) {
        match self {
            Self::Up { .. } => (Treatment::Ask, self),
            Self::Down { tried } if now.saturating_duration_since(tried) >= PROBE_AFTER => {
                (Treatment::Probe, Self::Down { tried: now })
            }
            Self::Down { .. } => (Treatment::Skip, self),
        }
    }

    /// After an answer in time, "not found" included.
    pub fn answered(self) -> Self {
        Self::NEW
    }

    /// After no answer in time, or one that is none.
    pub fn silent(self, now: Instant) -> Self {
        match self {
            Self::Up { silences } if silences.saturating_add(1) < SILENCES => {
                Self::Up { silences: silences.saturating_add(1) }
            }
            Self::Up { .. } | Self::Down { .. } => Self::Down { tried: now },
        }
    }

    /// Whether the cache is known to be down.
    pub fn is_down(self) -> bool {
        matches!(self, Self::Down { .. })
    }
}

/// Silences in a row that take a cache for down (design §3.9).
const SILENCES: u8 = 5;

/// The least time between two tries of a cache that is down.
const PROBE_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn silent(mut health: Health, times: u8, now: Instant) -> Health {
        for _ in 0..times {
            health = health.silent(now);
        }
        health
    }

    #[test]
    fn five_silences_in_a_row_take_a_cache_down() {
        let now = Instant::now();
        assert!(!silent(Health::NEW, 4, now).is_down());
        assert!(silent(Health::NEW, 5, now).is_down());
    }

    #[test]
    fn an_answer_forgives_every_silence() {
        let now = Instant::now();
        assert!(!silent(silent(Health::NEW, 4, now).answered(), 4, now).is_down());
        assert_eq!(silent(Health::NEW, 5, now).answered(), Health::NEW);
    }

    #[test]
    fn a_cache_that_is_down_is_probed_once_a_second_at_most() {
        let start = Instant::now();
        let down = silent(Health::NEW, 5, start);
        assert_eq!(down.treat(start + Duration::from_millis(900)).0, Treatment::Skip);
        let (treatment, after) = down.treat(start + Duration::from_millis(1000));
        assert_eq!(treatment, Treatment::Probe);
        assert_eq!(after.treat(start + Duration::from_millis(1500)).0, Treatment::Skip);
        assert_eq!(after.treat(start + Duration::from_millis(2000)).0, Treatment::Probe);
    }

    #[test]
    fn a_cache_that_is_up_is_always_asked() {
        let now = Instant::now();
        for silences in 0..4 {
            assert_eq!(Health::Up { silences }.treat(now).0, Treatment::Ask);
        }
    }

    #[test]
    fn a_silent_probe_leaves_it_down() {
        let now = Instant::now();
        let later = now + Duration::from_secs(3);
        assert_eq!(silent(Health::NEW, 5, now).silent(later), Health::Down { tried: later });
    }
}
