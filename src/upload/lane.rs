//! One destination: its entries are worked on here, and nowhere else, so that its troubles are its own.

use crate::config::{Destination, Publish, Target};
use crate::destination::{Names, Place, PlaceError};
use crate::format::StoreDir;
use crate::queue::{after, back_off};
use crate::trust::Timestamp;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One destination and how it is.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) destination: Destination,
    /// The resolver, shared with the other lanes.
    names: Names,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Opened and looked at; `None` until that went well.
    place: Option<Arc<Place>>,
    /// Entries that a thread works on.
    busy: HashSet<i64>,
    /// Not before then is it asked again what uploads that were broken off have left.
    swept: Option<Timestamp>,
    /// Since when it fails as a whole, how often it did, and until when it is left alone.
    down: Option<Down>,
}

/// A destination that fails as a whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Down {
    pub(super) since: Timestamp,
    pub(super) attempts: u32,
    pub(super) until: Timestamp,
}

impl Lane {
    pub(super) fn new(destination: Destination, names: Names) -> Self {
        Self { destination, names, inner: Mutex::default() }
    }

    /// The name of the destination.
    pub(super) fn name(&self) -> &str {
        &self.destination.name
    }

    /// Until when it is left alone, if it is.
    pub(super) fn paused(&self, now: Timestamp) -> Option<Timestamp> {
        self.inner().down.map(|down| down.until).filter(|&until| now < until)
    }

    /// The destination, opened and prepared on the first use and after it failed as a whole.
    pub(super) fn place(
        &self,
        store_dir: &StoreDir,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Arc<Place>, PlaceError> {
        if let Some(place) = &self.inner().place {
            return Ok(Arc::clone(place));
        }
        let place = Arc::new(Place::open(&self.destination, store_dir, &self.names)?);
        // Bytes are never there, so nobody should ask for many paths at once.
        runtime.block_on(place.prepare(self.destination.publish == Publish::Nars))?;
        self.inner().place = Some(Arc::clone(&place));
        Ok(place)
    }

    /// Once a day, from the start on: removes what uploads that a crash broke off have left where nothing else
    /// would. In the directory of a destination its own opening does.
    pub(super) fn sweep(&self, now: Timestamp, store_dir: &StoreDir, runtime: &tokio::runtime::Handle) {
        {
            let mut inner = self.inner();
            if !matches!(self.destination.target, Target::S3(_)) || inner.swept.is_some_and(|at| now < at) {
                return;
            }
            inner.swept = Some(after(now, DAY));
        }
        let swept = self.place(store_dir, runtime).and_then(|place| runtime.block_on(place.sweep(DAY)));
        match swept {
            Ok(0) => {}
            Ok(count) => tracing::info!(destination = self.name(), count, "removed uploads left unfinished"),
            // Many servers, and many credentials, do not say what was begun. What is wrong with all of it is told by
            // the next upload.
            Err(error) => {
                tracing::debug!(%error, "could not look for unfinished uploads");
                self.inner().swept = Some(after(now, HOUR));
            }
        }
    }

    /// Picks an entry among those that no thread works on, and marks it.
    pub(super) fn claim<E>(
        &self,
        pick: impl FnOnce(&HashSet<i64>) -> Result<Option<crate::queue::Row>, E>,
    ) -> Result<Option<crate::queue::Row>, E> {
        let mut inner = self.inner();
        let row = pick(&inner.busy)?;
        if let Some(row) = &row {
            inner.busy.insert(row.id);
        }
        Ok(row)
    }

    /// Unmarks an entry.
    pub(super) fn release(&self, id: i64) {
        self.inner().busy.remove(&id);
    }

    /// It failed as a whole: it is left alone for a while, longer each time, and then opened anew.
    pub(super) fn failed(&self, now: Timestamp, least: Duration, jitter: u32) -> Down {
        let mut inner = self.inner();
        inner.place = None;
        let (since, attempts) = inner.down.map_or((now, 0), |down| (down.since, down.attempts));
        // Threads that fail together count as one failure.
        let together = inner.down.is_some_and(|down| now < down.until);
        let attempts = if together { attempts } else { attempts.saturating_add(1) };
        let down =
            Down { since, attempts, until: after(now, (back_off(attempts, jitter) / EAGERNESS).max(least)) };
        *inner.down.insert(down)
    }

    /// It works; whether it did not before.
    pub(super) fn works(&self) -> bool {
        self.inner().down.take().is_some()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A destination is tried so many times as often as an entry: one look says whether all of them may go again.
const EAGERNESS: u32 = 5;

/// How old an upload is that nobody is taken to be at work on, and how often it is looked for.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// When it is looked for again where it could not be.
const HOUR: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Bucket, Compression, Publish};
    use crate::trust::SignerSet;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use url::Url;

    /// With which status a server answers a list of uploads, and what it was asked.
    type Shared = Arc<Mutex<(u16, Vec<String>)>>;

    /// A server with an empty bucket.
    fn server() -> (Url, Shared) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let shared = Arc::new(Mutex::new((200, Vec::new())));
        let seen = Arc::clone(&shared);
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<String> =
                    lines.map(Result::unwrap_or_default).take_while(|line| !line.is_empty()).collect();
                let asked = head.first().cloned().unwrap_or_default();
                let mut seen = seen.lock().unwrap();
                let (status, text) = match asked.contains("uploads=") {
                    true => (seen.0, "<ListMultipartUploadsResult></ListMultipartUploadsResult>"),
                    false => (200, "StoreDir: /nix/store\n"),
                };
                seen.1.push(asked);
                let length = text.len();
                write!(
                    stream,
                    "HTTP/1.1 {status} X\r\nETag: \"x\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
                     Content-Length: {length}\r\nConnection: close\r\n\r\n{text}"
                )
                .unwrap();
            }
        });
        (url, shared)
    }

    #[test]
    fn what_was_left_unfinished_is_looked_for_daily_and_hourly_where_it_could_not_be() {
        let (endpoint, server) = server();
        let bucket = Bucket { endpoint: Some(endpoint), is_unsigned: true, ..Bucket::named("acme") };
        let destination = Destination {
            name: "acme".into(),
            target: Target::S3(Box::new(bucket)),
            packages: Vec::new(),
            compression: Compression::None,
            publish: Publish::Nars,
            skip_vouched_by: SignerSet::EMPTY,
            credentials_file: None,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let lane = Lane::new(destination, Names::of_system());
        let mut now = Timestamp::from_seconds(1_800_000_000);
        let mut sweeps_after = |pause: Duration, status| {
            now = after(now, pause);
            server.lock().unwrap().0 = status;
            lane.sweep(now, &StoreDir::default(), runtime.handle());
            server.lock().unwrap().1.iter().filter(|asked| asked.contains("uploads=")).count()
        };
        let second = Duration::from_secs(1);
        assert_eq!(sweeps_after(Duration::ZERO, 200), 1, "at the start");
        assert_eq!(sweeps_after(second, 200), 1);
        assert_eq!(sweeps_after(DAY - second - second, 200), 1);
        assert_eq!(sweeps_after(second, 501), 2, "a day later");
        assert_eq!(sweeps_after(HOUR - second, 501), 2);
        assert_eq!(sweeps_after(second, 200), 3, "an hour after it could not be");
        assert_eq!(sweeps_after(HOUR, 200), 3);
        assert_eq!(sweeps_after(DAY - HOUR, 200), 4);
    }
}
