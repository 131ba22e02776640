//! Events that the log has been told of: each is kept and counted in the ledger, and said once.

use crate::evidence::{EventKind, EventRow};
use crate::format::HashPart;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// What was said since the start.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<HashSet<(EventKind, HashPart, Box<str>)>>);

impl Told {
    /// Says what was not said before.
    pub(super) fn tell(&self, events: &[EventRow]) {
        for event in events {
            if self.is_new(event) {
                say(event);
            }
        }
    }

    fn is_new(&self, event: &EventRow) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= MOST {
            told.clear();
        }
        told.insert((event.kind, event.path, event.party.clone()))
    }
}

fn say(event: &EventRow) {
    let EventRow { kind, path, name, party, before, after, .. } = event;
    let (kind, name) = (kind.label(), name.as_deref().unwrap_or_default());
    match event.kind {
        EventKind::Gone | EventKind::Shortfall | EventKind::BuildAgrees => {
            tracing::info!(event = kind, %path, name, %party, %before, %after, "noted in the evidence");
        }
        EventKind::Dissent
        | EventKind::ChangedWord
        | EventKind::Contradiction
        | EventKind::FalseBytes
        | EventKind::BuildDiffers => {
            tracing::warn!(event = kind, %path, name, %party, %before, %after, "noted in the evidence");
        }
    }
}

/// Events that are remembered; of more the first are said again.
const MOST: usize = 10_000;
