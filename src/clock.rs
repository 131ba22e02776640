//! The one place that reads the wall clock.

use crate::trust::Timestamp;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The time now, never earlier than it has been in this process; before 1970 it is 1970.
///
/// A clock that steps back must not revive a key that has run out (design §3.1).
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Timestamp {
    static LATEST: AtomicI64 = AtomicI64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let latest = LATEST.fetch_max(seconds, Ordering::Relaxed);
    Timestamp::from_seconds(seconds).not_before(Some(Timestamp::from_seconds(latest)))
}

/// The wall clock as it is, to be compared with times of files.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn system_time() -> SystemTime {
    SystemTime::now()
}
