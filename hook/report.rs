//! The hook's work, from the environment to a record in the spool.

use crate::LATER;
use crate::roots;
use crate::spool::layout::DEFAULT_SPOOL;
use crate::spool::place::Place;
use crate::spool::record::Record;
use crate::told::Told;
use crate::write;
use rustix::fs::Mode;
use std::env;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Roots the outputs and writes the record.
///
/// # Errors
/// One line: what could not be done, and what to do now.
pub(crate) fn report() -> Result<(), String> {
    // Modes are ours to say, not the caller's.
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let now = now();
    let Told { store, drv, outputs } = Told::from_env();
    let what = match (&drv, outputs.first()) {
        (Some(drv), _) => drv.to_string(),
        (None, Some(output)) => output.to_string(),
        (None, None) => {
            return Err("neither DRV_PATH nor OUT_PATHS names a store path, so nothing is uploaded; \
                        this program is for the setting `post-build-hook` of nix.conf"
                .to_owned());
        }
    };
    let unreported = |why: String| format!("{what} was not reported for upload: {why}; {LATER}");
    let record = Record::new(now.as_secs(), store, drv, outputs).map_err(|e| unreported(e.to_string()))?;
    let spool = env::var_os("COUNTERSIGN_SPOOL").filter(|path| !path.is_empty());
    let spool = spool.map_or_else(|| PathBuf::from(DEFAULT_SPOOL), PathBuf::from);
    if spool.as_os_str().len() > PATH_MAX {
        return Err(unreported(format!("COUNTERSIGN_SPOOL is longer than {PATH_MAX} bytes")));
    }
    let me = rustix::process::geteuid().as_raw();
    let place = Place::open(&spool, me).map_err(|e| unreported(e.to_string()))?;
    // The roots first: whoever sees the record may already drop them.
    let rooted = roots::make(&place, &record, me, &state_directory());
    write::write(&place, &record, me, now).map_err(unreported)?;
    rooted.map_err(|why| {
        format!(
            "{what} is reported for upload, but until then the garbage collector may take it: {why}; \
             `countersign upload`, once started, sees to both"
        )
    })
}

/// Where Nix keeps its roots.
fn state_directory() -> PathBuf {
    let named = env::var_os("NIX_STATE_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    named.unwrap_or_else(|| Path::new("/nix/var/nix").to_owned())
}

/// Since 1970; a clock that stands before that counts as standing there.
#[expect(clippy::disallowed_methods, reason = "the hook has no clock.rs; it reads the time once, here")]
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// As much of a path as a message has room for, several times.
const PATH_MAX: usize = 512;
