//! Estimates from answers, by hand and at random.

use super::*;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

#[test]
fn the_first_answer_is_the_estimate() {
    let now = Instant::now();
    assert_eq!(Latency::default().mean(), None);
    let first = Latency::default().after(80 * MS, now);
    assert_eq!((first.mean(), first.deviation()), (Some(80 * MS), Some(40 * MS)));
}

#[test]
fn an_answer_counts_for_an_eighth_and_for_half_after_a_minute() {
    let now = Instant::now();
    let first = Latency::default().after(80 * MS, now);
    let soon = first.after(160 * MS, now + 59_999 * MS);
    assert_eq!((soon.mean(), soon.deviation()), (Some(90 * MS), Some(50 * MS)));
    let long_after = first.after(160 * MS, now + 60_000 * MS);
    assert_eq!((long_after.mean(), long_after.deviation()), (Some(120 * MS), Some(60 * MS)));
}

proptest! {
    #[test]
    fn the_mean_stays_between_the_quickest_and_the_slowest(took in prop::collection::vec(0_u64..100_000, 1..40)) {
        let now = Instant::now();
        let latency = took.iter().fold(Latency::default(), |l, ms| l.after(Duration::from_millis(*ms), now));
        let mean = latency.mean().unwrap();
        let bounds = (took.iter().min().unwrap(), took.iter().max().unwrap());
        prop_assert!(mean >= Duration::from_millis(*bounds.0) && mean <= Duration::from_millis(*bounds.1));
    }
}
