//! The threads of the uploader, and what they share.

use crate::config::{Config, Destination, Upload};
use crate::crash;
use crate::destination::Names;
use crate::format::{StoreDir, StorePath, VerifyingKey};
use crate::queue::{Event, Queue, QueueError, Row, State, Terms, Trouble, Wish};
use crate::spool::Spool;
use crate::state::{StateDirectory, StateError};
use crate::store::{AddressError, StoreAddress};
use crate::trust::{Policy, Timestamp};
use crate::upload::announce::Announcer;
use crate::upload::asker::Asker;
use crate::upload::builds::{Build, Builds, ask_caches};
use crate::upload::intake::Intake;
use crate::upload::keeping::Keeping;
use crate::upload::keys::{Keys, KeysError};
use crate::upload::lane::Lane;
use crate::upload::link::Link;
use crate::upload::permits::Permits;
use crate::upload::references::Known;
use crate::upload::step::{Setback, step};
use crate::upload::sweep::Sweep;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Why the uploader cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A signing key.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Where the Nix daemon is.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Something of the system.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        source: std::io::Error,
    },
}

/// An uploader that runs.
#[derive(Debug)]
pub struct Uploader {
    shared: Arc<Shared>,
    workers: Vec<Arc<JoinHandle<()>>>,
}

/// What tells whether an uploader still works.
#[derive(Clone, Debug)]
pub struct Pulse {
    shared: Arc<Shared>,
    workers: Vec<Arc<JoinHandle<()>>>,
}

impl Pulse {
    /// Waits for the queue as every worker does, and looks whether all of them are there. A step under way may take
    /// hours, so that none ends is no fault; a queue that answers with an error does answer.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn feel(&self) -> Result<(), String> {
        if let Err(error) = self.shared.queue().edition() {
            tracing::debug!(%error, "the queue cannot be read");
        }
        let ended = self.workers.iter().filter(|worker| worker.is_finished()).count();
        if ended > 0 && !self.shared.is_stopping() {
            return Err(format!("{ended} of its threads ended early"));
        }
        Ok(())
    }
}

/// What the threads share.
pub(super) struct Shared {
    pub(super) upload: Upload,
    pub(super) policy: Arc<Policy>,
    pub(super) store_dir: StoreDir,
    /// The machine key as it is now, and all there have been.
    pub(super) machine: Option<VerifyingKey>,
    pub(super) machines: Vec<VerifyingKey>,
    pub(super) keys: Keys,
    pub(super) link: Link,
    pub(super) keeping: Keeping,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) asker: Mutex<Asker>,
    /// Where NARs are packed.
    pub(super) packed: PathBuf,
    pub(super) packing: Permits,
    pub(super) builds: Builds,
    pub(super) known: Known,
    announcer: Announcer,
    pub(super) stopping: AtomicBool,
    /// Whether what the hook had left before the start is taken.
    taken: AtomicBool,
    lanes: Vec<Lane>,
    queue: Mutex<Queue>,
    news: (Mutex<()>, Condvar),
    /// Threads that a stop waits for.
    threads: AtomicUsize,
    now: fn() -> Timestamp,
}

