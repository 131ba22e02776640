//! What goes when, in small steps.
//!
//! A pass looks at verdicts, claims, events, fates and builds in turn, and removes what is older than `keep`, except
//! for what is about an installed path: such a verdict is written again at the end of the chain, the rest stays where it
//! is. Under pressure, which is a ledger beyond its limit, noise goes first, then what is older than `keep`, than half of
//! it, a quarter of it and so on, until there is room. Each step holds the database for a moment; how many rows it
//! takes follows from how long the last one took.

use crate::evidence::{Chained, Kind, SignedHead, Storage, StorageError};
use crate::format::{SigningKey, StorePath};
use crate::trust::Timestamp;
use std::time::{Duration, Instant};

/// Says of each path whether it is installed.
pub(super) type Installed<'a> = &'a dyn Fn(&[StorePath]) -> Vec<bool>;

/// What a step goes by.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) now: Timestamp,
    pub(super) keep: Duration,
    pub(super) installed: Installed<'a>,
    /// Signs checkpoints; without it verdicts stay.
    pub(super) key: Option<&'a SigningKey>,
}

/// A pass that is under way.
#[derive(Debug)]
pub(super) struct Pass {
    phase: Phase,
    behind: Option<[i64; 3]>,
    /// The last verdict when the pass began: what it carries is not carried again.
    last: u64,
    /// How often `keep` is halved; `None` where there is no pressure.
    halved: Option<u32>,
    /// How many rows the next step takes.
    rows: usize,
    /// How many rows were removed.
    pub(super) removed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Verdicts,
    Rows(Kind),
    Done,
}

/// What a step leaves to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is more.
    More,
    /// The pass is done.
    Done,
}

impl Pass {
    /// A pass over what is too old.
    ///
    /// # Errors
    /// [`StorageError`] if the ledger cannot be read.
    pub(super) fn begin(storage: &mut dyn Storage, under_pressure: bool) -> Result<Self, StorageError> {
        let last = storage.last()?.map_or(0, |(number, _)| number);
        let (phase, halved) =
            if under_pressure { (Phase::Rows(Kind::Noise), Some(0)) } else { (Phase::Verdicts, None) };
        Ok(Self { phase, behind: None, last, halved, rows: FIRST, removed: 0 })
    }

    /// Whether it is one that makes room.
    pub(super) fn is_under_pressure(&self) -> bool {
        self.halved.is_some()
    }

    /// One step, of some 5 ms.
    ///
    /// # Errors
    /// [`StorageError`] if the ledger cannot be read or written.
    pub(super) fn step(&mut self, storage: &mut dyn Storage, rules: Rules<'_>) -> Result<Step, StorageError> {
        match self.phase {
            Phase::Verdicts => self.verdicts(storage, rules)?,
            Phase::Rows(kind) => self.rows(storage, kind, rules)?,
            Phase::Done => return Ok(Step::Done),
        }
        if self.phase == Phase::Done
            && let Some(halved) = self.halved
            && halved < MOST_HALVED
        {
            (self.phase, self.halved) = (Phase::Verdicts, Some(halved.saturating_add(1)));
        }
        Ok(if self.phase == Phase::Done { Step::Done } else { Step::More })
    }

    fn verdicts(&mut self, storage: &mut dyn Storage, rules: Rules<'_>) -> Result<(), StorageError> {
        let Some(key) = rules.key else {
            self.next();
            return Ok(());
        };
        let cut = self.cut(rules);
        let mut rows = storage.oldest(self.rows)?;
        let is_old = |row: &Chained| row.written() < cut && row.number <= self.last;
        rows.truncate(rows.iter().take_while(|row| is_old(row)).count());
        let Some(through) = rows.last().map(|row| row.number) else {
            self.next();
            return Ok(());
        };
        let paths: Vec<Option<StorePath>> = rows.iter().map(path).collect();
        let mut kept = installed(&paths, rules.installed).into_iter();
        rows.retain(|_| kept.next().unwrap_or(true));
        let began = Instant::now();
        let removed = storage.prune(through, &rows, rules.now, &|head| head.sign(key))?;
        self.paced(began.elapsed());
        let carried = u64::try_from(rows.len()).unwrap_or_default();
        self.removed = self.removed.saturating_add(removed.saturating_sub(carried));
        // The last row of all is never removed; it would be found again for ever.
        if through >= self.last {
            self.next();
        }
        Ok(())
    }

