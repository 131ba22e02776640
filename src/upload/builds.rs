//! What was built here, on its way into the ledger, and held against what the caches claim of it (design §7).
//!
//! A build is written with what the ledger's own claims make of it, in one batch. Caches of which the ledger has no
//! claim that counts are asked after that, by the process that asks for the uploader; that is worth a try and no
//! more, and nothing waits for it. A build that the ledger knows already is not written again, so whoever was cut off
//! after writing may begin anew.
//!
//! The ledger is the service's, which may hold it, or have filled the disk: an error here is for the caller to try
//! again, and stops no upload.

use crate::config::Config;
use crate::evidence::{
    Batch, BuildKind, BuildRow, Claimed, EventKind, EventRow, Sqlite, Storage, Terms, compare, counting,
};
use crate::format::{Limits, NarHash, References, StorePath};
use crate::store::PathInfo;
use crate::trust::{Policy, Timestamp};
use crate::upload::asker::{Asker, Told};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A build here, as the store has recorded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Build {
    row: BuildRow,
    references: References,
}

impl Build {
    /// A path that the store calls built here; `None` for any other. `derivation` is what was reported, `at` when.
    pub(super) fn of(info: &PathInfo, derivation: Option<&StorePath>, at: Timestamp) -> Option<Self> {
        let core = &info.core;
        info.ultimate.then(|| Self {
            row: BuildRow {
                path: core.store_path.clone(),
                nar_hash: Some(core.nar_hash),
                nar_size: Some(core.nar_size),
                derivation: derivation.or(info.deriver.as_ref()).cloned(),
                kind: BuildKind::Built,
                at,
            },
            references: core.references.clone(),
        })
    }
}

/// Where builds are written.
#[derive(Debug)]
pub(super) struct Builds {
    state: PathBuf,
    terms: Terms,
    policy: Arc<Policy>,
    limits: Limits,
    storage: Mutex<Option<Sqlite>>,
    /// Builds that caches are still to be asked about.
    open: SyncSender<Build>,
}

impl Builds {
    /// Into the ledger of a state directory; the other end is for [`ask_caches`]. Nothing is opened yet.
    pub(super) fn new(state: PathBuf, config: &Config) -> (Self, Receiver<Build>) {
        let (open, questions) = sync_channel(MOST_OPEN);
        let terms = Terms { patience: PATIENCE, limit: config.limits.evidence.bytes() };
        let (policy, limits) = (Arc::clone(&config.policy), config.limits.of_narinfo());
        (Self { state, terms, policy, limits, storage: Mutex::default(), open }, questions)
    }

