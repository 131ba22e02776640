//! Telling the service what is at a cache now, so that a "not found" which it remembers does not outlive the upload.
//!
//! A destination is a cache where both have one name in the configuration, or one URL. The service is told over its control
//! socket when a path is there, before the queue is: whoever waits for the queue finds the path served. A service that does
//! not run remembers nothing; one that does not answer is left alone for a while, and what it remembers ends by itself.

use crate::config::{Config, Destination, Target};
use crate::control::{self, ControlError, Published};
use crate::format::StorePath;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What tells the service.
#[derive(Debug)]
pub(super) struct Announcer {
    /// The state directory.
    state: PathBuf,
    /// By destination, the caches that it is; none for most.
    caches: Vec<(Box<str>, Vec<String>)>,
    /// Until when nothing is said.
    silent: Mutex<Option<Instant>>,
}

impl Announcer {
    /// For the destinations of a configuration that are caches too.
    pub(super) fn new(config: &Config) -> Self {
        let of = |destination: &Destination| {
            let is_it = |name: &str, url: &url::Url| {
                *name == *destination.name || matches!(&destination.target, Target::Http(to) if to == url)
            };
            let caches = config.caches.iter().filter(|cache| is_it(&cache.name, &cache.url));
            (destination.name.clone(), caches.map(|cache| cache.name.to_string()).collect())
        };
        let caches =
            config.destinations.iter().map(of).filter(|(_, caches): &(_, Vec<_>)| !caches.is_empty());
        Self { state: config.state_directory.clone(), caches: caches.collect(), silent: Mutex::default() }
    }

    /// Says that a path is at a destination now, if that is a cache and a service listens.
    pub(super) fn published(&self, destination: &str, path: &StorePath, runtime: &tokio::runtime::Handle) {
        let Some((_, caches)) = self.caches.iter().find(|(name, _)| **name == *destination) else { return };
        // Looked for each time: the service may be another unit, and start after us.
        let socket = control::find(&self.state);
        if self.silent().is_some_and(|until| Instant::now() < until) || !socket.exists() {
            return;
        }
        let news = Published { caches: caches.clone(), paths: vec![path.hash_part().to_string()] };
        match runtime.block_on(control::tell_published(&socket, &news)) {
            // Nobody listens on a socket that was left.
            Ok(()) | Err(ControlError::Unreachable { .. }) => {}
            Err(error @ ControlError::Unexpected { .. }) => {
                tracing::warn!(%error, "the service is not told for a while what was uploaded; it may say for five minutes that it is not there");
                *self.silent() = Some(Instant::now() + PAUSE);
            }
        }
    }

    fn silent(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a service that did not answer is left alone.
const PAUSE: Duration = Duration::from_secs(60);