    fn rows(&mut self, storage: &mut dyn Storage, kind: Kind, rules: Rules<'_>) -> Result<(), StorageError> {
        // Noise that makes room is of any age, and of any path.
        let cut = if kind == Kind::Noise { Timestamp::from_seconds(i64::MAX) } else { self.cut(rules) };
        let aged = storage.aged(kind, cut, self.behind, self.rows)?;
        let Some(last) = aged.last() else {
            self.next();
            return Ok(());
        };
        self.behind = Some(last.key);
        let paths: Vec<Option<StorePath>> = aged.iter().map(|aged| aged.path.clone()).collect();
        let kept = match kind {
            Kind::Noise => vec![false; aged.len()],
            Kind::Claims | Kind::Events | Kind::Fates | Kind::Builds => installed(&paths, rules.installed),
        };
        let keys: Vec<[i64; 3]> =
            aged.iter().zip(kept).filter(|(_, kept)| !kept).map(|(aged, _)| aged.key).collect();
        let began = Instant::now();
        if !keys.is_empty() {
            storage.remove(kind, &keys)?;
        }
        self.paced(began.elapsed());
        self.removed = self.removed.saturating_add(u64::try_from(keys.len()).unwrap_or_default());
        Ok(())
    }

    /// Rows from before this time go.
    fn cut(&self, Rules { now, keep, .. }: Rules<'_>) -> Timestamp {
        let keep = match self.halved {
            Some(MOST_HALVED..) => 0,
            Some(halved) => keep.as_secs().checked_shr(halved).unwrap_or(0),
            None => keep.as_secs(),
        };
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        Timestamp::from_seconds(now.seconds().saturating_sub(keep))
    }

    fn next(&mut self) {
        self.behind = None;
        self.phase = match self.phase {
            Phase::Rows(Kind::Noise) => Phase::Verdicts,
            Phase::Verdicts => Phase::Rows(Kind::Claims),
            Phase::Rows(Kind::Claims) => Phase::Rows(Kind::Events),
            Phase::Rows(Kind::Events) => Phase::Rows(Kind::Fates),
            Phase::Rows(Kind::Fates) => Phase::Rows(Kind::Builds),
            Phase::Rows(Kind::Builds) | Phase::Done => Phase::Done,
        };
    }

    fn paced(&mut self, took: Duration) {
        if took > AIM.saturating_mul(2) {
            self.rows = (self.rows / 2).max(LEAST);
        } else if took < AIM {
            self.rows = self.rows.saturating_mul(2).min(MOST);
        }
    }
}

/// The path that a verdict is about, where its name is known.
fn path(row: &Chained) -> Option<StorePath> {
    StorePath::from_parts(row.row.asked?, row.row.name.as_deref()?).ok()
}

/// Of each row whether it is of an installed path. What has no path is of none.
fn installed(paths: &[Option<StorePath>], ask: Installed<'_>) -> Vec<bool> {
    let known: Vec<StorePath> = paths.iter().flatten().cloned().collect();
    let mut answers = if known.is_empty() { Vec::new() } else { ask(&known) }.into_iter();
    // What was not answered is kept.
    paths.iter().map(|path| path.is_some() && answers.next().unwrap_or(true)).collect()
}

/// The text of a head, for the journal.
pub(super) fn say(seal: &SignedHead) {
    tracing::info!(head = %seal, "the evidence up to verdict {} is sealed", seal.head.number);
}

/// How long a step should hold the database: a small part of the 100 ms that the writer may be held up, since what is read
/// from a cold disk takes many times as long as what was read just now.
const AIM: Duration = Duration::from_millis(4);

/// Rows of a first step, of the least and of the largest.
const FIRST: usize = 32;
const LEAST: usize = 8;
const MOST: usize = 128;

/// After so many halvings all is old.
const MOST_HALVED: u32 = 16;

#[cfg(test)]
mod tests;
