//! Every pair of state and event, and the rules one by one.

mod histories;

use super::*;

const PROBE: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn new() -> Breaker {
    Breaker::new(PROBE)
}

/// After these, all of questions asked and answered `now`.
fn after(breaker: Breaker, events: &[Event], now: Instant) -> Breaker {
    events.iter().fold(breaker, |breaker, event| breaker.on(*event, now, now))
}

/// A cache that has been heard of, so that a time-out says no more than that.
fn heard(now: Instant) -> Breaker {
    after(new(), &[Event::Answered], now)
}

fn down(now: Instant) -> Breaker {
    after(heard(now), &[Event::Failed; 5], now)
}

/// Opened by time-outs, and nothing known of what comes late.
fn unheard(now: Instant) -> Breaker {
    after(new(), &[Event::TimedOut], now)
}

fn slow(now: Instant) -> Breaker {
    after(down(now), &[Event::AnsweredLate], now)
}

fn busy(now: Instant) -> Breaker {
    after(heard(now), &[Event::AskedToWait(10 * SECOND)], now)
}

fn offline(now: Instant) -> Breaker {
    after(heard(now), &[Event::CutOff], now)
}

fn probed(breaker: Breaker, now: Instant) -> Breaker {
    let (treatment, after) = breaker.treat(false, now);
    assert_eq!(treatment, Treatment::Probe);
    after
}

/// A state in a word, with what is counted in it.
fn word(breaker: Breaker) -> String {
    let of = |word: &str, opened: Opened| match opened.why {
        Why::Slow => format!("{word} slow {}", opened.wanted),
        Why::Down if opened.is_heard => format!("{word} unheard {}", opened.silences),
        why => format!("{word} {why:?}").to_lowercase(),
    };
    match breaker.state() {
        State::Closed { silences, .. } => format!("closed {silences}"),
        State::Open(opened) => of("open", opened),
        State::HalfOpen(opened) => of("half", opened),
    }
}

#[test]
fn every_pair_of_state_and_event() {
    let start = Instant::now();
    // What happens is a minute later: every probe may be made, and no Retry-After lasts, but in `busy`.
    let now = start + 60 * SECOND;
    let states = [
        ("closed 0", heard(now)),
        ("closed 4", after(heard(now), &[Event::Failed; 4], now)),
        ("open down", down(start)),
        ("open unheard 0", unheard(start)),
        ("open slow 4", slow(start)),
        ("open busy", busy(now)),
        ("open busy", busy(start)),
        ("open offline", offline(start)),
        ("half down", probed(down(start), now)),
        ("half slow 4", probed(slow(start), now)),
        ("half busy", probed(busy(start), now)),
        ("half offline", probed(offline(start), now)),
    ];
    let wait = Event::AskedToWait(10 * SECOND);
    let table: &[(Option<Event>, [&str; 12])] = &[
        // closed 0, closed 4, down, unheard, slow, busy (lasts), busy (over), offline; probes: down, slow, busy, offline.
        (
            Some(Event::Answered),
            [
                "closed 0",
                "closed 0",
                "closed 0",
                "closed 0",
                "open slow 3",
                "open busy",
                "closed 0",
                "closed 0",
                "closed 0",
                "open slow 3",
                "closed 0",
                "closed 0",
            ],
        ),
        (
            Some(Event::AnsweredLate),
            [
                "closed 0",
                "closed 4",
                "open slow 4",
                "open slow 4",
                "open slow 4",
                "open busy",
                "open slow 4",
                "open slow 4",
                "open slow 4",
                "open slow 4",
                "open slow 4",
                "open slow 4",
            ],
        ),
        (
            Some(Event::Failed),
            [
                "closed 1",
                "open down",
                "open down",
                "open unheard 1",
                "open slow 4",
                "open busy",
                "open down",
                "open down",
                "open down",
                "open slow 4",
                "open down",
                "open down",
            ],
        ),
        (
            Some(Event::Stalled),
            [
                "closed 3",
                "open down",
                "open down",
                "open unheard 1",
                "open slow 4",
                "open busy",
                "open down",
                "open down",
                "open down",
                "open slow 4",
                "open down",
                "open down",
            ],
        ),
        (
            Some(Event::TimedOut),
            [
                "closed 1",
                "open unheard 0",
                "open down",
                "open unheard 0",
                "open slow 4",
                "open busy",
                "open down",
                "open down",
                "open down",
                "open slow 4",
                "open down",
                "open down",
            ],
        ),
        (
            Some(Event::Lost),
            [
                "closed 0",
                "closed 4",
                "open down",
                "open unheard 1",
                "open slow 4",
                "open busy",
                "open busy",
                "open offline",
                "half down",
                "open slow 4",
                "half busy",
                "half offline",
            ],
        ),
        (Some(wait), ["open busy"; 12]),
        (
            Some(Event::CutOff),
            [
                "open offline",
                "open offline",
                "open offline",
                "open offline",
                "open offline",
                "open busy",
                "open offline",
                "open offline",
                "open offline",
                "open offline",
                "open offline",
                "open offline",
            ],
        ),
        // A question.
        (
            None,
            [
                "closed 0",
                "closed 4",
                "half down",
                "half unheard 0",
                "half slow 4",
                "open busy",
                "half busy",
                "half offline",
                "half down",
                "half slow 4",
                "half busy",
                "half offline",
            ],
        ),
    ];
    for (event, expected) in table {
        for ((name, state), expected) in states.iter().zip(expected) {
            assert_eq!(word(*state), *name);
            let after = match event {
                Some(event) => state.on(*event, now, now),
                None => state.treat(false, now).1,
            };
            assert_eq!(word(after), *expected, "{event:?} when {name}");
            if event.is_none() {
                assert_eq!(state.treat(true, now).1, *state, "nothing asked ahead changes {name}");
            }
        }
    }
}

