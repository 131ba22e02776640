//! A connection to the Nix daemon, and what is asked of it.
//!
//! One question at a time, from one thread. The daemon serves each connection in a process of its own and ends it
//! with the connection; so do the temporary roots that were added over it.

use super::StoreAddress;
use super::closure::in_order;
use super::error::{Fault, StoreError};
use super::exchange::{ask, greet};
use super::path_info::{PATH_MAX, PathInfo, RawInfo};
use super::wire::{Request, Wire};
use crate::format::{Signature, StoreDir, StorePath, store_path};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// An open connection to the daemon of one store.
#[derive(Debug)]
pub struct Store {
    wire: Wire,
    dir: StoreDir,
    nix_version: String,
    /// Whether the next bytes of the connection are what they should be.
    usable: bool,
}

impl Store {
    /// The time for one exchange that suits a daemon on a busy machine. A guess: honest answers come in under a
    /// millisecond, but registering a root waits while the garbage collector looks for roots.
    pub const PATIENCE: Duration = Duration::from_secs(60);

    /// Connects and greets. Every exchange, this one included, must be over within `patience`.
    ///
    /// # Errors
    /// [`StoreError::Connect`] if no daemon answers; [`StoreError::Lost`] if what answers is none, or one from
    /// before Nix 2.8; [`StoreError::Daemon`] if it refuses this user.
    pub fn connect(address: &StoreAddress, dir: StoreDir, patience: Duration) -> Result<Self, StoreError> {
        let patience = patience.min(PATIENCE_MAX);
        let stream = connect(&address.socket, patience)
            .map_err(|source| StoreError::Connect { socket: address.socket.clone(), source })?;
        Self::over(stream, dir, patience)
    }

    /// Greets the daemon at the other end of a socket.
    pub(super) fn over(stream: UnixStream, dir: StoreDir, patience: Duration) -> Result<Self, StoreError> {
        let mut wire = Wire::new(stream, patience);
        let doing = || "greet the Nix daemon".to_owned();
        match greet(&mut wire) {
            Ok(Ok(nix_version)) => Ok(Self { wire, dir, nix_version, usable: true }),
            Ok(Err(message)) => Err(StoreError::Daemon { doing: doing(), message }),
            Err(source) => Err(StoreError::Lost { doing: doing(), source }),
        }
    }

    /// The daemon's version of Nix, as it says.
    pub fn nix_version(&self) -> &str {
        &self.nix_version
    }

    /// The directory of the store's paths.
    pub const fn dir(&self) -> &StoreDir {
        &self.dir
    }

    /// Whether anything can still be asked. If not, connect again; temporary roots must then be added again.
    pub const fn is_usable(&self) -> bool {
        self.usable
    }

    /// What is recorded of a path; `None` if it is not valid.
    ///
    /// # Errors
    /// [`StoreError`] if the daemon does not answer, or not with a record that can be used.
    pub fn path_info(&mut self, path: &StorePath) -> Result<Option<PathInfo>, StoreError> {
        let doing = || format!("ask what is recorded of {path}");
        let request = Request::default().number(QUERY_PATH_INFO).text(&path.to_absolute_path(&self.dir));
        let Some(raw) = self.exchange(doing, &request, RawInfo::read)? else { return Ok(None) };
        raw.parse(path, &self.dir).map(Some).map_err(|what| StoreError::Record { doing: doing(), what })
    }

    /// The outputs of a derivation by name; `None` where the path is not known yet.
    ///
    /// # Errors
    /// [`StoreError`] if the daemon does not answer properly, or the derivation is not in the store.
    pub fn derivation_outputs(
        &mut self,
        derivation: &StorePath,
    ) -> Result<Vec<(String, Option<StorePath>)>, StoreError> {
        let doing = || format!("ask for the outputs of {derivation}");
        let request =
            Request::default().number(QUERY_DERIVATION_OUTPUTS).text(&derivation.to_absolute_path(&self.dir));
        let raw = self.exchange(doing, &request, |wire| {
            let count = wire.count(OUTPUTS_MAX)?;
            let mut outputs = Vec::new();
            for _ in 0..count {
                outputs.push((wire.text(PATH_MAX)?, wire.text(PATH_MAX)?));
            }
            Ok(outputs)
        })?;
        raw.into_iter()
            .map(|(name, path)| {
                store_path::validate_name(&name).map_err(|fault| fault.to_string())?;
                let path = Some(path).filter(|path| !path.is_empty());
                Ok((name, path.map(|path| parse(&self.dir, &path)).transpose()?))
            })
            .collect::<Result<_, String>>()
            .map_err(|what| StoreError::Record { doing: doing(), what })
    }

