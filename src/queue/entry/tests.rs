use super::*;

/// Every state, with some trouble behind it where it may have some.
fn states() -> Vec<Entry> {
    let fresh = Entry::new(Origin::Pushed, at(100));
    let of = |state: State| Entry { state, ..fresh.clone() };
    vec![
        of(State::Queued),
        of(State::Stored(nar())),
        of(State::Done),
        Entry { trouble: "why".to_owned(), ..of(State::Skipped) },
        Entry { trouble: "why".to_owned(), ..of(State::Dead) },
    ]
}

fn events() -> Vec<Event> {
    vec![
        Event::NarStored(nar()),
        Event::NarLost,
        Event::Published,
        Event::Skipped("vouched for".to_owned()),
        Event::Failed("down".to_owned(), Duration::ZERO),
        Event::Held("waits".to_owned(), Some(path())),
        Event::Woken,
        Event::GivenUp("dissent".to_owned()),
        Event::Asked(Origin::Reference),
        Event::Asked(Origin::Swept),
        Event::Asked(Origin::Built),
        Event::Retried,
    ]
}

/// The state after each event of [`events`], for each state of [`states`], in their orders.
const TABLE: [[&str; 12]; 5] = [
    // NarStored NarLost  Published Skipped    Failed    Held      Woken     GivenUp Reference Swept    Built    Retried
    [
        "stored", "queued", "done", "skipped", "queued", "queued", "queued", "dead", "queued", "queued",
        "queued", "queued",
    ],
    [
        "stored", "queued", "done", "skipped", "stored", "stored", "stored", "dead", "stored", "stored",
        "stored", "stored",
    ],
    ["done", "done", "done", "done", "done", "done", "done", "done", "done", "done", "queued", "done"],
    [
        "skipped", "skipped", "skipped", "skipped", "skipped", "skipped", "skipped", "skipped", "skipped",
        "skipped", "queued", "queued",
    ],
    ["dead", "dead", "dead", "dead", "dead", "dead", "dead", "dead", "dead", "dead", "queued", "queued"],
];

#[test]
fn every_pair_of_state_and_event_has_one_outcome() {
    for (before, row) in states().into_iter().zip(TABLE) {
        for (event, expected) in events().into_iter().zip(row) {
            let after = before.clone().on(event.clone(), &terms(200));
            assert_eq!(after.state.label(), expected, "{before:?} on {event:?}");
            if after.state == before.state && before.is_finished() {
                assert_eq!(after, before, "a finished entry is left alone by {event:?}");
            }
        }
    }
}

#[test]
fn a_failure_waits_longer_each_time() {
    let mut entry = Entry::new(Origin::Built, at(0));
    let mut pauses = Vec::new();
    let mut now = 0;
    for _ in 0..14 {
        entry = entry.on(Event::Failed("down".to_owned(), Duration::ZERO), &terms(now));
        pauses.push(entry.due.seconds() - now);
        now = entry.due.seconds();
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600, 3600]);
    assert_eq!((entry.attempts, entry.trouble.as_str()), (14, "down"));
}

#[test]
fn jitter_takes_off_up_to_one_half() {
    assert_eq!(back_off(3, 0), Duration::from_secs(20));
    assert_eq!(back_off(3, u32::MAX), Duration::from_secs(10));
    assert_eq!(back_off(u32::MAX, 0), Duration::from_secs(3600));
    assert_eq!(back_off(0, 0), Duration::from_secs(5));
}

#[test]
fn a_destination_that_asks_for_patience_gets_it() {
    let entry = Entry::new(Origin::Built, at(0));
    let entry = entry.on(Event::Failed("busy".to_owned(), Duration::from_secs(120)), &terms(0));
    assert_eq!(entry.due, at(120));
}

#[test]
fn what_keeps_failing_is_laid_aside_with_its_reason() {
    let entry = Entry::new(Origin::Built, at(0));
    let failed = Event::Failed("the disk is full".to_owned(), Duration::ZERO);
    let just_before = entry.clone().on(failed.clone(), &terms(GIVE_UP - 1));
    assert_eq!(just_before.state, State::Queued);
    let dead = entry.on(failed, &terms(GIVE_UP));
    assert_eq!((dead.state, dead.trouble.as_str()), (State::Dead, "the disk is full"));
}

#[test]
fn a_held_entry_names_what_it_waits_for_until_it_is_woken() {
    let entry = Entry::new(Origin::Built, at(0));
    let held = entry.on(Event::Held("waits for lib".to_owned(), Some(path())), &terms(10));
    assert_eq!((held.blocked_by.clone(), held.due), (Some(path()), at(610)));
    let woken = held.on(Event::Woken, &terms(20));
    assert_eq!((woken.blocked_by, woken.due), (None, at(20)));
}

#[test]
fn a_new_wish_starts_the_time_anew_and_keeps_the_stronger_origin() {
    let dead = Entry { state: State::Dead, ..Entry::new(Origin::Built, at(0)) };
    let again = dead.on(Event::Asked(Origin::Pushed), &terms(500));
    assert_eq!((again.state, again.queued, again.origin), (State::Queued, at(500), Origin::Built));
    let stored = Entry { state: State::Stored(nar()), ..Entry::new(Origin::Reference, at(0)) };
    let asked = stored.on(Event::Asked(Origin::Built), &terms(500));
    assert_eq!((asked.origin, asked.queued), (Origin::Built, at(0)), "under way: nothing starts anew");
}

#[test]
fn a_reference_that_is_done_is_looked_at_again_after_an_hour() {
    let done = Entry { state: State::Done, ..Entry::new(Origin::Reference, at(0)) };
    assert_eq!(done.clone().on(Event::Asked(Origin::Reference), &terms(3599)).state, State::Done);
    assert_eq!(done.on(Event::Asked(Origin::Reference), &terms(3600)).state, State::Queued);
}

#[test]
fn labels_are_read_back() {
    for origin in [Origin::Reference, Origin::Pushed, Origin::Built] {
        assert_eq!(Origin::parse(origin.label()), Some(origin));
    }
    assert_eq!(Origin::parse("other"), None);
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn terms(now: i64) -> Terms {
    let give_up_after = Duration::from_secs(GIVE_UP.unsigned_abs());
    Terms { now: at(now), give_up_after, jitter: 0 }
}

fn path() -> StorePath {
    StorePath::from_base_name("00000000000000000000000000000000-lib").unwrap()
}

fn nar() -> StoredNar {
    let hash = NarHash::from_digest([7; 32]);
    StoredNar {
        nar_hash: hash,
        nar_size: 120,
        file_hash: FileHash::from_digest([8; 32]),
        file_size: 60,
        compression: "zstd".into(),
        url: "nar/x.nar.zst".into(),
    }
}

const GIVE_UP: i64 = 14 * 86_400;
