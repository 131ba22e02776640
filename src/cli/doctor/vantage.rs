//! From where Nix's settings are looked at: who asks the substituters, and in which environment.
//!
//! With a daemon that is the daemon, whose settings a shell does not see: root's own files and its `$NIX_CONFIG`
//! count, this user's do not. Its environment is in `/proc`, for root and its own user to read. Without one it is
//! whoever runs a command, and this process stands for that.

use crate::cli::init::{USUAL_DIR, read_file, user_files};
use crate::doctor::{Finding, OwnSettings, ProxyEnvironment, StartedDaemon};
use crate::init::NixConf;
use crate::store::StoreAddress;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

/// Who asks the substituters.
#[derive(Debug)]
pub(super) enum Vantage {
    /// A daemon whose environment was read.
    Daemon { process: u32, variables: Vec<(OsString, OsString)> },
    /// A daemon of which nothing more is known, and why.
    System(String),
    /// Nobody on this machine: a file that was named is all that is looked at.
    File,
    /// Commands themselves, in an environment like this.
    Commands(Vec<(OsString, OsString)>),
}

impl Vantage {
    /// Of the process that listens on the store's socket, if the kernel says which; of this one if nobody does; of
    /// none if a file is `named`.
    pub(super) fn find(listening: Option<Option<u32>>, named: bool) -> Self {
        if named {
            return Self::File;
        }
        let Some(listening) = listening else { return Self::Commands(std::env::vars_os().collect()) };
        let Some(process) = listening.and_then(daemon) else {
            return Self::System("which process is the daemon cannot be seen from here".to_owned());
        };
        match environment(process) {
            Ok(variables) => Self::Daemon { process, variables },
            Err(error) => {
                Self::System(format!("the environment of process {process} cannot be read: {error}"))
            }
        }
    }

    /// Whose settings they are, in words.
    pub(super) fn whose(&self) -> String {
        match self {
            Self::Daemon { process, .. } => format!("the Nix daemon (process {process})"),
            Self::System(_) => "the Nix daemon, without its environment and root's own files".to_owned(),
            Self::File => "nobody".to_owned(),
            Self::Commands(_) => "this user's commands, since no daemon answers".to_owned(),
        }
    }

    /// The daemon, and when the files were changed that it read.
    pub(super) fn daemon(&self, files: &[PathBuf]) -> Option<StartedDaemon> {
        let Self::Daemon { process, .. } = self else { return None };
        let changed = |file: &PathBuf| {
            let about = fs::metadata(file).ok()?;
            Some((file.to_string_lossy().into_owned(), about.mtime()))
        };
        let files = files.iter().filter_map(changed).collect();
        Some(StartedDaemon { process: *process, started: started(*process)?, files })
    }

    /// A variable of the environment in which Nix reads its settings.
    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        let variables = match self {
            Self::Daemon { variables, .. } | Self::Commands(variables) => variables,
            Self::System(_) | Self::File => return None,
        };
        let found = variables.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
    }

    /// What is put into the environment of a `nix` that is asked for its settings.
    pub(super) fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut told: Vec<(OsString, OsString)> =
            TOLD.iter().filter_map(|&name| Some((name.into(), self.variable(name)?.to_owned()))).collect();
        if let Self::System(_) = self {
            told.push(("NIX_USER_CONF_FILES".into(), SHARED.into()));
        }
        told
    }

    /// The directory of nix.conf.
    pub(super) fn conf_dir(&self) -> PathBuf {
        self.variable("NIX_CONF_DIR").map_or_else(|| USUAL_DIR.into(), PathBuf::from)
    }

    /// The files that Nix reads, the one that counts most last. `$NIX_CONFIG` stands for the variable.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files = vec![self.conf_dir().join("nix.conf")];
        match self {
            Self::System(_) => files.push(SHARED.into()),
            _ => files.extend(user_files(|name| self.variable(name).map(OsStr::to_owned)).into_iter().rev()),
        }
        files.push(VARIABLE.into());
        files
    }

    /// Reads one of those files.
    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == Path::new(VARIABLE) {
            return self
                .variable("NIX_CONFIG")
                .map(|text| text.as_bytes().to_vec())
                .ok_or_else(|| io::ErrorKind::NotFound.into());
        }
        read_file(path)
    }

    /// What this process's user sets beside what Nix reads here.
    pub(super) fn own_settings(&self, trusted: &[String]) -> Vec<OwnSettings> {
        if let Self::Commands(_) | Self::File = self {
            return Vec::new();
        }
        let me = Identity::of_process();
        let is_heeded = me.is_among(trusted);
        let known = self.files();
        let mut files = user_files(|name| std::env::var_os(name));
        files.retain(|file| !known.contains(file));
        let config = std::env::var_os("NIX_CONFIG").filter(|text| !text.is_empty());
        let read = |path: &Path| match &config {
            Some(text) if path == Path::new(VARIABLE) => Ok(text.as_bytes().to_vec()),
            _ => read_file(path),
        };
        files.extend(config.is_some().then(|| PathBuf::from(VARIABLE)));
        let settings = |file: &PathBuf| {
            let conf = NixConf::read(file, &read).ok()?;
            let settings: Vec<&'static str> = conf.all_written().map(|(name, _)| name).collect();
            let place = file.to_string_lossy().into_owned();
            Some(OwnSettings { place, settings, user: me.name.clone(), is_heeded })
        };
        files.iter().filter_map(settings).collect()
    }

    /// The variables about proxies of whoever asks.
    pub(super) fn proxies(&self, unknown: &mut Vec<Finding>) -> Vec<ProxyEnvironment> {
        let variables = match self {
            Self::Daemon { variables, .. } | Self::Commands(variables) => variables,
            Self::File => return Vec::new(),
            Self::System(why) => {
                unknown.push(Finding::unknown(
                    "whether a proxy stands between the Nix daemon and us",
                    why.clone(),
                    "run this as root",
                ));
                return Vec::new();
            }
        };
        let text = |text: &OsString| text.to_string_lossy().into_owned();
        let about = |name: &OsString| name.to_string_lossy().to_ascii_lowercase().ends_with("_proxy");
        let variables = variables.iter().filter(|(name, _)| about(name)).map(|(n, v)| (text(n), text(v)));
        vec![ProxyEnvironment { whose: self.whose(), variables: variables.collect() }]
    }
}

