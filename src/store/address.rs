//! Where the store is: the daemon's socket, and the directory that its files lie under.
//!
//! Said as Nix is told, by `NIX_REMOTE` and `NIX_DAEMON_SOCKET_PATH`, so that whatever reaches a store with Nix's
//! own commands reaches it here. A store without a daemon, a remote one, and options that move the store
//! elsewhere are refused with a message, never guessed at.

use crate::format::{StoreDir, StorePath};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A store that a daemon serves.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct StoreAddress {
    /// The socket that the daemon listens on.
    pub socket: PathBuf,
    /// The directory that stands for `/` in front of every store path; `None` is the machine's own root.
    pub root: Option<PathBuf>,
}

/// Why a store cannot be reached as the environment says.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AddressError {
    /// A path that depends on where the process was started.
    #[error("{name} names {path}, which is not absolute")]
    NotAbsolute {
        /// What names it.
        name: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// A store that is not spoken to through a daemon on this machine.
    #[error(
        "NIX_REMOTE is {found:?}; only a store behind the Nix daemon can be used: leave it empty, or write daemon, \
         unix://SOCKET or unix://SOCKET?root=DIRECTORY"
    )]
    Kind {
        /// What NIX_REMOTE says.
        found: OsString,
    },
    /// A parameter that could put the store's files elsewhere.
    #[error("NIX_REMOTE has the parameter {name:?}; of the parameters of unix:// only root can be used")]
    Parameter {
        /// Its name.
        name: String,
    },
    /// A percent sign where Nix versions read different things, or one that begins no byte.
    #[error("NIX_REMOTE has a percent sign in the socket's path, or one without two digits in its root")]
    Percent,
}

impl StoreAddress {
    /// The socket of an ordinary installation.
    pub const USUAL_SOCKET: &str = "/nix/var/nix/daemon-socket/socket";

    /// The store that an environment names: `lookup` gives the value of a variable. Unset and empty are the same.
    ///
    /// `NIX_REMOTE` empty, `auto` or `daemon` is the daemon at `NIX_DAEMON_SOCKET_PATH`, else at
    /// [`Self::USUAL_SOCKET`]; `unix://SOCKET`, with `?root=DIRECTORY` or without, is the daemon there.
    ///
    /// # Errors
    /// [`AddressError`] for everything else.
    pub fn from_environment(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, AddressError> {
        let variable = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let usual = || {
            let socket = variable("NIX_DAEMON_SOCKET_PATH").unwrap_or_else(|| Self::USUAL_SOCKET.into());
            Ok(Self { socket: absolute("NIX_DAEMON_SOCKET_PATH", socket.into())?, root: None })
        };
        let Some(remote) = variable("NIX_REMOTE") else { return usual() };
        if remote == "auto" || remote == "daemon" {
            return usual();
        }
        let Some(rest) = remote.as_bytes().strip_prefix(b"unix://") else {
            return Err(AddressError::Kind { found: remote });
        };
        let (socket, parameters) = match rest.iter().position(|byte| *byte == b'?') {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &[][..]),
        };
        let root = root(parameters)?;
        if socket.is_empty() {
            return Ok(Self { root, ..usual()? });
        }
        // Nix reads it as it stands up to 2.30 and decodes it later.
        if socket.contains(&b'%') {
            return Err(AddressError::Percent);
        }
        let socket = PathBuf::from(OsStr::from_bytes(socket));
        Ok(Self { socket: absolute("NIX_REMOTE", socket)?, root })
    }

    /// The store that this process's environment names.
    ///
    /// # Errors
    /// As [`Self::from_environment`].
    pub fn of_process() -> Result<Self, AddressError> {
        Self::from_environment(|name| std::env::var_os(name))
    }

    /// Where a path's files lie on this machine.
    pub fn physical(&self, dir: &StoreDir, path: &StorePath) -> PathBuf {
        let logical = path.to_absolute_path(dir);
        match &self.root {
            Some(root) => root.join(logical.trim_start_matches('/')),
            None => PathBuf::from(logical),
        }
    }
}

/// The `root` among the parameters of a store's address, if it is the only one; empty is none, as for Nix.
fn root(parameters: &[u8]) -> Result<Option<PathBuf>, AddressError> {
    let mut root = None;
    for parameter in parameters.split(|byte| *byte == b'&').filter(|text| !text.is_empty()) {
        let Some(value) = parameter.strip_prefix(b"root=") else {
            let name = parameter.split(|byte| *byte == b'=').next().unwrap_or_default();
            return Err(AddressError::Parameter { name: String::from_utf8_lossy(name).into_owned() });
        };
        let value = OsString::from_vec(percent_decoded(value).ok_or(AddressError::Percent)?);
        root = Some(PathBuf::from(value)).filter(|path| !path.as_os_str().is_empty());
    }
    root.map(|path| absolute("the root in NIX_REMOTE", path)).transpose()
}

fn absolute(name: &'static str, path: PathBuf) -> Result<PathBuf, AddressError> {
    if Path::is_absolute(&path) { Ok(path) } else { Err(AddressError::NotAbsolute { name, path }) }
}

/// `%2f` and the like read as the bytes that they stand for; `None` for a percent sign without two digits.
fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            decoded.extend(data_encoding::HEXLOWER_PERMISSIVE.decode(digits).ok()?);
            rest = after;
        } else {
            decoded.push(byte);
            rest = after;
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests;
