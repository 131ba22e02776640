//! Having Nix build a derivation again, and finding out what came of it.
//!
//! First the inputs are realised, from caches too; then what is asked for is built with substitution and remote builders
//! off, so that it is this machine that builds. Installed outputs are built with `--check`: Nix compares, and what is
//! installed stays as it is. Where the result is equal it notes the path as built here (`ultimate`). Outputs that are not
//! installed are built from source. All that is worked with is kept from being collected, by temporary roots on the
//! caller's connection.
//!
//! A user whom the daemon does not trust cannot turn its remote builders off. A check is local all the same where
//! `max-jobs` is not 0, which anybody may say; of what was not installed the store's record tells who built it.

use crate::format::{NarHash, StorePath};
use crate::pack::{PackError, measure};
use crate::rebuild::Job;
use crate::store::{Store, StoreAddress, StoreError, dump};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;

/// The program that builds.
#[derive(Clone, Debug)]
pub struct Nix(OsString);

/// What came of building one output again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was not installed, and is now, with this content.
    Built {
        /// Its NarHash.
        nar_hash: NarHash,
        /// Its NarSize.
        nar_size: u64,
    },
    /// The same as what is installed.
    Equal,
    /// Another content than what is installed.
    Other {
        /// The content, where Nix kept it, and where that is.
        kept: Option<Kept>,
    },
    /// Another output differs, and Nix stopped there.
    NotCompared,
    /// It could not be built.
    Failed,
}

/// A result that Nix kept beside the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Where.
    pub place: PathBuf,
    /// Its NarHash.
    pub nar_hash: NarHash,
    /// Its NarSize.
    pub nar_size: u64,
}

/// Why it was not found out whether something can be built.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Nix's program cannot be started.
    #[error("cannot run {program:?}: {source}; put the folder of Nix's programs into PATH")]
    Start {
        /// The program.
        program: OsString,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The store cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A result cannot be hashed.
    #[error("cannot hash {place}: {source}")]
    Hash {
        /// What.
        place: PathBuf,
        /// What went wrong.
        source: PackError,
    },
}

impl Nix {
    /// `nix-store`, found in PATH. Which store it works on, it is told by the environment, as we are.
    pub fn of_path() -> Self {
        Self("nix-store".into())
    }

    /// Realises something; what Nix says goes to standard error.
    fn realise(&self, options: &[&str], what: &[String]) -> Result<ExitStatus, RunError> {
        let mut command = Command::new(&self.0);
        command.arg("--realise").args(options).args(what);
        // Its standard output is the paths, which are known.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.status().map_err(|source| RunError::Start { program: self.0.clone(), source })
    }
}

/// Builds a derivation again; what came of each of the job's outputs, in their order.
///
/// # Errors
/// [`RunError`] if it could not be found out. A build that fails is no error.
pub fn run(
    job: &Job,
    nix: &Nix,
    store: &mut Store,
    address: &StoreAddress,
) -> Result<Vec<Outcome>, RunError> {
    store.add_temp_root(&job.derivation)?;
    for output in &job.outputs {
        store.add_temp_root(&output.path)?;
    }
    let missing = named(job, false);
    let is_built = missing.is_empty() || build(job, &missing, nix, store)?;
    let present = named(job, true);
    let checked =
        if present.is_empty() { Checked::Equal } else { check(job, &present, nix, store, address)? };
    let mut outcomes = Vec::new();
    for output in &job.outputs {
        outcomes.push(match (&output.installed, &checked) {
            (None, _) => match store.path_info(&output.path)?.filter(|_| is_built) {
                Some(info) => Outcome::Built { nar_hash: info.core.nar_hash, nar_size: info.core.nar_size },
                None => Outcome::Failed,
            },
            (Some(_), Checked::Equal) => Outcome::Equal,
            (Some(_), Checked::Failed) => Outcome::Failed,
            (Some(_), Checked::Differs(differing)) => {
                match differing.iter().find(|(path, _)| *path == output.path) {
                    Some((_, kept)) => Outcome::Other { kept: kept.clone() },
                    None => Outcome::NotCompared,
                }
            }
        });
    }
    Ok(outcomes)
}

/// What a check said of the installed outputs.
enum Checked {
    Equal,
    Failed,
    /// These differ.
    Differs(Vec<(StorePath, Option<Kept>)>),
}

