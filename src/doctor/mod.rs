//! The ways around the policy on this machine.
//!
//! ```text
//! settings  what Nix is told: its own answer, or its files
//! facts     that, and all else that was found out  ┐
//! hook      what a post-build-hook does             ├→ examine → Finding → print
//! proxy     libcurl's rules of proxies              │
//! installed the paths of the store, counted         ┘
//! ```
//!
//! Nothing here reads a file, the environment, a socket or a clock: the ring (`cli::doctor`) finds out, and this
//! judges. What could not be found out is a finding too, of its own severity, and never taken for fine.
//!
//! **What is promised.** A finding is right for the machine that the facts describe: with the machine key alone
//! trusted another substituter is no way around, and is not called one. Each names what it is about, why it
//! matters and how to mend it. Text from outside is escaped in it, and secrets are left out.
#![deny(clippy::expect_used, clippy::indexing_slicing)]

mod examine;
mod facts;
mod finding;
mod hook;
mod installed;
mod keys;
mod print;
mod proxy;
mod settings;
mod substituters;
#[cfg(test)]
mod tests;

pub use examine::examine;
pub use facts::{Facts, Ours, OwnSettings, ProxyEnvironment, Service, SpoolState, StartedDaemon};
pub use finding::{Finding, Label, Severity};
pub use hook::Hook;
pub use installed::{Installed, Other, Record};
pub use print::{json, text};
pub use proxy::captures;
pub use settings::NixSettings;