    /// Writes builds, as far as they are not known yet; `Err` says in one line why that cannot be done now.
    pub(super) fn report(&self, builds: &[Build], now: Timestamp) -> Result<(), String> {
        let mut batch = Batch::default();
        let mut fresh: Vec<&Build> = Vec::new();
        for build in builds {
            let earlier = self.with(|storage| storage.earlier(build.row.path.hash_part()))?;
            let is_known = |known: &BuildRow| is_same(known, &build.row);
            if earlier.builds.iter().any(is_known) || fresh.iter().any(|other| is_known(&other.row)) {
                continue;
            }
            let claims = counting(&earlier.claims, &self.policy, &self.limits, now);
            batch.events.extend(compare(&build.row, Some(&build.references), &claims));
            batch.builds.push(build.row.clone());
            fresh.push(build);
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.with(|storage| storage.write(&batch))?;
        tell(&batch.events);
        for build in fresh {
            // Where so many wait, the caches do not answer; who asks for the path later compares it then.
            if self.open.try_send(build.clone()).is_err() {
                tracing::debug!(path = %build.row.path, "the caches are not asked about this build");
            }
        }
        Ok(())
    }

    /// Compares a build with what caches claim of which the ledger knows nothing that counts.
    fn ask(&self, build: &Build, asker: &mut Asker, now: Timestamp) -> Result<(), String> {
        let path = build.row.path.hash_part();
        let earlier = self.with(|storage| storage.earlier(path))?;
        let known = counting(&earlier.claims, &self.policy, &self.limits, now);
        let known: BTreeSet<&str> = known.iter().map(|claim| &*claim.cache).collect();
        if self.policy.caches().iter().all(|cache| known.contains(&*cache.name)) {
            return Ok(());
        }
        let told = asker.ask(path)?;
        let fresh: Vec<Claimed> = told
            .iter()
            .filter(|told| !known.contains(told.cache.as_str()) && told.path == build.row.path.to_string())
            .filter_map(Told::counted)
            .collect();
        let events = compare(&build.row, Some(&build.references), &fresh);
        if events.is_empty() {
            return Ok(());
        }
        self.with(|storage| storage.write(&Batch { events: events.clone(), ..Batch::default() }))?;
        tell(&events);
        Ok(())
    }

    /// Does something with the ledger, opened anew after a failure.
    fn with<T, E: std::fmt::Display>(
        &self,
        work: impl FnOnce(&mut Sqlite) -> Result<T, E>,
    ) -> Result<T, String> {
        let mut slot = self.storage.lock().unwrap_or_else(PoisonError::into_inner);
        let mut storage = match slot.take() {
            Some(storage) => storage,
            None => Sqlite::open(&self.state, &self.terms).map_err(|error| error.to_string())?,
        };
        let done = work(&mut storage).map_err(|error| error.to_string())?;
        *slot = Some(storage);
        Ok(done)
    }
}

/// Asks the caches about builds until it is told to stop. `idle` does what a stop need not wait for.
pub(super) fn ask_caches(
    builds: &Builds,
    questions: &Receiver<Build>,
    asker: &mut Asker,
    now: impl Fn() -> Timestamp,
    is_stopping: impl Fn() -> bool,
    idle: impl Fn(&mut dyn FnMut()),
) {
    let mut resumes: Option<Instant> = None;
    while !is_stopping() {
        let mut next = Err(RecvTimeoutError::Timeout);
        idle(&mut || next = questions.recv_timeout(LOOK));
        let build = match next {
            Ok(build) => build,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if resumes.is_some_and(|at| Instant::now() < at) {
            continue;
        }
        let mut asked = Ok(());
        idle(&mut || asked = builds.ask(&build, asker, now()));
        resumes = asked.err().map(|error| {
            tracing::warn!(path = %build.row.path, error, "this build was not compared with what the caches claim");
            Instant::now() + PAUSE
        });
    }
}

/// Whether two rows tell of one result: a path that is built again with the same result is the same build, and one
/// that was rebuilt alike is called built here by the store from then on.
fn is_same(known: &BuildRow, build: &BuildRow) -> bool {
    matches!(known.kind, BuildKind::Built | BuildKind::RebuiltEqual)
        && known.path == build.path
        && known.nar_hash == build.nar_hash
        && known.nar_size == build.nar_size
}

/// Says once what came of a comparison.
fn tell(events: &[EventRow]) {
    for event in events {
        let EventRow { path, party, before, after, .. } = event;
        let name = event.name.as_deref().unwrap_or_default();
        if event.kind == EventKind::BuildDiffers {
            tracing::warn!(%path, name, cache = %party, claimed = %before, built = %after, "what was built here is not what a cache claims; see `countersign evidence show`");
        } else {
            tracing::debug!(%path, name, cache = %party, "what was built here is what a cache claims");
        }
    }
}

impl Told {
    /// What is compared of it; `None` if no signature on it counts, or it makes no sense.
    pub fn counted(&self) -> Option<Claimed> {
        let references: Option<Vec<StorePath>> =
            self.references.iter().map(|name| StorePath::from_base_name(name).ok()).collect();
        (!self.signers.is_empty()).then_some(Claimed {
            cache: self.cache.as_str().into(),
            nar_hash: NarHash::parse_nixbase32(&self.nar_hash).ok()?,
            nar_size: self.nar_size,
            references: References::from_unsorted(references?),
            signers: self.signers.iter().map(|name| name.as_str().into()).collect(),
        })
    }
}

/// Builds that may wait for the caches to be asked. A guess: as many as a large rebuild makes in the time that a few
/// caches take to answer.
const MOST_OPEN: usize = 4096;

/// How long no cache is asked after that failed.
const PAUSE: Duration = Duration::from_secs(60);

/// How long the ledger may be in other hands. A guess: its writer's batches take milliseconds, and uploads wait for this.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often to look whether to stop.
const LOOK: Duration = Duration::from_secs(1);
