//! `countersign queue list|show|retry|drop|wait`: what is to be uploaded, and how far it is.

use crate::cli::say::{self, say};
use crate::cli::{Exit, fail};
use crate::clock;
use crate::config::Config;
use crate::format::StorePath;
use crate::queue::{Event, Origin, Queue, QueueError, Row, State, Terms, Trouble};
use crate::spool::layout;
use crate::trust::Timestamp;
use crate::upload::Lock;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// What to do with the queue.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// List what waits, what was given up, and why.
    List {
        /// Also what is done.
        #[arg(long)]
        all: bool,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Show the entries of one path, one for each destination.
    Show {
        /// A store path or its base name.
        path: String,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Try again now: what waits, and what was given up.
    Retry(Selection),
    /// Forget entries; nothing is removed from a destination.
    Drop(Selection),
    /// Wait until everything built so far is uploaded: the spool and the queue.
    ///
    /// Exit status: 0 all is uploaded, 1 something was given up, 3 time is up or no uploader runs.
    Wait {
        /// Give up after so long: 90s, 10m, 2h. Without it, never.
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        timeout: Option<Duration>,
    },
}

/// Which entries.
#[derive(Debug, Args)]
pub struct Selection {
    /// Store paths or base names.
    #[arg(required_unless_present = "all", value_name = "PATH")]
    paths: Vec<String>,
    /// Every entry.
    #[arg(long, conflicts_with = "paths")]
    all: bool,
    /// Only those of this destination.
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
}

/// An entry as programs are told of it.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    path: String,
    destination: &'a str,
    state: &'static str,
    origin: &'static str,
    queued: i64,
    changed: i64,
    due: i64,
    attempts: u32,
    trouble: Option<&'a str>,
    waits_for: Option<String>,
}

/// A destination that cannot be used now, as programs are told of it.
#[derive(Debug, Serialize)]
struct ShownTrouble<'a> {
    destination: &'a str,
    trouble: &'a str,
    since: i64,
    until: i64,
}

#[derive(Debug, Serialize)]
struct Listing<'a> {
    destinations: Vec<ShownTrouble<'a>>,
    entries: Vec<Shown<'a>>,
}

/// Runs a command on the queue.
pub(super) fn queue(config: &Config, command: &QueueCommand) -> Exit {
    if let QueueCommand::Wait { timeout } = command {
        return wait(config, *timeout);
    }
    let queue = match Queue::open_existing(&config.state_directory) {
        Ok(queue) => queue,
        Err(error) => return fail(Exit::Io, &error),
    };
    let done = match command {
        QueueCommand::List { all, json } => list(queue.as_ref(), !all, *json),
        QueueCommand::Show { path, json } => return show(config, queue.as_ref(), path, *json),
        QueueCommand::Retry(selection) => return change(config, queue, selection, Change::Retry),
        QueueCommand::Drop(selection) => return change(config, queue, selection, Change::Drop),
        QueueCommand::Wait { .. } => return Exit::Ok,
    };
    done.unwrap_or_else(|error| fail(Exit::Io, &error))
}

fn list(queue: Option<&Queue>, unfinished: bool, json: bool) -> Result<Exit, QueueError> {
    let rows = queue.map_or(Ok(Vec::new()), |queue| queue.rows(unfinished))?;
    let troubles = queue.map_or(Ok(Vec::new()), Queue::troubles)?;
    Ok(print(&rows, &troubles, json))
}

fn show(config: &Config, queue: Option<&Queue>, path: &str, json: bool) -> Exit {
    let Some(path) = parse_path(config, path) else { return Exit::Config };
    let rows = match queue.map_or(Ok(Vec::new()), |queue| queue.rows(false)) {
        Ok(rows) => rows.into_iter().filter(|row| row.path == path).collect::<Vec<_>>(),
        Err(error) => return fail(Exit::Io, &error),
    };
    if rows.is_empty() {
        eprintln!("countersign: {path} is not in the queue");
        return Exit::Refused;
    }
    print(&rows, &[], json)
}

/// What is done to selected entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Retry,
    Drop,
}

fn change(config: &Config, queue: Option<Queue>, selection: &Selection, change: Change) -> Exit {
    let mut wanted = Vec::new();
    for path in &selection.paths {
        match parse_path(config, path) {
            Some(path) => wanted.push(path),
            None => return Exit::Config,
        }
    }
    let Some(mut queue) = queue else {
        eprintln!("countersign: the queue is empty");
        return if selection.all { Exit::Ok } else { Exit::Refused };
    };
    let terms = terms(config);
    let selected = |row: &Row| {
        (selection.all || wanted.contains(&row.path))
            && selection.destination.as_ref().is_none_or(|name| **name == *row.destination)
            && (selection.all <= !matches!(row.entry.state, State::Done | State::Skipped))
    };
    let mut work = || -> Result<usize, QueueError> {
        let rows: Vec<Row> = queue.rows(false)?.into_iter().filter(selected).collect();
        for row in &rows {
            match change {
                Change::Retry => drop(queue.tell(row.id, Event::Retried, &terms)?),
                Change::Drop => queue.forget(row.id, &terms)?,
            }
        }
        Ok(rows.len())
    };
    match work() {
        Ok(0) if !selection.all => {
            eprintln!("countersign: none of these is in the queue");
            Exit::Refused
        }
        Ok(count) => {
            let done = if change == Change::Retry { "tried again" } else { "forgotten" };
            say!("{count} entries {done}");
            Exit::Ok
        }
        Err(error) => fail(Exit::Io, &error),
    }
}

