//! Building again what is installed, and from source what is not: one more opinion, by this machine.
//!
//! ```text
//!   paths ──► plan ──► a Job for each derivation ──► run ──► an Outcome for each output
//!              │ store: deriver, outputs                │ nix-store --realise [--check]
//! ```
//!
//! Nix itself builds and compares. What it says by its exit status is little: through a daemon it is 1 for a result that
//! differs and for a builder that fails alike. So a result that differs is known by the copy that `--keep-failed` has Nix
//! keep beside the path (`HASH-NAME.check`), which is hashed here.
//!
//! Source: NixOS/nix `src/libstore/build/` (`registerOutputs`, build mode check), and what 2.8.0, 2.26.3 and 2.34.8 do.

mod plan;
mod run;

pub use plan::{Job, Output, Plan, Trouble, plan};
pub use run::{Kept, Nix, Outcome, RunError, run};
