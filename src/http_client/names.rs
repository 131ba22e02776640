//! Names of hosts to addresses, by the system's resolver, which blocks a thread for as long as it likes.
//!
//! One name is looked up once at a time, however many wait for it: a resolver that hangs holds one thread for each
//! name in the configuration, and never the threads that others need. Nothing is remembered: the system does that.

use futures_util::future::{BoxFuture, FutureExt, Shared};
use hyper_util::client::legacy::connect::dns::Name;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;
use tokio::time::timeout;
use tower_service::Service;

/// A resolver; clones share what is under way.
#[derive(Clone)]
pub struct Names(Arc<Inner>);

struct Inner {
    system: Box<System>,
    under_way: Mutex<HashMap<Box<str>, Shared<BoxFuture<'static, Found>>>>,
}

/// What asks the system, and blocks.
type System = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

type Found = Result<Vec<SocketAddr>, NameError>;

/// Why a name has no address.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NameError {
    /// The system knows none.
    #[error("the name {name} cannot be resolved: {source}")]
    Unknown {
        /// The name.
        name: Box<str>,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The system has not answered in time.
    #[error("the lookup of the name {name} has not ended after {} seconds", limit.as_secs_f32())]
    Late {
        /// The name.
        name: Box<str>,
        /// How long it was waited for.
        limit: Duration,
    },
}

impl Names {
    /// A resolver that asks the system.
    pub fn of_system() -> Self {
        Self::by(|name| (name, 0).to_socket_addrs().map(Iterator::collect))
    }

    fn by(system: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { system: Box::new(system), under_way: Mutex::default() }))
    }

    /// The addresses of a name, as soon as the lookup that is under way, or a new one, ends.
    ///
    /// # Errors
    /// [`NameError`] if the system knows none.
    pub async fn look_up(&self, name: &str) -> Result<Vec<SocketAddr>, NameError> {
        self.begin(name).await
    }

    /// Whether a lookup of the name has not ended yet.
    pub fn is_looking_up(&self, name: &str) -> bool {
        self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }

    fn begin(&self, name: &str) -> Shared<BoxFuture<'static, Found>> {
        let mut under_way = self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lookup) = under_way.get(name) {
            return lookup.clone();
        }
        let (inner, key): (_, Box<str>) = (Arc::clone(&self.0), name.into());
        // A task of its own: whoever waits may give up, and the lookup cannot.
        let lookup = tokio::spawn(async move {
            let (asking, name) = (Arc::clone(&inner), key.clone());
            let found = tokio::task::spawn_blocking(move || (asking.system)(&name)).await;
            let found = found.map_err(io::Error::other).flatten();
            inner.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            found.map_err(|source| NameError::Unknown { name: key, source: Arc::new(source) })
        });
        let key: Box<str> = name.into();
        let failed = key.clone();
        let ended = lookup.map(move |found| {
            let lost = |e| NameError::Unknown { name: failed, source: Arc::new(io::Error::other(e)) };
            found.map_err(lost).flatten()
        });
        let shared = ended.boxed().shared();
        under_way.insert(key, shared.clone());
        shared
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

/// A resolver for connections, which is waited for so long; a lookup goes on when nobody waits any more.
#[derive(Clone, Debug)]
pub(super) struct Patient {
    names: Names,
    limit: Option<Duration>,
}

impl Patient {
    pub(super) fn new(names: Names, limit: Option<Duration>) -> Self {
        Self { names, limit }
    }
}

impl Service<Name> for Patient {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = NameError;
    type Future = BoxFuture<'static, Result<Self::Response, NameError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NameError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (lookup, limit) = (self.names.begin(name.as_str()), self.limit);
        async move {
            let found = match limit {
                Some(limit) => timeout(limit, lookup)
                    .await
                    .unwrap_or_else(|_| Err(NameError::Late { name: name.as_str().into(), limit })),
                None => lookup.await,
            };
            found.map(Vec::into_iter)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    /// A resolver that hangs on one name until it is let go, and how often it was asked.
    fn hanging() -> (Names, mpsc::Sender<()>, Arc<AtomicUsize>) {
        let (go, gate) = mpsc::channel();
        let (gate, asked) = (Mutex::new(gate), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        let names = Names::by(move |name| {
            count.fetch_add(1, Ordering::Relaxed);
            match name {
                "hangs" => gate.lock().unwrap().recv().map_err(io::Error::other)?,
                "fails" => return Err(io::Error::other("no such host")),
                _ => {}
            }
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
        });
        (names, go, asked)
    }

    #[tokio::test]
    async fn however_many_wait_a_name_is_looked_up_once_at_a_time() {
        let (names, go, asked) = hanging();
        let lookup = |name: &'static str| {
            let names = names.clone();
            tokio::spawn(async move { names.look_up(name).await.map(|found| found.len()) })
        };
        let waiting: Vec<_> = (0..600).map(|_| lookup("hangs")).collect();
        // Others are not held up by it, nor by its waiters.
        assert_eq!(lookup("works").await.unwrap().unwrap(), 1);
        while !names.is_looking_up("hangs") {
            tokio::task::yield_now().await;
        }
        go.send(()).unwrap();
        for waiter in waiting {
            assert_eq!(waiter.await.unwrap().unwrap(), 1);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2, "one lookup of each name");
        assert!(!names.is_looking_up("hangs"));
    }

    #[tokio::test]
    async fn a_failure_is_said_by_name_and_tried_again() {
        let (names, _go, asked) = hanging();
        for tries in 1..3 {
            let error = names.look_up("fails").await.unwrap_err();
            assert_eq!(error.to_string(), "the name fails cannot be resolved: no such host");
            assert_eq!(asked.load(Ordering::Relaxed), tries);
        }
    }

    #[tokio::test]
    async fn a_lookup_goes_on_when_nobody_waits_any_more() {
        let (names, go, asked) = hanging();
        let waiter = tokio::spawn({
            let names = names.clone();
            async move { names.look_up("hangs").await }
        });
        while asked.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        waiter.abort();
        assert!(names.is_looking_up("hangs"));
        go.send(()).unwrap();
        assert_eq!(names.look_up("hangs").await.unwrap().len(), 1);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_connection_waits_for_its_name_no_longer_than_it_may() {
        let (names, go, asked) = hanging();
        let mut connecting = Patient::new(names.clone(), Some(Duration::from_millis(1)));
        let name = || "hangs".parse::<Name>().unwrap();
        for _ in 0..3 {
            let error = connecting.call(name()).await.unwrap_err();
            assert_eq!(error.to_string(), "the lookup of the name hangs has not ended after 0.001 seconds");
        }
        go.send(()).unwrap();
        assert_eq!(Patient::new(names, None).call(name()).await.unwrap().len(), 1);
        assert_eq!(asked.load(Ordering::Relaxed), 1, "those that gave up began no lookup of their own");
    }
}
