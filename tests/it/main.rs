//! Countersign from outside: over HTTP, with scripted caches, and with real Nix.

#![allow(
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    reason = "tests have no readers of their API"
)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod attacks;
mod builds;
mod bytes;
mod clients;
mod commands;
mod conditions;
mod doctor;
mod downloaded;
mod evidence;
mod evidence_commands;
mod evidence_ledger;
mod examples;
mod failover;
mod faults;
mod first_hour;
mod hook;
mod init;
mod installing;
mod keys;
mod leaks;
mod nixos;
mod odd_caches;
mod overload;
mod packing;
mod ranges;
mod rebuild;
mod requests;
mod s3;
mod served;
mod sick_caches;
mod store;
mod substitute;
mod supervision;
mod support;
mod sweep;
mod systemd;
mod uploader;
mod uploads;
mod upstreams;
mod verdicts;
mod witness;
