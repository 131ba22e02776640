//! What became of the bytes that a source was asked for, as rows of the ledger.

use crate::clock;
use crate::evidence::{Batch, EventKind, EventRow, Fate, FateRow};
use crate::transfer::relay::Demand;

/// The row of one fetch; of false bytes the event besides.
pub(super) fn told(demand: &Demand, cache: &str, fate: Fate) -> Batch {
    let (at, nar_hash) = (clock::now(), demand.nar_hash);
    let row = FateRow { nar_hash, cache: cache.into(), fate, at, count: 1 };
    let event = (fate == Fate::False).then(|| EventRow {
        kind: EventKind::FalseBytes,
        path: demand.path,
        name: None,
        party: cache.into(),
        before: format!("{nar_hash}, {} bytes, were endorsed", demand.nar_size).into(),
        after: "other bytes came".into(),
        first_seen: at,
        last_seen: at,
        count: 1,
    });
    Batch { fates: vec![row], events: event.into_iter().collect(), ..Batch::default() }
}