fn wait(config: &Config, timeout: Option<Duration>) -> Exit {
    let began = std::time::Instant::now();
    let mut seen = began;
    loop {
        let left = match left(config) {
            Ok(left) => left,
            Err(exit) => return exit,
        };
        if left.spooled == 0 && left.waiting == 0 {
            if left.dead == 0 {
                return Exit::Ok;
            }
            eprintln!("countersign: {} entries were given up; see `countersign queue list`", left.dead);
            return Exit::Refused;
        }
        if timeout.is_some_and(|timeout| began.elapsed() >= timeout) {
            eprintln!(
                "countersign: time is up with {} builds in the spool and {} entries in the queue; see \
                 `countersign queue list`",
                left.spooled, left.waiting
            );
            return Exit::Io;
        }
        if is_uploading(config) {
            seen = std::time::Instant::now();
        }
        // One that was just started has not got there yet.
        if seen.elapsed() > GRACE {
            eprintln!(
                "countersign: {} builds in the spool and {} entries in the queue wait, and no uploader runs: start \
                 `countersign upload`",
                left.spooled, left.waiting
            );
            return Exit::Io;
        }
        std::thread::sleep(LOOK);
    }
}

/// What is not uploaded yet.
struct Left {
    spooled: usize,
    waiting: usize,
    dead: usize,
}

fn left(config: &Config) -> Result<Left, Exit> {
    // Counted without opening it as the uploader does: others may look.
    let spooled = match std::fs::read_dir(&config.upload.spool_directory) {
        Ok(entries) => entries.flatten().filter(|e| layout::is_record(e.file_name().as_bytes())).count(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(fail(Exit::Io, &error)),
    };
    let queue = Queue::open_existing(&config.state_directory).map_err(|error| fail(Exit::Io, &error))?;
    let rows = queue.map_or(Ok(Vec::new()), |queue| queue.rows(true)).map_err(|e| fail(Exit::Io, &e))?;
    let dead = rows.iter().filter(|row| row.entry.state == State::Dead).count();
    Ok(Left { spooled, waiting: rows.len() - dead, dead })
}

/// Whether an uploader runs for this configuration.
pub(super) fn is_uploading(config: &Config) -> bool {
    Lock::is_taken(&config.state_directory)
}

/// By what a person's wishes are judged.
pub(super) fn terms(config: &Config) -> Terms {
    Terms { now: clock::now(), give_up_after: config.upload.give_up_after, jitter: 0 }
}

fn print(rows: &[Row], troubles: &[Trouble], json: bool) -> Exit {
    if json {
        let destinations = troubles.iter().map(|t| ShownTrouble {
            destination: &t.destination,
            trouble: &t.text,
            since: t.since.seconds(),
            until: t.until.seconds(),
        });
        let listing =
            Listing { destinations: destinations.collect(), entries: rows.iter().map(Shown::of).collect() };
        return match serde_json::to_string_pretty(&listing) {
            Ok(text) => {
                say!("{text}");
                Exit::Ok
            }
            Err(error) => fail(Exit::Io, &error),
        };
    }
    say::text(format_args!("{}", table(rows, troubles, clock::now())));
    Exit::Ok
}

/// The screen for people.
fn table(rows: &[Row], troubles: &[Trouble], now: Timestamp) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let ago = |then: Timestamp| span(now.seconds().saturating_sub(then.seconds()));
    let mut line = |args: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        text.write_fmt(args).unwrap_or_default();
    };
    for Trouble { text: what, since, until, .. } in troubles {
        let next = span(until.seconds().saturating_sub(now.seconds()));
        line(format_args!("{what} (for {}; tried again in {next})\n", ago(*since)));
    }
    if !troubles.is_empty() {
        line(format_args!("\n"));
    }
    if rows.is_empty() {
        line(format_args!("nothing waits\n"));
        return text;
    }
    let width = rows.iter().map(|row| row.destination.len()).chain([11]).max().unwrap_or_default();
    line(format_args!("{:7}  {:>6}  {:width$}  PATH\n", "STATE", "FOR", "DESTINATION"));
    for row in rows {
        let (state, entry) = (row.entry.state.label(), &row.entry);
        let found = if entry.origin == Origin::Swept { "  (found by the sweep)" } else { "" };
        line(format_args!(
            "{state:7}  {:>6}  {:width$}  {}{found}\n",
            ago(entry.queued),
            row.destination,
            row.path
        ));
        if !entry.trouble.is_empty() {
            line(format_args!("{:17}{}\n", "", entry.trouble));
        }
    }
    text
}

impl<'a> Shown<'a> {
    fn of(row: &'a Row) -> Self {
        let entry = &row.entry;
        Self {
            path: row.path.to_string(),
            destination: &row.destination,
            state: entry.state.label(),
            origin: entry.origin.label(),
            queued: entry.queued.seconds(),
            changed: entry.changed.seconds(),
            due: entry.due.seconds(),
            attempts: entry.attempts,
            trouble: Some(entry.trouble.as_str()).filter(|trouble| !trouble.is_empty()),
            waits_for: entry.blocked_by.as_ref().map(ToString::to_string),
        }
    }
}

/// The largest whole unit.
fn span(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min", s / 60),
        s @ 3600..86_400 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

/// A store path or its base name; says so if it is neither.
pub(super) fn parse_path(config: &Config, text: &str) -> Option<StorePath> {
    let dir = &config.store_dir;
    let parsed = StorePath::from_absolute_path(dir, text).or_else(|_| StorePath::from_base_name(text));
    if parsed.is_err() {
        eprintln!("countersign: {text:?} is no store path below {}", dir.as_str());
    }
    parsed.ok()
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    Duration::try_from(span).map_err(|error| error.to_string())
}

/// How long no uploader may be seen before waiting is given up.
const GRACE: Duration = Duration::from_secs(3);

/// How often to look.
const LOOK: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
