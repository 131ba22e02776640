//! Who leaves and who stays.

use super::*;

const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn what_a_connection_does_follows_from_the_phase_the_wait_and_its_rest() {
    let leaves = |phase, wanted, rested, asked| decide(phase, wanted, rested, asked) == Next::Leave;
    for (phase, wanted, has_asked, may_rest) in [
        (Phase::Open, false, false, MOST_REST),
        (Phase::Open, false, true, MOST_REST),
        (Phase::Open, true, false, GIVES_WAY_UNASKED),
        (Phase::Open, true, true, GIVES_WAY),
        (Phase::Draining, false, false, FIRST_REQUEST),
        (Phase::Draining, false, true, LAST_REQUEST),
        (Phase::Draining, true, true, LAST_REQUEST),
    ] {
        let name = format!("{phase:?}, {wanted}, {has_asked}");
        assert!(leaves(phase, wanted, Some(may_rest), has_asked), "{name}");
        assert_eq!(decide(phase, wanted, Some(may_rest - MOMENT), has_asked), Next::Stay(MOMENT), "{name}");
        assert!(!leaves(phase, wanted, None, has_asked), "{name}: an answer under way is not cut");
    }
    for rested in [None, Some(Duration::ZERO)] {
        assert!(leaves(Phase::Closed, false, rested, true));
    }
}

/// Sets for how long a connection has been at rest.
fn rest(place: &Place, time: Duration) {
    let since = place.room.now().saturating_sub(u64::try_from(time.as_millis()).unwrap());
    place.sign.resting_since.store(since.max(1), Ordering::SeqCst);
}

fn old_room(connections: usize) -> Arc<Room> {
    let mut room = Room::new(connections);
    Arc::get_mut(&mut room).unwrap().began -= Duration::from_secs(100);
    room
}

#[tokio::test]
async fn the_longest_at_rest_is_called_first_and_nobody_who_is_answered() {
    let room = old_room(4);
    let mut places = Vec::new();
    for _ in 0..4 {
        places.push(room.enter().await);
    }
    let answering = places[0].answering();
    for (place, seconds) in places[1..].iter().zip([5, 9, 7]) {
        drop(place.answering());
        rest(place, Duration::from_secs(seconds));
    }
    places[2].sign.unwritten.store(true, Ordering::Relaxed);
    room.call_one();
    let wanted = |places: &[Arc<Place>]| -> Vec<bool> {
        places.iter().map(|place| place.sign.is_wanted.load(Ordering::Relaxed)).collect()
    };
    assert_eq!(wanted(&places), [false, false, false, true], "the second's answer is not all written");
    assert_eq!(places[3].next(), Next::Leave);
    room.call_one();
    assert_eq!(
        wanted(&places),
        [false, false, false, true],
        "until it has left it is still the longest at rest"
    );
    places.pop();
    room.call_one();
    assert_eq!(wanted(&places), [false, true, false]);
    places.remove(1);
    room.call_one();
    assert_eq!(wanted(&places), [false, false], "nobody else is at rest");
    drop(answering);
}

#[tokio::test(start_paused = true)]
async fn who_waits_gets_the_place_of_one_at_rest() {
    let room = old_room(1);
    let place = room.enter().await;
    rest(&place, GIVES_WAY_UNASKED);
    let (other, entering) = (Arc::clone(&room), Instant::now());
    let waiting = tokio::spawn(async move { other.enter().await });
    place.called().await;
    assert_eq!(place.next(), Next::Leave);
    drop(place);
    drop(waiting.await.unwrap());
    assert!(entering.elapsed() < Duration::from_secs(5));
    assert_eq!(room.taken().places.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_in_who_waits_and_counts_whom_it_breaks_off() {
    let room = old_room(2);
    let (one, two) = (room.enter().await, room.enter().await);
    let (busy, quick) = (one.answering(), two.answering());
    let other = Arc::clone(&room);
    let waiting = tokio::spawn(async move { other.enter().await });
    tokio::task::yield_now().await;
    room.drain();
    let late = waiting.await.unwrap();
    assert!(late.is_last());
    assert_eq!(late.next(), Next::Stay(FIRST_REQUEST));
    drop((quick, two, late));
    let leaving = tokio::spawn(async move {
        while one.next() != Next::Leave {
            one.called().await;
        }
        assert!(one.is_over());
        drop((busy, one));
    });
    assert_eq!(room.empty(Duration::from_secs(3)).await, 1);
    leaving.await.unwrap();
    assert_eq!(room.empty(Duration::from_secs(3)).await, 0);
}
