//! What lies on the machine besides: the list of builders, the hook's program, its spool.

use super::vantage::Vantage;
use crate::cli::init::read_file;
use crate::doctor::{Finding, Hook, NixSettings, SpoolState};
use crate::init::{shown, without_secrets};
use crate::spool::{PlaceError, place};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The machines of a list of builders. NixOS/nix `src/libstore/machines.cc`: one a line or between semicolons, `#`
/// begins a comment, `@FILE` is a file with more, and a file that is not there has none.
pub(super) fn builders(list: &str, unknown: &mut Vec<Finding>) -> Vec<String> {
    let mut machines = Vec::new();
    let mut ahead = vec![(list.to_owned(), 0)];
    while let Some((list, depth)) = ahead.pop() {
        for line in list.split(['\n', ';']) {
            let line = line.split('#').next().unwrap_or_default().trim();
            let Some(file) = line.strip_prefix('@') else {
                let name = line.split_whitespace().next().map(without_secrets);
                machines.extend(name.filter(|_| machines.len() < MOST_MACHINES));
                continue;
            };
            match read_file(Path::new(file.trim())) {
                Ok(bytes) if depth < MOST_DEEP => {
                    ahead.push((String::from_utf8_lossy(&bytes).into_owned(), depth.saturating_add(1)));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                read => unknown.push(Finding::unknown(
                    format!("which machines build for this one, of those in {}", shown(file)),
                    read.err()
                        .map_or_else(|| "files name one another too often".to_owned(), |e| e.to_string()),
                    "run this as root",
                )),
            }
        }
    }
    machines
}

/// What the hook is; `None` if that is told as unknown.
pub(super) fn hook(nix: &NixSettings, vantage: &Vantage, unknown: &mut Vec<Finding>) -> Option<Hook> {
    if nix.post_build_hook.is_empty() {
        return Some(Hook::Unset);
    }
    let looked = located(&nix.post_build_hook, vantage).and_then(|program| look(&program));
    match looked {
        Ok(hook) => Some(hook),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Hook::Missing),
        Err(error) => {
            let what = format!("what the post-build-hook {} is", shown(&nix.post_build_hook));
            unknown.push(Finding::unknown(what, error.to_string(), "run this as root"));
            None
        }
    }
}

/// A program as Nix finds it: by its path, else in `$PATH`.
fn located(program: &str, vantage: &Vantage) -> io::Result<PathBuf> {
    if program.contains('/') {
        return Ok(program.into());
    }
    let path =
        vantage.variable("PATH").ok_or_else(|| io::Error::other("the daemon's $PATH cannot be read"))?;
    let mut places = std::env::split_paths(path).map(|dir| dir.join(program));
    places.find(|file| file.is_file()).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn look(program: &Path) -> io::Result<Hook> {
    let file = program.canonicalize()?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut contents = Vec::new();
    File::open(&file)?.take(LARGEST_SCRIPT).read_to_end(&mut contents)?;
    Ok(Hook::of_program(&name, &contents))
}

/// Whether the hook and the uploader can use the spool. Nothing is made.
pub(super) fn spool(path: &Path, vantage: &Vantage) -> SpoolState {
    if let Vantage::Daemon { .. } | Vantage::Commands(_) = vantage {
        let told = vantage.variable(VARIABLE).map_or_else(|| PathBuf::from(USUAL_SPOOL), PathBuf::from);
        if told != path {
            return SpoolState::Unusable(format!(
                "`spool-directory` is {}, and the hook, by ${VARIABLE} in the daemon's environment, writes to {}",
                path.display(),
                told.display()
            ));
        }
    }
    let owner = match path.symlink_metadata() {
        Ok(about) => about.uid(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return SpoolState::Unusable(format!("{} is not there", path.display()));
        }
        Err(_) => return SpoolState::NotKnown,
    };
    // Judged as its owner sees it, whoever this is.
    match place::Place::open(path, owner) {
        Ok(_) => SpoolState::Fine,
        Err(PlaceError::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            SpoolState::NotKnown
        }
        Err(error) => SpoolState::Unusable(error.to_string()),
    }
}

/// What names the spool to the hook, and where it is otherwise (hook/README.md).
const VARIABLE: &str = "COUNTERSIGN_SPOOL";
const USUAL_SPOOL: &str = "/var/spool/countersign";
/// Of a hook, as much is looked at. A guess: scripts have a few hundred bytes.
const LARGEST_SCRIPT: u64 = 64 << 10;
/// How often lists of builders may name further ones.
const MOST_DEEP: u32 = 4;
/// Machines that are counted. A guess far above any that people list.
const MOST_MACHINES: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builders_are_listed_as_nix_lists_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let file = dir.path().join(name);
            std::fs::write(&file, text).unwrap();
            file.display().to_string()
        };
        let inner = file("inner", "ssh://inner x86_64-linux # not this\n\n# nor this\n");
        let outer = file("outer", &format!("ssh-ng://u:hush@outer\n@{inner}\n@/none\n"));
        for (list, expected) in [
            (String::new(), vec![]),
            ("@/none".to_owned(), vec![]),
            (" ssh://a i686-linux /key 4 ; b\nc".to_owned(), vec!["ssh://a", "b", "c"]),
            (format!("d;@{outer}"), vec!["d", "ssh-ng://***@outer", "ssh://inner"]),
        ] {
            let mut unknown = Vec::new();
            assert_eq!(builders(&list, &mut unknown), expected, "{list}");
            assert_eq!(unknown, []);
        }
        // What cannot be read, or leads in a circle, is told.
        let circle = dir.path().join("circle").display().to_string();
        file("circle", &format!("once\n@{circle}\n"));
        for (list, expected) in [(format!("@{}", dir.path().display()), 0), (format!("@{circle}"), 4)] {
            let mut unknown = Vec::new();
            assert_eq!(builders(&list, &mut unknown).len(), expected, "{list}");
            assert_eq!(unknown.len(), 1, "{unknown:?}");
        }
        let many = "m;".repeat(5000);
        assert_eq!(builders(&many, &mut Vec::new()).len(), MOST_MACHINES);
    }
}