impl Uploader {
    /// Starts uploading. The caller holds the [`crate::upload::Lock`]; `file` is the configuration's, for the
    /// process that asks the caches.
    ///
    /// # Errors
    /// [`StartError`] if a key may not sign, or the queue cannot be opened.
    pub fn start(
        config: &Config,
        file: Option<&Path>,
        runtime: &tokio::runtime::Handle,
        now: fn() -> Timestamp,
    ) -> Result<Self, StartError> {
        let state = StateDirectory::at(config.state_directory.clone());
        state.create()?;
        let machines = state.public_keys()?;
        // Where nothing goes anywhere, no key is read.
        let files = config.upload.signing_key_files.as_slice();
        let files = if config.destinations.is_empty() { &[] } else { files };
        let keys = Keys::load(files, &config.policy, &machines.all)?;
        let queue = Queue::open(state.path())?;
        let io = |doing| move |source| StartError::Io { doing, source };
        let packed = state.path().join("packed");
        // What is there was left by one that was killed.
        match std::fs::remove_dir_all(&packed) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StartError::Io { doing: "clear the directory for packed NARs", source: error });
            }
            _ => std::fs::create_dir(&packed).map_err(io("make the directory for packed NARs"))?,
        }
        let spool = match Spool::create(&config.upload.spool_directory) {
            Ok(spool) => Some(Arc::new(spool)),
            Err(error) => {
                tracing::warn!(%error, "builds that the hook reports are not seen; what is pushed is uploaded");
                None
            }
        };
        let program = std::env::current_exe().map_err(io("find this program"))?;
        let link = Link::new(StoreAddress::of_process()?, config.store_dir.clone(), spool.clone());
        let names = Names::of_system();
        let (builds, questions) = Builds::new(state.path().to_owned(), config);
        let asks = Asker::new(program.clone(), file);
        let shared = Arc::new(Shared {
            upload: config.upload.clone(),
            policy: Arc::clone(&config.policy),
            store_dir: config.store_dir.clone(),
            machine: machines.machine,
            machines: machines.all,
            keys,
            link,
            keeping: Keeping::default(),
            runtime: runtime.clone(),
            asker: Mutex::new(Asker::new(program, file)),
            packed,
            packing: Permits::new(config.upload.jobs.get()),
            builds,
            known: Known::default(),
            announcer: Announcer::new(config),
            stopping: AtomicBool::new(false),
            taken: AtomicBool::new(false),
            lanes: config.destinations.iter().map(|d| Lane::new(d.clone(), names.clone())).collect(),
            queue: Mutex::new(queue),
            news: (Mutex::new(()), Condvar::new()),
            threads: AtomicUsize::new(0),
            now,
        });
        let mut uploader = Self { shared, workers: Vec::new() };
        uploader.spawn("intake".to_owned(), move |shared| run_intake(shared, spool.as_deref()))?;
        uploader.spawn("builds".to_owned(), move |shared| run_builds(shared, &questions, asks))?;
        for index in 0..uploader.shared.lanes.len() {
            // While some wait for the destination's answers, the others pack.
            let jobs = config.upload.jobs.get();
            for _ in 0..jobs + jobs / 2 {
                uploader.spawn(format!("lane {index}"), move |shared| {
                    if let Some(lane) = shared.lanes.get(index) {
                        run_lane(shared, lane);
                    }
                })?;
            }
        }
        Ok(uploader)
    }

    /// Looks for builds that no hook reported as well, now and every hour.
    ///
    /// # Errors
    /// [`StartError::Io`] if there can be no thread for it.
    pub fn sweep(&mut self, config: &Config) -> Result<(), StartError> {
        match Sweep::new(config, &self.shared) {
            Some(sweep) => self.spawn("sweep".to_owned(), move |shared| sweep.run(shared)),
            None => Ok(()),
        }
    }

    /// What tells whether it still works.
    pub fn pulse(&self) -> Pulse {
        Pulse { shared: Arc::clone(&self.shared), workers: self.workers.clone() }
    }

    /// Stops after the steps under way, or after `patience`: being cut off does no harm.
    pub fn stop(self, patience: Duration) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.tell_news();
        let step = Duration::from_millis(5);
        let mut waited = Duration::ZERO;
        while self.shared.threads.load(Ordering::SeqCst) > 0 && waited < patience {
            std::thread::sleep(step);
            waited += step;
        }
    }

    fn spawn(&mut self, name: String, work: impl FnOnce(&Shared) + Send + 'static) -> Result<(), StartError> {
        struct Counted(Arc<Shared>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.threads.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.shared.threads.fetch_add(1, Ordering::SeqCst);
        let counted = Counted(Arc::clone(&self.shared));
        let spawned = std::thread::Builder::new().name(name).spawn(move || work(&counted.0));
        let worker = spawned.map_err(|source| StartError::Io { doing: "start a thread", source })?;
        self.workers.push(Arc::new(worker));
        Ok(())
    }
}

