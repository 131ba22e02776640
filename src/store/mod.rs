//! The local store: what the Nix daemon says of paths, and the bytes that lie there.
//!
//! Two ways in. [`Store`] is a connection to the daemon, spoken in its worker protocol: records of paths, their
//! closures, outputs of derivations, and the roots that keep a path from being collected. [`dump`] writes the NAR
//! of a path by reading the file tree itself, several times faster than the daemon would send it.
//!
//! It is not the database: that is Nix's own, and read by nobody here. Nothing is cached either.
//!
//! Rules kept: what the daemon says is outside data. Every length, count and frame is bounded, every text parsed
//! strictly, every exchange has one deadline that no drip of bytes can push back. After any fault in the protocol
//! the connection is unusable, and says so. Blocking I/O on plain sockets: a caller in async code goes through a
//! blocking thread.
//!
//! Source: NixOS/nix `src/libstore/worker-protocol.hh`, `daemon.cc`, `remote-store.cc`.

mod address;
mod closure;
mod connection;
mod derivation;
mod dump;
mod error;
mod exchange;
mod path_info;
#[cfg(test)]
mod tests;
mod wire;

pub use address::{AddressError, StoreAddress};
pub use connection::Store;
pub use derivation::{DerivationError, read_derivation};
pub use dump::{DumpError, DumpErrorKind, dump};
pub use error::{Fault, StoreError, TooOld};
pub use path_info::PathInfo;
