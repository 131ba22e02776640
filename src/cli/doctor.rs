//! `countersign doctor`: finds out what the ways around the policy depend on. What follows from it is decided in
//! [`crate::doctor`].
//!
//! Nothing is changed, and nothing outside this machine is asked. What cannot be found out is a finding.

mod ask;
mod count;
mod machine;
mod vantage;

use crate::cli::say;
use crate::cli::{Exit, run_async, state};
use crate::config::{Config, Listen, Loaded, Mode};
use crate::control::{self, ControlError};
use crate::doctor::{Facts, Finding, Label, NixSettings, Ours, Service, Severity, examine, json, text};
use crate::init::shown;
use crate::store::{Store, StoreAddress, StoreError};
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use vantage::Vantage;

/// What `doctor` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The nix.conf to look at, with what it includes, instead of asking Nix.
    #[arg(long, value_name = "FILE", conflicts_with = "nix")]
    nix_conf: Option<PathBuf>,
    /// The `nix` to ask, instead of the one in $PATH.
    #[arg(long, value_name = "PROGRAM")]
    nix: Option<PathBuf>,
    /// For programs.
    #[arg(long)]
    json: bool,
}

/// Finds out, judges, prints.
pub(super) fn doctor(loaded: &Loaded, options: &Options) -> Exit {
    let mut unknown = Vec::new();
    let (mut store, address) = connect(&loaded.config, &mut unknown);
    let listening = match address.map(|address| run_async(vantage::listening(&address))).transpose() {
        Ok(listening) => listening,
        Err(exit) => return exit,
    };
    let vantage = Vantage::find(listening, options.nix_conf.is_some());
    let asked = match ask::ask(&vantage, options.nix_conf.as_deref(), options.nix.as_deref()) {
        Ok(asked) => asked,
        Err(exit) => return exit,
    };
    unknown.extend(asked.unknown);
    let ours = match ours(&loaded.config, &mut unknown) {
        Ok(ours) => ours,
        Err(exit) => return exit,
    };
    let facts = facts(&loaded.config, &vantage, asked.settings, ours, store.as_mut(), unknown);
    let findings = examine(&facts);
    let mut out = io::stdout().lock();
    let printed = if options.json {
        let all = json(&facts, &findings, &asked.sources);
        serde_json::to_writer_pretty(&mut out, &all).map_err(io::Error::from).and_then(|()| writeln!(out))
    } else {
        out.write_all(text(&facts, &findings, &asked.sources).as_bytes())
    };
    match printed.and_then(|()| out.flush()) {
        Ok(()) => exit(&findings),
        Err(error) => say::failed(&error),
    }
}

fn exit(findings: &[Finding]) -> Exit {
    match findings.iter().map(|finding| finding.severity).min() {
        Some(Severity::WayAround | Severity::Weakness) => Exit::Refused,
        Some(Severity::Unknown) => Exit::Io,
        Some(Severity::Note) | None => Exit::Ok,
    }
}

/// The rest, once it is known what Nix is told.
fn facts(
    config: &Config,
    vantage: &Vantage,
    nix: Option<NixSettings>,
    ours: Ours,
    store: Option<&mut Store>,
    mut unknown: Vec<Finding>,
) -> Facts {
    let machines = nix.as_ref().map(|nix| machine::builders(&nix.builders, &mut unknown));
    let own = nix.as_ref().map(|nix| vantage.own_settings(&nix.trusted_users)).unwrap_or_default();
    let hook = nix.as_ref().and_then(|nix| machine::hook(nix, vantage, &mut unknown));
    let proxies = vantage.proxies(&mut unknown);
    let read = nix.iter().flat_map(|nix| &nix.files).flat_map(|conf| conf.files.clone()).collect::<Vec<_>>();
    let installed = store.and_then(|store| count::count(store, config, &ours, &mut unknown));
    Facts {
        machines: machines.unwrap_or_default(),
        spool: machine::spool(&config.upload.spool_directory, vantage),
        nix,
        own,
        ours,
        proxies,
        hook,
        installed,
        daemon: vantage.daemon(&read),
        unknown,
    }
}