#[test]
fn how_each_state_treats_a_question() {
    use Treatment::{Ask, Hear, Probe, Skip};
    let now = Instant::now();
    let half = probed(down(now), now + PROBE);
    for (state, at, wanted, ahead) in [
        (new(), now, Ask, Ask),
        (after(heard(now), &[Event::Failed; 4], now), now, Ask, Ask),
        (down(now), now, Skip, Skip),
        (down(now), now + 999 * MS, Skip, Skip),
        (down(now), now + PROBE, Probe, Skip),
        (half, now + PROBE, Skip, Skip),
        (half, now + 2 * PROBE, Probe, Skip),
        (unheard(now), now, Hear, Hear),
        (unheard(now), now + PROBE, Probe, Hear),
        (slow(now), now, Hear, Hear),
        (slow(now), now + PROBE, Probe, Hear),
        (busy(now), now + 9_999 * MS, Skip, Skip),
        (busy(now), now + 10 * SECOND, Probe, Skip),
        (offline(now), now, Probe, Skip),
    ] {
        let of = |ahead| state.treat(ahead, at).0;
        assert_eq!((of(false), of(true)), (wanted, ahead), "{} after {:?}", word(state), at - now);
    }
}

#[test]
fn five_failures_in_a_row_open_it_and_an_answer_forgives_every_one() {
    let now = Instant::now();
    assert!(after(heard(now), &[Event::Failed; 4], now).is_closed());
    assert_eq!(word(after(heard(now), &[Event::Failed; 5], now)), "open down");
    assert_eq!(word(after(new(), &[Event::Failed; 5], now)), "open down");
    let forgiven = after(after(heard(now), &[Event::Failed; 4], now), &[Event::Answered], now);
    assert!(after(forgiven, &[Event::Failed; 4], now).is_closed());
}

/// A black hole holds up the first questions, one that was there before two in a row, and a cache that answers
/// something meanwhile no less than five.
#[test]
fn a_time_out_counts_by_what_was_heard_since_the_question() {
    let now = Instant::now();
    let late = now + 5 * SECOND;
    assert_eq!(word(new().on(Event::TimedOut, now, late)), "open unheard 0");
    let known = heard(now);
    let asked = now + MS;
    let once = known.on(Event::TimedOut, asked, late);
    assert_eq!(word(once), "closed 3");
    assert_eq!(word(once.on(Event::TimedOut, asked, late)), "open unheard 0");
    let mut alive = heard(late);
    for n in 1..5 {
        alive = alive.on(Event::TimedOut, now, late);
        assert_eq!(word(alive), format!("closed {n}"));
    }
    assert_eq!(word(alive.on(Event::TimedOut, now, late)), "open unheard 0");
}

