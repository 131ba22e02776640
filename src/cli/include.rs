//! `countersign key include`: what nix.conf includes, so that Nix trusts our key.
//!
//! Nix reads nix.conf as root, and one line of it is enough to run anything: so root writes this file, and takes from
//! the service's directory one public key, parsed. Whether it had the effect is then read from nix.conf itself, since
//! what stands behind the `!include`, or a missing one, decides.

use crate::cli::init::read_file;
use crate::cli::key::{asked_at, nix_conf_lines};
use crate::cli::say::say;
use crate::cli::{Exit, fail, state};
use crate::config::Config;
use crate::format::VerifyingKey;
use crate::init::{NixConf, shown};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Writes the file, and sees what nix.conf makes of it.
pub(super) fn include(config: &Config, file: &Path, beside: bool, nix_conf: &Path) -> Exit {
    let key = match state(config).public_key(config.mode) {
        Ok(key) => key,
        Err(error) => return fail(Exit::from(&error), &error),
    };
    let Some(address) = asked_at(config) else { return Exit::Config };
    let text = if beside {
        format!(
            "# Countersign. What is asked and trusted besides goes around the policy.\n\
             extra-substituters = http://{address}\nextra-trusted-public-keys = {key}\n"
        )
    } else {
        nix_conf_lines(config.mode, address, &key)
    };
    let change = if std::fs::read(file).is_ok_and(|old| old == text.as_bytes()) {
        "unchanged"
    } else if let Err(source) = replace(file, &text) {
        eprintln!("countersign: cannot write {}: {source}", file.display());
        return Exit::Io;
    } else {
        "changed"
    };
    say!("{change}");
    match NixConf::read(nix_conf, &read_file) {
        Ok(read) => see(&read, nix_conf, file, &key, beside),
        Err(error) => fail(Exit::Io, &error),
    }
}

/// Whether nix.conf, as it was read, trusts the key.
fn see(read: &NixConf, nix_conf: &Path, file: &Path, key: &VerifyingKey, beside: bool) -> Exit {
    let own = key.to_string();
    let trusted = read.words("trusted-public-keys");
    let mut faults = Vec::new();
    if !trusted.iter().any(|word| word.text == own) {
        let (nix_conf, file) = (nix_conf.display(), file.display());
        faults.push(format!(
            "{nix_conf} does not trust {own}: nothing that we countersign is installed; `!include {file}` must stand \
             behind every trusted-public-keys"
        ));
    }
    if !beside {
        for other in trusted.iter().filter(|word| word.text != own) {
            let (text, place) = (shown(&other.text), other.place());
            faults.push(format!("{place} trusts {text} too, which goes around the policy: take it out"));
        }
    }
    if let Some((false, word)) = read.flag("require-sigs") {
        faults.push(format!("{} turns require-sigs off: take it out", word.place()));
    }
    for fault in &faults {
        eprintln!("countersign: {fault}");
    }
    if faults.is_empty() { Exit::Ok } else { Exit::Refused }
}

/// Puts a new file into the place of one, for all to read; never half of it.
fn replace(place: &Path, text: &str) -> io::Result<()> {
    let mut fresh = place.as_os_str().to_owned();
    fresh.push(format!(".new.{}", std::process::id()));
    let fresh = PathBuf::from(fresh);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&fresh)?;
        // Whatever the umask: Nix reads it as every user.
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, place)?;
        File::open(place.parent().unwrap_or_else(|| Path::new(".")))?.sync_all()
    };
    write().inspect_err(|_| std::fs::remove_file(&fresh).unwrap_or_default())
}
