//! The line of those who want caches asked: so many questions at once over all clients, the rest in order.
//!
//! Two rules make it fair, whatever the number of connections behind one peer.
//! - A peer may have as many under way as there are places left. So alone it gets half of all, and of several
//!   that want more than there is each gets an equal part and leaves one such part free; only a peer with
//!   nothing under way can take the last place. One that asks now and then need not wait for one that floods.
//! - Peers take turns for what becomes free, and within a peer who came first is first. HTTP/1.1 has one
//!   request under way on a connection, so nobody waits for more than one question of each other connection.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Who asks, as far as a socket tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Over TCP, from this address.
    Address(IpAddr),
    /// Over a unix socket, as this user.
    User(u32),
}

/// The line.
#[derive(Clone, Debug)]
pub(super) struct Line(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    peers: HashMap<Peer, Standing>,
    /// Those of whom somebody waits, the next first.
    order: VecDeque<Peer>,
}

#[derive(Debug, Default)]
struct Standing {
    under_way: usize,
    waiting: VecDeque<oneshot::Sender<()>>,
}

/// Leave to ask, given back when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    line: Line,
    peer: Peer,
}

impl Line {
    /// A line for so many questions at once.
    pub(super) fn new(places: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: places, peers: HashMap::new(), order: VecDeque::new() })))
    }

    /// Waits for a peer's turn. Dropped before, it leaves the line.
    pub(super) async fn turn(&self, peer: Peer) -> Turn {
        let Some(called) = self.state().enter(peer) else { return Turn { line: self.clone(), peer } };
        let mut waiting = Waiting { line: self, peer, called: Some(called) };
        if let Some(called) = &mut waiting.called {
            // The other end is kept until it is used.
            drop(called.await);
        }
        waiting.called = None;
        Turn { line: self.clone(), peer }
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.state().order.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a place, or a place in the line.
    fn enter(&mut self, peer: Peer) -> Option<oneshot::Receiver<()>> {
        let standing = self.peers.entry(peer).or_default();
        if standing.waiting.is_empty() && standing.under_way < self.free {
            standing.under_way += 1;
            self.free -= 1;
            return None;
        }
        if standing.waiting.is_empty() {
            self.order.push_back(peer);
        }
        let (call, called) = oneshot::channel();
        standing.waiting.push_back(call);
        Some(called)
    }

    /// Gives a place back, and calls who may have it.
    fn leave(&mut self, peer: Peer) {
        self.free += 1;
        if let Some(standing) = self.peers.get_mut(&peer) {
            standing.under_way -= 1;
        }
        self.call();
        self.forget(peer);
    }

    /// Once round those of whom somebody waits. Nobody who waits may start before, and each that starts takes what
    /// the others could have had, so nobody may after.
    fn call(&mut self) {
        for _ in 0..self.order.len() {
            let Some(peer) = self.order.pop_front() else { return };
            let Some(standing) = self.peers.get_mut(&peer) else { continue };
            if standing.under_way < self.free && standing.call_next() {
                self.free -= 1;
            }
            if standing.waiting.is_empty() {
                self.forget(peer);
            } else {
                self.order.push_back(peer);
            }
        }
    }

    fn forget(&mut self, peer: Peer) {
        if self.peers.get(&peer).is_some_and(|s| s.under_way == 0 && s.waiting.is_empty()) {
            self.peers.remove(&peer);
        }
    }
}

impl Standing {
    /// Calls the first who is still there.
    fn call_next(&mut self) -> bool {
        while let Some(call) = self.waiting.pop_front() {
            if call.send(()).is_ok() {
                self.under_way += 1;
                return true;
            }
        }
        false
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.line.state().leave(self.peer);
    }
}

/// Somebody in the line, who may go away; also when called but not yet gone.
struct Waiting<'a> {
    line: &'a Line,
    peer: Peer,
    called: Option<oneshot::Receiver<()>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(mut called) = self.called.take() else { return };
        called.close();
        let mut state = self.line.state();
        if called.try_recv().is_ok() {
            state.leave(self.peer);
        } else {
            state.abandon(self.peer);
        }
    }
}

impl State {
    /// Takes those out of the line who have gone.
    fn abandon(&mut self, peer: Peer) {
        let Some(standing) = self.peers.get_mut(&peer) else { return };
        standing.waiting.retain(|call| !call.is_closed());
        if standing.waiting.is_empty() {
            self.order.retain(|waits| *waits != peer);
            self.forget(peer);
        }
    }
}

#[cfg(test)]
mod tests;
