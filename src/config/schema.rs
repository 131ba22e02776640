//! The checked configuration: what the rest of the program is given.
//!
//! Every value is inside its bounds, every name is resolved, and the policy is one that can be judged by. The
//! defaults stand here, as `Default` where a section has them all, and in [`crate::config::keys()`] as text.

use crate::config::{ByteRate, ByteSize, Destination, HostPort, Listen, Patience};
use crate::format::StoreDir;
use crate::trust::Policy;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who may vouch for what.
    pub policy: Arc<Policy>,
    /// How to reach the caches, in the order of [`Policy::caches`].
    pub caches: Vec<CacheSettings>,
    /// Where Nix asks; never empty.
    pub listen: Vec<Listen>,
    /// Further names to answer to, lower case.
    pub hosts: Vec<String>,
    /// Where keys, evidence and queue are; absolute.
    pub state_directory: PathBuf,
    /// Where store paths lie.
    pub store_dir: StoreDir,
    /// Whether the policy is enforced.
    pub mode: Mode,
    /// What Nix is told of a refused path.
    pub when_refused: Otherwise,
    /// What Nix is told of a path that could not be decided.
    pub when_undecided: Otherwise,
    /// How long one question may take.
    pub decision_timeout: Duration,
    /// How long others are waited for otherwise.
    pub patience: Patience,
    /// How the log is written.
    pub log_format: LogFormat,
    /// How bytes are served.
    pub serving: Serving,
    /// How much of anything is accepted.
    pub limits: Limits,
    /// Where evidence is kept, and how long.
    pub evidence: Evidence,
    /// The dashboard.
    pub dashboard: Dashboard,
    /// What happens to what is built here.
    pub upload: Upload,
    /// Where it goes.
    pub destinations: Vec<Destination>,
}

/// How to reach a cache. What the rule of trust knows of it is in [`crate::trust::Cache`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// The name in the configuration.
    pub name: Box<str>,
    /// Where it is: http or https, no credentials, no query, the path ending in a slash.
    pub url: Url,
    /// How long its answer is waited for.
    pub claim_timeout: Duration,
    /// Other hosts that it may send us to for bytes.
    pub nar_hosts: Vec<HostPort>,
    /// A netrc file, or one line `Bearer …`.
    pub credentials_file: Option<PathBuf>,
    /// Certificates to trust for it instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// Whether the policy is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Only what the policy endorses is served.
    Enforce,
    /// Decided and recorded alike, but served is what one allowed signature admits.
    Observe,
}

/// What Nix is told instead of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Otherwise {
    /// 404: it builds from source.
    Build,
    /// 503: it stops.
    Fail,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// The journal under systemd, text elsewhere.
    Auto,
    /// One JSON object per line.
    Json,
    /// The journal's own protocol, with fields.
    Journal,
    /// Lines for people.
    Text,
}

/// How bytes are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// The priority in `/nix-cache-info`.
    pub advertised_priority: u32,
    /// NARs up to this size are checked whole first; never more than [`Limits::memory`].
    pub buffer: ByteSize,
    /// What is checked before the larger ones are sent.
    pub verify: VerifyBeforeSending,
    /// Whether claims for references are fetched ahead.
    pub prefetch: bool,
    /// Slower transfers are broken off.
    pub minimum_rate: ByteRate,
}

/// What is checked before a NAR leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VerifyBeforeSending {
    /// The end is held back until everything agrees.
    LastBytes,
    /// Nothing leaves before that.
    Whole,
}

impl Default for Serving {
    fn default() -> Self {
        Self {
            advertised_priority: 30,
            buffer: ByteSize::from_bytes(1 << 20),
            verify: VerifyBeforeSending::LastBytes,
            prefetch: true,
            minimum_rate: ByteRate::from_bytes_per_second(16 << 10),
        }
    }
}

/// How much of anything is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest claim that is read.
    pub narinfo: ByteSize,
    /// How many signatures of a claim are looked at.
    pub signatures: NonZeroUsize,
    /// How many references a claim may list.
    pub references: NonZeroUsize,
    /// The largest NAR that is fetched.
    pub nar: ByteSize,
    /// How many clients are served at a time.
    pub connections: NonZeroUsize,
    /// What all decoders together may use; at least what one of them may ask for.
    pub memory: ByteSize,
    /// What spooled NARs may use of the disk.
    pub spool: ByteSize,
    /// What evidence may use of the disk.
    pub evidence: ByteSize,
}

impl Limits {
    /// Those of one narinfo.
    pub fn of_narinfo(&self) -> crate::format::Limits {
        crate::format::Limits {
            bytes: usize::try_from(self.narinfo.bytes()).unwrap_or(usize::MAX),
            signatures: self.signatures.get(),
            references: self.references.get(),
            nar_size: self.nar.bytes(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            narinfo: ByteSize::from_bytes(1 << 20),
            signatures: at_least_one(64),
            references: at_least_one(20_000),
            nar: ByteSize::from_bytes(64 << 30),
            connections: at_least_one(512),
            memory: ByteSize::from_bytes(256 << 20),
            spool: ByteSize::from_bytes(16 << 30),
            evidence: ByteSize::from_bytes(16 << 30),
        }
    }
}

/// Where evidence is kept, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// How long claims and verdicts are kept.
    pub keep: Duration,
    /// Where.
    pub database: Database,
}

/// Where evidence is kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// `evidence.db` in the state directory.
    File,
    /// A PostgreSQL server, by its URL, which may contain a password.
    Postgres(Url),
}

impl fmt::Debug for Database {
    /// Without the URL: it may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "File",
            Self::Postgres(_) => "Postgres(…)",
        })
    }
}

impl Default for Evidence {
    fn default() -> Self {
        Self { keep: Duration::from_secs(400 * 86_400), database: Database::File }
    }
}

/// The dashboard, which is always reachable over `dashboard.sock` in the state directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dashboard {
    /// Where else; loopback addresses and Unix sockets only.
    pub listen: Vec<Listen>,
    /// A program to run on dissent and refusals.
    pub notify: Option<PathBuf>,
}

/// What happens to what is built here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The files of the keys that sign it.
    pub signing_key_files: Vec<PathBuf>,
    /// Where the hook leaves its notes.
    pub spool_directory: PathBuf,
    /// How many paths are packed at a time.
    pub jobs: NonZeroUsize,
    /// When one that keeps failing is laid aside.
    pub give_up_after: Duration,
    /// Whether outputs that a remote builder made for us are signed.
    pub sign_remote_builds: bool,
    /// What must be known of the inputs before an output is signed.
    pub inputs: Inputs,
}

/// What must be known of a build's inputs before its output is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inputs {
    /// Nothing.
    Any,
    /// Every substituted one carries our countersignature.
    Endorsed,
}

impl Default for Upload {
    fn default() -> Self {
        Self {
            signing_key_files: Vec::new(),
            spool_directory: PathBuf::from("/var/spool/countersign"),
            jobs: at_least_one(2),
            give_up_after: Duration::from_secs(14 * 86_400),
            sign_remote_builds: false,
            inputs: Inputs::Any,
        }
    }
}

/// The number, or one if it is zero.
const fn at_least_one(number: usize) -> NonZeroUsize {
    match NonZeroUsize::new(number) {
        Some(number) => number,
        None => NonZeroUsize::MIN,
    }
}
