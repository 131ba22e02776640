//! Which source to turn to next. **Pure**: what is expected of each is an argument.
//!
//! ```text
//!              cut, refused, too late            third time without getting on
//!   ┌───────────────────────────┐  ┌──────────────────────────────────────────────────┐
//!   │                           ▼  │                                                  ▼
//!  fresh ── slow or outpaced ─► struck (n) ── lied, diverged, not found, undecodable ─► out
//!   └─────────────────────────────────────────────────────────────────────────────────▲
//! ```
//!
//! Among the sources that are left the one expected to finish first is taken. Of those that are expected to be about as
//! fast the one that stands first, by the caches' priorities, so that a measurement's noise does not decide.

use std::time::Duration;

/// The sources of one NAR, by their numbers.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    sources: Vec<Standing>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    strikes: u8,
    is_slow: bool,
    is_out: bool,
}

/// How a source failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It could not be reached, broke off, or sent nothing for too long; it had got on or not.
    Cut {
        /// Enough came to try it again without counting this time.
        got_on: bool,
    },
    /// It is much slower than it may be, or than another.
    Slow,
    /// There is nothing to be had from it: it lied, has no such file, or one that is not decoded here.
    Useless,
}

impl Plan {
    /// A plan over so many sources, of which nothing has failed.
    pub(super) fn new(sources: usize) -> Self {
        Self { sources: vec![Standing::default(); sources] }
    }

    /// The source to turn to, where `expected` says how long each would take; `None` for one that may not be taken
    /// now.
    pub(super) fn next(&self, expected: impl Fn(usize) -> Option<Duration>) -> Option<usize> {
        let left: Vec<(usize, bool, Duration)> = self
            .sources
            .iter()
            .enumerate()
            .filter(|(_, standing)| !standing.is_out)
            .filter_map(|(number, standing)| {
                let penalty = STRIKE.saturating_mul(u32::from(standing.strikes));
                Some((number, standing.is_slow, expected(number)?.saturating_add(penalty)))
            })
            .collect();
        let (_, is_slow, best) = left.iter().min_by_key(|(_, is_slow, time)| (*is_slow, *time)).copied()?;
        let alike = best.saturating_add(best / 4).saturating_add(NOISE);
        let first = left.iter().find(|(_, slow, time)| *slow == is_slow && *time <= alike);
        first.map(|(number, ..)| *number)
    }

    /// Takes note of a failure.
    pub(super) fn failed(&mut self, source: usize, how: Failure) {
        let Some(standing) = self.sources.get_mut(source) else { return };
        match how {
            Failure::Cut { got_on: true } => {}
            Failure::Cut { got_on: false } => standing.strikes = standing.strikes.saturating_add(1),
            Failure::Slow => {
                standing.is_slow = true;
                standing.strikes = standing.strikes.saturating_add(1);
            }
            Failure::Useless => standing.is_out = true,
        }
        standing.is_out |= standing.strikes >= MOST_STRIKES;
    }

    /// Whether a source other than this one is left that has not failed and that `is_good`.
    pub(super) fn has_other(&self, than: usize, is_good: impl Fn(usize) -> bool) -> bool {
        let mut others = self.sources.iter().enumerate().filter(|(number, _)| *number != than);
        others.any(|(number, standing)| !standing.is_out && standing.strikes == 0 && is_good(number))
    }

    /// Whether nothing counts against a source in this transfer.
    pub(super) fn is_unblamed(&self, source: usize) -> bool {
        self.sources.get(source).is_some_and(|s| !s.is_out && !s.is_slow && s.strikes == 0)
    }

    /// How long to wait before a source is tried again.
    pub(super) fn pause(&self, source: usize) -> Duration {
        let strikes = self.sources.get(source).map_or(0, |standing| standing.strikes);
        match strikes {
            0 => Duration::ZERO,
            1 => PAUSE,
            _ => PAUSE * 4,
        }
    }
}

/// A source is tried so often without getting on.
const MOST_STRIKES: u8 = 3;

/// What a strike counts for beside what is expected of a source.
const STRIKE: Duration = Duration::from_secs(2);

