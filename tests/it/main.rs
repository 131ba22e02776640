//! Countersign from outside: over HTTP, with scripted caches, and with real Nix.

#![allow(
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    reason = "tests have no readers of their API"
)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod attacks;
mod bytes;
mod clients;
mod commands;
mod conditions;
mod examples;
mod hook;
mod first_hour;
mod init;
mod leaks;
mod odd_caches;
mod packing;
mod ranges;
mod requests;
mod store;
mod served;
mod substitute;
mod support;
mod uploader;
mod uploads;
mod upstreams;
mod verdicts;
