//! The one place that reads the wall clock.

use crate::trust::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// The time now; before 1970 it is 1970.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_seconds(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
