//! `countersign push`: paths that a person wants to be uploaded, and what became of them.

mod since;
#[cfg(test)]
mod tests;

use crate::cli::moment::Moment;
use crate::cli::push::since::Found;
use crate::cli::queue::{is_uploading, parse_path, terms};
use crate::cli::say::say;
use crate::cli::upload::{leave_no_core, take_lock};
use crate::cli::{Exit, fail, run_async};
use crate::config::{Config, Loaded};
use crate::format::StorePath;
use crate::queue::{Event, Origin, Queue, QueueError, Row, State, Trouble, Wish};
use crate::spool::Spool;
use crate::store::{Store, StoreAddress};
use crate::upload::Uploader;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// What became of what was pushed.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
    /// What was looked for, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<Found>,
    /// How many of it were left out for each destination, since no `packages` of it matches them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    left_out: BTreeMap<String, usize>,
    /// What would be sent, and is not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    would_send: Vec<Line>,
    pub(super) sent: Vec<Line>,
    pub(super) skipped: Vec<Line>,
    pub(super) held_back: Vec<Line>,
    pub(super) given_up: Vec<Line>,
}

/// One path at one destination.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) path: String,
    pub(super) destination: String,
    pub(super) why: String,
}

/// What to push: these paths, or what was built here from a moment on.
#[derive(Debug, clap::Args)]
pub(super) struct Wanted {
    /// Store paths or base names.
    #[arg(required_unless_present = "since", value_name = "PATH")]
    paths: Vec<String>,
    /// Instead of paths: all that was built here and registered at this time or later.
    ///
    /// 7d or 12h ago, a day (2026-11-02, in UTC) or a moment (2026-11-02T10:00:00Z). What was downloaded, copied or added
    /// is left out, and so is what `packages` of a destination does not match.
    #[arg(long, value_name = "DATE", value_parser = Moment::parse, conflicts_with = "paths")]
    since: Option<Moment>,
    /// Only say what would be sent.
    #[arg(long)]
    dry_run: bool,
    /// Only to this destination.
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
}

