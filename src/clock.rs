//! The one place that reads the wall clock.
//!
//! Time moves forward only (design §3.1): a clock that is unset at boot, or steps back, must not revive a key that
//! has run out. So "now" is never earlier than it has been in this process, than the newest file in the state
//! directory, or than this program; and a clock that says otherwise is told of.

use crate::trust::Timestamp;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

static CLOCK: Clock = Clock::new();

/// The time now, never earlier than it is known to be.
pub fn now() -> Timestamp {
    CLOCK.now(system())
}

/// What is wrong with the system's clock, if it is behind what is known. Whoever asks tells of it.
pub fn fault() -> Option<Behind> {
    let fault = CLOCK.behind(system());
    CLOCK.is_behind.fetch_or(fault.is_some(), Ordering::Relaxed);
    fault
}

/// Takes a file's time for a time that has been.
pub fn raise(file: PathBuf, written: SystemTime) {
    CLOCK.raise(Witness::File(file), seconds(written));
}

/// Takes a time that was written into the ledger for one that has been (design §3.1).
pub fn raise_to(newest: Timestamp) {
    CLOCK.raise(Witness::Ledger, newest.seconds());
}

/// The time now, for marking a file.
pub fn marking() -> SystemTime {
    let since = u64::try_from(now().seconds()).unwrap_or_default();
    UNIX_EPOCH.checked_add(Duration::from_secs(since)).unwrap_or(UNIX_EPOCH)
}

/// The wall clock as it is, to be compared with times of files.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn system_time() -> SystemTime {
    SystemTime::now()
}

/// Whether the system's clock says a time that can be: not from before this program.
pub fn is_set() -> bool {
    system() >= WRITTEN
}

fn system() -> i64 {
    seconds(system_time())
}

/// Whole seconds since 1970; before it is 1970.
fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A clock that never goes back.
#[derive(Debug)]
struct Clock {
    latest: AtomicI64,
    is_behind: AtomicBool,
    /// What is newer than anything else that is known.
    newest: Mutex<Option<Witness>>,
}

/// What tells that a time has been.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Witness {
    /// A file of the state directory.
    File(PathBuf),
    /// The newest row of the ledger.
    Ledger,
}

/// A clock that says an earlier time than one that has been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    says: i64,
    taken: i64,
    newest: Option<Witness>,
}

impl Clock {
    const fn new() -> Self {
        Self { latest: AtomicI64::new(WRITTEN), is_behind: AtomicBool::new(false), newest: Mutex::new(None) }
    }

    fn now(&self, system: i64) -> Timestamp {
        let latest = self.latest.fetch_max(system, Ordering::Relaxed);
        let behind = latest.saturating_sub(system) > TOLERANCE;
        if behind != self.is_behind.load(Ordering::Relaxed)
            && behind != self.is_behind.swap(behind, Ordering::Relaxed)
        {
            match self.behind(system) {
                Some(fault) => tracing::warn!("{fault}"),
                None => tracing::info!("the system clock is right again"),
            }
        }
        Timestamp::from_seconds(system.max(latest))
    }

    fn behind(&self, says: i64) -> Option<Behind> {
        let taken = self.latest.load(Ordering::Relaxed);
        let newest = || self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (taken.saturating_sub(says) > TOLERANCE).then(|| Behind { says, taken, newest: newest() })
    }

    fn raise(&self, witness: Witness, written: i64) {
        if self.latest.fetch_max(written, Ordering::Relaxed) < written {
            *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(witness);
        }
    }
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (says, taken) = (date(self.says), date(self.taken));
        write!(
            f,
            "the system clock says {says}, but it has been {taken}, which is taken for now; set the clock"
        )?;
        let witness = match &self.newest {
            Some(Witness::File(file)) => file.display().to_string(),
            Some(Witness::Ledger) => "the evidence".to_owned(),
            None => return Ok(()),
        };
        write!(
            f,
            " (if the clock is right and {witness} is from the future: stop the service, \
             `countersign evidence clock --reset`, and start again)"
        )
    }
}

fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |at| at.to_string())
}

/// 2026-01-01: this program is younger.
const WRITTEN: i64 = 1_767_225_600;

/// Seconds that a clock may be set back by those who keep it right, without a word.
const TOLERANCE: i64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: i64 = 31_536_000;

    #[test]
    fn time_goes_forward_only() {
        let clock = Clock::new();
        for (system, now) in [(0, WRITTEN), (WRITTEN + 9, WRITTEN + 9), (WRITTEN + 5, WRITTEN + 9)] {
            assert_eq!(clock.now(system).seconds(), now, "{system}");
        }
        clock.raise(Witness::File("state/version".into()), WRITTEN + YEAR);
        assert_eq!(clock.now(WRITTEN + 10).seconds(), WRITTEN + YEAR);
        clock.raise(Witness::File("state/machine.pub".into()), WRITTEN);
        assert_eq!(clock.now(WRITTEN + 2 * YEAR).seconds(), WRITTEN + 2 * YEAR);
    }

    #[test]
    fn a_clock_that_is_behind_is_told_of() {
        let clock = Clock::new();
        assert_eq!(clock.behind(WRITTEN + 1), None);
        let unset = clock.behind(12).unwrap().to_string();
        assert!(
            unset.starts_with("the system clock says 1970-01-01T00:00:12Z, but it has been 2026-"),
            "{unset}"
        );
        assert!(unset.ends_with("set the clock"), "{unset}");
        clock.now(WRITTEN + YEAR);
        assert_eq!(clock.behind(WRITTEN + YEAR - TOLERANCE), None);
        assert!(clock.behind(WRITTEN + YEAR - TOLERANCE - 1).is_some());
        clock.raise(Witness::File("state/version".into()), WRITTEN + 2 * YEAR);
        let newer = clock.behind(WRITTEN + YEAR).unwrap().to_string();
        assert!(newer.contains("state/version is from the future"), "{newer}");
        assert!(newer.contains("`countersign evidence clock --reset`"), "{newer}");
    }
}