/// The process that listens on the daemon's socket: the daemon's first, or systemd where that holds the socket. `None`
/// if it cannot be seen, as from another container.
///
/// By a connection of its own, which is closed unused: the kernel then names the process that listened.
pub(super) async fn listening(address: &StoreAddress) -> Option<u32> {
    let socket = address.socket.clone();
    // Not tokio's own way: a daemon that is busy would be an error to it, and is waited for here.
    let connecting = tokio::task::spawn_blocking(|| std::os::unix::net::UnixStream::connect(socket));
    let stream = tokio::time::timeout(PATIENCE, connecting).await.ok()?.ok()?.ok()?;
    stream.set_nonblocking(true).ok()?;
    let stream = UnixStream::from_std(stream).ok()?;
    u32::try_from(stream.peer_cred().ok()?.pid()?).ok().filter(|&process| process > 0)
}

/// The daemon behind a socket: who listens there, or, where systemd does, the process of that name that it started.
fn daemon(listening: u32) -> Option<u32> {
    let name = |process: u32| fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    if listening != SYSTEMD {
        return Some(listening);
    }
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_started = |&process: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // proc_pid_stat(5): the name in parentheses, the state, the parent.
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        name(process).trim_end() == "nix-daemon" && parent == Some("1")
    };
    numbers.into_iter().find(is_started)
}

/// When a process started, in seconds since 1970.
fn started(process: u32) -> Option<i64> {
    // proc_pid_stat(5): field 22, in ticks since the machine booted; the third field is the first behind the name.
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let ticks: i64 = stat.rsplit(')').next()?.split_whitespace().nth(22 - 3)?.parse().ok()?;
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let booted: i64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    booted.checked_add(ticks.checked_div(TICKS)?)
}

fn environment(process: u32) -> io::Result<Vec<(OsString, OsString)>> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{process}/environ"))?.take(LARGEST).read_to_end(&mut bytes)?;
    let variable = |text: &[u8]| {
        let at = text.iter().position(|byte| *byte == b'=')?;
        let (name, value) = text.split_at_checked(at)?;
        Some((OsString::from_vec(name.to_vec()), OsString::from_vec(value.get(1..)?.to_vec())))
    };
    Ok(bytes.split(|byte| *byte == 0).filter_map(variable).collect())
}

/// The user that this process runs as.
struct Identity {
    number: u32,
    name: String,
    groups: Vec<String>,
}

