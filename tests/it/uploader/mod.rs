//! What this machine builds, signed and uploaded: with real Nix daemons and real destinations.

mod attacks;
pub(crate) mod crashes;
mod hooked;
mod keeping;
mod network;
mod processes;
mod publishing;
mod secrets;
mod troubles;
