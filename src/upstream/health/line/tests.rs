//! Every pair of state and event, and random histories.

use super::*;
use proptest::prelude::*;

const PROBE: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn offline(now: Instant) -> Line {
    let mut line = Line::new(3, PROBE);
    assert_eq!((line.lost(0, now), line.lost(1, now)), (None, None));
    assert_eq!(line.lost(2, now), Some(Turn::Offline));
    line
}

#[test]
fn every_pair_of_state_and_event() {
    let now = Instant::now();
    // Online.
    let mut online = Line::new(2, PROBE);
    assert_eq!(online.way(&[0, 1], false, now), Way::All);
    assert_eq!(online.way(&[0, 1], true, now), Way::All);
    assert_eq!(online.found(0, now), None);
    assert_eq!(online.lost(0, now), None);
    assert_eq!((online.offline_since(), online.times()), (None, 0));
    // Offline.
    let mut line = offline(now);
    assert_eq!((line.offline_since(), line.times()), (Some(now), 1));
    assert_eq!(line.lost(1, now + PROBE), None, "it is told once");
    assert_eq!(line.offline_since(), Some(now));
    assert_eq!(line.way(&[0, 1, 2], false, now + 999 * MS), Way::Nowhere);
    assert_eq!(line.way(&[0, 1, 2], true, now + PROBE), Way::Nowhere, "nothing asked ahead is a probe");
    assert_eq!(line.way(&[0, 1, 2], false, now + PROBE), Way::Only(0));
    assert_eq!(line.found(1, now + 5 * PROBE), Some(Turn::Online(5 * PROBE)));
    assert_eq!(line.way(&[0, 1, 2], false, now + 5 * PROBE), Way::All);
}

#[test]
fn one_cache_that_is_reached_is_a_line() {
    let now = Instant::now();
    let mut line = Line::new(3, PROBE);
    line.lost(0, now);
    line.lost(1, now);
    line.found(1, now);
    assert_eq!(line.lost(2, now), None);
    assert_eq!(line.lost(1, now), Some(Turn::Offline));
}

#[test]
fn after_the_return_every_cache_must_be_lost_again() {
    let now = Instant::now();
    let mut line = offline(now);
    line.found(0, now);
    assert_eq!((line.lost(0, now), line.lost(1, now)), (None, None));
    assert_eq!(line.lost(2, now), Some(Turn::Offline));
    assert_eq!(line.times(), 2);
}

#[test]
fn probes_go_to_each_cache_in_turn() {
    let now = Instant::now();
    let mut line = offline(now);
    let probed: Vec<_> = (1..8).map(|n| line.way(&[0, 1, 2], false, now + n * PROBE)).collect();
    assert_eq!(probed, [0, 1, 2, 0, 1, 2, 0].map(Way::Only));
    assert_eq!(line.way(&[1], false, now + 9 * PROBE), Way::Only(1), "of those that the question is for");
    assert_eq!(line.way(&[], false, now + 10 * PROBE), Way::Nowhere);
}

proptest! {
    /// However many questions come, while offline one goes out each second, whatever its fate.
    #[test]
    fn no_more_than_one_probe_in_its_time(steps in prop::collection::vec((0_u32..400, any::<bool>()), 1..200)) {
        let start = Instant::now();
        let (mut line, mut now, mut last) = (offline(start), start, None::<Instant>);
        for (wait, is_lost) in steps {
            now += wait * MS;
            if let Way::Only(cache) = line.way(&[0, 1, 2], false, now) {
                prop_assert!(last.is_none_or(|last| now.duration_since(last) >= PROBE));
                last = Some(now);
                if is_lost {
                    prop_assert_eq!(line.lost(cache, now), None);
                }
            }
        }
    }
}
