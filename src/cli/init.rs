//! `countersign init`: a first configuration from nix.conf. What it says is decided in [`crate::init`]; here
//! files are found, read and written.
//!
//! The file is written beside its place, synced, and put there whole. An existing one is replaced only by
//! `--force`, also if it appears in between.

use crate::cli::{Exit, fail};
use crate::config::{self, Environment, Location, Style};
use crate::init::{Entry, LARGEST, Netrc, NixConf, NixConfError, Plan, Word, draft, shown, summary, toml};
use crate::trust::Timestamp;
use crate::upstream::{NetrcEntry, is_open_to_others, netrc_entry};
use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What `init` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The nix.conf to read, with what it includes.
    ///
    /// Without it $NIX_CONF_DIR/nix.conf, else /etc/nix/nix.conf; if that is not there, Nix's defaults.
    #[arg(long, value_name = "FILE")]
    nix_conf: Option<PathBuf>,
    /// Where to write the draft, instead of to the standard output. An existing file is left alone; a missing
    /// directory is made.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the output file if it exists.
    #[arg(long, requires = "output")]
    force: bool,
}

/// Drafts a configuration.
pub(super) fn init(options: &Options, location: &Location, now: Timestamp) -> Exit {
    if let Location::File(_) = location {
        return complain(
            Exit::Config,
            "init reads nix.conf, not a configuration; write to a file by --output FILE",
        );
    }
    let output = options.output.as_deref();
    if let Some(file) = output.filter(|file| !options.force && file.symlink_metadata().is_ok()) {
        return complain(Exit::Config, &exists(file));
    }
    let plan = match plan(options.nix_conf.as_deref()) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    let place = output.unwrap_or_else(|| Path::new(Environment::USUAL_FILE));
    let text = toml(&plan, place);
    if let Err(exit) = prove(&text, now) {
        return exit;
    }
    let written = match output {
        Some(file) => write(file, &text, options.force),
        None => io::stdout().lock().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()),
    };
    match (written, output) {
        (Ok(()), _) => {
            eprint!("{}", summary(&plan, place, output.is_some()));
            Exit::Ok
        }
        (Err(error), Some(file)) if error.kind() == io::ErrorKind::AlreadyExists => {
            complain(Exit::Config, &exists(file))
        }
        (Err(error), Some(file)) => {
            complain(Exit::Io, &format!("cannot write {}: {error}; nothing was changed", name(file)))
        }
        (Err(error), None) => complain(Exit::Io, &format!("cannot write to the standard output: {error}")),
    }
}

/// Reads nix.conf and the netrc file.
fn plan(named: Option<&Path>) -> Result<Plan, Exit> {
    let from_environment = || std::env::var_os("NIX_CONF_DIR").filter(|dir| !dir.is_empty());
    let usual = || PathBuf::from(from_environment().unwrap_or_else(|| USUAL_DIR.into())).join("nix.conf");
    let root = named.map_or_else(usual, Path::to_owned);
    let read = NixConf::read(&root, &|path| match named == Some(path) {
        // What the user names may be a pipe; what a file includes may not keep us waiting.
        true => read_bounded(path),
        false => read_file(path),
    });
    let conf = match read {
        Err(NixConfError::Read { included: None, why, .. })
            if named.is_none() && why.kind() == io::ErrorKind::NotFound =>
        {
            NixConf::default()
        }
        Err(error) => return Err(fail(if error.is_unreadable() { Exit::Io } else { Exit::Config }, &error)),
        Ok(conf) => conf,
    };
    let mut plan = with_netrc(&conf, root.parent().unwrap_or_else(|| Path::new("/")))?;
    if named.is_none() {
        plan.unknown.extend(of_users(&user_files(|name| std::env::var_os(name))));
        if std::env::var_os("NIX_CONFIG").is_some_and(|text| !text.is_empty()) {
            plan.unknown.push("what $NIX_CONFIG sets: it is not read".to_owned());
        }
    }
    Ok(plan)
}

