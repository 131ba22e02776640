//! The first draft of a configuration, from what plain Nix is told.
//!
//! ```text
//! nix_conf    nix.conf and its includes, as text → the settings that matter
//!  │ substituter  one substituter → a cache, or why it cannot be one
//!  │ keys         trusted keys → signers
//!  │ names        readable names for both
//!  │ draft        all of it → a plan
//!  │ unknown      what the settings do not say
//!  ▼
//! print       the plan as TOML, and in a few lines for the terminal
//! ```
//!
//! Nothing here reads a file, the environment or a clock: files come through a function that the caller gives,
//! and Nix is not run. What is read is untrusted: its size, depth and number are bounded, nothing of it reaches
//! the draft without being parsed or escaped, and secrets in it are not repeated.
//!
//! **What is promised.** The draft admits what plain Nix admitted from the same caches under the same keys, in
//! `mode = "observe"`; it never lets in more. What was guessed is marked as a guess, what was left out is listed.
#![deny(clippy::expect_used, clippy::indexing_slicing)]

mod draft;
mod keys;
mod names;
mod nix_conf;
mod print;
mod substituter;
mod unknown;

pub use draft::{DraftError, Entry, Netrc, Plan, PlannedCache, draft};
pub use keys::PlannedSigner;
pub use names::{shown, without_secrets};
pub use nix_conf::{LARGEST, NixConf, NixConfError, Origin, ReadFile, Word};
pub use print::{summary, toml};
