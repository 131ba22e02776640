//! The one writer of a service: a thread that takes what waits, writes it, seals the chain and prunes.
//!
//! ```text
//! closed ──open──▶ open ──an error──▶ closed, tried again every two seconds
//!    ▲                │                   (what waits is kept, as much as there is room for)
//!    └──damaged: set aside────────────────┘
//! ```
//!
//! Nobody but a refusal waits for it. What goes wrong is said once, and once again when it has been put right.

use crate::clock;
use crate::evidence::backlog::{self, Ack, Work};
use crate::evidence::checkpointer::Checkpointer;
use crate::evidence::ledger::{LedgerTerms, Shared};
use crate::evidence::retention::{self, Pass, Rules, Step};
use crate::evidence::{
    Batch, ChainHash, Fate, Outcome, SignedHead, Sqlite, Storage, StorageError, Terms, sqlite,
};
use crate::format::{SigningKey, StorePath};
use crate::trust::Timestamp;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The writer.
#[derive(Debug)]
pub(super) struct Writer {
    state: PathBuf,
    shared: Arc<Shared>,
    storage: Option<Sqlite>,
    /// Without it the log is moved in commits.
    checkpointer: Option<Checkpointer>,
    terms: LedgerTerms,
    key: Option<Arc<SigningKey>>,
    /// When it is tried again.
    retry: Instant,
    /// What is wrong, as it was said.
    trouble: Option<String>,
    /// When the last head was signed, if there is one.
    sealed: Option<Timestamp>,
    /// There are verdicts that the last head does not cover, or there is no head.
    is_unsealed: bool,
    /// A head covers a verdict.
    is_begun: bool,
    pass: Option<Pass>,
    /// When the next pass begins, and the next step of this one.
    next_pass: Instant,
    next_step: Instant,
    next_look: Instant,
    /// Until when it is no use to make room.
    hopeless: Option<Instant>,
    /// Bytes in use, with what was written since that was looked at.
    bytes: u64,
    since_look: u64,
}

impl Writer {
    pub(super) fn new(state: PathBuf, shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        let terms = shared.known().terms.clone();
        let checkpointer = Checkpointer::start(&state).ok();
        Self {
            checkpointer,
            state,
            shared,
            storage: None,
            terms,
            key: None,
            retry: now,
            trouble: None,
            sealed: None,
            is_unsealed: false,
            is_begun: false,
            pass: None,
            next_pass: after(now, FIRST_PASS),
            next_step: now,
            next_look: now,
            hopeless: None,
            bytes: 0,
            since_look: 0,
        }
    }

    /// Works until it is stopped.
    pub(super) fn run(mut self) {
        loop {
            if self.storage.is_none() && Instant::now() >= self.retry {
                self.open();
                self.shared.tried();
            }
            // A head is there before the first verdict, whenever the process ends.
            self.take_terms();
            let work = self.shared.backlog.take(self.next_event(), self.storage.is_none());
            self.take_terms();
            let is_stopping = work.is_stopping;
            self.write(work);
            if is_stopping {
                return self.close();
            }
            self.keep_house();
        }
    }

    /// When there is something to do though nothing waits.
    fn next_event(&self) -> Instant {
        if self.storage.is_none() {
            return self.retry;
        }
        let step = if self.pass.is_some() { self.next_step } else { self.next_pass };
        self.look_at().map_or(step, |look| step.min(look))
    }

    /// When the ledger is to be looked at: soon after something was written, and from time to time for the daily head.
    fn look_at(&self) -> Option<Instant> {
        match self.since_look {
            0 if self.is_unsealed => Some(after(self.next_look, REST)),
            0 => None,
            _ => Some(self.next_look),
        }
    }

