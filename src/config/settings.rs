//! Everything of the file that is not the policy: the top level and the plain sections, read and bounded.

use crate::config::address::{Listen, parse_host};
use crate::config::fault::{At, Complaint, Located};
use crate::config::item::{Item, quoted};
use crate::config::load::Environment;
use crate::config::read::Table;
use crate::config::schema::{
    Dashboard, Database, Evidence, Inputs, Limits, LogFormat, Mode, Otherwise, Serving, Upload,
    VerifyBeforeSending,
};
use crate::config::{ByteRate, ByteSize};
use crate::format::StoreDir;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// What the top level and the plain sections say. `None` where it could not be read.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) listen: Vec<Listen>,
    pub(super) hosts: Vec<String>,
    pub(super) state_directory: Option<PathBuf>,
    pub(super) store_dir: StoreDir,
    pub(super) mode: Located<Mode>,
    pub(super) when_refused: Otherwise,
    pub(super) when_undecided: Otherwise,
    pub(super) decision_timeout: Duration,
    pub(super) log_format: LogFormat,
    pub(super) serving: Serving,
    pub(super) limits: Limits,
    pub(super) evidence: Evidence,
    pub(super) dashboard: Dashboard,
    pub(super) upload: Upload,
}

/// Reads all of it.
pub(super) fn read_settings(root: &Table<'_>, env: &Environment) -> Settings {
    let limits = section(root, "limits", read_limits);
    let memory = limits.memory;
    let otherwise = [("build", Otherwise::Build), ("fail", Otherwise::Fail)];
    let formats = [
        ("auto", LogFormat::Auto),
        ("text", LogFormat::Text),
        ("json", LogFormat::Json),
        ("journal", LogFormat::Journal),
    ];
    let choose =
        |name| root.take(name).and_then(|item| item.choice(&otherwise)).map_or(Otherwise::Build, |o| o.value);
    let mode =
        root.take("mode").and_then(|i| i.choice(&[("enforce", Mode::Enforce), ("observe", Mode::Observe)]));
    Settings {
        listen: root
            .take("listen")
            .and_then(|item| item.some("the addresses to listen on", |i| address(i, false)))
            .map_or_else(|| vec![usual_address()], |l| l.items.into_iter().map(|a| a.value).collect()),
        hosts: root
            .take("hosts")
            .and_then(|item| {
                item.set("host names", |i| i.text("a host name", "a name in quotes", parse_host))
            })
            .map_or_else(Vec::new, |l| l.items.into_iter().map(|h| h.value.into()).collect()),
        state_directory: state_directory(root, env),
        store_dir: root
            .take("store-directory")
            .and_then(|item| item.text("a path", "an absolute path in quotes", parse_store_dir))
            .map_or_else(StoreDir::default, |dir| dir.value),
        mode: mode.unwrap_or_else(|| Located::new(Mode::Enforce, At::nowhere("mode"))),
        when_refused: choose("when-refused"),
        when_undecided: choose("when-undecided"),
        decision_timeout: root
            .take("decision-timeout")
            .and_then(|item| item.duration(timeouts()))
            .map_or(USUAL_DECISION_TIMEOUT, |t| t.value),
        log_format: root
            .take("log-format")
            .and_then(|i| i.choice(&formats))
            .map_or(LogFormat::Auto, |f| f.value),
        serving: section(root, "serving", |table| read_serving(table, memory)),
        limits,
        evidence: section(root, "evidence", read_evidence),
        dashboard: section(root, "dashboard", read_dashboard),
        upload: section(root, "upload", read_upload),
    }
}

/// The bounds of a timeout: an hour is longer than Nix itself waits for anything.
pub(super) fn timeouts() -> RangeInclusive<Duration> {
    Duration::from_millis(1)..=Duration::from_secs(3600)
}

