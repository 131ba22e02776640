//! From the spool to the queue: what the hook reported, as far as the store confirms it.
//!
//! A record names a derivation. Its outputs are what the store says they are; those that the record names count
//! only where the store records this derivation as their deriver. Of them go those that were built here, and with
//! `sign-remote-builds` those that were not: which of these were merely substituted is for the licence to tell.

use crate::config::Destination;
use crate::crash;
use crate::format::StorePath;
use crate::queue::{Origin, Wish};
use crate::spool::{Record, Spool};
use crate::store::StoreError;
use crate::upload::inputs::Records;
use crate::upload::link::Link;
use crate::upload::uploader::Shared;
use std::collections::BTreeSet;

/// Takes what waits in the spool into the queue; how many records there were.
///
/// # Errors
/// In one line, if the store or the queue cannot be asked now; nothing is lost, and it is tried again.
pub(super) fn take(shared: &Shared, spool: &Spool) -> Result<usize, String> {
    let batch = spool.records(BATCH).map_err(|error| error.to_string())?;
    for refused in &batch.refused {
        let kept = if refused.is_moved { "moved to `refused` in the spool" } else { "left where it is" };
        tracing::warn!(file = refused.name, fault = %refused.fault, kept, "the spool holds something that no hook of ours wrote");
    }
    let taken = batch.taken.len();
    for one in batch.taken {
        let record = one.record();
        if *record.store() != shared.store_dir {
            tracing::warn!(file = one.name(), store = %record.store(), "a build in another store is left out");
            one.done().map_err(|error| error.to_string())?;
            continue;
        }
        let paths =
            outputs(&shared.link, record, shared.upload.sign_remote_builds).map_err(|e| e.to_string())?;
        let mut wishes = Vec::new();
        for path in &paths {
            for destination in shared.destinations().filter(|d| may_leave(d, path)) {
                let (destination, path, derivation) =
                    (destination.name.clone(), path.clone(), record.drv().cloned());
                wishes.push(Wish { destination, path, origin: Origin::Built, derivation });
            }
        }
        for wish in &wishes {
            shared.link.keep(&wish.path).map_err(|error| error.to_string())?;
        }
        let what = one.name();
        crash::point("kept", &what);
        shared.ask(&wishes).map_err(|error| error.to_string())?;
        crash::point("queued", &what);
        for path in record.outputs().iter().filter(|path| wishes.iter().all(|wish| wish.path != **path)) {
            shared.link.release(path);
        }
        one.done().map_err(|error| error.to_string())?;
        crash::point("taken", &what);
    }
    Ok(taken)
}

/// Whether a path may leave this machine for a destination.
pub(super) fn may_leave(destination: &Destination, path: &StorePath) -> bool {
    destination.packages.iter().any(|glob| glob.matches(path.name()))
}

/// The outputs of a build that are worth looking at.
fn outputs(mut link: &Link, record: &Record, with_remote: bool) -> Result<Vec<StorePath>, StoreError> {
    let mut candidates: BTreeSet<StorePath> = BTreeSet::new();
    if let Some(derivation) = record.drv() {
        let known = link.outputs(derivation)?;
        candidates.extend(known.into_iter().filter_map(|(_, path)| path));
    }
    let mut outputs = Vec::new();
    for path in candidates.iter().chain(record.outputs().iter().filter(|path| !candidates.contains(*path))) {
        let Some(info) = link.path_info(path)? else { continue };
        let is_output =
            candidates.contains(path) || (info.deriver.is_some() && info.deriver.as_ref() == record.drv());
        if is_output && (info.ultimate || with_remote) {
            outputs.push(path.clone());
        }
    }
    Ok(outputs)
}

/// Records that are taken in one go.
const BATCH: usize = 256;