/// The store, if its daemon takes us, and its address, if anybody listens there.
fn connect(config: &Config, unknown: &mut Vec<Finding>) -> (Option<Store>, Option<StoreAddress>) {
    let mut told = |error: &(dyn std::error::Error + 'static)| {
        unknown.push(Finding::unknown(
            "how the installed paths came",
            chain(error),
            "start nix-daemon, or name its socket in NIX_REMOTE (unix://SOCKET)",
        ));
    };
    let address = match StoreAddress::of_process() {
        Ok(address) => address,
        Err(error) => {
            told(&error);
            return (None, None);
        }
    };
    match Store::connect(&address, config.store_dir.clone(), PATIENCE) {
        Ok(store) => (Some(store), Some(address)),
        Err(error) => {
            told(&error);
            (None, Some(address).filter(|_| !matches!(error, StoreError::Connect { .. })))
        }
    }
}

/// What the configuration, the state directory and the service say.
fn ours(config: &Config, unknown: &mut Vec<Finding>) -> Result<Ours, Exit> {
    let control = control::find(&config.state_directory);
    let mut places: Vec<SocketAddr> = config.listen.iter().filter_map(tcp).collect();
    let service = match run_async(control::ask_status(&control))? {
        Ok(status) => {
            let listening = status
                .listening
                .iter()
                .filter_map(|url| url.strip_prefix("http://")?.parse::<SocketAddr>().ok());
            places.extend(listening);
            Some(Service::Running { mode: status.mode, key: status.key })
        }
        Err(ControlError::Unreachable { source, .. }) if is_nobody(&source) => {
            silent(&control, &places, unknown)
        }
        Err(error) => {
            let what = "whether the service runs, and with which key";
            unknown.push(Finding::unknown(what, chain(&error), "run this as root, or as the service's user"));
            None
        }
    };
    let keys = state(config).public_keys().unwrap_or_else(|error| {
        let what = "which keys are ours";
        unknown.push(Finding::unknown(what, chain(&error), "run this as root, or as the service's user"));
        Default::default()
    });
    Ok(Ours {
        mode: config.mode,
        machine: keys.machine,
        all: keys.all,
        places,
        hosts: config.hosts.clone(),
        state_directory: config.state_directory.display().to_string(),
        service,
        destinations: config.destinations.iter().map(|destination| destination.name.to_string()).collect(),
        take_everything: (config.destinations.iter())
            .filter(|destination| destination.packages.iter().any(crate::trust::Glob::is_everything))
            .map(|destination| destination.name.to_string())
            .collect(),
    })
}

/// Whether nobody listens either where Nix asks: the control socket of a service that systemd starts may lie elsewhere.
fn silent(control: &Path, places: &[SocketAddr], unknown: &mut Vec<Finding>) -> Option<Service> {
    let answers = |place: &&SocketAddr| TcpStream::connect_timeout(place, CONNECTING).is_ok();
    let Some(place) = places.iter().find(answers) else { return Some(Service::Silent) };
    unknown.push(Finding::new(
        Label::NotFoundOut,
        Severity::Note,
        format!("somebody answers at {place}, and nobody on {}", shown(&control.to_string_lossy())),
        "whether that is this service, under this configuration, was not asked",
        "set RUNTIME_DIRECTORY as the service has it, to have it asked",
    ));
    None
}

/// When the key was made that countersigns, in seconds since 1970, as its file says.
fn made(config: &Config) -> Option<i64> {
    let modified = |mode| {
        let file = state(config).public_file(mode);
        let modified = std::fs::metadata(file).and_then(|about| about.modified()).ok()?;
        let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_secs()).ok()
    };
    modified(Mode::Enforce).or_else(|| modified(Mode::Observe))
}

/// An address that Nix could ask; port 0 is none yet.
fn tcp(listen: &Listen) -> Option<SocketAddr> {
    match listen {
        Listen::Tcp(address) if address.port() != 0 => Some(*address),
        Listen::Tcp(_) | Listen::Unix(_) => None,
    }
}

/// Whether nobody is there, rather than somebody whom we may not ask.
fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// An error with its causes, on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    shown(&crate::upstream::Chain(error).to_string())
}

/// The time for a connection on this machine.
const CONNECTING: Duration = Duration::from_secs(2);
/// The time for one exchange with the daemon. As for uploads, but somebody waits: half of it.
const PATIENCE: Duration = Duration::from_secs(30);