    /// The derivations in the store that have a path among their outputs, in its order, whether the path is valid or not.
    ///
    /// # Errors
    /// [`StoreError`] if the daemon does not answer, or not with paths.
    pub fn valid_derivers(&mut self, path: &StorePath) -> Result<Vec<StorePath>, StoreError> {
        let doing = || format!("ask for the derivations of {path}");
        let request = Request::default().number(QUERY_VALID_DERIVERS).text(&path.to_absolute_path(&self.dir));
        let raw = self.exchange(doing, &request, |wire| wire.texts(DERIVERS_MAX, PATH_MAX))?;
        raw.iter()
            .map(|text| parse(&self.dir, text))
            .collect::<Result<_, String>>()
            .map_err(|what| StoreError::Record { doing: doing(), what })
    }

    /// Those of the paths that are valid, in the store's order. Nothing is substituted.
    ///
    /// # Errors
    /// [`StoreError`] if the daemon does not answer, or names a path that was not asked for.
    pub fn valid_paths(&mut self, paths: &[StorePath]) -> Result<Vec<StorePath>, StoreError> {
        let doing = || format!("ask which of {} paths are valid", paths.len());
        // 0: do not try to substitute what is missing.
        let request = Request::default()
            .number(QUERY_VALID_PATHS)
            .texts(paths.iter().map(|path| path.to_absolute_path(&self.dir)))
            .number(0);
        let raw = self.exchange(doing, &request, |wire| wire.texts(paths.len(), PATH_MAX))?;
        let asked: std::collections::HashSet<&StorePath> = paths.iter().collect();
        raw.iter()
            .map(|text| {
                let path = parse(&self.dir, text)?;
                if asked.contains(&path) { Ok(path) } else { Err(format!("{path} was not asked for")) }
            })
            .collect::<Result<_, String>>()
            .map_err(|what| StoreError::Record { doing: doing(), what })
    }

    /// Every path that is valid, in the store's order.
    ///
    /// # Errors
    /// As [`Self::for_each_valid_path`].
    pub fn all_valid_paths(&mut self) -> Result<Vec<StorePath>, StoreError> {
        let mut paths = Vec::new();
        self.for_each_valid_path(|path| paths.push(path))?;
        Ok(paths)
    }

    /// Shows every path that is valid, in the store's order, while the answer comes: nothing of it is held here, and
    /// nothing else can be asked over this connection meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] if the daemon does not answer, or names something that is no path of its store. What was shown
    /// before that was shown.
    pub fn for_each_valid_path(&mut self, mut visit: impl FnMut(StorePath)) -> Result<(), StoreError> {
        let doing = || "ask for all valid paths".to_owned();
        let request = Request::default().number(QUERY_ALL_VALID_PATHS);
        let dir = self.dir.clone();
        let wrong = self.exchange(doing, &request, |wire| {
            wire.allow(PATHS_ANSWER_MAX);
            let mut wrong = None;
            // To its end, also behind what is wrong: the connection stays good for the next question.
            for _ in 0..wire.count(PATHS_MAX)? {
                match parse(&dir, &wire.text(PATH_MAX)?) {
                    Ok(path) if wrong.is_none() => visit(path),
                    Ok(_) => {}
                    Err(what) => wrong = wrong.or(Some(what)),
                }
            }
            Ok(wrong)
        })?;
        wrong.map_or(Ok(()), |what| Err(StoreError::Record { doing: doing(), what }))
    }

    /// Keeps a path from being collected for as long as this connection lives. The path need not be valid.
    ///
    /// # Errors
    /// [`StoreError`] if the daemon does not answer.
    pub fn add_temp_root(&mut self, path: &StorePath) -> Result<(), StoreError> {
        let request = Request::default().number(ADD_TEMP_ROOT).text(&path.to_absolute_path(&self.dir));
        self.exchange(|| format!("keep {path} from being collected"), &request, done)
    }