impl Identity {
    fn of_process() -> Self {
        let number = rustix::process::geteuid().as_raw();
        let numbered = |line: &str, number: &str| line.split(':').nth(2) == Some(number);
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = users.lines().find(|line| numbered(line, &number.to_string()));
        let name =
            user.and_then(|line| line.split(':').next()).map_or_else(|| number.to_string(), str::to_owned);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mut ids: Vec<&str> = Vec::new();
        for line in status.lines() {
            if let Some(list) = line.strip_prefix("Groups:").or_else(|| line.strip_prefix("Gid:")) {
                ids.extend(list.split_whitespace());
            }
        }
        let groups = fs::read_to_string("/etc/group").unwrap_or_default();
        let is_mine = |line: &&str| {
            let members = line.split(':').nth(3).unwrap_or_default();
            ids.iter().any(|id| numbered(line, id)) || members.split(',').any(|member| member == name)
        };
        let mine = groups.lines().filter(is_mine).filter_map(|line| line.split(':').next());
        let groups = mine.map(str::to_owned).collect();
        Self { number, name, groups }
    }

    /// Whether a list of users, as Nix writes it, has this one; root always is.
    fn is_among(&self, users: &[String]) -> bool {
        let has = |user: &String| match user.strip_prefix('@') {
            Some(group) => self.groups.iter().any(|mine| mine == group),
            None => user == "*" || *user == self.name,
        };
        self.number == 0 || users.iter().any(has)
    }
}

/// What of an environment bears on Nix's settings.
const TOLD: &[&str] = &[
    "HOME",
    "NIX_CONFIG",
    "NIX_CONF_DIR",
    "NIX_USER_CONF_FILES",
    "USER",
    "XDG_CONFIG_DIRS",
    "XDG_CONFIG_HOME",
];
/// What stands for the text of the variable among files.
const VARIABLE: &str = "$NIX_CONFIG";
/// The file for all users that is found without an environment.
const SHARED: &str = "/etc/xdg/nix/nix.conf";
/// Ticks of a second, as Linux counts for programs wherever Nix runs (`USER_HZ`).
const TICKS: i64 = 100;
/// The first process, which holds the socket where systemd starts the daemon.
const SYSTEMD: u32 = 1;
/// The time for a connection to a daemon that answered just now.
const PATIENCE: Duration = Duration::from_secs(10);
/// More than any environment has: Linux gives a program 2 MiB for it by default.
const LARGEST: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_trusted_as_nix_trusts_them() {
        let somebody = |number| Identity { number, name: "u".to_owned(), groups: vec!["wheel".to_owned()] };
        let list = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<String>>();
        for (users, trusted) in [
            ("root", false),
            ("root u", true),
            ("*", true),
            ("root @wheel", true),
            ("wheel", false),
            ("@u", false),
            ("uu @whee", false),
        ] {
            assert_eq!(somebody(1000).is_among(&list(users)), trusted, "{users}");
            assert!(somebody(0).is_among(&list(users)));
        }
    }

    #[test]
    fn the_files_are_those_that_nix_reads_in_its_order() {
        let variables = |pairs: &[(&str, &str)]| {
            Vantage::Commands(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
        };
        let of = |vantage: &Vantage| {
            let files: Vec<String> = vantage.files().iter().map(|file| file.display().to_string()).collect();
            files
        };
        let usual = variables(&[("HOME", "/h"), ("NIX_CONF_DIR", "")]);
        let expected =
            ["/etc/nix/nix.conf", "/etc/xdg/nix/nix.conf", "/h/.config/nix/nix.conf", "$NIX_CONFIG"];
        assert_eq!(of(&usual), expected);
        let moved = variables(&[("NIX_CONF_DIR", "/c"), ("NIX_USER_CONF_FILES", "/a:/b")]);
        assert_eq!(of(&moved), ["/c/nix.conf", "/b", "/a", "$NIX_CONFIG"]);
        let system = Vantage::System("hidden".to_owned());
        assert_eq!(of(&system), ["/etc/nix/nix.conf", "/etc/xdg/nix/nix.conf", "$NIX_CONFIG"]);
        assert_eq!(system.environment(), [("NIX_USER_CONF_FILES".into(), SHARED.into())]);
        let mut unknown = Vec::new();
        assert_eq!((system.proxies(&mut unknown).len(), unknown.len()), (0, 1));
    }

    #[test]
    fn a_process_is_known_by_its_environment_and_its_start() {
        let me = std::process::id();
        let path = environment(me).unwrap().into_iter().find(|(name, _)| name == "PATH");
        assert_eq!(path.map(|(_, value)| value), std::env::var_os("PATH"));
        let now = crate::clock::now().seconds();
        assert!((now - 100_000..=now + 2).contains(&started(me).unwrap()));
        // Nothing that is not systemd's is guessed at.
        assert_eq!(daemon(me), Some(me));
        assert_eq!(started(u32::MAX), None);
        assert!(environment(u32::MAX).is_err());
    }
}
