//! What was found out. What could not be is `None` here, and told in [`Facts::unknown`].

use crate::config::Mode;
use crate::doctor::{Finding, Hook, Installed, NixSettings};
use crate::format::VerifyingKey;
use core::net::{IpAddr, SocketAddr};
use url::{Host, Url};

/// Everything that is judged.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What Nix is told.
    pub nix: Option<NixSettings>,
    /// The machines that build for this one, each as its list writes it.
    pub machines: Vec<String>,
    /// What users set for themselves.
    pub own: Vec<OwnSettings>,
    /// Our side of it.
    pub ours: Ours,
    /// The environments in which substituters are asked.
    pub proxies: Vec<ProxyEnvironment>,
    /// What the `post-build-hook` is; `None` if it could not be read.
    pub hook: Option<Hook>,
    /// The hook's spool.
    pub spool: SpoolState,
    /// The paths of the store.
    pub installed: Option<Installed>,
    /// The daemon, and the files that it read when it started.
    pub daemon: Option<StartedDaemon>,
    /// What could not be found out.
    pub unknown: Vec<Finding>,
}

/// A running daemon. It reads its files when it starts, and never again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartedDaemon {
    /// Its process.
    pub process: u32,
    /// When it started, in seconds since 1970.
    pub started: i64,
    /// The files, and when each was last changed, in seconds since 1970.
    pub files: Vec<(String, i64)>,
}

/// What this program's configuration and state say.
#[derive(Clone, Debug)]
pub struct Ours {
    /// Whether the policy is enforced.
    pub mode: Mode,
    /// The machine key's public half.
    pub machine: Option<VerifyingKey>,
    /// Every key's: of both modes, and those that were rotated out.
    pub all: Vec<VerifyingKey>,
    /// Where the service listens.
    pub places: Vec<SocketAddr>,
    /// Further names that it answers to.
    pub hosts: Vec<String>,
    /// Where its keys are.
    pub state_directory: String,
    /// How the service is; `None` if that could not be found out.
    pub service: Option<Service>,
    /// Where builds are sent.
    pub destinations: Vec<String>,
    /// Those of them that take everything.
    pub take_everything: Vec<String>,
}

/// How the service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// It answers.
    Running {
        /// `enforce` or `observe`.
        mode: String,
        /// The key that it countersigns with.
        key: String,
    },
    /// Nobody answers.
    Silent,
}

/// What one user, or one shell, sets beside the system's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSettings {
    /// The file, or `$NIX_CONFIG`.
    pub place: String,
    /// What is set there.
    pub settings: Vec<&'static str>,
    /// Who it is for.
    pub user: String,
    /// Whether the daemon heeds it: root and trusted users.
    pub is_heeded: bool,
}

/// An environment in which substituters are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyEnvironment {
    /// Whose it is, in words.
    pub whose: String,
    /// Its variables that are about proxies.
    pub variables: Vec<(String, String)>,
}

/// The spool that the hook writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpoolState {
    /// It can be used.
    Fine,
    /// It cannot, and why.
    Unusable(String),
    /// It was not looked at, or that is told elsewhere.
    NotKnown,
}

impl Ours {
    /// The key that Nix must trust: what the configured mode countersigns with.
    pub(super) fn expected(&self) -> Option<VerifyingKey> {
        let told = match &self.service {
            Some(Service::Running { mode, key }) if mode == mode_name(self.mode) => {
                VerifyingKey::parse(key).ok()
            }
            _ => None,
        };
        match self.mode {
            Mode::Enforce => self.machine.clone().or(told),
            Mode::Observe => told.or_else(|| self.all.iter().find(|key| is_observe_key(key)).cloned()),
        }
    }

    /// Whether a URL leads to us.
    pub(super) fn is_at(&self, url: &Url) -> bool {
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else { return false };
        self.places.iter().filter(|place| place.port() == port).any(|place| match host {
            Host::Ipv4(ip) => is_reached(place.ip(), ip.into()),
            Host::Ipv6(ip) => is_reached(place.ip(), ip.into()),
            Host::Domain("localhost") => place.ip().is_loopback() || place.ip().is_unspecified(),
            Host::Domain(name) => self.hosts.iter().any(|ours| ours == name),
        })
    }
}

/// Whether who listens at one address is reached by another.
fn is_reached(listening: IpAddr, asked: IpAddr) -> bool {
    listening == asked || (listening.is_unspecified() && asked.is_loopback())
}

/// Whether a key of ours only ever countersigned what was observed.
pub(super) fn is_observe_key(key: &VerifyingKey) -> bool {
    key.name().as_str().starts_with("countersign-observe-")
}

/// A mode as the service says it.
pub(super) const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Observe => "observe",
    }
}
