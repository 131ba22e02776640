//! Accepting: a bounded number of connections, none of them for ever, and a stop that drains.
//!
//! A connection for which there is no room waits where it was accepted, one for each listener, and further ones in
//! the kernel's queue.

use crate::web::connection;
use crate::web::listen::{Accepted, Listener};
use crate::web::room::Room;
use crate::web::service::Service;
use arc_swap::ArcSwap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Accepts connections and has them answered.
#[derive(Clone, Debug)]
pub struct Acceptor {
    service: Arc<ArcSwap<Service>>,
    room: Arc<Room>,
    drain: Duration,
}

impl Acceptor {
    /// An acceptor for at most `connections` connections, over all its listeners; answers under way when it stops may
    /// take as long as `drain`.
    pub fn new(service: Arc<ArcSwap<Service>>, connections: usize, drain: Duration) -> Self {
        Self { service, room: Room::new(connections), drain }
    }

    /// The room that its connections share.
    pub(super) fn room(&self) -> Arc<Room> {
        Arc::clone(&self.room)
    }

    /// Accepts on every listener until `stop`, then waits for answers under way.
    pub async fn run(self, listeners: Vec<Listener>, stop: CancellationToken) {
        let loops: Vec<_> = listeners
            .into_iter()
            .map(|listener| {
                let (acceptor, stop) = (self.clone(), stop.clone());
                tokio::spawn(async move { acceptor.accept(listener, stop).await })
            })
            .collect();
        // Whoever waits for room is let in then, so that the loops end.
        let (room, stopped) = (Arc::clone(&self.room), stop.clone());
        let draining = tokio::spawn(async move {
            stopped.cancelled().await;
            room.drain();
        });
        for accepting in loops {
            if let Err(fault) = accepting.await {
                tracing::error!(%fault, "a listener ended early");
                stop.cancel();
            }
        }
        stop.cancel();
        if let Err(fault) = draining.await {
            tracing::error!(%fault, "draining ended early");
        }
        let answers = self.room.empty(self.drain).await;
        if answers > 0 {
            tracing::warn!(answers, within = ?self.drain, "broke off answers before their last byte: stopping may not wait longer");
        }
    }

    async fn accept(&self, listener: Listener, stop: CancellationToken) {
        let mut can_accept = true;
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (service, room) = (Arc::clone(&self.service), &self.room);
            match accepted {
                Ok(Accepted::Tcp(stream, peer)) => {
                    tokio::spawn(connection::serve(stream, room.enter().await, service, peer));
                }
                Ok(Accepted::Unix(stream, peer)) => {
                    tokio::spawn(connection::serve(stream, room.enter().await, service, peer));
                }
                // The client has gone again.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    if can_accept {
                        tracing::warn!(%error, "cannot accept connections; they wait until we can");
                    }
                    can_accept = false;
                    // Where descriptors are short, those of connections at rest are to be had.
                    room.call_one();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            }
            can_accept = true;
        }
    }
}

/// After a failed accept (no descriptors left), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