/// Takes builds from the spool until it is told to stop.
fn run_intake(shared: &Shared, spool: Option<&Spool>) {
    let notices = spool.map(Spool::notices);
    let mut trouble = String::new();
    let (mut kept, mut cleared) = (None, None);
    let mut intake = Intake::new();
    while !shared.is_stopping() {
        let mut taken = 0;
        let mut work = || {
            // What others put into the queue, as `push` does, is kept from now on.
            let edition = shared.queue().edition().map_err(|error| error.to_string())?;
            if kept != Some(edition) {
                shared.keep_needed().map_err(|error| error.to_string())?;
                kept = Some(edition);
            }
            let Some(spool) = spool else { return Ok(0) };
            let taken = intake.take(shared, spool)?;
            // Not before all that was reported is queued.
            if taken == 0 && cleared.is_none_or(|at: Instant| at.elapsed() > CLEARING) {
                clear(shared, spool)?;
                cleared = Some(Instant::now());
            }
            Ok(taken)
        };
        match work() {
            Ok(records) => {
                taken = records;
                shared.taken.fetch_or(records == 0, Ordering::SeqCst);
                trouble.clear();
            }
            Err(error) if error != trouble => {
                tracing::warn!(error, "builds wait in the spool");
                trouble = error;
            }
            Err(_) => {}
        }
        match (&notices, taken, trouble.is_empty()) {
            (Some(notices), 0, true) => drop(shared.idle(|| notices.wait(LOOK))),
            (_, 0, _) => shared.nap(LOOK),
            _ => {}
        }
    }
}

/// Has the caches asked about what was built here, until it is told to stop.
fn run_builds(shared: &Shared, questions: &Receiver<Build>, mut asker: Asker) {
    let idle = |ask: &mut dyn FnMut()| shared.idle(ask);
    ask_caches(&shared.builds, questions, &mut asker, || shared.now(), || shared.is_stopping(), idle);
}

/// Lets go what no entry knows for a day, whoever has linked to it, and removes what others have left half written.
fn clear(shared: &Shared, spool: &Spool) -> Result<(), String> {
    let yesterday = Duration::from_secs(86_400);
    let old = |since: std::time::SystemTime| since.elapsed().is_ok_and(|age| age > yesterday);
    let rooted = spool.rooted().map_err(|error| error.to_string())?;
    for forgotten in rooted.iter().filter(|rooted| old(rooted.since)) {
        shared.let_go(&forgotten.path).map_err(|error| error.to_string())?;
    }
    spool.sweep(crate::clock::system_time()).map(drop).map_err(|error| error.to_string())
}

/// Works on the entries of one destination until it is told to stop.
fn run_lane(shared: &Shared, lane: &Lane) {
    while !shared.is_stopping() {
        let now = shared.now();
        if lane.paused(now).is_some() {
            shared.nap(LOOK);
            continue;
        }
        lane.sweep(now, &shared.store_dir, &shared.runtime);
        match lane.claim(|busy| shared.queue().due(lane.name(), now, busy)) {
            Ok(Some(row)) => {
                let outcome = step(shared, lane, &row);
                if let Err(error) = shared.settle(lane, &row, outcome) {
                    tracing::error!(%error, "what was done could not be noted, and will be done again");
                    shared.nap(LOOK);
                }
                lane.release(row.id);
                shared.tell_news();
            }
            Ok(None) => shared.nap(LOOK),
            Err(error) => {
                tracing::error!(%error, "the queue cannot be read");
                shared.nap(LOOK);
            }
        }
    }
}

impl Shared {
    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// Every destination.
    pub(super) fn destinations(&self) -> impl Iterator<Item = &Destination> {
        self.lanes.iter().map(|lane| &lane.destination)
    }

    /// The queue, for one question or change.
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts wishes into the queue.
    pub(super) fn ask(&self, wishes: &[Wish]) -> Result<(), QueueError> {
        self.queue().ask(wishes, &self.terms())?;
        self.tell_news();
        Ok(())
    }

