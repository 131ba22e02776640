//! The sweep: builds that no hook reported are found in the store itself.
//!
//! When the uploader starts and every hour after that, every path of the store that was not looked at yet is asked
//! about. What the store calls built here and registered since the installation is treated as if a hook had reported it:
//! it goes into the ledger, and into the queue of every destination that it may leave for, there to be examined by the
//! same licence as everything else. What the queue knows already, in whatever state, is left alone, and so is what a
//! person dropped. What a remote builder made is never found: of that only the hook knows that it was built.
//!
//! Rules kept: one sweep at a time, over a connection of its own, in small steps with three times as long a rest; what
//! was found goes after everything else (`queue::offers`). A sweep that is cut off loses nothing: the next one looks at
//! what this one did not reach.

use crate::config::Config;
use crate::crash;
use crate::format::StorePath;
use crate::queue::{Origin, Wish};
use crate::state::StateDirectory;
use crate::store::{PathInfo, Store, StoreError};
use crate::trust::Timestamp;
use crate::upload::builds::Build;
use crate::upload::intake::may_leave;
use crate::upload::looked::Looked;
use crate::upload::uploader::Shared;
use std::time::{Duration, Instant};

/// Whether a path was built here, at this moment or later; what is decided by is the store's own record.
pub fn is_build(info: &PathInfo, since: Timestamp) -> bool {
    info.ultimate && info.registered >= since.seconds()
}

/// What sweeps.
#[derive(Debug)]
pub(super) struct Sweep {
    /// The installation's date.
    since: Timestamp,
    looked: Looked,
    /// Sweeps until all paths are looked at again.
    until_all: u32,
}

/// What a sweep came to.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    looked_at: usize,
    found: usize,
}

impl Sweep {
    /// For builds from the installation on; `None`, told of, where it cannot be known when that was.
    pub(super) fn new(config: &Config, shared: &Shared) -> Option<Self> {
        match installed(config, shared) {
            Ok(since) => Some(Self { since, looked: Looked::default(), until_all: ALL_AFTER }),
            Err(error) => {
                tracing::error!(
                    error,
                    "builds that no hook reports are not looked for; for those there is `countersign push`"
                );
                None
            }
        }
    }

    /// Sweeps until the uploader is told to stop.
    pub(super) fn run(mut self, shared: &Shared) {
        // What the hook left comes first, so that it is not taken for unreported.
        let began = Instant::now();
        while !shared.has_taken() && !shared.is_stopping() && began.elapsed() < FOR_THE_SPOOL {
            shared.rest(LOOK);
        }
        let mut trouble = String::new();
        while !shared.is_stopping() {
            let pause = match self.pass(shared) {
                Ok(count) => {
                    trouble.clear();
                    tell(count);
                    pause(shared.jitter())
                }
                Err(_) if shared.is_stopping() => return,
                Err(error) => {
                    if error != trouble {
                        tracing::warn!(
                            error,
                            "could not look for builds that no hook reported; it is tried again"
                        );
                        trouble = error;
                    }
                    RETRY
                }
            };
            shared.rest(pause);
        }
    }

    /// One sweep; `Err` says in one line why it went no further.
    fn pass(&mut self, shared: &Shared) -> Result<Count, String> {
        let mut store = shared.link.another().map_err(|error| error.to_string())?;
        self.until_all = self.until_all.checked_sub(1).unwrap_or_else(|| {
            self.looked = Looked::default();
            ALL_AFTER
        });
        let mut listing = self.looked.begin();
        let listed = store.for_each_valid_path(|path| self.looked.list(&path, &mut listing));
        listed.map_err(|error| error.to_string())?;
        let (looked, open) = listing.split();
        self.looked = looked;
        let mut open = open.iter();
        let mut count = Count::default();
        while !shared.is_stopping() {
            let step: Vec<StorePath> = open.by_ref().take(STEP).collect();
            if step.is_empty() {
                break;
            }
            let began = Instant::now();
            count.looked_at += step.len();
            count.found += self.look_at(shared, &mut store, step)?;
            shared.rest(began.elapsed().saturating_mul(REST));
        }
        Ok(count)
    }

