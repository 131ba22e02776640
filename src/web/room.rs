//! Room for connections: how many there are at most, which of them rest, and which have to leave.
//!
//! A connection rests while no request of its is under way, its head not yet complete included. Who rests gives way:
//! to somebody who waits when the room is full, the longest at rest first; to the end of its time; and when the
//! service stops. Who is being answered stays, until the time for stopping is over.
//!
//! Each connection decides for itself, in its own task, when it is called; so nothing is taken from it in the middle
//! of a step. What it decides is a function of three things: [`Phase`], whether somebody waits, and for how long it
//! has been at rest.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// All connections.
#[derive(Debug)]
pub(super) struct Room {
    places: Arc<Semaphore>,
    taken: Mutex<Taken>,
    phase: AtomicU8,
    left: Notify,
    began: Instant,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    places: HashMap<u64, Arc<Sign>>,
}

/// What the room sees of a connection.
#[derive(Debug)]
struct Sign {
    /// Milliseconds from the room's beginning, plus one; zero while a request is under way.
    resting_since: AtomicU64,
    has_asked: AtomicBool,
    /// Whether somebody waits for its place.
    is_wanted: AtomicBool,
    /// Whether the last write waits for the client to read.
    unwritten: Arc<AtomicBool>,
    call: Notify,
}

/// One connection's place, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    number: u64,
    sign: Arc<Sign>,
    /// None for a connection that was accepted just before the stop.
    _permit: Option<OwnedSemaphorePermit>,
}

/// A request under way; when dropped, its body with it, the connection rests.
#[derive(Debug)]
pub(super) struct Answering(Arc<Place>);

/// From the start of a service to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Connections come and stay.
    Open,
    /// What is under way is answered; who rests goes.
    Draining,
    /// Everybody goes.
    Closed,
}

/// What a connection does after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Ends, now.
    Leave,
    /// Goes on, and looks again after this time.
    Stay(Duration),
}

impl Room {
    /// An empty room for so many connections.
    pub(super) fn new(connections: usize) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(connections)),
            taken: Mutex::default(),
            phase: AtomicU8::new(Phase::Open as u8),
            left: Notify::new(),
            began: Instant::now(),
        })
    }

    /// A place for a connection that was accepted: waits for one, and calls those at rest meanwhile. When the service
    /// stops there is one at once, since who was accepted is answered.
    pub(super) async fn enter(self: &Arc<Self>) -> Arc<Place> {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
                break Some(permit);
            }
            if self.phase() != Phase::Open {
                break None;
            }
            self.call_one();
            if let Ok(permit) = timeout(LOOK_AGAIN, Arc::clone(&self.places).acquire_owned()).await {
                break permit.ok();
            }
        };
        let sign = Arc::new(Sign {
            resting_since: AtomicU64::new(self.now()),
            has_asked: AtomicBool::new(false),
            is_wanted: AtomicBool::new(false),
            unwritten: Arc::default(),
            call: Notify::new(),
        });
        let mut taken = self.taken();
        let number = taken.next;
        taken.next += 1;
        taken.places.insert(number, Arc::clone(&sign));
        drop(taken);
        Arc::new(Place { room: Arc::clone(self), number, sign, _permit: permit })
    }

    /// Calls the connection that has been at rest the longest, if it has been for long enough.
    pub(super) fn call_one(&self) {
        let taken = self.taken();
        let longest = taken
            .places
            .values()
            .filter(|sign| !sign.is_wanted.load(Ordering::Relaxed))
            .filter_map(|sign| Some((sign.rested(self.now())?, sign)))
            .filter(|(rested, sign)| *rested >= sign.gives_way_after())
            .max_by_key(|(rested, _)| *rested);
        if let Some((_, sign)) = longest {
            sign.is_wanted.store(true, Ordering::Relaxed);
            sign.call.notify_one();
        }
    }

    /// Whether every place is taken.
    pub(super) fn is_full(&self) -> bool {
        self.places.available_permits() == 0
    }

    /// Has everybody leave: who rests at once, who is being answered after that.
    pub(super) fn drain(&self) {
        self.turn_to(Phase::Draining);
    }

    /// Waits until everybody has left, but not longer than `patience`: then nobody stays. Gives the number of those who
    /// were still being answered.
    pub(super) async fn empty(&self, patience: Duration) -> usize {
        if timeout(patience, self.is_empty()).await.is_ok() {
            return 0;
        }
        let now = self.now();
        let broken_off = self.taken().places.values().filter(|sign| sign.rested(now).is_none()).count();
        self.turn_to(Phase::Closed);
        // Each only has to hear it; one that cannot is dropped with the runtime.
        drop(timeout(HEAR, self.is_empty()).await);
        broken_off
    }

    async fn is_empty(&self) {
        loop {
            let left = self.left.notified();
            if self.taken().places.is_empty() {
                return;
            }
            left.await;
        }
    }

    fn turn_to(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::SeqCst);
        for sign in self.taken().places.values() {
            sign.call.notify_one();
        }
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Open,
            1 => Phase::Draining,
            _ => Phase::Closed,
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sign {
    /// How long it has been at rest, if it is.
    fn rested(&self, now: u64) -> Option<Duration> {
        match self.resting_since.load(Ordering::SeqCst) {
            0 => None,
            _ if self.unwritten.load(Ordering::Relaxed) => None,
            since => Some(Duration::from_millis(now.saturating_sub(since))),
        }
    }

    fn gives_way_after(&self) -> Duration {
        if self.has_asked.load(Ordering::Relaxed) { GIVES_WAY } else { GIVES_WAY_UNASKED }
    }
}

