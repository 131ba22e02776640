//! Wiring: one configuration becomes a running service, a reload replaces it, a signal stops it.

use crate::clock;
use crate::config::{Config, Listen, Mode};
use crate::control;
use crate::countersigner::Countersigner;
use crate::evidence::{Ledger, LedgerTerms};
use crate::explain::{Explanation, Source};
use crate::format::HashPart;
use crate::memo::Verdicts;
use crate::state::{StateDirectory, StateError};
use crate::status::{CacheStatus, EvidenceStatus, Status};
use crate::transfer::Relay;
use crate::upstream::{Remembered, RemoteCache, Upstreams, UpstreamsError, Why};
use crate::web::{Acceptor, Hosts, ListenError, Listener, Probe, Service};
use arc_swap::ArcSwap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory or a key in it.
    #[error(transparent)]
    State(#[from] StateError),
    /// A cache's certificates or credentials.
    #[error(transparent)]
    Upstreams(#[from] UpstreamsError),
    /// A socket.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The machine key is configured as a signer: our own word would count as another's.
    #[error(
        "the countersigning key {key} is listed under [signers.{signer}]: it may not be a signer; remove it there"
    )]
    OwnKey {
        /// The key's name.
        key: String,
        /// The signer it is listed under.
        signer: Box<str>,
    },
}

/// A service that listens and answers.
#[derive(Debug)]
pub struct Running {
    current: Arc<ArcSwap<Service>>,
    addresses: Vec<IpAddr>,
    stop: CancellationToken,
    accepting: tokio::task::JoinHandle<()>,
    places: Vec<String>,
    control: Option<tokio::task::JoinHandle<()>>,
    about: Arc<ArcSwap<About>>,
    ledger: Ledger,
    probe: Probe,
}

/// What the running service says of its configuration.
#[derive(Debug)]
struct About {
    mode: Mode,
    key: String,
    file: Option<PathBuf>,
}

impl Running {
    /// Starts serving a configuration, from `file` where it has one. No cache is asked before a client asks.
    ///
    /// # Errors
    /// [`StartError`] if a key, a secret or a socket cannot be had.
    pub async fn start(config: &Config, file: Option<&Path>) -> Result<Self, StartError> {
        let state = StateDirectory::at(config.state_directory.clone());
        let countersigner = countersigner(config, &state)?;
        let about = About::of(config, &countersigner, file);
        let about = Arc::new(ArcSwap::from_pointee(about));
        let listeners = listeners(config).await?;
        let addresses: Vec<IpAddr> = listeners.iter().filter_map(Listener::address).map(|a| a.ip()).collect();
        let places: Vec<String> = listeners.iter().map(Listener::describe).collect();
        let ledger = ledger(config, &state).await?;
        let service = service(config, countersigner, &state, &addresses, &ledger)?;
        let current = Arc::new(ArcSwap::from_pointee(service));
        let (connections, drain) = (config.limits.connections.get(), config.patience.drain);
        let acceptor = Acceptor::new(Arc::clone(&current), connections, drain);
        let probe = Probe::new(&listeners, &acceptor);
        let stop = CancellationToken::new();
        let accepting = tokio::spawn(acceptor.run(listeners, stop.clone()));
        let control = control(&state, &current, &about, &places, &ledger, &stop);
        Ok(Self { current, addresses, stop, accepting, places, control, about, ledger, probe })
    }

    /// Where it listens, in words.
    pub fn places(&self) -> &[String] {
        &self.places
    }

    /// Where it listens and what it does there, in one line.
    pub fn in_short(&self) -> String {
        let doing = match self.about.load().mode {
            Mode::Enforce => "enforcing",
            Mode::Observe => "observing only",
        };
        format!("{doing}, listening on {}", self.places.join(", "))
    }

    /// What asks the service, from outside, whether it still answers.
    pub fn probe(&self) -> Probe {
        self.probe.clone()
    }

    /// The public key that clients must trust.
    pub fn key(&self) -> String {
        self.about.load().key.clone()
    }

