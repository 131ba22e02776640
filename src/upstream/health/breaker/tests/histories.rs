//! What holds of every history, from random ones.

use super::new;
use crate::upstream::health::breaker::*;
use proptest::prelude::*;

/// What may happen, and how long after the thing before.
fn history() -> impl Strategy<Value = Vec<(Happening, u64)>> {
    let event = prop_oneof![
        4 => Just(Event::Answered),
        2 => Just(Event::AnsweredLate),
        4 => Just(Event::Failed),
        1 => Just(Event::Stalled),
        4 => Just(Event::TimedOut),
        1 => Just(Event::Lost),
        1 => (0_u64..100_000).prop_map(|ms| Event::AskedToWait(Duration::from_millis(ms))),
        1 => Just(Event::CutOff),
    ];
    let happening = prop_oneof![
        3 => (event, 0_u64..8_000).prop_map(|(event, took)| Happening::Came(event, took)),
        2 => any::<bool>().prop_map(Happening::Question),
    ];
    prop::collection::vec((happening, prop_oneof![Just(0), 0_u64..300, 0_u64..40_000]), 0..120)
}

#[derive(Clone, Copy, Debug)]
enum Happening {
    /// This came of a question asked so many ms ago.
    Came(Event, u64),
    /// A question, ahead of anybody's need or not.
    Question(bool),
}

/// Goes through a history and gives the breaker at its end; `look` sees each step.
fn lived(
    history: &[(Happening, u64)],
    start: Instant,
    mut look: impl FnMut(Breaker, Happening, Option<Treatment>, Instant),
) -> (Breaker, Instant) {
    let (mut breaker, mut now) = (new(), start);
    for (happening, wait) in history {
        now += Duration::from_millis(*wait);
        let before = breaker;
        let treatment = match *happening {
            Happening::Came(event, took) => {
                let asked = now.checked_sub(Duration::from_millis(took)).unwrap_or(now);
                breaker = breaker.on(event, asked, now);
                None
            }
            Happening::Question(ahead) => {
                let (treatment, after) = breaker.treat(ahead, now);
                breaker = after;
                Some(treatment)
            }
        };
        look(before, *happening, treatment, now);
    }
    (breaker, now)
}

proptest! {
    #[test]
    fn one_that_is_not_closed_is_never_waited_for_and_one_that_is_always_is(history in history()) {
        lived(&history, Instant::now() + 60 * super::SECOND, |before, _, treatment, _| {
            if let Some(treatment) = treatment {
                assert_eq!(treatment == Treatment::Ask, before.is_closed());
            }
        });
    }

    #[test]
    fn there_is_no_more_than_one_probe_in_its_time(history in history()) {
        // From one opening to the next: each begins with a wait of its own.
        let mut last: Option<Instant> = None;
        lived(&history, Instant::now() + 60 * super::SECOND, |before, happening, treatment, now| {
            if before.is_closed() || matches!(happening, Happening::Came(Event::CutOff, _)) {
                last = None;
            }
            if treatment == Some(Treatment::Probe) {
                assert!(last.is_none_or(|last| now.duration_since(last) >= super::PROBE));
                assert!(matches!(happening, Happening::Question(false)), "nothing asked ahead is a probe");
                last = Some(now);
            }
        });
    }

    /// From anywhere: within half a minute a question is let through, and four answers in time close it.
    #[test]
    fn answers_close_it_within_the_bound(history in history()) {
        let (mut breaker, now) = lived(&history, Instant::now() + 60 * super::SECOND, |_, _, _, _| {});
        let now = now + LONGEST_PAUSE;
        prop_assert!(breaker.treat(false, now).0 != Treatment::Skip);
        for _ in 0..WANTED_OF_SLOW {
            breaker = breaker.treat(false, now).1.on(Event::Answered, now, now);
        }
        prop_assert!(breaker.is_closed());
    }

    #[test]
    fn five_silences_in_a_row_open_it_from_anywhere(history in history(), late in prop::collection::vec(any::<bool>(), 5)) {
        let (mut breaker, now) = lived(&history, Instant::now() + 60 * super::SECOND, |_, _, _, _| {});
        for late in late {
            breaker = breaker.on(if late { Event::TimedOut } else { Event::Failed }, now, now);
        }
        prop_assert!(!breaker.is_closed());
    }

    #[test]
    fn while_it_asks_to_be_left_alone_it_is(history in history(), pause in 1_u64..60_000, then in history()) {
        let (breaker, now) = lived(&history, Instant::now() + 60 * super::SECOND, |_, _, _, _| {});
        let pause = Duration::from_millis(pause);
        let mut breaker = breaker.on(Event::AskedToWait(pause), now, now);
        let mut at = now;
        for (happening, wait) in then {
            at += Duration::from_millis(wait);
            if at >= now + pause.min(LONGEST_PAUSE) {
                break;
            }
            match happening {
                Happening::Came(event, took) => {
                    let asked = at.checked_sub(Duration::from_millis(took)).unwrap_or(at);
                    breaker = breaker.on(event, asked, at);
                }
                Happening::Question(ahead) => prop_assert_eq!(breaker.treat(ahead, at), (Treatment::Skip, breaker)),
            }
        }
    }

    #[test]
    fn one_that_answers_in_time_is_never_opened(questions in prop::collection::vec((any::<bool>(), 0_u64..100_000), 0..60)) {
        let mut now = Instant::now();
        let mut breaker = new();
        for (ahead, wait) in questions {
            now += Duration::from_millis(wait);
            let (treatment, after) = breaker.treat(ahead, now);
            prop_assert_eq!(treatment, Treatment::Ask);
            breaker = after.on(Event::Answered, now, now);
        }
    }
}
