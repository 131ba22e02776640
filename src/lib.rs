//! Countersign: nothing enters your Nix store on one party's word.
//!
//! A substituter proxy that stands between the Nix daemon and the binary caches. For every store path it asks
//! several caches, checks who signed, compares what they say, and serves the path only if the policy is met.
//!
//! ```text
//!   main → cli → run → web → memo → transfer, upstream ┐
//!                                                       ├→ trust → format      pure: no I/O, no clock
//!                                          config ──────┘
//! ```
//!
//! [`mod@format`] turns text and bytes into types; [`trust`] decides; everything else is a ring around them. What
//! may be served is a [`trust::Endorsed`], and only the rule of trust makes one. [`init`] stands aside: it drafts a
//! configuration from what plain Nix is told, as pure as the core, and so is [`doctor`], which judges what goes around the
//! policy on a machine. [`pack`] and [`destination`] are the other
//! direction: what this machine builds is compressed and published.

pub mod aside;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod countersigner;
pub mod crash;
pub mod destination;
pub mod doctor;
pub mod evidence;
pub mod explain;
pub mod format;
pub mod http_client;
pub mod init;
pub mod memo;
pub mod pack;
pub mod question;
pub mod queue;
pub mod rebuild;
pub mod run;
pub mod spool;
pub mod state;
pub mod status;
pub mod store;
pub mod supervisor;
pub mod telemetry;
pub mod transfer;
pub mod trust;
pub mod upload;
pub mod upstream;
mod wal;
pub mod web;