/// Expectations that differ by less are alike.
const NOISE: Duration = Duration::from_millis(20);

/// How long a source that failed is left alone before it is tried again: long enough for a server that restarts a
/// worker, short beside what a client waits.
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    const CUT: Failure = Failure::Cut { got_on: false };

    fn seconds(times: &[u64]) -> impl Fn(usize) -> Option<Duration> {
        move |number| Some(Duration::from_secs(times[number]))
    }

    #[test]
    fn the_one_expected_to_finish_first_is_taken() {
        assert_eq!(Plan::new(3).next(seconds(&[30, 10, 20])), Some(1));
    }

    #[test]
    fn priority_decides_between_those_that_are_about_as_fast() {
        assert_eq!(Plan::new(3).next(seconds(&[12, 10, 11])), Some(0));
        assert_eq!(Plan::new(2).next(|number| Some(Duration::from_millis([15, 1][number]))), Some(0));
    }

    #[test]
    fn a_source_that_may_not_be_taken_now_is_passed_over() {
        assert_eq!(Plan::new(2).next(|number| (number == 1).then_some(Duration::ZERO)), Some(1));
        assert_eq!(Plan::new(2).next(|_| None), None);
        assert_eq!(Plan::new(0).next(|_| None), None);
    }

    #[test]
    fn three_cuts_without_getting_on_are_enough() {
        let mut plan = Plan::new(1);
        for _ in 0..2 {
            plan.failed(0, CUT);
            assert_eq!(plan.next(seconds(&[1])), Some(0));
        }
        plan.failed(0, CUT);
        assert_eq!(plan.next(seconds(&[1])), None);
    }

    #[test]
    fn a_source_that_gets_on_is_tried_as_often_as_it_takes() {
        let mut plan = Plan::new(1);
        for _ in 0..1000 {
            plan.failed(0, Failure::Cut { got_on: true });
        }
        assert_eq!(plan.next(seconds(&[1])), Some(0));
        assert_eq!(plan.pause(0), Duration::ZERO);
    }

    #[test]
    fn a_useless_source_is_never_tried_again() {
        let mut plan = Plan::new(2);
        plan.failed(0, Failure::Useless);
        assert_eq!(plan.next(seconds(&[1, 9])), Some(1));
        plan.failed(1, Failure::Useless);
        assert_eq!(plan.next(seconds(&[1, 9])), None);
    }

    #[test]
    fn a_slow_source_comes_last_and_still_comes() {
        let mut plan = Plan::new(2);
        plan.failed(0, Failure::Slow);
        assert_eq!(plan.next(seconds(&[1, 500])), Some(1));
        assert!(!plan.has_other(1, |_| true), "a slow one is no alternative");
        assert!(plan.has_other(0, |_| true) && !plan.has_other(0, |_| false));
        plan.failed(1, Failure::Useless);
        assert_eq!(plan.next(seconds(&[1, 500])), Some(0));
    }

    #[test]
    fn a_cut_counts_against_a_source_and_not_for_ever() {
        let mut plan = Plan::new(2);
        plan.failed(0, CUT);
        assert_eq!(plan.next(seconds(&[1, 2])), Some(1), "alike but for the strike");
        assert_eq!(plan.next(seconds(&[1, 60])), Some(0), "better all the same");
    }

    #[test]
    fn a_source_that_failed_is_left_alone_for_a_moment() {
        let mut plan = Plan::new(1);
        assert_eq!(plan.pause(0), Duration::ZERO);
        plan.failed(0, CUT);
        let first = plan.pause(0);
        plan.failed(0, CUT);
        assert!(first > Duration::ZERO && plan.pause(0) > first);
    }

    #[test]
    fn whatever_fails_the_sources_come_to_an_end() {
        for mut seed in 1_u64..500 {
            let mut plan = Plan::new(4);
            let mut tries = 0;
            while let Some(source) = plan.next(seconds(&[1, 2, 3, 4])) {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                plan.failed(source, [CUT, Failure::Slow, Failure::Useless][(seed >> 33) as usize % 3]);
                tries += 1;
                assert!(tries <= 12, "seed {seed}");
            }
        }
    }
}
