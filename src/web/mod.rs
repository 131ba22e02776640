//! The cache port: what Nix sees (design §4, §10).
//!
//! Nothing here knows a claim: narinfos come printed from [`crate::memo`], bytes from [`crate::transfer`].

mod accept;
mod answer;
mod body;
mod connection;
mod guard;
mod hosts;
mod listen;
mod probe;
mod range;
mod room;
mod route;
mod service;

pub use accept::Acceptor;
pub use answer::{REASON, UNVERIFIED, VERDICT};
pub use body::{BodyError, ReplyBody};
pub use hosts::Hosts;
pub use listen::{ListenError, Listener};
pub use probe::Probe;
pub use route::Route;
pub use service::Service;
