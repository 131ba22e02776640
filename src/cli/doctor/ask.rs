//! What Nix is told: Nix itself is asked, in the environment of whoever asks the substituters. Where there is no
//! `nix`, or it does not answer, its files are read.

use super::vantage::Vantage;
use crate::cli::{Exit, fail, run_async};
use crate::doctor::{Finding, Label, NixSettings, Severity};
use crate::init::{NixConf, shown};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// What was found out, and from where.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) settings: Option<NixSettings>,
    pub(super) sources: String,
    pub(super) unknown: Vec<Finding>,
}

/// Asks Nix, or reads the `named` file.
pub(super) fn ask(vantage: &Vantage, named: Option<&Path>, program: Option<&Path>) -> Result<Asked, Exit> {
    if let Some(file) = named {
        let machines = file.with_file_name("machines");
        // A file that somebody names must be there.
        let conf = NixConf::read(file, &crate::cli::init::read_file)
            .map_err(|error| fail(if error.is_unreadable() { Exit::Io } else { Exit::Config }, &error))?;
        let settings = Some(NixSettings::from_files(conf, &machines.to_string_lossy()));
        let sources = format!("{}, and not what else Nix reads", shown(&file.to_string_lossy()));
        return Ok(Asked { settings, sources, unknown: Vec::new() });
    }
    let files = NixConf::read_all(&vantage.files(), &|path| vantage.read(path));
    let Some(program) = program.map(Path::to_owned).or_else(found) else {
        let note = Finding::new(
            Label::NotFoundOut,
            Severity::Note,
            "Nix itself was not asked for its settings, and its files were read instead",
            "there is no `nix` in $PATH",
            "name it with --nix, if it is elsewhere",
        );
        return Ok(from_files(vantage, files.map_err(|error| error.to_string()), note));
    };
    match run_async(answer(&program, &vantage.environment()))? {
        Ok(settings) => {
            let sources =
                format!("{} config show, for {}", shown(&program.to_string_lossy()), vantage.whose());
            let settings = Some(NixSettings { files: files.ok(), ..settings });
            Ok(Asked { settings, sources, unknown: Vec::new() })
        }
        Err(why) => {
            let told = Finding::unknown(
                format!("what {} says of its settings", shown(&program.to_string_lossy())),
                format!("{why}; its files were read instead"),
                "run `nix config show --json` and see, or name another program with --nix",
            );
            Ok(from_files(vantage, files.map_err(|error| error.to_string()), told))
        }
    }
}

fn from_files(vantage: &Vantage, files: Result<NixConf, String>, told: Finding) -> Asked {
    let mut unknown = vec![told];
    let machines = vantage.conf_dir().join("machines");
    let settings = match files {
        Ok(conf) => Some(NixSettings::from_files(conf, &machines.to_string_lossy())),
        Err(why) => {
            let fix = "run this as root, or name a nix.conf with --nix-conf";
            unknown.push(Finding::unknown("what Nix is told", why, fix));
            None
        }
    };
    let read: Vec<String> = (settings.iter())
        .flat_map(|settings| settings.files.iter().flat_map(|conf| &conf.files))
        .map(|file| shown(&file.to_string_lossy()))
        .collect();
    let read = if read.is_empty() { "no file, but Nix's defaults".to_owned() } else { read.join(", ") };
    Asked { settings, sources: format!("{read}, for {}", vantage.whose()), unknown }
}

/// The `nix` of this machine.
fn found() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = USUAL.iter().map(PathBuf::from);
    std::env::split_paths(&path).filter(|dir| dir.is_absolute()).chain(usual).map(|dir| dir.join("nix")).find(
        |file| {
            use std::os::unix::fs::PermissionsExt;
            file.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
        },
    )
}

/// Nix's answer. The command is called `config show` from 2.20 on, and `show-config` before.
async fn answer(program: &Path, variables: &[(OsString, OsString)]) -> Result<NixSettings, String> {
    match run(program, &["config", "show"], variables).await {
        Err(Failed::Status(_)) => {}
        Err(failed) => return Err(failed.to_string()),
        Ok(text) => return NixSettings::from_json(&text),
    }
    match run(program, &["show-config"], variables).await {
        Err(failed) => Err(failed.to_string()),
        Ok(text) => NixSettings::from_json(&text),
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("it cannot be run: {0}")]
    Start(std::io::Error),
    #[error("it did not answer within {} s", PATIENCE.as_secs())]
    Late,
    #[error("it answered with more than {} MiB", LARGEST >> 20)]
    TooMuch,
    #[error("it ended with {0}")]
    Status(std::process::ExitStatus),
}

/// Runs one command; its output, if it ended well, in time and within bounds. It is ended here with all that it
/// started.
async fn run(
    program: &Path,
    command: &[&str],
    variables: &[(OsString, OsString)],
) -> Result<Vec<u8>, Failed> {
    let mut started = Command::new(program);
    started.args(["--extra-experimental-features", "nix-command"]).args(command).arg("--json");
    let path = std::env::var_os("PATH").unwrap_or_default();
    started.env_clear().env("PATH", path).envs(variables.iter().cloned()).current_dir("/");
    started.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // A group of its own, so that what it started can be ended with it.
    let mut child = started.process_group(0).kill_on_drop(true).spawn().map_err(Failed::Start)?;
    let group = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
    let mut text = Vec::new();
    let reading = async {
        if let Some(output) = child.stdout.take() {
            output.take(LARGEST.saturating_add(1)).read_to_end(&mut text).await.map_err(Failed::Start)?;
        }
        if u64::try_from(text.len()).is_ok_and(|length| length > LARGEST) {
            return Err(Failed::TooMuch);
        }
        child.wait().await.map_err(Failed::Start)
    };
    let ended = tokio::time::timeout(PATIENCE, reading).await.unwrap_or(Err(Failed::Late));
    match ended {
        Ok(status) if status.success() => Ok(text),
        Ok(status) => Err(Failed::Status(status)),
        Err(failed) => {
            if let Some(group) = group {
                // It may have ended by itself meanwhile; until it is waited for, its number is not given to another.
                rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap_or_default();
            }
            child.wait().await.map(drop).unwrap_or_default();
            Err(failed)
        }
    }
}

/// Where `nix` is where $PATH does not say so: as under sudo.
const USUAL: &[&str] = &["/run/current-system/sw/bin", "/nix/var/nix/profiles/default/bin"];
/// The time for one answer. Real ones take 20 ms; a guess for a busy machine with a slow disk.
const PATIENCE: Duration = Duration::from_secs(10);
/// The size of one answer. Nix 2.34 gives 76 KB.
const LARGEST: u64 = 4 << 20;