    fn open(&mut self) {
        let terms = Terms { patience: BUSY, limit: self.terms.limit };
        let opened = Sqlite::open(&self.state, &terms).and_then(|mut storage| {
            if self.checkpointer.is_some() {
                storage.leave_log()?;
            }
            let (newest, liars) = (storage.newest()?, storage.liars()?);
            let sealed = storage.last_head()?.and_then(|text| SignedHead::parse(&text).ok());
            let last = storage.last()?.unwrap_or((0, ChainHash::START));
            self.is_unsealed = sealed.as_ref().map(|seal| (seal.head.number, seal.head.hash)) != Some(last);
            self.is_begun = sealed.as_ref().is_some_and(|seal| seal.head.number > 0);
            self.sealed = sealed.map(|seal| seal.head.at);
            let mut known = self.shared.known();
            (known.newest, known.liars) = (known.newest.max(newest), liars);
            Ok(storage)
        });
        match opened {
            Ok(storage) => {
                self.storage = Some(storage);
                self.shared.opened.fetch_add(1, Ordering::Release);
                (self.pass, self.hopeless, self.next_look) = (None, None, Instant::now());
                self.since_look = self.since_look.max(1);
                if self.trouble.is_some() {
                    // Whether the trouble is over shows when something is written.
                    self.write_one(Batch::default());
                }
            }
            Err(error) => self.failed(error),
        }
    }

    fn write(&mut self, Work { urgent, routine, .. }: Work) {
        if !urgent.is_empty() {
            let (rows, acks): (Vec<Batch>, Vec<Ack>) = urgent.into_iter().unzip();
            if self.write_all(rows) {
                // Whoever waited too long is gone.
                acks.into_iter().for_each(|ack| ack.send(()).unwrap_or_default());
            }
        }
        if !routine.is_empty() {
            self.write_all(routine);
        }
    }

    /// Writes batches in one transaction. Returns whether they are written.
    fn write_all(&mut self, batches: Vec<Batch>) -> bool {
        // What was added since it was last looked at is a guess.
        if self.bytes > self.terms.limit && self.since_look > 0 {
            self.look();
        }
        let mut all = Batch::default();
        batches.into_iter().map(|batch| self.fit(batch)).for_each(|batch| all.append(batch));
        !all.is_empty() && self.write_one(all)
    }

    fn write_one(&mut self, rows: Batch) -> bool {
        let Some(storage) = &mut self.storage else {
            self.shared.backlog.put_back(rows);
            return false;
        };
        match storage.write(&rows) {
            Ok(()) => {
                self.written(&rows);
                true
            }
            Err(error @ StorageError::Unfit { .. }) => {
                if backlog::count(&rows) > 1 {
                    // One of them does not fit; the others are not lost for it.
                    let (before, behind) = rows.halves();
                    return self.write_one(before) & self.write_one(behind);
                }
                self.shared.backlog.lose(1);
                tracing::error!("a row of evidence is lost: {error}");
                false
            }
            Err(error) => {
                self.failed(error);
                self.shared.backlog.put_back(rows);
                false
            }
        }
    }

    /// Leaves out what there is no room for (`limits.evidence`).
    fn fit(&self, mut batch: Batch) -> Batch {
        let had = backlog::count(&batch);
        let limit = self.terms.limit;
        let is_beyond = |share: u64| self.bytes > limit.saturating_add(limit / share);
        let is_refusal = batch.verdicts.iter().any(|row| row.outcome == Outcome::Refuse);
        if is_beyond(NOTHING_FITS) || (is_beyond(REFUSALS_FIT) && !is_refusal) {
            batch = Batch::default();
        } else if is_beyond(CREDIBLE_FITS) {
            batch.claims.retain(|claim| claim.is_credible);
        }
        let lost = had.saturating_sub(backlog::count(&batch));
        if lost > 0 {
            self.shared.backlog.lose(u64::try_from(lost).unwrap_or(u64::MAX));
        }
        batch
    }

    fn wake_checkpointer(&self) {
        if let Some(checkpointer) = &self.checkpointer {
            checkpointer.wake();
        }
    }

    fn written(&mut self, rows: &Batch) {
        self.wake_checkpointer();
        if let Some(trouble) = self.trouble.take() {
            self.shared.known().trouble = None;
            let (_, lost) = self.shared.backlog.counts();
            tracing::warn!(%trouble, "the ledger is written again; {lost} rows were lost since the start");
        }
        let bytes = u64::try_from(backlog::bytes(rows)).unwrap_or(u64::MAX);
        self.since_look = self.since_look.saturating_add(bytes);
        self.bytes = self.bytes.saturating_add(bytes);
        self.is_unsealed |= !rows.verdicts.is_empty();
        for row in rows.fates.iter().filter(|row| row.fate == Fate::False) {
            let mut known = self.shared.known();
            if !known.liars.contains(&row.cache) {
                known.liars.push(row.cache.clone());
            }
        }
        if self.since_look > LOOK_BYTES {
            self.next_look = Instant::now();
        }
        // The first verdict of a chain is under a head at once.
        if !self.is_begun && !rows.verdicts.is_empty() {
            self.seal();
        }
    }