    /// Serves another configuration from the next request on. Listeners and the limit on connections stay.
    ///
    /// # Errors
    /// [`StartError`]; the configuration before then stays in force.
    pub fn reload(&self, config: &Config, file: Option<&Path>) -> Result<(), StartError> {
        let state = StateDirectory::at(config.state_directory.clone());
        let countersigner = countersigner(config, &state)?;
        let about = Arc::new(About::of(config, &countersigner, file));
        let service = service(config, countersigner, &state, &self.addresses, &self.ledger)?;
        self.ledger.set_terms(terms(config));
        self.ledger.set_key(state.countersigning_key(config.mode)?);
        self.current.store(Arc::new(service));
        self.about.store(about);
        Ok(())
    }

    /// Stops accepting, waits for answers under way as long as `patience.drain` says, and returns.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(fault) = self.accepting.await {
            tracing::error!(%fault, "accepting ended early");
        }
        if let Some(control) = self.control {
            // It ends with the same signal; nothing hangs on how.
            drop(control.await);
        }
        self.ledger.stop().await;
    }

    /// Resolves if accepting ends although nobody stopped it.
    pub async fn ended(&mut self) {
        if let Err(fault) = (&mut self.accepting).await {
            tracing::error!(%fault, "accepting ended early");
        }
    }
}

impl About {
    fn of(config: &Config, countersigner: &Countersigner, file: Option<&Path>) -> Self {
        let key = countersigner.public_key().to_string();
        Self { mode: config.mode, key, file: file.map(Path::to_owned) }
    }
}

/// Starts answering commands. Without the control socket the service serves all the same, and says so.
fn control(
    state: &StateDirectory,
    current: &Arc<ArcSwap<Service>>,
    about: &Arc<ArcSwap<About>>,
    places: &[String],
    ledger: &Ledger,
    stop: &CancellationToken,
) -> Option<tokio::task::JoinHandle<()>> {
    let path = control::path(state.path());
    let listener = match control::listen(&path) {
        Ok(listener) => listener,
        Err(error) => {
            let at = path.display();
            tracing::warn!(%at, %error, "serving without the control socket: `status` will not find us");
            return None;
        }
    };
    let answers = Answers {
        current: Arc::clone(current),
        about: Arc::clone(about),
        places: places.to_vec(),
        ledger: ledger.clone(),
        started: Instant::now(),
    };
    Some(tokio::spawn(control::serve(listener, answers, stop.clone())))
}

/// What commands are told.
struct Answers {
    current: Arc<ArcSwap<Service>>,
    about: Arc<ArcSwap<About>>,
    places: Vec<String>,
    ledger: Ledger,
    started: Instant,
}

impl control::Answers for Answers {
    fn status(&self) -> Status {
        let (service, about) = (self.current.load(), self.about.load());
        let verdicts = service.verdicts();
        let mode = match about.mode {
            Mode::Enforce => "enforce",
            Mode::Observe => "observe",
        };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: mode.to_owned(),
            configuration: about.file.as_ref().map(|file| file.display().to_string()),
            listening: self.places.clone(),
            key: about.key.clone(),
            up_for: self.started.elapsed().as_secs(),
            offline_for: service.upstreams().offline_since().map(|since| since.elapsed().as_secs()),
            caches: service.upstreams().caches().iter().map(|cache| cache_status(cache)).collect(),
            clock: clock::fault().map(|behind| behind.to_string()),
            verdicts: verdicts.counts(),
            remembered: verdicts.count(),
            evidence: evidence_status(&self.ledger),
        }
    }

    async fn explain(&self, path: HashPart) -> Explanation {
        let service = self.current.load_full();
        let question = service.verdicts().question(path).await;
        let (ballot, earlier) = (&question.ballot, &question.earlier);
        Explanation::of(service.upstreams(), ballot, earlier, Source::Service, clock::now())
    }

    async fn published(&self, path: HashPart, caches: &[String]) {
        self.current.load_full().verdicts().forget_absence(path, caches).await;
    }
}

fn cache_status(cache: &RemoteCache) -> CacheStatus {
    let (heard, health) = (cache.heard(), cache.health());
    let why = health.opened.map(|(why, _)| why);
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    CacheStatus {
        name: cache.name().to_owned(),
        state: state(why).to_owned(),
        down: why == Some(Why::Down),
        open_for: health.opened.map(|(_, since)| since.elapsed().as_secs()),
        latency_ms: health.latency.mean().map(milliseconds),
        deviation_ms: health.latency.deviation().map(milliseconds),
        undelivering_for: health.bytes_opened.map(|since| since.elapsed().as_secs()),
        lied: cache.has_lied(),
        claims: heard.claims.load(Ordering::Relaxed),
        not_found: heard.not_found.load(Ordering::Relaxed),
        silences: heard.silences.load(Ordering::Relaxed),
        fault: cache.fault().map(|fault| fault.to_string()),
    }
}

