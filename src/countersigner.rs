//! Prints and countersigns what may be served.

use crate::config::Mode;
use crate::format::{SigningKey, StoreDir, VerifyingKey};
use crate::trust::{Endorsed, render};
use bytes::Bytes;

/// The key of the configured mode, and where store paths are.
#[derive(Debug)]
pub struct Countersigner {
    key: SigningKey,
    mode: Mode,
    store_dir: StoreDir,
}

impl Countersigner {
    /// A countersigner for a mode, with that mode's key.
    pub fn new(key: SigningKey, mode: Mode, store_dir: StoreDir) -> Self {
        Self { key, mode, store_dir }
    }

    /// Whether everything that one allowed signature admits is served, under the observe key.
    pub fn is_observing(&self) -> bool {
        self.mode == Mode::Observe
    }

    /// The public half: what nix.conf must trust.
    pub fn public_key(&self) -> VerifyingKey {
        self.key.verifying_key()
    }

    /// The narinfo of an endorsed path, countersigned last.
    pub fn print(&self, endorsed: &Endorsed) -> Bytes {
        render(endorsed, &self.store_dir, Some(&self.key)).into()
    }
}
