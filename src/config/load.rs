//! Finding the file, reading it, and checking everything at once.
//!
//! Nothing here looks at the process or the clock: the environment and the time are arguments.

use crate::config::attain::check_rules;
use crate::config::caches::{RawCache, read_caches};
use crate::config::caution::warn;
use crate::config::destination::read_destinations;
use crate::config::draft::{Draft, Raw, destinations, draft};
use crate::config::fault::At;
use crate::config::lists::check_lists;
use crate::config::patience::Patience;
use crate::config::read::{Desk, Table};
use crate::config::report::Report;
use crate::config::rules::{read_exceptions, read_rules};
use crate::config::schema::Config;
use crate::config::settings::read_settings;
use crate::config::signers::read_signers;
use crate::config::source::Source;
use crate::config::syntax::syntax_faults;
use crate::trust::{Policy, SignerSet, Timestamp};
use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::de::DeTable;

/// Where the configuration is to be looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In this file, which must be there: `--config`.
    File(PathBuf),
    /// Where the environment says, else in the usual file if it is there, else the built-in policy.
    Usual,
}

/// What of the environment the configuration depends on. Unset and empty are the same.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `$COUNTERSIGN_CONFIG`: the file, where none is named.
    pub config: Option<OsString>,
    /// `$HOME`
    pub home: Option<OsString>,
    /// `$STATE_DIRECTORY`, as systemd sets it: the first of a list separated by colons is taken.
    pub state_directory: Option<OsString>,
    /// `$XDG_STATE_HOME`
    pub xdg_state_home: Option<OsString>,
    /// The usual file; [`Environment::USUAL_FILE`] unless a test says otherwise.
    pub usual_file: Option<PathBuf>,
}

impl Environment {
    /// The file that is used if it is there and no other is named.
    pub const USUAL_FILE: &str = "/etc/countersign/config.toml";

    /// This process's environment.
    pub fn of_process() -> Self {
        let var = std::env::var_os;
        Self {
            config: var("COUNTERSIGN_CONFIG"),
            home: var("HOME"),
            state_directory: var("STATE_DIRECTORY"),
            xdg_state_home: var("XDG_STATE_HOME"),
            usual_file: None,
        }
    }

    /// Where state is kept if no file says so.
    pub(super) fn state_home(&self) -> Option<PathBuf> {
        let from_systemd = set(&self.state_directory)
            .and_then(|list| list.to_str()?.split(':').next().map(PathBuf::from))
            .filter(|path| path.is_absolute());
        // The XDG specification says that a relative path there is to be ignored.
        let absolute = |value| set(value).map(PathBuf::from).filter(|path| path.is_absolute());
        let from_xdg = || absolute(&self.xdg_state_home).map(|home| home.join("countersign"));
        let from_home = || absolute(&self.home).map(|home| home.join(".local/state/countersign"));
        from_systemd.or_else(from_xdg).or_else(from_home)
    }
}

/// A variable's value, unless it is empty.
fn set(value: &Option<OsString>) -> Option<&OsString> {
    value.as_ref().filter(|value| !value.is_empty())
}

/// A configuration and what is to be known of it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings alone.
    pub warnings: Report,
    /// The file it is from; `None` is the built-in policy.
    pub file: Option<PathBuf>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read the configuration {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was read, and cannot be used.
    #[error("the configuration cannot be used as it stands")]
    Faulty(Report),
}

/// Finds, reads and checks the configuration.
///
/// # Errors
/// [`LoadError::Unreadable`] if a file that is named, or is there, cannot be read; [`LoadError::Faulty`] with all
/// that is wrong with it, and all warnings, otherwise.
pub fn load(location: &Location, env: &Environment, now: Timestamp) -> Result<Loaded, LoadError> {
    let usual = || env.usual_file.clone().unwrap_or_else(|| PathBuf::from(Environment::USUAL_FILE));
    let (path, may_be_missing) = match (location, set(&env.config)) {
        (Location::File(path), _) => (path.clone(), false),
        (Location::Usual, Some(named)) => (PathBuf::from(named), false),
        (Location::Usual, None) => (usual(), true),
    };
    match read_file(&path) {
        Ok(bytes) => parse(&path.display().to_string(), &bytes, env, now)
            .map(|loaded| Loaded { file: Some(path), ..loaded })
            .map_err(LoadError::Faulty),
        Err(source) if may_be_missing && source.kind() == io::ErrorKind::NotFound => {
            check("", None, env, now).map_err(LoadError::Faulty)
        }
        Err(source) => Err(LoadError::Unreadable { path, source }),
    }
}

