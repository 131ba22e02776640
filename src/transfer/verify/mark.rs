//! How far a NAR has gone out, and what went out, in as many bytes as a hash takes.

use sha2::{Digest, Sha256};
use std::fmt;

/// The first bytes of a NAR: how many, and their hash. Cheap to keep and to clone, so every piece that is handed out
/// carries the mark of its end, and a transfer from another source can be held to what has gone out already.
#[derive(Clone)]
pub struct Mark {
    position: u64,
    hasher: Sha256,
}

impl Mark {
    /// The start of every NAR.
    pub fn start() -> Self {
        Self { position: 0, hasher: Sha256::new() }
    }

    /// How many bytes lie before it.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Goes on over the next bytes.
    pub(in crate::transfer) fn pass(&mut self, nar: &[u8]) {
        self.hasher.update(nar);
        self.position = self.position.saturating_add(nar.len() as u64);
    }

    /// The SHA-256 of all bytes before it.
    pub fn digest(&self) -> [u8; 32] {
        self.hasher.clone().finalize().into()
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mark").field("position", &self.position).finish_non_exhaustive()
    }
}
