//! What can go wrong between us and the daemon.
//!
//! One distinction matters to a caller: whether the connection is still good. [`StoreError::Lost`] and
//! [`StoreError::Unusable`] say that it is not; after everything else the next question may be asked at once.

use crate::format::StorePath;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// Why the store gave no answer, or none that can be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// References that lead back to where they began, which no store can hold.
    #[error("the Nix daemon says that {path} refers to itself through other paths")]
    Circle {
        /// A path on the circle.
        path: StorePath,
    },
    /// No daemon answers at the socket.
    #[error("cannot reach the Nix daemon at {socket}: {source}")]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The daemon understood, and said no. The connection goes on.
    #[error("cannot {doing}: the Nix daemon says: {message}")]
    Daemon {
        /// What was asked for.
        doing: String,
        /// The daemon's words, without control characters and cut at 8 KiB.
        message: String,
    },
    /// The connection broke, or what came over it was not the protocol. It cannot be used again.
    #[error("cannot {doing}: {source}")]
    Lost {
        /// What was asked for.
        doing: String,
        /// What went wrong.
        source: Fault,
    },
    /// A path that should be valid is not.
    #[error("{path} is not valid in the store{}", referrer.as_ref().map(|r| format!(", although {r} refers to it")).unwrap_or_default())]
    NotValid {
        /// The path.
        path: StorePath,
        /// The path that refers to it; `None` if it was asked for itself.
        referrer: Option<StorePath>,
    },
    /// A whole answer that means nothing that can be used. The connection goes on.
    #[error("cannot {doing}: the Nix daemon's answer: {what}")]
    Record {
        /// What was asked for.
        doing: String,
        /// What is wrong with it.
        what: String,
    },
    /// A path that the daemon could not be told: not UTF-8, not absolute, or too long.
    #[error(
        "{path} cannot be told to the Nix daemon: it must be absolute, UTF-8 and at most 4096 bytes long"
    )]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// A closure larger than the caller wanted.
    #[error("the closure of {path} has more than {limit} paths")]
    TooManyPaths {
        /// The path.
        path: StorePath,
        /// The number allowed.
        limit: usize,
    },
    /// A connection that broke earlier.
    #[error("the connection to the Nix daemon broke earlier")]
    Unusable,
}

/// What breaks a connection.
#[derive(Debug, Error)]
pub enum Fault {
    /// The daemon is gone, or does not speak to this user.
    #[error("the Nix daemon closed the connection")]
    Closed,
    /// More of something than any honest answer has.
    #[error("the Nix daemon sent more than {limit} {what}")]
    Excess {
        /// Of what.
        what: &'static str,
        /// The number allowed.
        limit: u64,
    },
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Not done within the time for one exchange, however much came.
    #[error("the Nix daemon did not finish its answer within {} s", limit.as_secs_f32())]
    Late {
        /// The time allowed.
        limit: Duration,
    },
    /// Not the greeting of a Nix daemon.
    #[error("what listens there is no Nix daemon")]
    Magic,
    /// Bytes that cannot stand where they stand.
    #[error("the Nix daemon sent {what}")]
    Malformed {
        /// What was found.
        what: &'static str,
    },
    /// A daemon from before Nix 2.8, or from after the end of this protocol.
    #[error(transparent)]
    Version(#[from] TooOld),
}

/// A daemon whose protocol is not spoken here.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the Nix daemon speaks protocol {major}.{minor}; 1.34, that of Nix 2.8, or a later 1.x is needed")]
pub struct TooOld {
    /// The protocol's major version.
    pub major: u64,
    /// Its minor version.
    pub minor: u64,
}