/// Checks the text of a file of this name.
///
/// # Errors
/// All that is wrong with it, and all warnings.
pub fn parse(name: &str, bytes: &[u8], env: &Environment, now: Timestamp) -> Result<Loaded, Report> {
    match std::str::from_utf8(bytes) {
        Ok(text) => check(text, Some(Source::new(name, text)), env, now),
        Err(e) => {
            let readable = bytes.get(..e.valid_up_to()).unwrap_or_default();
            let source = Source::new(name, &String::from_utf8_lossy(readable));
            let end = e.valid_up_to();
            let at = At { key: "".into(), span: Some(end..end) };
            Err(Report::new(
                Some(source),
                vec![at.error("the file is not text in UTF-8 from here on", "UTF-8")],
            ))
        }
    }
}

/// A whole file, if it is no larger than any configuration is.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LARGEST_FILE.saturating_add(1)).read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= LARGEST_FILE => Ok(bytes),
        _ => Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB, which no configuration is")),
    }
}

fn check(text: &str, source: Option<Source>, env: &Environment, now: Timestamp) -> Result<Loaded, Report> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let desk = Desk::new(true, errors.is_empty());
    let config = read(root.get_ref(), env, now, &desk);
    let mut faults = desk.into_faults();
    if let (Some(source), false) = (&source, errors.is_empty()) {
        faults = syntax_faults(source, &errors, faults);
    }
    let report = Report::new(source, faults);
    match config {
        Some(config) if report.errors() == 0 => Ok(Loaded { config, warnings: report, file: None }),
        _ => Err(report),
    }
}

/// Reads and checks everything; `None` if something necessary could not be read, which is reported then.
fn read(entries: &DeTable<'_>, env: &Environment, now: Timestamp, desk: &Desk) -> Option<Config> {
    let root = Table::root(entries, desk);
    let settings = read_settings(&root, env);
    let (built_in, _) = DeTable::parse_recoverable(BUILT_IN_POLICY);
    let built_in_desk = Desk::new(false, true);
    let built_in_root = Table::root(built_in.get_ref(), &built_in_desk);
    // If one of the three is written, all three are taken from the file.
    let written = ["signers", "caches", "rules"].iter().any(|section| root.has(section));
    let policy_root = if written { &root } else { &built_in_root };
    let raw = Raw {
        signers: read_signers(policy_root),
        caches: read_caches(policy_root),
        rules: read_rules(policy_root),
        exceptions: read_exceptions(&root, &settings.store_dir),
    };
    let raw_destinations = read_destinations(&root);
    let countable = check_lists(&raw, &raw_destinations, desk);
    warn(&raw, &raw_destinations, &settings, now, desk);
    let mut draft = draft(&raw, &settings.store_dir, desk);
    if !countable {
        draft.parts.signers.iter_mut().for_each(|signer| signer.derives_from = SignerSet::EMPTY);
    }
    let policy = policy(&raw, &draft, now, desk);
    let destinations = destinations(raw_destinations, &raw.signers, desk);
    if desk.has_errors() {
        return None;
    }
    Some(Config {
        policy: Arc::new(policy?),
        caches: raw.caches.iter().filter_map(RawCache::settings).collect(),
        listen: settings.listen,
        hosts: settings.hosts,
        state_directory: settings.state_directory?,
        store_dir: settings.store_dir,
        mode: settings.mode.value,
        when_refused: settings.when_refused,
        when_undecided: settings.when_undecided,
        decision_timeout: settings.decision_timeout,
        patience: Patience::default(),
        log_format: settings.log_format,
        serving: settings.serving,
        limits: settings.limits,
        evidence: settings.evidence,
        dashboard: settings.dashboard,
        upload: settings.upload,
        destinations,
    })
}

/// The policy, its rules checked; `None` if the draft cannot be judged by.
fn policy(raw: &Raw, draft: &Draft, now: Timestamp, desk: &Desk) -> Option<Policy> {
    match Policy::new(draft.parts.clone()) {
        Ok(policy) => {
            if desk.complete {
                check_rules(raw, draft, &policy, now, desk);
            }
            Some(policy)
        }
        Err(e) => {
            // All that `Policy::new` refuses was looked for before; this is for what was forgotten.
            if !desk.has_errors() {
                desk.put(At::nowhere("").error(e.to_string(), ""));
            }
            None
        }
    }
}

/// The policy where no file says another: the public cache, its one key, one signature, dissent refused.
pub const BUILT_IN_POLICY: &str = r#"
[signers.nixos]
keys = ["cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="]

[caches.nixos]
url = "https://cache.nixos.org"

[[rules]]
name = "everything"
signatures = [{ at-least = 1, of = ["nixos"] }]
"#;

/// A configuration of a thousand rules is a tenth of this.
const LARGEST_FILE: u64 = 1 << 20;