fn evidence_status(ledger: &Ledger) -> EvidenceStatus {
    let status = ledger.status();
    EvidenceStatus {
        verdicts: status.tally.verdicts,
        claims: status.tally.claims,
        bytes: status.tally.bytes,
        lost: status.lost,
        trouble: status.trouble.map(|(trouble, _)| trouble.into()),
    }
}

/// The word of a breaker's state.
fn state(why: Option<Why>) -> &'static str {
    match why {
        None => "up",
        Some(Why::Down) => "down",
        Some(Why::Slow) => "slow",
        Some(Why::Busy) => "busy",
        Some(Why::Offline) => "offline",
    }
}

fn countersigner(config: &Config, state: &StateDirectory) -> Result<Countersigner, StartError> {
    let key = state.countersigning_key(config.mode)?;
    let own = key.verifying_key();
    for signer in config.policy.signers() {
        if signer.keys.iter().any(|k| k.key.same_key(&own)) {
            return Err(StartError::OwnKey { key: own.name().to_string(), signer: signer.name.clone() });
        }
    }
    Ok(Countersigner::new(key, config.mode, config.store_dir.clone()))
}

fn service(
    config: &Config,
    countersigner: Countersigner,
    state: &StateDirectory,
    addresses: &[IpAddr],
    ledger: &Ledger,
) -> Result<Service, StartError> {
    if config.mode == Mode::Observe {
        tracing::warn!("observing: paths that the policy would refuse are served; nothing is enforced");
    }
    let upstreams = Arc::new(Upstreams::new(config)?);
    upstreams.look_up_names();
    let liars = ledger.liars();
    for cache in upstreams.caches().iter().filter(|cache| liars.iter().any(|liar| **liar == *cache.name())) {
        cache.mark_liar();
    }
    let spool = state.path().join("spool");
    let relay = Relay::new(&config.serving, &config.limits, config.patience, spool.clone(), ledger.clone());
    let relay = Arc::new(relay);
    let prefetch = config.serving.prefetch;
    let answers = Remembered::new(spool);
    let countersigner = Arc::new(countersigner);
    let (asked, fetching) = (Arc::clone(&upstreams), Arc::clone(&relay));
    let verdicts = Verdicts::new(asked, countersigner, fetching, answers, ledger.clone(), prefetch);
    let hosts = Hosts::new(&config.hosts, addresses.iter().copied());
    Ok(Service::new(config, upstreams, relay, verdicts, hosts))
}

/// Opens the ledger; one that cannot be had stops nothing. Time is never earlier than its newest row (design §3.1).
async fn ledger(config: &Config, state: &StateDirectory) -> Result<Ledger, StartError> {
    let (path, terms) = (state.path().to_owned(), terms(config));
    let opened = tokio::task::spawn_blocking(move || Ledger::open(&path, terms)).await;
    let ledger = opened.unwrap_or_else(|_| Ledger::off());
    ledger.set_key(state.countersigning_key(config.mode)?);
    if let Some(newest) = ledger.newest() {
        clock::raise_to(newest);
    }
    Ok(ledger)
}

fn terms(config: &Config) -> LedgerTerms {
    LedgerTerms {
        keep: config.evidence.keep,
        limit: config.limits.evidence.bytes(),
        store_dir: config.store_dir.clone(),
    }
}

async fn listeners(config: &Config) -> Result<Vec<Listener>, StartError> {
    let handed_over = Listener::handed_over()?;
    if !handed_over.is_empty() {
        return Ok(handed_over);
    }
    let mut listeners = Vec::new();
    for listen in &config.listen {
        listeners.push(match listen {
            Listen::Tcp(address) => Listener::tcp(*address).await?,
            Listen::Unix(path) => Listener::unix(path).await?,
        });
    }
    Ok(listeners)
}