    /// Looks at some paths; how many of them are wanted somewhere from now on.
    fn look_at(
        &mut self,
        shared: &Shared,
        store: &mut Store,
        paths: Vec<StorePath>,
    ) -> Result<usize, String> {
        let mut builds = Vec::new();
        for path in &paths {
            match store.path_info(path) {
                Ok(info) => builds.extend(info.filter(|info| is_build(info, self.since))),
                // A record that nobody can read is not one of a build that could go.
                Err(error @ (StoreError::Daemon { .. } | StoreError::Record { .. })) => {
                    tracing::debug!(%path, %error, "a path is left out of the sweep");
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        let found = offer(shared, store, &builds)?;
        let rows: Vec<Build> =
            builds.iter().filter_map(|info| Build::of(info, None, registered(info, shared))).collect();
        // Where the ledger cannot be written now, the next sweep looks at these again.
        if let Err(trouble) = shared.builds.report(&rows, shared.now()) {
            tracing::warn!(trouble, "what was built here is not in the ledger yet; it is uploaded");
            let unwritten = |path: &StorePath| builds.iter().any(|info| info.core.store_path == *path);
            self.looked.add(paths.into_iter().filter(|path| !unwritten(path)));
            return Ok(found);
        }
        self.looked.add(paths.into_iter());
        Ok(found)
    }
}

/// Queues builds of which nothing is known yet, wherever they may go; how many those were.
fn offer(shared: &Shared, store: &mut Store, builds: &[PathInfo]) -> Result<usize, String> {
    let mut wishes = Vec::new();
    for path in builds.iter().map(|info| &info.core.store_path) {
        for destination in shared.destinations().filter(|d| may_leave(d, path)) {
            let (destination, path) = (destination.name.clone(), path.clone());
            wishes.push(Wish { destination, path, origin: Origin::Swept, derivation: None });
        }
    }
    let found = shared.want_unknown(wishes, store).map_err(|error| error.to_string())?;
    for path in &found {
        tracing::info!(%path, "found by the sweep: built here, and no hook has reported it");
        crash::point("swept queued", path);
    }
    Ok(found.len())
}

/// When a build was registered, by a clock that may have been ahead.
fn registered(info: &PathInfo, shared: &Shared) -> Timestamp {
    Timestamp::from_seconds(info.registered).min(shared.now())
}

fn tell(Count { looked_at, found }: Count) {
    match found {
        0 => tracing::debug!(looked_at, "swept: every build was reported"),
        _ => tracing::warn!(
            looked_at,
            found,
            "swept: builds that no hook reported are uploaded now; `countersign doctor` says what is wrong with the hook"
        ),
    }
}

/// The installation's date: the file's, else the queue's, else now, noted in both; `Err` says in one line why none.
fn installed(config: &Config, shared: &Shared) -> Result<Timestamp, String> {
    let state = StateDirectory::at(config.state_directory.clone());
    let file = state.installed_file();
    let noted = state.installed().map_err(|error| error.to_string())?;
    let queued = shared.queue().installed().map_err(|error| error.to_string())?;
    let since = match (noted, queued) {
        (Some(since), _) => since,
        (None, Some(since)) => {
            tracing::warn!(file = %file.display(), since = moment(since), "the date of the installation was gone; it is written again");
            since
        }
        (None, None) => {
            let since = shared.now();
            tracing::info!(
                since = moment(since),
                "first start: builds from now on are found even if no hook reports them; older ones go by `countersign push --since`"
            );
            since
        }
    };
    if queued != Some(since) {
        shared.queue().note_installed(since).map_err(|error| error.to_string())?;
    }
    if noted.is_none()
        && let Err(error) = state.note_installed(since)
    {
        tracing::warn!(%error, "the date of the installation is in the queue alone");
    }
    let system = crate::clock::system_time().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    if i64::try_from(system.as_secs()).is_ok_and(|now| now < since.seconds()) {
        tracing::warn!(
            file = %file.display(), since = moment(since),
            "the date of the installation is still to come, so builds before it are not looked for: set the clock, or write the right date into that file"
        );
    }
    Ok(since)
}

/// A moment as people write it.
fn moment(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.seconds()).map_or_else(|_| at.to_string(), |moment| moment.to_string())
}

/// How long to wait for the next sweep: up to a sixth less than an hour, so that many machines do not come at once.
fn pause(jitter: u32) -> Duration {
    let every = every();
    every.saturating_sub((every / 6).mul_f64(f64::from(jitter) / f64::from(u32::MAX)))
}

/// How long it is from one sweep to the next.
#[cfg(not(debug_assertions))]
fn every() -> Duration {
    HOUR
}

/// How long it is from one sweep to the next; a test cannot wait for that, and says how many seconds in
/// `COUNTERSIGN_SWEEP_EVERY`.
#[cfg(debug_assertions)]
fn every() -> Duration {
    let told = std::env::var("COUNTERSIGN_SWEEP_EVERY").ok().and_then(|text| text.parse().ok());
    told.map_or(HOUR, Duration::from_secs)
}

/// How long it is from one sweep to the next.
const HOUR: Duration = Duration::from_secs(3600);

/// Sweeps after which all paths are looked at again: once a day.
const ALL_AFTER: u32 = 23;

/// Paths that are looked at in one go: some milliseconds.
const STEP: usize = 64;

/// How many times as long the rest after a step is.
const REST: u32 = 3;

/// When a sweep that failed is tried again.
const RETRY: Duration = Duration::from_secs(60);

/// How long the first sweep waits for the spool to be emptied. A guess: longer than any spool takes.
const FOR_THE_SPOOL: Duration = Duration::from_secs(60);

/// How often to look whether it is.
const LOOK: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_are_at_most_an_hour_apart_and_not_much_less() {
        assert_eq!(pause(0), Duration::from_secs(3600));
        assert_eq!(pause(u32::MAX), Duration::from_secs(3000));
    }
}