    fn keep_house(&mut self) {
        if self.storage.is_none() {
            return;
        }
        if self.look_at().is_some_and(|look| Instant::now() >= look) {
            self.look();
        }
        if self.pass.is_none() && Instant::now() >= self.next_pass {
            self.begin_pass(false);
        }
        // A refusal comes first.
        if self.pass.is_some() && Instant::now() >= self.next_step && !self.shared.backlog.is_urgent() {
            if self.checkpointer.as_ref().is_some_and(Checkpointer::is_emptying) {
                self.next_step = after(Instant::now(), EMPTYING);
            } else {
                self.step();
            }
        }
    }

    fn take_terms(&mut self) {
        let known = self.shared.known();
        let (terms, key) = (known.terms.clone(), known.key.clone());
        drop(known);
        if terms.limit != self.terms.limit {
            (self.hopeless, self.since_look) = (None, self.since_look.max(1));
            if let Some(storage) = &mut self.storage {
                storage.set_limit(terms.limit);
            }
        }
        (self.terms, self.key) = (terms, key);
        if self.sealed.is_none() && self.is_unsealed {
            self.seal();
        }
    }

    /// How much there is, and whether a head is due.
    fn look(&mut self) {
        self.next_look = after(Instant::now(), LOOK);
        self.since_look = 0;
        let Some(storage) = &mut self.storage else { return };
        match storage.tally() {
            Ok(tally) => {
                self.bytes = tally.bytes;
                self.shared.known().tally = tally;
            }
            Err(error) => return self.failed(error),
        }
        let now = clock::now().seconds();
        // One of the future was signed by a clock that has been put right since.
        if self.sealed.is_none_or(|at| !(0..DAY).contains(&now.saturating_sub(at.seconds()))) {
            self.seal();
        }
        if self.bytes > self.terms.limit {
            let is_hopeless = self.hopeless.is_some_and(|until| Instant::now() < until);
            if !is_hopeless && !self.pass.as_ref().is_some_and(Pass::is_under_pressure) {
                let limit = self.terms.limit;
                tracing::error!(
                    "the ledger has reached limits.evidence ({limit} bytes): what is oldest goes, even what \
                     evidence.keep would keep; allow it more room, or keep less"
                );
                self.begin_pass(true);
            }
        }
    }

    fn seal(&mut self) {
        let (Some(storage), Some(key), true) = (&mut self.storage, &self.key, self.is_unsealed) else {
            return;
        };
        let now = clock::now();
        match storage.seal(now, &|head| head.sign(key)) {
            Ok(seal) => {
                self.is_unsealed = false;
                if let Some(seal) = seal {
                    self.sealed = Some(seal.head.at);
                    self.is_begun |= seal.head.number > 0;
                    retention::say(&seal);
                }
            }
            Err(error) => self.failed(error),
        }
    }

    fn begin_pass(&mut self, under_pressure: bool) {
        let Some(storage) = &mut self.storage else { return };
        match Pass::begin(storage, under_pressure) {
            Ok(pass) => (self.pass, self.next_step) = (Some(pass), Instant::now()),
            Err(error) => self.failed(error),
        }
    }

    fn step(&mut self) {
        let (Some(storage), Some(pass)) = (&mut self.storage, &mut self.pass) else { return };
        let store_dir = &self.terms.store_dir;
        let installed = |paths: &[StorePath]| {
            let is_there =
                |path: &StorePath| std::fs::symlink_metadata(path.to_absolute_path(store_dir)).is_ok();
            paths.iter().map(is_there).collect::<Vec<bool>>()
        };
        let (now, keep, key) = (clock::now(), self.terms.keep, self.key.as_deref());
        let began = Instant::now();
        let rules = Rules { now, keep, installed: &installed, key };
        let stepped = pass.step(storage, rules);
        let bytes = storage.tally().map(|tally| tally.bytes);
        let took = began.elapsed();
        let under_pressure = pass.is_under_pressure();
        match stepped.and_then(|step| Ok((step, bytes?))) {
            Ok((step, bytes)) => {
                self.wake_checkpointer();
                (self.bytes, self.since_look) = (bytes, self.since_look.max(1));
                let limit = self.terms.limit;
                let has_room = under_pressure && bytes <= limit.saturating_sub(limit / ROOM);
                if step == Step::Done || has_room {
                    self.end_pass(has_room);
                } else {
                    // What waits is written first, and the disk is left to others for as long.
                    let rest = if under_pressure { Duration::ZERO } else { took.saturating_mul(2) };
                    self.next_step = after(Instant::now(), rest);
                }
            }
            Err(error) => self.failed(error),
        }
    }