    /// Puts what a sweep found into the queue; the paths of which nothing was known.
    pub(super) fn offer(&self, wishes: &[Wish]) -> Result<Vec<StorePath>, QueueError> {
        let taken = self.queue().offer(wishes, &self.terms())?;
        self.tell_news();
        Ok(taken)
    }

    /// Whether what the hook had left before the start is taken.
    pub(super) fn has_taken(&self) -> bool {
        self.taken.load(Ordering::SeqCst)
    }

    /// A random number.
    pub(super) fn jitter(&self) -> u32 {
        u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or_default()
    }

    pub(super) fn terms(&self) -> Terms {
        Terms { now: self.now(), give_up_after: self.upload.give_up_after, jitter: self.jitter() }
    }

    /// Notes what became of a step.
    fn settle(&self, lane: &Lane, row: &Row, outcome: Result<Event, Setback>) -> Result<(), QueueError> {
        let terms = self.terms();
        let event = match outcome {
            // It was broken off by us.
            Err(_) if self.is_stopping() => return Ok(()),
            Ok(event) => {
                if !matches!(event, Event::GivenUp(_)) && lane.works() {
                    tracing::info!(destination = lane.name(), "works again");
                    self.queue().retry_destination(lane.name(), terms.now)?;
                }
                event
            }
            Err(Setback::Entry(trouble, least)) => Event::Failed(trouble, least),
            Err(Setback::Lane(text, least)) => {
                let down = lane.failed(terms.now, least, terms.jitter);
                if down.attempts == 1 {
                    tracing::warn!(destination = lane.name(), trouble = text, "cannot upload for now");
                }
                let destination = lane.name().into();
                let trouble =
                    Trouble { destination, text: text.clone(), since: down.since, until: down.until };
                self.queue().set_trouble(lane.name(), Some(&trouble))?;
                Event::Failed(text, least)
            }
        };
        if event == Event::Published {
            self.announcer.published(lane.name(), &row.path, &self.runtime);
        }
        crash::point("step made", &row.path);
        let Some(told) = self.queue().tell(row.id, event, &terms)? else { return Ok(()) };
        crash::point("step noted", &row.path);
        self.log(&told, &row.entry.state);
        if told.entry.is_finished() {
            self.let_go(&told.path)?;
        }
        Ok(())
    }

    fn log(&self, row: &Row, before: &State) {
        let (destination, path, trouble) = (&row.destination, &row.path, &row.entry.trouble);
        match &row.entry.state {
            State::Done => tracing::info!(%destination, %path, "uploaded"),
            State::Skipped => tracing::info!(%destination, %path, why = trouble, "needs not go"),
            State::Dead => tracing::error!(%destination, %path, why = trouble, "given up"),
            State::Queued | State::Stored(_) if !trouble.is_empty() => {
                tracing::debug!(%destination, %path, trouble, "waits");
            }
            state => {
                tracing::debug!(%destination, %path, from = before.label(), to = state.label(), "a step further")
            }
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Waits for something that a stop does not end, and which it therefore does not wait for.
    fn idle<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.threads.fetch_sub(1, Ordering::SeqCst);
        let waited = wait();
        self.threads.fetch_add(1, Ordering::SeqCst);
        waited
    }

    /// Waits until there may be something to do.
    fn nap(&self, most: Duration) {
        let guard = self.news.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_stopping() {
            drop(self.news.1.wait_timeout(guard, most).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Does nothing for so long, or until it is told to stop.
    pub(super) fn rest(&self, long: Duration) {
        let began = Instant::now();
        while !self.is_stopping() && began.elapsed() < long {
            self.nap(long.saturating_sub(began.elapsed()));
        }
    }

    fn tell_news(&self) {
        let _guard = self.news.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.news.1.notify_all();
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("lanes", &self.lanes).field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// How often what nobody needs is looked for in the spool.
const CLEARING: Duration = Duration::from_secs(3600);

/// How often to look where nobody tells.
const LOOK: Duration = Duration::from_secs(1);