impl Place {
    /// Marks a request whose head is complete.
    pub(super) fn answering(self: &Arc<Self>) -> Answering {
        self.sign.resting_since.store(0, Ordering::SeqCst);
        self.sign.has_asked.store(true, Ordering::Relaxed);
        Answering(Arc::clone(self))
    }

    /// Whether the next answer is the connection's last.
    pub(super) fn is_last(&self) -> bool {
        self.room.phase() != Phase::Open
    }

    /// Whether everybody has to go at once.
    pub(super) fn is_over(&self) -> bool {
        self.room.phase() == Phase::Closed
    }

    /// The flag that a write sets while it waits for the client.
    pub(super) fn unwritten(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.sign.unwritten)
    }

    /// Waits until there is something to decide.
    pub(super) async fn called(&self) {
        self.sign.call.notified().await;
    }

    /// Decides.
    pub(super) fn next(&self) -> Next {
        let wanted = self.sign.is_wanted.swap(false, Ordering::Relaxed);
        let rested = self.sign.rested(self.room.now());
        decide(self.room.phase(), wanted, rested, self.sign.has_asked.load(Ordering::Relaxed))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.taken().places.remove(&self.number);
        self.room.left.notify_waiters();
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let place = &self.0;
        place.sign.resting_since.store(place.room.now(), Ordering::SeqCst);
        if place.is_last() {
            place.sign.call.notify_one();
        }
    }
}

fn decide(phase: Phase, is_wanted: bool, rested: Option<Duration>, has_asked: bool) -> Next {
    let may_rest = match (phase, is_wanted, has_asked) {
        (Phase::Closed, ..) => return Next::Leave,
        (Phase::Draining, _, true) => LAST_REQUEST,
        (Phase::Draining, _, false) => FIRST_REQUEST,
        (Phase::Open, true, true) => GIVES_WAY,
        (Phase::Open, true, false) => GIVES_WAY_UNASKED,
        (Phase::Open, false, _) => MOST_REST,
    };
    match rested.map(|rested| may_rest.saturating_sub(rested)) {
        Some(Duration::ZERO) => Next::Leave,
        Some(left) => Next::Stay(left),
        // Called again when the answer ends, where that matters.
        None => Next::Stay(may_rest),
    }
}

/// How long a connection may rest, a head that does not end included, when nobody waits for its place.
const MOST_REST: Duration = Duration::from_secs(60);

/// The same where somebody waits. A guess that is short for somebody who waits, and long for two requests of which the
/// second hangs on the first.
const GIVES_WAY: Duration = Duration::from_millis(20);

/// The same before the first request: its head comes with the connection, but a busy machine may take its time. A guess.
const GIVES_WAY_UNASKED: Duration = Duration::from_secs(1);

/// When the service stops, who was answered so lately may have sent its next request already: it is answered, with
/// word that it is the last. So no client writes into a connection that is being closed. A guess.
const LAST_REQUEST: Duration = Duration::from_millis(250);

/// The same for who has come so lately and not yet asked.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// While somebody waits for a place, those at rest are looked through so often.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How long connections may take to hear that everything is over.
const HEAR: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