fn check(
    job: &Job,
    present: &[String],
    nix: &Nix,
    store: &mut Store,
    address: &StoreAddress,
) -> Result<Checked, RunError> {
    if !realise_inputs(job, nix, store)? {
        return Ok(Checked::Failed);
    }
    let installed = || job.outputs.iter().filter(|output| output.installed.is_some());
    let place = |path: &StorePath| beside(&address.physical(store.dir(), path));
    // One may be left from an earlier check.
    let before: Vec<_> = installed().map(|output| identity(&place(&output.path))).collect();
    let what = format!("{}!{}", job.derivation.to_absolute_path(store.dir()), present.join(","));
    let status = nix.realise(&[&["--check", "--keep-failed"], HERE].concat(), &[what])?;
    if status.success() {
        return Ok(Checked::Equal);
    }
    let mut differing = Vec::new();
    for (output, before) in installed().zip(before) {
        let place = place(&output.path);
        let now = identity(&place);
        if now.is_some() && now != before {
            let hashed = measure(|mut out| dump(&place, &mut out).map(drop), &AtomicBool::new(false));
            let (nar_hash, nar_size) =
                hashed.map_err(|source| RunError::Hash { place: place.clone(), source })?;
            differing.push((output.path.clone(), Some(Kept { place, nar_hash, nar_size })));
        }
    }
    if !differing.is_empty() {
        return Ok(Checked::Differs(differing));
    }
    let mut only = installed();
    Ok(match (status.code() == Some(DIFFERS), only.next(), only.next()) {
        (true, Some(output), None) => Checked::Differs(vec![(output.path.clone(), None)]),
        // Which of them it is, nobody knows.
        (true, _, _) => Checked::Differs(Vec::new()),
        (false, _, _) => Checked::Failed,
    })
}

/// Builds the missing outputs from source; whether that worked.
fn build(job: &Job, missing: &[String], nix: &Nix, store: &mut Store) -> Result<bool, RunError> {
    if !realise_inputs(job, nix, store)? {
        return Ok(false);
    }
    let what = format!("{}!{}", job.derivation.to_absolute_path(store.dir()), missing.join(","));
    Ok(nix.realise(HERE, &[what])?.success())
}

/// Has what the derivation is built from there, from caches too, and keeps it there; whether that worked.
fn realise_inputs(job: &Job, nix: &Nix, store: &mut Store) -> Result<bool, RunError> {
    let inputs: Vec<String> = job
        .inputs
        .iter()
        .map(|(derivation, outputs)| {
            format!("{}!{}", derivation.to_absolute_path(store.dir()), outputs.join(","))
        })
        .collect();
    for (derivation, outputs) in &job.inputs {
        let known = store.derivation_outputs(derivation)?;
        for (_, path) in known.into_iter().filter(|(name, _)| outputs.contains(name)) {
            if let Some(path) = path {
                store.add_temp_root(&path)?;
            }
        }
    }
    for some in inputs.chunks(AT_ONCE) {
        if !nix.realise(&[], some)?.success() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The names of the outputs that are installed, or of those that are not.
fn named(job: &Job, installed: bool) -> Vec<String> {
    let wanted = job.outputs.iter().filter(|output| output.installed.is_some() == installed);
    wanted.map(|output| output.name.clone()).collect()
}

/// Where Nix keeps a result that differs.
fn beside(path: &Path) -> PathBuf {
    let mut place = path.as_os_str().to_owned();
    place.push(".check");
    place.into()
}

/// What tells one file from another that takes its name.
fn identity(place: &Path) -> Option<(u64, u64, i64, i64)> {
    let file = std::fs::symlink_metadata(place).ok()?;
    Some((file.dev(), file.ino(), file.ctime(), file.ctime_nsec()))
}

/// The status of a Nix without a daemon for results that differ: 100, and 4 for a check (`Worker::failingExitStatus`).
const DIFFERS: i32 = 104;

/// Neither substituted nor built elsewhere. One derivation is one job.
const HERE: &[&str] =
    &["--option", "substitute", "false", "--option", "builders", "", "--option", "max-jobs", "1"];

/// Derivations on one command line, which holds many times as many.
const AT_ONCE: usize = 500;