    fn end_pass(&mut self, has_room: bool) {
        let Some(pass) = self.pass.take() else { return };
        self.next_pass = after(Instant::now(), PASS);
        if pass.is_under_pressure() && !has_room && self.bytes > self.terms.limit {
            self.hopeless = Some(after(Instant::now(), PASS));
            let limit = self.terms.limit;
            tracing::error!(
                "the ledger is beyond limits.evidence ({limit} bytes) with what is known of installed paths alone: \
                 new evidence is lost until there is room"
            );
        }
        if pass.removed > 0 {
            tracing::info!("{} rows of evidence were old and are removed", pass.removed);
            self.is_unsealed = true;
            self.seal();
        }
    }

    /// Closes what does not work, and tries it again later.
    fn failed(&mut self, error: StorageError) {
        self.storage = None;
        self.pass = None;
        self.retry = after(Instant::now(), RETRY);
        match error {
            StorageError::Damaged { .. } => {
                let aside = sqlite::set_aside(&self.state, clock::now());
                match aside {
                    Ok(aside) => {
                        tracing::error!(
                            "{error}; it is kept as {}, and a new ledger is begun",
                            aside.display()
                        );
                        self.retry = Instant::now();
                    }
                    Err(why) => self.trouble(format!("{error}, and cannot be set aside: {why}")),
                }
            }
            StorageError::Replaced { .. } => {
                tracing::error!("{error}; what is there now is gone on with");
                self.retry = Instant::now();
            }
            error => self.trouble(error.to_string()),
        }
    }

    fn trouble(&mut self, text: String) {
        if self.trouble.as_ref() != Some(&text) {
            tracing::error!("{text}; serving goes on, and evidence is lost unless this is put right soon");
            let mut known = self.shared.known();
            let since = known.trouble.take().map_or_else(clock::now, |(_, since)| since);
            known.trouble = Some((text.as_str().into(), since));
            drop(known);
            self.trouble = Some(text);
        }
    }

    /// Writes what is left, as long as that is waited for, and signs a head.
    fn close(mut self) {
        let until = after(Instant::now(), CLOSE);
        loop {
            let work = self.shared.backlog.take(Instant::now(), self.storage.is_none());
            if (work.urgent.is_empty() && work.routine.is_empty())
                || self.storage.is_none()
                || Instant::now() >= until
            {
                break;
            }
            self.write(work);
        }
        self.seal();
        // Closed before anybody is told of it.
        self.storage = None;
        self.shared.backlog.closed();
    }
}

fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or(now)
}

/// How long another program may hold the database.
const BUSY: Duration = Duration::from_millis(500);

/// How soon a ledger that does not work is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// How often the size is looked at while there is writing, and after how many bytes at the latest.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_BYTES: u64 = 4 << 20;

/// How late a daily head may be where nothing is written.
const REST: Duration = Duration::from_secs(300);

/// How soon after a start the first pass begins, and how soon after one the next: a laptop may be on for minutes.
const FIRST_PASS: Duration = Duration::from_secs(60);
const PASS: Duration = Duration::from_secs(3600);

/// How soon it is looked again whether the log is empty.
const EMPTYING: Duration = Duration::from_millis(5);

/// How long the last rows may take.
const CLOSE: Duration = Duration::from_millis(1500);

/// How often a head is signed, in seconds.
const DAY: i64 = 86_400;

/// By which part of the limit it may be exceeded before noise is not written any more, then what is routine, then
/// refusals.
const CREDIBLE_FITS: u64 = 64;
const REFUSALS_FIT: u64 = 32;
const NOTHING_FITS: u64 = 16;

/// Which part of the limit is made free when it is reached.
const ROOM: u64 = 64;
