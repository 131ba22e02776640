//! `evidence clock`: what the ledger and the state directory take for the least time that it can be, and setting that
//! back after a clock that was far ahead (design §3.10).

use crate::cli::evidence::ledger;
use crate::cli::evidence::rows::date;
use crate::cli::queue::is_uploading;
use crate::cli::say::{self, say};
use crate::cli::{Exit, fail, state};
use crate::clock::{is_set, system_time};
use crate::config::Config;
use crate::control;
use crate::evidence::Storage;
use crate::trust::Timestamp;
use clap::Args;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// What `clock` is told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Take the system's clock for right.
    #[arg(long)]
    reset: bool,
    /// Do not ask.
    #[arg(long, requires = "reset")]
    yes: bool,
}

/// Shows the clock, or sets it back.
pub(super) fn clock(config: &Config, options: &Options) -> Exit {
    let now = seconds(system_time());
    let mut storage = match ledger(config) {
        Ok(storage) => storage,
        Err(exit) => return exit,
    };
    let newest = match storage.as_mut().map(Storage::newest).transpose() {
        Ok(newest) => newest.flatten(),
        Err(error) => return fail(Exit::Io, &error),
    };
    let file = state(config).newest().map(|(file, written)| (file, seconds(written)));
    tell(now, newest, file.as_ref());
    let latest = newest.into_iter().chain(file.map(|(_, at)| at)).max();
    if latest.is_none_or(|latest| latest <= now) {
        say!("nothing is from the future");
        return Exit::Ok;
    }
    if !options.reset {
        say!("if the system's clock is right: stop the service, then `countersign evidence clock --reset`");
        return Exit::Refused;
    }
    if !is_set() {
        eprintln!("countersign: the system's clock is not set: set it first");
        return Exit::Io;
    }
    if is_serving(config) || is_uploading(config) {
        eprintln!(
            "countersign: the service or the uploader runs, and would go on with the old time: stop it first"
        );
        return Exit::Io;
    }
    if !options.yes && !confirmed(now) {
        return Exit::Config;
    }
    if let Some(storage) = &mut storage
        && let Err(error) = storage.reset_clock(now)
    {
        return fail(Exit::Io, &error);
    }
    match state(config).forget_future(system_time()) {
        Ok(files) => {
            for file in files {
                say!("{} is dated now", file.display());
            }
            let recorded = if storage.is_some() { ", which the ledger records" } else { "" };
            say!("the clock is set back to {}{recorded}", date(now));
            Exit::Ok
        }
        Err(error) => fail(Exit::Io, &error),
    }
}

fn tell(now: Timestamp, newest: Option<Timestamp>, file: Option<&(PathBuf, Timestamp)>) {
    say!("the system's clock says   {}", date(now));
    match newest {
        Some(newest) => say!("the newest row is of      {}", date(newest)),
        None => say!("the ledger has no row"),
    }
    if let Some((file, at)) = file {
        say!("the newest file is of     {} ({})", date(*at), file.display());
    }
}

/// Asks whoever sits at the terminal; without one `--yes` must say it.
fn confirmed(now: Timestamp) -> bool {
    if !io::stdin().is_terminal() {
        eprintln!("countersign: nobody can be asked here; `--yes` says that the system's clock is right");
        return false;
    }
    say::text(format_args!(
        "Is {} right, in UTC? Keys that had run out count again until then. [y/N] ",
        date(now)
    ));
    let mut answer = String::new();
    let asked = io::stdout().flush().and_then(|()| io::stdin().lock().read_line(&mut answer));
    let is_yes = asked.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes");
    if !is_yes {
        eprintln!("countersign: nothing was changed");
    }
    is_yes
}

/// Whether a service runs on this state directory.
fn is_serving(config: &Config) -> bool {
    std::os::unix::net::UnixStream::connect(control::find(&config.state_directory)).is_ok()
}

/// Whole seconds since 1970; before it is 1970.
fn seconds(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_seconds(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
