//! From the spool to the queue and the ledger: what the hook reported, as far as the store confirms it.
//!
//! A record names a derivation. Its outputs are what the store says they are; those that the record names count
//! only where the store records this derivation as their deriver. Of them go those that were built here, and with
//! `sign-remote-builds` those that were not: which of these were merely substituted is for the licence to tell.
//! Those that were built here are one more opinion, and written into the ledger.
//!
//! Rule kept: a record leaves the spool when the queue and the ledger have what it tells. A ledger that cannot be
//! written holds up no upload: the record is then *held* under another name, tried again every few seconds, and let go
//! after a week, or where too many are held.

use crate::config::Destination;
use crate::crash;
use crate::format::StorePath;
use crate::queue::{Origin, Wish};
use crate::spool::{Record, Refused, Spool, Taken};
use crate::store::{PathInfo, StoreError};
use crate::trust::Timestamp;
use crate::upload::builds::Build;
use crate::upload::inputs::Records;
use crate::upload::link::Link;
use crate::upload::uploader::Shared;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// What takes records out of the spool.
#[derive(Debug)]
pub(super) struct Intake {
    /// When to try again to write what is held; `None` where nothing is.
    again: Option<Instant>,
}

impl Intake {
    /// Looks first for what an earlier one held.
    pub(super) fn new() -> Self {
        Self { again: Some(Instant::now()) }
    }

    /// Takes what waits in the spool; how many records there were.
    ///
    /// # Errors
    /// In one line, if the store or the queue cannot be asked now; nothing is lost, and it is tried again.
    pub(super) fn take(&mut self, shared: &Shared, spool: &Spool) -> Result<usize, String> {
        self.retry(shared, spool)?;
        let batch = spool.records(BATCH).map_err(|error| error.to_string())?;
        report(&batch.refused);
        let taken = batch.taken.len();
        for one in batch.taken {
            self.take_one(shared, spool, one)?;
        }
        Ok(taken)
    }

    fn take_one(&mut self, shared: &Shared, spool: &Spool, one: Taken) -> Result<(), String> {
        let record = one.record();
        if *record.store() != shared.store_dir {
            tracing::warn!(file = one.name(), store = %record.store(), "a build in another store is left out");
            return one.done().map_err(|error| error.to_string());
        }
        let outputs =
            outputs(&shared.link, record, shared.upload.sign_remote_builds).map_err(|e| e.to_string())?;
        let mut wishes = Vec::new();
        for info in &outputs {
            let path = &info.core.store_path;
            for destination in shared.destinations().filter(|d| may_leave(d, path)) {
                let (destination, path, derivation) =
                    (destination.name.clone(), path.clone(), record.drv().cloned());
                wishes.push(Wish { destination, path, origin: Origin::Built, derivation });
            }
        }
        shared.want(&wishes).map_err(|error| error.to_string())?;
        let what = one.name();
        crash::point("queued", &what);
        // The hook keeps whatever it reports.
        for path in record.outputs().iter().filter(|path| wishes.iter().all(|wish| wish.path != **path)) {
            shared.let_go(path).map_err(|error| error.to_string())?;
        }
        // While some are held, the next one would fare no better.
        let noted = match self.again {
            Some(_) => Err(None),
            None => note(shared, record, &outputs).map_err(Some),
        };
        if let Err(trouble) = noted {
            if let Some(trouble) = trouble {
                tracing::error!(
                    trouble,
                    "what is built here cannot be written into the ledger, and is kept in the spool for that; it is uploaded"
                );
                self.again = Instant::now().checked_add(AGAIN);
            }
            if spool.hold(&one, MOST_HELD).map_err(|error| error.to_string())? {
                return Ok(());
            }
            tracing::error!(
                record = what,
                "a build is not in the ledger and never will be: too many wait for it"
            );
        }
        crash::point("noted", &what);
        one.done().map_err(|error| error.to_string())?;
        crash::point("taken", &what);
        Ok(())
    }

    /// Tries again to write what is held, and lets go what was held for too long.
    fn retry(&mut self, shared: &Shared, spool: &Spool) -> Result<(), String> {
        if self.again.is_none_or(|at| Instant::now() < at) {
            return Ok(());
        }
        loop {
            let batch = spool.held(BATCH).map_err(|error| error.to_string())?;
            report(&batch.refused);
            if batch.taken.is_empty() {
                self.again = None;
                return Ok(());
            }
            for one in batch.taken {
                let outputs = outputs(&shared.link, one.record(), false).map_err(|e| e.to_string())?;
                if let Err(trouble) = note(shared, one.record(), &outputs) {
                    if !is_old(one.record(), shared.now()) {
                        self.again = Instant::now().checked_add(AGAIN);
                        return Ok(());
                    }
                    tracing::error!(
                        record = one.name(),
                        trouble,
                        "a build is not in the ledger and never will be"
                    );
                }
                one.done().map_err(|error| error.to_string())?;
            }
            tracing::info!("what was built here is written into the ledger again");
        }
    }
}

/// Writes outputs that were built here into the ledger.
fn note(shared: &Shared, record: &Record, outputs: &[PathInfo]) -> Result<(), String> {
    let at = reported(record, shared.now());
    let builds: Vec<Build> = outputs.iter().filter_map(|info| Build::of(info, record.drv(), at)).collect();
    shared.builds.report(&builds, shared.now())
}

/// Tells of what is no record.
fn report(refused: &[Refused]) {
    for refused in refused {
        let kept = if refused.is_moved { "moved to `refused` in the spool" } else { "left where it is" };
        tracing::warn!(file = refused.name, fault = %refused.fault, kept, "the spool holds something that no hook of ours wrote");
    }
}

/// Whether a record has waited for the ledger for long enough.
fn is_old(record: &Record, now: Timestamp) -> bool {
    let waited = now.seconds().saturating_sub(reported(record, now).seconds());
    u64::try_from(waited).is_ok_and(|waited| waited > LONGEST.as_secs())
}

/// When a build was reported: by the clock of its machine, which may be ahead of ours.
fn reported(record: &Record, now: Timestamp) -> Timestamp {
    let at = i64::try_from(record.built()).map_or(now, Timestamp::from_seconds);
    at.min(now)
}

/// Whether a path may leave this machine for a destination.
pub(super) fn may_leave(destination: &Destination, path: &StorePath) -> bool {
    destination.packages.iter().any(|glob| glob.matches(path.name()))
}

/// The outputs of a build that are worth looking at.
fn outputs(mut link: &Link, record: &Record, with_remote: bool) -> Result<Vec<PathInfo>, StoreError> {
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
            outputs.push(info);
        }
    }
    Ok(outputs)
}

/// Records that are taken in one go.
const BATCH: usize = 256;

/// Records that are held at most, a few MiB. A guess: more than a workstation builds in a week.
const MOST_HELD: usize = 4096;

/// How long a record is held. A guess: a week is time enough to make room on a disk.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// How often what is held is tried again.
const AGAIN: Duration = Duration::from_secs(5);
