//! The uploader: what this machine builds is signed and sent to every destination.
//!
//! ```text
//!   spool ─▶ intake ─▶ queue ─▶ lane of each destination ─▶ steps: examine, pack, store, publish
//!                        ▲               │                          │
//!   store ─▶ sweep ──────┘          pause while it is down     licence, inputs, keys
//! ```
//!
//! A process of its own, in plain threads: one takes builds from the spool, and each destination has a *lane* of
//! `jobs` threads, so that one that is slow or down holds up no other; packing, which is what costs a processor,
//! is limited to `jobs` for all lanes together. What a thread does for an entry is one *step*: it reads the
//! entry, does one thing that may be done again, and tells the queue. So the process may be killed at any moment.
//!
//! The secret keys are here and nowhere else, and this process parses nothing that a cache sends: it asks another
//! one what the caches say.

mod ahead;
mod announce;
mod asker;
mod builds;
mod folder;
mod inputs;
mod intake;
mod keeping;
mod keys;
mod lane;
mod licence;
mod link;
mod lock;
mod looked;
mod permits;
mod references;
mod step;
mod sweep;
mod uploader;

pub use asker::Told;
pub use keys::{Keys, KeysError};
pub use lock::{Lock, LockError};
pub use sweep::is_build;
pub use uploader::{Pulse, StartError, Uploader};
