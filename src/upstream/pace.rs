//! How fast a cache has lately delivered bytes. **Pure**: time is an argument.
//!
//! Two exponentially weighted averages: how long the first byte took, and how many bytes came in each second that was
//! spent waiting for the cache, and not for the client. What is old counts for nothing: lines change.

use std::time::{Duration, Instant};

/// What has been seen of a cache's deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pace {
    first_byte: Option<Duration>,
    /// Bytes a second.
    rate: Option<f64>,
    seen: Option<Instant>,
}

impl Pace {
    /// After a delivery whose first byte took this long.
    #[must_use]
    pub fn began(self, after: Duration, now: Instant) -> Self {
        let old = self.at(now);
        let first_byte =
            old.first_byte.map_or(after, |before| before.mul_f64(1.0 - WEIGHT) + after.mul_f64(WEIGHT));
        Self { first_byte: Some(first_byte), seen: Some(now), ..old }
    }

    /// After so many bytes for which the cache was waited this long in all, the first byte's wait not counted. Few
    /// bytes say nothing of the rate, unless they took long.
    #[must_use]
    pub fn delivered(self, bytes: u64, waited: Duration, now: Instant) -> Self {
        let old = self.at(now);
        if bytes < TELLING && waited < SLOW {
            return old;
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let rate = bytes as f64 / waited.max(LEAST).as_secs_f64();
        let rate = old.rate.map_or(rate, |before| before * (1.0 - WEIGHT) + rate * WEIGHT);
        Self { rate: Some(rate), seen: Some(now), ..old }
    }

    /// How long `bytes` bytes are expected to take from the request on.
    pub fn expected(self, bytes: u64, now: Instant) -> Duration {
        let known = self.at(now);
        let rate = known.rate.unwrap_or(UNKNOWN_RATE).max(1.0);
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = (bytes as f64 / rate).min(LONGEST.as_secs_f64());
        known.first_byte.unwrap_or(UNKNOWN_FIRST_BYTE) + Duration::from_secs_f64(seconds)
    }

    /// How long the first byte is expected to take.
    pub fn expected_first_byte(self, now: Instant) -> Duration {
        self.at(now).first_byte.unwrap_or(UNKNOWN_FIRST_BYTE)
    }

    /// What still counts now.
    fn at(self, now: Instant) -> Self {
        let is_old = self.seen.is_some_and(|seen| now.saturating_duration_since(seen) > OLD);
        if is_old { Self::default() } else { self }
    }
}

/// The weight of a new observation: three make up more than half.
const WEIGHT: f64 = 0.3;

/// Fewer bytes than these come in one burst and say nothing of the rate …
const TELLING: u64 = 64 * 1024;

/// … unless they were waited for so long.
const SLOW: Duration = Duration::from_millis(500);

/// No wait is taken for shorter, so that bytes that were there already do not make the rate infinite.
const LEAST: Duration = Duration::from_micros(100);

/// After so long without a delivery nothing is known any more, so that a cache that was slow once is tried again.
const OLD: Duration = Duration::from_secs(300);

/// No expectation is longer than this.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// What is taken for the rate before anything is known: a good line at home. A cache of which nothing is known is
/// then preferred to one that is known to be worse, and so becomes known.
const UNKNOWN_RATE: f64 = 12e6;

/// The same for the first byte.
const UNKNOWN_FIRST_BYTE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn the_rate_follows_what_is_seen() {
        let now = Instant::now();
        let mut pace = Pace::default().delivered(100 * MB, seconds(1), now);
        assert_eq!(pace.expected(100 * MB, now), UNKNOWN_FIRST_BYTE + seconds(1));
        for _ in 0..10 {
            pace = pace.delivered(MB, seconds(1), now);
        }
        let now_expected = pace.expected(100 * MB, now);
        assert!(now_expected > seconds(20), "{now_expected:?}");
    }

    #[test]
    fn few_bytes_at_once_say_nothing_and_few_bytes_in_a_long_time_do() {
        let now = Instant::now();
        assert_eq!(Pace::default().delivered(1000, Duration::from_millis(2), now), Pace::default());
        let drip = Pace::default().delivered(1000, seconds(1), now);
        assert!(drip.expected(MB, now) > seconds(900));
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let now = Instant::now();
        let slow = Pace::default().began(seconds(3), now).delivered(1000, seconds(1), now);
        let later = now + OLD + seconds(1);
        assert_eq!(slow.expected(MB, later), Pace::default().expected(MB, later));
        assert_eq!(slow.expected_first_byte(later), UNKNOWN_FIRST_BYTE);
        assert_eq!(slow.delivered(MB, seconds(1), later), Pace::default().delivered(MB, seconds(1), later));
    }

    #[test]
    fn an_unknown_cache_is_expected_before_one_that_is_known_to_be_slow() {
        let now = Instant::now();
        let slow = Pace::default().delivered(MB, seconds(1), now);
        let fast = Pace::default().delivered(100 * MB, seconds(1), now);
        assert!(Pace::default().expected(10 * MB, now) < slow.expected(10 * MB, now));
        assert!(fast.expected(10 * MB, now) < Pace::default().expected(10 * MB, now));
    }

    #[test]
    fn no_observation_overflows() {
        let now = Instant::now();
        let pace = Pace::default().delivered(u64::MAX, Duration::ZERO, now).began(Duration::MAX / 8, now);
        assert!(pace.expected(u64::MAX, now) > Duration::ZERO);
        assert!(
            Pace::default().delivered(0, seconds(9), now).expected(u64::MAX, now) <= LONGEST + seconds(1)
        );
    }
}
