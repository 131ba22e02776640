//! Paths that were published a moment ago: that a cache does not have one of them is not remembered for a while.
//!
//! The uploader says when a path is at a cache. A question may be under way then whose answer was given before, and a
//! server in front of the cache may hold on to a "not found" of its own for some seconds. So until that has passed the
//! cache is asked each time, as it is where nothing is known.

use crate::format::HashPart;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When paths were published.
#[derive(Debug, Default)]
pub(super) struct Uploaded(Mutex<HashMap<HashPart, Instant>>);

impl Uploaded {
    /// Notes that a path was published.
    pub(super) fn note(&self, path: HashPart, now: Instant) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= MOST {
            noted.retain(|_, at| now.saturating_duration_since(*at) < RECENT);
        }
        if noted.len() < MOST {
            noted.insert(path, now);
        }
    }

    /// Whether a path was published a moment ago.
    pub(super) fn is_recent(&self, path: HashPart, now: Instant) -> bool {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.get(&path).is_some_and(|at| now.saturating_duration_since(*at) < RECENT)
    }
}

/// How long ago. A guess: longer than the usual `decision-timeout` and what servers hold on to errors.
const RECENT: Duration = Duration::from_secs(30);

/// Paths that are noted at most; of more it is merely forgotten once that they are absent.
const MOST: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn path(n: usize) -> HashPart {
        HashPart::parse(&format!("{n:032}")).unwrap()
    }

    #[test]
    fn what_was_published_is_recent_for_a_while_and_there_is_a_limit() {
        let (uploaded, now) = (Uploaded::default(), Instant::now());
        assert!(!uploaded.is_recent(path(1), now));
        uploaded.note(path(1), now);
        assert!(uploaded.is_recent(path(1), now) && !uploaded.is_recent(path(1), now + RECENT));
        for n in 0..MOST + 10 {
            uploaded.note(path(n), now);
        }
        assert!(!uploaded.is_recent(path(MOST + 5), now));
        uploaded.note(path(MOST + 5), now + RECENT);
        assert!(uploaded.is_recent(path(MOST + 5), now + RECENT));
        assert_eq!(uploaded.0.lock().unwrap().len(), 1);
    }
}
