//! The line over every order of coming, being called and going that a seed gives, and its promises one by one.

use super::*;
use proptest::prelude::*;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

const PLACES: usize = 8;

fn peer(n: u32) -> Peer {
    Peer::User(n)
}

/// Somebody who wants to ask, polled by hand.
struct Asker {
    peer: u32,
    number: usize,
    waiting: Option<Pin<Box<dyn Future<Output = Turn>>>>,
    turn: Option<Turn>,
}

struct Hall {
    line: Line,
    askers: Vec<Asker>,
    came: usize,
}

impl Hall {
    fn new() -> Self {
        Self { line: Line::new(PLACES), askers: Vec::new(), came: 0 }
    }

    fn enter(&mut self, n: u32) {
        let line = self.line.clone();
        let waiting: Pin<Box<dyn Future<Output = Turn>>> = Box::pin(async move { line.turn(peer(n)).await });
        self.askers.push(Asker { peer: n, number: self.came, waiting: Some(waiting), turn: None });
        self.came += 1;
        self.look();
    }

    /// Polls all who wait, in the order in which they came.
    fn look(&mut self) {
        for asker in &mut self.askers {
            let Some(waiting) = &mut asker.waiting else { continue };
            if let Poll::Ready(turn) = waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                (asker.turn, asker.waiting) = (Some(turn), None);
            }
        }
    }

    fn under_way(&self, n: u32) -> usize {
        self.askers.iter().filter(|a| a.peer == n && a.turn.is_some()).count()
    }

    fn waiting(&self, n: u32) -> usize {
        self.askers.iter().filter(|a| a.peer == n && a.waiting.is_some()).count()
    }

    /// Ends the question of a peer that has been under way the longest.
    fn end(&mut self, n: u32) {
        let at = self.askers.iter().position(|a| a.peer == n && a.turn.is_some()).unwrap();
        self.askers.remove(at);
        self.look();
    }

    fn free(&self) -> usize {
        PLACES - self.askers.iter().filter(|a| a.turn.is_some()).count()
    }
}

#[test]
fn one_alone_gets_half() {
    let mut hall = Hall::new();
    (0..20).for_each(|_| hall.enter(1));
    assert_eq!((hall.under_way(1), hall.waiting(1)), (4, 16));
}

#[test]
fn who_has_nothing_under_way_need_not_wait_for_one_who_floods() {
    let mut hall = Hall::new();
    (0..500).for_each(|_| hall.enter(1));
    for _ in 0..20 {
        hall.enter(2);
        assert_eq!(hall.under_way(2), 1, "at once");
        hall.end(2);
    }
}

#[test]
fn of_several_who_flood_each_gets_the_same_and_a_newcomer_gets_in() {
    let mut hall = Hall::new();
    (0..100).for_each(|_| hall.enter(1));
    (0..100).for_each(|_| hall.enter(2));
    (0..100).for_each(|_| hall.enter(3));
    for _ in 0..30 {
        let most = (1..=3).max_by_key(|n| hall.under_way(*n)).unwrap();
        hall.end(most);
    }
    assert_eq!([1, 2, 3].map(|n| hall.under_way(n)), [2, 2, 2]);
    hall.enter(4);
    assert_eq!(hall.under_way(4), 1);
}

#[test]
fn within_a_peer_the_first_is_first() {
    let mut hall = Hall::new();
    (0..12).for_each(|_| hall.enter(1));
    for gone in 0..8 {
        hall.end(1);
        let started: Vec<usize> = hall.askers.iter().filter(|a| a.turn.is_some()).map(|a| a.number).collect();
        assert_eq!(started, (gone + 1..gone + 5).collect::<Vec<_>>());
    }
}

#[test]
fn who_goes_away_when_called_gives_the_place_on() {
    let mut hall = Hall::new();
    (0..6).for_each(|_| hall.enter(1));
    let at = hall.askers.iter().position(|a| a.turn.is_some()).unwrap();
    // The fifth is called, but has not heard it.
    hall.askers.remove(at);
    hall.askers.retain(|a| a.number != 4);
    hall.look();
    assert_eq!((hall.under_way(1), hall.waiting(1)), (4, 0));
    while hall.under_way(1) > 0 {
        hall.end(1);
    }
    let state = hall.line.state();
    assert_eq!((state.free, state.peers.len(), state.order.len()), (PLACES, 0, 0));
}

proptest! {
    /// After every step: never more than there are places; nobody waits who could start; the last place is only ever
    /// taken by one with nothing under way; and in the end nothing is left.
    #[test]
    fn its_promises_hold_in_every_order(steps in prop::collection::vec((0..3u8, 0..5u32, 0..50usize), 0..300)) {
        let mut hall = Hall::new();
        for (what, n, which) in steps {
            match what {
                0 => hall.enter(n),
                1 if hall.under_way(n) > 0 => hall.end(n),
                2 if !hall.askers.is_empty() => {
                    let at = which % hall.askers.len();
                    hall.askers.remove(at);
                    hall.look();
                }
                _ => {}
            }
            let free = hall.free();
            prop_assert_eq!(hall.line.state().free, free);
            for n in 0..5 {
                prop_assert!(hall.waiting(n) == 0 || hall.under_way(n) >= free, "{} waits, {} free", n, free);
                prop_assert!(hall.under_way(n) <= PLACES / 2);
            }
            let waiting: usize = (0..5).map(|n| hall.waiting(n)).sum();
            prop_assert_eq!(hall.line.is_empty(), waiting == 0);
        }
        hall.askers.retain(|a| a.turn.is_some());
        while let Some(asker) = hall.askers.first() {
            let n = asker.peer;
            hall.end(n);
        }
        let state = hall.line.state();
        prop_assert_eq!((state.free, state.peers.len(), state.order.len()), (PLACES, 0, 0));
    }
}