/// A section, or its defaults where it is missing or no table.
fn section<T: Default>(root: &Table<'_>, name: &'static str, read: impl FnOnce(&Table<'_>) -> T) -> T {
    root.take(name).and_then(|item| item.table()).map_or_else(T::default, |table| read(&table))
}

fn read_serving(table: &Table<'_>, memory: ByteSize) -> Serving {
    let usual = Serving::default();
    let priority = table.take("advertised-priority").and_then(|item| item.number(0..=u64::from(u32::MAX)));
    let words = [("last-bytes", VerifyBeforeSending::LastBytes), ("whole", VerifyBeforeSending::Whole)];
    let rates = ByteRate::from_bytes_per_second(1)..=ByteRate::from_bytes_per_second(1 << 40);
    Serving {
        advertised_priority: priority
            .and_then(|p| u32::try_from(p.value).ok())
            .unwrap_or(usual.advertised_priority),
        buffer: size(table, "buffer", ByteSize::from_bytes(1)..=memory, usual.buffer),
        verify: table
            .take("verify-before-sending")
            .and_then(|i| i.choice(&words))
            .map_or(usual.verify, |v| v.value),
        prefetch: flag(table, "prefetch", usual.prefetch),
        minimum_rate: table
            .take("minimum-rate")
            .and_then(|i| i.rate(rates))
            .map_or(usual.minimum_rate, |r| r.value),
    }
}

fn read_limits(table: &Table<'_>) -> Limits {
    let usual = Limits::default();
    let from = |least: u64, most: u64| ByteSize::from_bytes(least)..=ByteSize::from_bytes(most);
    Limits {
        // A claim is held in memory whole, once for every question under way.
        narinfo: size(table, "narinfo", from(1 << 10, 64 << 20), usual.narinfo),
        signatures: count(table, "signatures", 1 << 16, usual.signatures),
        references: count(table, "references", 1 << 24, usual.references),
        nar: size(table, "nar", from(1 << 10, 1 << 50), usual.nar),
        connections: count(table, "connections", 1 << 20, usual.connections),
        // The least is what one decoder may ask for: less, and such a one would wait for ever.
        memory: size(table, "memory", from(128 << 20, 1 << 50), usual.memory),
        spool: size(table, "spool", from(1 << 20, 1 << 60), usual.spool),
        // Less than a batch or two, and it would be pruned without end.
        evidence: size(table, "evidence", from(64 << 20, 1 << 60), usual.evidence),
    }
}

fn read_evidence(table: &Table<'_>) -> Evidence {
    let usual = Evidence::default();
    let keep = table.take("keep").and_then(|item| item.duration(DAY..=DAY.saturating_mul(36_500)));
    let hint = "\"postgres://HOST/DATABASE\"";
    let url = table.take("url").and_then(|item| item.text("a URL", hint, |text| parse_database(text, hint)));
    if let Some(url) = &url
        && url.value.password().is_some()
    {
        let hint = "a Unix socket or a certificate, which need no password in this file";
        table
            .desk()
            .put(url.at.warning("a password stands in the configuration, which others may read", hint));
    }
    Evidence {
        keep: keep.map_or(usual.keep, |k| k.value),
        database: url.map_or(usual.database, |url| Database::Postgres(url.value)),
    }
}

fn read_dashboard(table: &Table<'_>) -> Dashboard {
    let listen = table.take("listen").and_then(|item| item.set("addresses", |i| address(i, true)));
    Dashboard {
        listen: listen.map_or_else(Vec::new, |l| l.items.into_iter().map(|a| a.value).collect()),
        notify: table.take("notify").and_then(|item| Some(item.path()?.value)),
    }
}

fn read_upload(table: &Table<'_>) -> Upload {
    let usual = Upload::default();
    let keys = table.take("signing-key-files").and_then(|item| item.list("paths", |i| Some(i.path()?.value)));
    let spool = table.take("spool-directory").and_then(|item| item.path());
    let give_up = table
        .take("give-up-after")
        .and_then(|item| item.duration(Duration::from_secs(1)..=DAY.saturating_mul(36_500)));
    let inputs = [("any", Inputs::Any), ("endorsed", Inputs::Endorsed)];
    Upload {
        signing_key_files: keys.map_or_else(Vec::new, |l| l.items),
        spool_directory: spool.map_or(usual.spool_directory, |path| path.value),
        jobs: count(table, "jobs", 64, usual.jobs),
        give_up_after: give_up.map_or(usual.give_up_after, |t| t.value),
        sign_remote_builds: sign_remote_builds(table),
        inputs: table.take("inputs").and_then(|item| item.choice(&inputs)).map_or(usual.inputs, |i| i.value),
    }
}

/// Signing what another machine says it built is a loosening, so it is named whenever it is in force.
fn sign_remote_builds(table: &Table<'_>) -> bool {
    let Some(flag) = table.take("sign-remote-builds").and_then(|item| item.flag()) else { return false };
    if flag.value {
        let found = "what remote builders made is signed as if it had been built here";
        table
            .desk()
            .put(flag.at.warning(found, "false, unless you trust every remote builder with your key"));
    }
    flag.value
}

/// An address to listen on; only this machine's own where `local` is asked for.
fn address(item: &Item<'_>, local: bool) -> Option<Located<Listen>> {
    item.text("an address", "\"IP:PORT\", \"[IPv6]:PORT\" or \"unix:/PATH\"", |text| {
        let address = Listen::parse(text)?;
        if local && !address.is_local() {
            let hint =
                "a loopback address or \"unix:/PATH\"; from elsewhere through a tunnel or a proxy of yours";
            return Err(Complaint::new(format!("{} can be reached from other machines", quoted(text)), hint));
        }
        Ok(address)
    })
}

/// Where state is kept: as written, else as systemd says, else as the XDG base directories say.
fn state_directory(root: &Table<'_>, env: &Environment) -> Option<PathBuf> {
    if let Some(item) = root.take("state-directory") {
        return Some(item.path()?.value);
    }
    let found = env.state_home();
    if found.is_none() {
        let hint =
            "`state-directory = \"/PATH\"`, or $STATE_DIRECTORY, $XDG_STATE_HOME or $HOME in the environment";
        root.desk().put(At::nowhere("state-directory").error("there is nowhere to keep state", hint));
    }
    found
}

fn parse_store_dir(text: &str) -> Result<StoreDir, Complaint> {
    StoreDir::new(text).map_err(|e| {
        Complaint::new(format!("{} is no store directory: {e}", quoted(text)), "\"/nix/store\", usually")
    })
}

fn parse_database(text: &str, hint: &str) -> Result<Url, Complaint> {
    // The parser's own words quote nothing of the URL, which may contain a password.
    let url = Url::parse(text).map_err(|e| Complaint::new(format!("this is no URL: {e}"), hint))?;
    match url.scheme() {
        "postgres" | "postgresql" => Ok(url),
        other => Err(Complaint::new(format!("{} is no database that is known", quoted(other)), hint)),
    }
}

fn size(
    table: &Table<'_>,
    name: &'static str,
    bounds: RangeInclusive<ByteSize>,
    usual: ByteSize,
) -> ByteSize {
    table.take(name).and_then(|item| item.size(bounds)).map_or(usual, |size| size.value)
}

fn count(table: &Table<'_>, name: &'static str, most: u64, usual: NonZeroUsize) -> NonZeroUsize {
    let number = table.take(name).and_then(|item| item.number(1..=most));
    number.and_then(|n| NonZeroUsize::new(usize::try_from(n.value).ok()?)).unwrap_or(usual)
}

fn flag(table: &Table<'_>, name: &'static str, usual: bool) -> bool {
    table.take(name).and_then(|item| item.flag()).map_or(usual, |flag| flag.value)
}

/// `listen` where nothing is written (design §6).
fn usual_address() -> Listen {
    Listen::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8419))
}

/// `decision-timeout` where nothing is written (design §6).
const USUAL_DECISION_TIMEOUT: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(86_400);
