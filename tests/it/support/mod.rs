//! What the tests stand on.

pub mod bad_cache;
pub mod client;
pub mod daemon;
pub mod dice;
pub mod dirs;
pub mod fake_cache;
pub mod fault_server;
pub mod moto;
pub mod namespace;
pub mod nar;
pub mod nix;
pub mod nix_daemon;
pub mod panics;
pub mod party;
pub mod port;
pub mod proxy;
pub mod recorder;
pub mod s3_server;
pub mod s3_uploads;
pub mod scene;
pub mod service;
pub mod slow_door;
pub mod tls_cache;
pub mod uploads;