/// Queues paths for every destination that they may go to, and waits until they are there or cannot go.
pub(super) fn push(loaded: &Loaded, given: &Wanted, json: bool) -> Exit {
    let config = &loaded.config;
    let only = given.destination.as_deref();
    let mut wanted = Vec::new();
    for text in &given.paths {
        match parse_path(config, text) {
            Some(path) => wanted.push(path),
            None => return Exit::Config,
        }
    }
    if only.is_some_and(|name| config.destinations.iter().all(|d| *d.name != *name))
        || config.destinations.is_empty()
    {
        eprintln!("countersign: the configuration has no such destination");
        return Exit::Config;
    }
    let mut found = match given.since.map(|since| Found::look(config, since.resolve())).transpose() {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    if let Some(found) = &mut found {
        wanted = std::mem::take(&mut found.paths);
    }
    let (mut wishes, mut summary) = wishes(config, &wanted, only);
    if found.is_some() {
        // Nobody named them: that they do not go is no failure.
        for line in std::mem::take(&mut summary.held_back) {
            *summary.left_out.entry(line.destination).or_default() += 1;
        }
        // What goes nowhere need not be kept.
        let goes: HashSet<&StorePath> = wishes.iter().map(|wish| &wish.path).collect();
        wanted.retain(|path| goes.contains(path));
        summary.found = found;
    }
    if given.dry_run {
        let line = |wish: &Wish| Line {
            path: wish.path.to_string(),
            destination: wish.destination.to_string(),
            why: String::new(),
        };
        summary.would_send = wishes.iter().map(line).collect();
        return summary.print(json);
    }
    // Until the uploader keeps them itself, this connection does.
    let (_kept, gone) = match kept(config, &wanted) {
        Ok(kept) => kept,
        Err(exit) => return exit,
    };
    if let (Some(path), None) = (gone.first(), &summary.found) {
        eprintln!("countersign: {} is not in the store", path.to_absolute_path(&config.store_dir));
        return Exit::Config;
    }
    // Collected since it was found.
    wishes.retain(|wish| !gone.contains(&wish.path));
    let mut queue = match queue_of(config) {
        Ok(queue) => queue,
        Err(exit) => return exit,
    };
    if let Err(error) = ask(config, &mut queue, &wishes) {
        return fail(Exit::Io, &error);
    }
    match upload(loaded, &queue, &wishes, &mut summary) {
        Ok(()) => summary.print(json),
        Err(exit) => exit,
    }
}

/// Waits until what is wished for is there or cannot go, uploading here where nobody else does; adds what became of it.
pub(super) fn upload(
    loaded: &Loaded,
    queue: &Queue,
    wishes: &[Wish],
    summary: &mut Summary,
) -> Result<(), Exit> {
    let finished =
        if is_uploading(&loaded.config) { watch(queue, wishes) } else { upload_here(loaded, queue, wishes)? };
    let (rows, troubles) = finished.map_err(|error| fail(Exit::Io, &error))?;
    for row in &rows {
        let of_all = troubles.iter().find(|trouble| trouble.destination == row.destination);
        summary.add(row, of_all.map(|trouble| trouble.text.as_str()));
    }
    Ok(())
}

pub(super) fn queue_of(config: &Config) -> Result<Queue, Exit> {
    if let Err(error) = std::fs::create_dir_all(&config.state_directory) {
        return Err(fail(Exit::Io, &error));
    }
    Queue::open(&config.state_directory).map_err(|error| fail(Exit::Io, &error))
}

/// A connection that keeps these paths from being collected, and those of them that are not in the store.
fn kept(config: &Config, paths: &[StorePath]) -> Result<(Store, Vec<StorePath>), Exit> {
    let address = StoreAddress::of_process().map_err(|error| fail(Exit::Config, &error))?;
    let connected = Store::connect(&address, config.store_dir.clone(), Store::PATIENCE);
    let mut store = connected.map_err(|error| fail(Exit::Io, &error))?;
    // Where the spool is ours, they are kept longer than that: until the uploader lets them go.
    let spool = Spool::open(&config.upload.spool_directory).ok();
    let mut gone = Vec::new();
    for path in paths {
        store.add_temp_root(path).map_err(|error| fail(Exit::Io, &error))?;
        if let Some(Ok(link)) = spool.as_ref().map(|spool| spool.root(&config.store_dir, path)) {
            store.add_indirect_root(&link).map_err(|error| fail(Exit::Io, &error))?;
        }
        if store.path_info(path).map_err(|error| fail(Exit::Io, &error))?.is_none() {
            gone.push(path.clone());
        }
    }
    Ok((store, gone))
}

/// What is wanted where, and what may not go anywhere.
fn wishes(config: &Config, paths: &[StorePath], only: Option<&str>) -> (Vec<Wish>, Summary) {
    let (mut wishes, mut summary) = (Vec::new(), Summary::default());
    for destination in config.destinations.iter().filter(|d| only.is_none_or(|name| *d.name == *name)) {
        for path in paths {
            if destination.packages.iter().any(|glob| glob.matches(path.name())) {
                let (destination, path) = (destination.name.clone(), path.clone());
                wishes.push(Wish { destination, path, origin: Origin::Pushed, derivation: None });
            } else {
                let why = format!("no `packages` of [destinations.{}] matches it", destination.name);
                let (path, destination) = (path.to_string(), destination.name.to_string());
                summary.held_back.push(Line { path, destination, why });
            }
        }
    }
    (wishes, summary)
}

/// Queues them, and has those that wait for better times tried now.
pub(super) fn ask(config: &Config, queue: &mut Queue, wishes: &[Wish]) -> Result<(), QueueError> {
    let terms = terms(config);
    queue.ask(wishes, &terms)?;
    for wish in wishes {
        // Each costs a durable change.
        if let Some(row) = queue.find(&wish.destination, &wish.path)?.filter(|row| row.entry.due > terms.now)
        {
            queue.tell(row.id, Event::Retried, &terms)?;
        }
    }
    Ok(())
}

/// Uploads in this process, as no other does.
fn upload_here(loaded: &Loaded, queue: &Queue, wishes: &[Wish]) -> Result<Result<Seen, QueueError>, Exit> {
    leave_no_core().map_err(|error| fail(Exit::Io, &error))?;
    let _lock = take_lock(&loaded.config.state_directory).map_err(|error| fail(Exit::Io, &error))?;
    run_async(async {
        let (config, file) = (&loaded.config, loaded.file.as_deref());
        let uploader = Uploader::start(config, file, &Handle::current(), crate::clock::now)
            .map_err(|error| fail(Exit::Config, &error))?;
        // It blocks, which this thread may: the runtime has others for what the uploader asks of it.
        let rows = watch(queue, wishes);
        uploader.stop(Duration::from_secs(1));
        Ok(rows)
    })?
}

/// Entries, and what was wrong with destinations as they were looked at.
type Seen = (Vec<Row>, Vec<Trouble>);

/// Waits until each of them is finished, or waits for something that will not come by itself.
fn watch(queue: &Queue, wishes: &[Wish]) -> Result<Seen, QueueError> {
    let bar = ProgressBar::new(wishes.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    loop {
        let began = Instant::now();
        let all = queue.rows(false)?;
        let rows: HashMap<(&str, &StorePath), &Row> =
            all.iter().map(|row| ((&*row.destination, &row.path), row)).collect();
        let of_wishes: Vec<&Row> =
            wishes.iter().filter_map(|w| rows.get(&(&*w.destination, &w.path)).copied()).collect();
        let finished = of_wishes.iter().filter(|row| row.entry.is_finished()).count();
        bar.set_position(finished as u64);
        let left = all.iter().filter(|row| !row.entry.is_finished()).count();
        bar.set_message(format!("{left} entries left"));
        let troubles = queue.troubles()?;
        let is_down = |row: &Row| troubles.iter().any(|trouble| trouble.destination == row.destination);
        if of_wishes.iter().all(|row| row.entry.is_finished() || is_down(row) || is_stuck(row, &rows)) {
            bar.finish_and_clear();
            return Ok((of_wishes.into_iter().cloned().collect(), troubles));
        }
        // Looking takes a tenth of the time at most, however long the queue.
        std::thread::sleep(LOOK.max(began.elapsed() * 9));
    }
}

/// Whether an entry waits for better times: it failed, is held, or waits for one that does.
fn is_stuck(row: &Row, rows: &HashMap<(&str, &StorePath), &Row>) -> bool {
    let mut row = row;
    // As many steps as there are entries: a chain of references has no circle, and this ends if it had.
    for _ in 0..rows.len() {
        if row.entry.state == State::Dead {
            return true;
        }
        if row.entry.is_finished() || row.entry.trouble.is_empty() || row.entry.due <= crate::clock::now() {
            return false;
        }
        let Some(reference) = &row.entry.blocked_by else { return true };
        match rows.get(&(&*row.destination, reference)) {
            Some(next) => row = next,
            None => return false,
        }
    }
    true
}

impl Summary {
    /// Adds what became of an entry; `of_all` is what is wrong with its destination as a whole.
    fn add(&mut self, row: &Row, of_all: Option<&str>) {
        let list = match row.entry.state {
            State::Done => &mut self.sent,
            State::Skipped => &mut self.skipped,
            State::Dead => &mut self.given_up,
            State::Queued | State::Stored(_) => &mut self.held_back,
        };
        let (path, destination) = (row.path.to_string(), row.destination.to_string());
        let own = row.entry.trouble.as_str();
        // What it waits for waits for the destination too.
        let is_of_all = !row.entry.is_finished() && (own.is_empty() || row.entry.blocked_by.is_some());
        let why = of_all.filter(|_| is_of_all).unwrap_or(own);
        list.push(Line { path, destination, why: why.to_owned() });
    }

    /// A line for each that was not sent.
    pub(super) fn print_unsent(&self) {
        let Self { skipped, held_back, given_up, .. } = self;
        for (lines, said) in [(skipped, "skipped"), (held_back, "held back"), (given_up, "given up")] {
            for Line { path, destination, why } in lines {
                say!("{said:9}  {destination}  {path}: {why}");
            }
        }
    }

    fn print(&self, json: bool) -> Exit {
        if json {
            match serde_json::to_string_pretty(self) {
                Ok(text) => say!("{text}"),
                Err(error) => return fail(Exit::Io, &error),
            }
        } else {
            let Self { found, left_out, would_send, sent, skipped, held_back, given_up } = self;
            if let Some(found) = found {
                found.print();
            }
            for (destination, count) in left_out {
                say!("{count} of them left out: no `packages` of [destinations.{destination}] matches them");
            }
            for Line { path, destination, .. } in would_send {
                say!("would send  {destination}  {path}");
            }
            self.print_unsent();
            say!(
                "{} sent, {} skipped, {} held back, {} given up",
                sent.len(),
                skipped.len(),
                held_back.len(),
                given_up.len()
            );
        }
        if self.held_back.is_empty() && self.given_up.is_empty() { Exit::Ok } else { Exit::Refused }
    }
}

/// How often to look.
const LOOK: Duration = Duration::from_millis(20);