#[test]
fn late_answers_in_a_row_open_it_as_slow() {
    let now = Instant::now();
    let mut breaker = heard(now);
    let mut asked = now;
    while breaker.is_closed() {
        asked += 10 * SECOND;
        breaker = breaker.on(Event::TimedOut, asked, asked + 5 * SECOND);
        breaker = breaker.on(Event::AnsweredLate, asked, asked + 6 * SECOND);
        assert!(asked < now + 60 * SECOND, "it is waited for again and again");
    }
    assert_eq!(word(breaker), "open slow 4");
}

/// Of ten answers so many late, well mixed: which share is too much.
fn mixed(late_of_ten: u32, now: Instant) -> Breaker {
    let mut breaker = heard(now);
    for n in 0..400 {
        let is_late = (n * late_of_ten) % 10 + late_of_ten >= 10;
        let event = if is_late { Event::TimedOut } else { Event::Answered };
        // Something was heard since each was asked: many are under way.
        breaker = breaker.on(event, now, now);
        if !breaker.is_closed() {
            break;
        }
    }
    breaker
}

#[test]
fn more_than_half_late_is_too_slow_and_a_third_is_not() {
    let now = Instant::now();
    for late in 0..4 {
        assert!(mixed(late, now).is_closed(), "{late} of ten");
    }
    for late in [6, 7] {
        assert_eq!(word(mixed(late, now)), "open slow 4", "{late} of ten");
    }
}

#[test]
fn a_slow_cache_closes_after_four_answers_in_time_and_opens_again_at_the_next_late_one() {
    let now = Instant::now();
    let late = [Event::TimedOut, Event::AnsweredLate];
    let three = after(slow(now), &[Event::Answered; 3], now);
    assert_eq!(word(three), "open slow 1");
    assert_eq!(word(after(three, &late, now)), "open slow 4", "in a row");
    let closed = after(three, &[Event::Answered], now);
    assert_eq!(word(closed), "closed 0");
    assert_eq!(word(after(closed, &late, now)), "open slow 4");
    let proven = after(closed, &[Event::Answered; 30], now);
    assert_eq!(word(after(proven, &late, now)), "closed 1");
}

#[test]
fn a_slow_cache_that_says_nothing_at_all_is_down() {
    let now = Instant::now();
    assert_eq!(word(after(slow(now), &[Event::Lost; 4], now)), "open slow 4");
    assert_eq!(word(after(slow(now), &[Event::Lost; 5], now)), "open down");
    let alive =
        after(slow(now), &[Event::Lost, Event::Lost, Event::AnsweredLate, Event::Lost, Event::Lost], now);
    assert_eq!(word(after(alive, &[Event::Lost, Event::Lost], now)), "open slow 4");
}

#[test]
fn what_was_asked_before_its_return_does_not_open_it_again() {
    let now = Instant::now();
    let back = now + 20 * SECOND;
    let closed = down(now).on(Event::Answered, back, back);
    for _ in 0..25 {
        assert_eq!(closed.on(Event::TimedOut, now + SECOND, back + MS), closed);
        assert_eq!(closed.on(Event::Failed, now + SECOND, back + MS), closed);
    }
}

#[test]
fn a_probe_that_hangs_does_not_keep_the_next_one_back() {
    let now = Instant::now();
    let mut breaker = down(now);
    for n in 1..10 {
        breaker = probed(breaker, now + n * PROBE);
    }
    // Nor does its end.
    let ended = breaker.on(Event::TimedOut, now + PROBE, now + 9 * PROBE + 500 * MS);
    assert_eq!(ended.treat(false, now + 10 * PROBE).0, Treatment::Probe);
}

#[test]
fn a_pause_is_kept_and_never_longer_than_half_a_minute() {
    let now = Instant::now();
    for (asked, kept) in [(SECOND, SECOND), (30 * SECOND, 30 * SECOND), (3600 * SECOND, 30 * SECOND)] {
        let breaker = after(heard(now), &[Event::AskedToWait(asked)], now);
        // An answer that was under way does not end it.
        let answered = breaker.on(Event::Answered, now, now + MS);
        assert_eq!(answered.treat(false, now + kept - MS).0, Treatment::Skip);
        assert_eq!(answered.treat(false, now + kept).0, Treatment::Probe);
    }
    let longer = after(busy(now), &[Event::AskedToWait(20 * SECOND), Event::AskedToWait(SECOND)], now);
    assert_eq!(longer.treat(false, now + 20 * SECOND - MS).0, Treatment::Skip, "the longer of two");
}