    /// Makes a symlink that points to a store path keep that path from being collected, for as long as the
    /// symlink is there.
    ///
    /// # Errors
    /// [`StoreError::Path`] if the symlink's own path cannot be said; else if the daemon does not answer.
    pub fn add_indirect_root(&mut self, symlink: &Path) -> Result<(), StoreError> {
        let told = symlink.to_str().filter(|text| symlink.is_absolute() && text.len() <= PATH_MAX);
        let told = told.ok_or_else(|| StoreError::Path { path: symlink.to_owned() })?;
        let request = Request::default().number(ADD_INDIRECT_ROOT).text(told);
        self.exchange(|| format!("register {told} as a root"), &request, done)
    }

    /// Adds signatures to a path's record. Up to Nix 2.16 only trusted users may.
    ///
    /// # Errors
    /// [`StoreError::NotValid`] for a path that is missing; else if the daemon does not answer, or refuses.
    pub fn add_signatures(&mut self, path: &StorePath, signatures: &[Signature]) -> Result<(), StoreError> {
        // For a path that is not valid, the daemons of 2.8, 2.26 and 2.34 crash instead of answering.
        if self.path_info(path)?.is_none() {
            return Err(StoreError::NotValid { path: path.clone(), referrer: None });
        }
        let request = Request::default()
            .number(ADD_SIGNATURES)
            .text(&path.to_absolute_path(&self.dir))
            .texts(signatures.iter().map(ToString::to_string));
        self.exchange(|| format!("add signatures to {path}"), &request, done)
    }

    /// What is recorded of a path and of all that it refers to, references before referrers, the path last.
    ///
    /// # Errors
    /// [`StoreError::NotValid`] for a path that is missing, [`StoreError::TooManyPaths`] past `limit`, and
    /// whatever [`Self::path_info`] says.
    pub fn closure(&mut self, path: &StorePath, limit: usize) -> Result<Vec<PathInfo>, StoreError> {
        in_order(path, limit, |path| self.path_info(path))
    }

    /// One exchange. Only a clean end leaves the connection usable.
    fn exchange<T>(
        &mut self,
        doing: impl Fn() -> String,
        request: &Request,
        read: impl FnOnce(&mut Wire) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        if !self.usable {
            return Err(StoreError::Unusable);
        }
        self.usable = false;
        let answer = ask(&mut self.wire, request, read)
            .map_err(|source| StoreError::Lost { doing: doing(), source })?;
        self.usable = true;
        answer.map_err(|message| StoreError::Daemon { doing: doing(), message })
    }
}

/// The answer of operations that only say that they were done.
fn done(wire: &mut Wire) -> Result<(), Fault> {
    match wire.number()? {
        1 => Ok(()),
        _ => Err(Fault::Malformed { what: "something other than 1 for done" }),
    }
}

fn parse(dir: &StoreDir, text: &str) -> Result<StorePath, String> {
    StorePath::from_absolute_path(dir, text).map_err(|fault| format!("{}: {fault}", text.escape_debug()))
}

/// Connects to a socket. A daemon that does not take connections would hold up a plain `connect` for ever.
fn connect(socket: &Path, patience: Duration) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(socket)?;
    let stream =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Linux lets this timeout count for connecting, too.
    sockopt::set_socket_timeout(&stream, sockopt::Timeout::Send, Some(patience))?;
    rustix::net::connect(&stream, &address)?;
    Ok(stream.into())
}

/// Beyond this, clocks and sockets could not count any more.
const PATIENCE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

const ADD_TEMP_ROOT: u64 = 11;
const ADD_INDIRECT_ROOT: u64 = 12;
const QUERY_ALL_VALID_PATHS: u64 = 23;
const QUERY_PATH_INFO: u64 = 26;
const QUERY_VALID_PATHS: u64 = 31;
const QUERY_VALID_DERIVERS: u64 = 33;
const ADD_SIGNATURES: u64 = 37;
const QUERY_DERIVATION_OUTPUTS: u64 = 41;

/// Derivations of one output. A guess: for contents that are fixed in advance there may be hundreds.
const DERIVERS_MAX: usize = 100_000;

/// Paths of one store. A guess: large ones have 200,000.
const PATHS_MAX: usize = 1_000_000;

/// Bytes of the answer that lists them: so many, at some 80 bytes each, and long names besides.
const PATHS_ANSWER_MAX: u64 = 256 << 20;

/// Outputs of one derivation. A guess: real ones have up to a dozen.
const OUTPUTS_MAX: usize = 10_000;