fn with_netrc(conf: &NixConf, conf_dir: &Path) -> Result<Plan, Exit> {
    let path = match conf.words("netrc-file").first() {
        Some(Word { text, .. }) if !text.is_empty() => PathBuf::from(text),
        _ => conf_dir.join("netrc"),
    };
    let secret = read_file(&path).map(Zeroizing::new);
    let mode = std::fs::metadata(&path).map_or(0, |about| about.permissions().mode() & 0o777);
    let drafted = match &secret {
        Ok(bytes) => {
            // As `credentials-file` is read: a file that is no text has no entry.
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            let entry = |host: &str| match netrc_entry(text, host) {
                Some(NetrcEntry::Named) => Entry::Named,
                Some(NetrcEntry::Default) => Entry::Default,
                None => Entry::Missing,
            };
            let open_mode = Some(mode).filter(|&mode| is_open_to_others(mode));
            draft(conf, Netrc::Read { path: &path, open_mode, entry: &entry })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => draft(conf, Netrc::Missing),
        Err(error) => draft(conf, Netrc::Unreadable { path: &path, why: &error.to_string() }),
    };
    drafted.map_err(|error| fail(Exit::Config, &error))
}

/// The files in which users set what is theirs (nix.conf(5)).
pub(super) fn user_files(var: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let var = |name: &str| var(name).filter(|value| !value.is_empty());
    if let Some(list) = var("NIX_USER_CONF_FILES") {
        return std::env::split_paths(&list).collect();
    }
    let home = || Some(PathBuf::from(var("HOME")?).join(".config"));
    let own = var("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
    let shared = var("XDG_CONFIG_DIRS").unwrap_or_else(|| "/etc/xdg".into());
    own.into_iter().chain(std::env::split_paths(&shared)).map(|dir| dir.join("nix/nix.conf")).collect()
}

/// A line for each of them that sets something that matters here.
fn of_users(files: &[PathBuf]) -> Vec<String> {
    let remark = |file: &PathBuf| match NixConf::read(file, &read_file) {
        Ok(conf) => {
            let written: Vec<&str> = conf.written().map(|(setting, _)| setting).collect();
            let why = "it holds for one user, and is not carried over";
            (!written.is_empty())
                .then(|| format!("what {} is for ({}): {why}", name(file), written.join(", ")))
        }
        Err(NixConfError::Read { why, .. }) if why.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(format!("what a user's file sets: {error}")),
    };
    files.iter().filter_map(remark).collect()
}

/// A regular file, up to a byte more than is ever wanted.
pub(super) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    read_bounded(path)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > LARGEST {
        let why = "it is larger than 1 MiB, which no nix.conf is";
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

/// Reads the draft as `check` would: what is written can be used.
fn prove(text: &str, now: Timestamp) -> Result<(), Exit> {
    // The state directory is not the draft's: any home will do.
    let environment = Environment { home: Some("/".into()), ..Environment::default() };
    match config::parse("the draft", text.as_bytes(), &environment, now) {
        Ok(_) => Ok(()),
        Err(report) => {
            eprint!("{}", report.render(Style::Plain));
            Err(complain(
                Exit::Config,
                "the draft could not be used, and nothing was written; please report this",
            ))
        }
    }
}

/// Writes the whole file or nothing, for all to read: there is no secret in it.
fn write(place: &Path, text: &str, replace: bool) -> io::Result<()> {
    let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    let mut fresh = place.as_os_str().to_owned();
    fresh.push(format!(".new.{}", std::process::id()));
    let fresh = PathBuf::from(fresh);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&fresh)?;
    let mut put = || {
        // Whatever the umask.
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        match replace {
            true => std::fs::rename(&fresh, place),
            // A link fails where a rename would replace.
            false => std::fs::hard_link(&fresh, place),
        }
    };
    let result = put();
    // After a rename it is gone already.
    std::fs::remove_file(&fresh).unwrap_or_default();
    result?;
    File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn exists(file: &Path) -> String {
    format!("{} exists; give another file, or --force to replace it", name(file))
}

fn name(file: &Path) -> String {
    shown(&file.to_string_lossy())
}

fn complain(exit: Exit, words: &str) -> Exit {
    eprintln!("countersign: {words}");
    exit
}

/// Where Nix's configuration is unless $NIX_CONF_DIR says otherwise.
pub(super) const USUAL_DIR: &str = "/etc/nix";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_files_are_where_nix_looks_for_them() {
        let of = |pairs: &'static [(&str, &str)]| {
            user_files(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into()))
        };
        assert_eq!(
            of(&[("NIX_USER_CONF_FILES", "/a:/b"), ("HOME", "/h")]),
            [Path::new("/a"), Path::new("/b")]
        );
        let usual = [Path::new("/h/.config/nix/nix.conf"), Path::new("/etc/xdg/nix/nix.conf")];
        assert_eq!(of(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "")]), usual);
        let named = [Path::new("/x/nix/nix.conf"), Path::new("/y/nix/nix.conf")];
        assert_eq!(of(&[("XDG_CONFIG_HOME", "/x"), ("XDG_CONFIG_DIRS", "/y"), ("HOME", "/h")]), named);
    }
}
