//! One question for each path at a time: whoever wants the same path waits for the same answer.

use crate::format::HashPart;
use crate::memo::Held;
use crate::upstream::Occasion;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use tokio::sync::watch;

/// The paths that somebody wants judged.
#[derive(Clone, Debug, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<HashPart, Weak<Flight>>>>);

/// One path that somebody wants judged: waited for, asked for, and then judged.
#[derive(Debug)]
pub(super) struct Flight {
    all: Flights,
    path: HashPart,
    departed: OnceLock<Occasion>,
    landed: watch::Sender<Option<Arc<Held>>>,
}

impl Flights {
    /// The flight of a path: another's if there is one.
    pub(super) fn join(&self, path: HashPart) -> Arc<Flight> {
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&path).and_then(Weak::upgrade) {
            return flight;
        }
        let (departed, landed) = (OnceLock::new(), watch::Sender::new(None));
        let flight = Arc::new(Flight { all: self.clone(), path, departed, landed });
        flights.insert(path, Arc::downgrade(&flight));
        flight
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<HashPart, Weak<Flight>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// True for the one who is to ask, and for nobody after.
    pub(super) fn depart(&self, occasion: Occasion) -> bool {
        self.departed.set(occasion).is_ok()
    }

    /// Whether somebody asks already.
    pub(super) fn has_departed(&self) -> bool {
        self.departed.get().is_some()
    }

    /// Why it is asked.
    pub(super) fn occasion(&self) -> Occasion {
        self.departed.get().copied().unwrap_or(Occasion::Wanted)
    }

    /// Gives the verdict to all who wait. Who comes after finds it remembered, or asks anew.
    pub(super) fn land(self: &Arc<Self>, held: Arc<Held>) {
        let mut flights = self.all.flights();
        if flights.get(&self.path).is_some_and(|flight| flight.as_ptr() == Arc::as_ptr(self)) {
            flights.remove(&self.path);
        }
        drop(flights);
        self.landed.send_replace(Some(held));
    }

    /// Waits for the verdict.
    pub(super) async fn landed(&self) -> Option<Arc<Held>> {
        let mut landed = self.landed.subscribe();
        let held = landed.wait_for(Option::is_some).await.ok()?;
        held.clone()
    }
}

impl Drop for Flight {
    /// Everybody has gone away before anybody asked.
    fn drop(&mut self) {
        let mut flights = self.all.flights();
        if flights.get(&self.path).is_some_and(|flight| flight.strong_count() == 0) {
            flights.remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(n: u8) -> HashPart {
        HashPart::from_digest([n; HashPart::DIGEST_LEN])
    }

    #[test]
    fn nothing_is_left_of_a_flight_that_everybody_left() {
        let flights = Flights::default();
        let (one, again, other) = (flights.join(path(1)), flights.join(path(1)), flights.join(path(2)));
        assert!(Arc::ptr_eq(&one, &again) && !Arc::ptr_eq(&one, &other));
        drop((one, other));
        assert_eq!(flights.flights().len(), 1);
        drop(again);
        assert_eq!(flights.flights().len(), 0);
    }

    #[test]
    fn one_alone_departs() {
        let flights = Flights::default();
        let (one, again) = (flights.join(path(1)), flights.join(path(1)));
        assert!(one.depart(Occasion::Ahead));
        assert!(!again.depart(Occasion::Wanted) && again.has_departed());
        assert_eq!(again.occasion(), Occasion::Ahead);
    }
}
