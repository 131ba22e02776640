//! How long a cache takes to answer: a moving mean and a moving deviation, for `status` and for choosing.

use std::time::{Duration, Instant};

/// An estimate from the answers so far, late ones included. What never came is not in it: nobody knows how long that
/// would have taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency(Option<Estimate>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Estimate {
    mean: Duration,
    deviation: Duration,
    at: Instant,
}

impl Latency {
    /// The estimate after an answer that took so long.
    ///
    /// An answer counts for an eighth of the mean and a quarter of the deviation (RFC 6298); after a minute without
    /// any, for half of both, since a line that was slow then may be another one now.
    pub fn after(self, took: Duration, now: Instant) -> Self {
        let Some(before) = self.0 else {
            return Self(Some(Estimate { mean: took, deviation: took / 2, at: now }));
        };
        let is_old = now.saturating_duration_since(before.at) >= OLD;
        let (of_mean, of_deviation) = if is_old { (2, 2) } else { (8, 4) };
        let off = took.abs_diff(before.mean);
        let mean = moved(before.mean, took, of_mean);
        Self(Some(Estimate { mean, deviation: moved(before.deviation, off, of_deviation), at: now }))
    }

    /// The mean; `None` before the first answer.
    pub fn mean(&self) -> Option<Duration> {
        self.0.map(|estimate| estimate.mean)
    }

    /// The mean distance from the mean; `None` before the first answer.
    pub fn deviation(&self) -> Option<Duration> {
        self.0.map(|estimate| estimate.deviation)
    }
}

/// One part in `parts` of the way from a value to another.
fn moved(from: Duration, to: Duration, parts: u32) -> Duration {
    if to >= from {
        from.saturating_add(to.saturating_sub(from) / parts)
    } else {
        from.saturating_sub(from.saturating_sub(to) / parts)
    }
}

/// How long an estimate is taken for today's.
const OLD: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
