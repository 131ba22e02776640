//! `countersign witness`: what this machine rebuilt and found equal is claimed under its keys, at the destinations that take
//! claims.
//!
//! This command orders rebuilds and asks for claims; it signs nothing itself. What it asks for is judged by the uploader as
//! everything is: by what Nix has recorded as built here, and by the bytes (see `upload::step::claim`). A path that was
//! built or rebuilt here before needs no other build, so whoever breaks this off begins again where it stopped.
//!
//! No cache is asked here, since the uploader may come to run in this process, and it holds the keys: what comes of a
//! rebuild is compared with the claims that the ledger has.

use crate::cli::push::{Line, ask, queue_of, upload};
use crate::cli::rebuild::{Recorder, row};
use crate::cli::{Exit, fail};
use crate::config::{Config, Destination, Loaded, Publish};
use crate::format::StorePath;
use crate::queue::{Origin, Queue, Wish};
use crate::rebuild::{Job, Nix, Outcome, Output, Plan, Trouble, plan, run};
use crate::spool::record::is_derivation;
use crate::store::{PathInfo, Store, StoreAddress, StoreError};
use std::collections::BTreeSet;
use std::path::PathBuf;

mod choice;
mod report;

use choice::Asked;
use report::{Entry, Fate, Report};

/// What to claim, and where.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Store paths or base names; one that names a derivation stands for all its outputs.
    #[arg(required_unless_present = "store_paths", value_name = "PATH")]
    paths: Vec<String>,
    /// Also all that they refer to, directly and not.
    #[arg(long)]
    closure: bool,
    /// A file of further paths, one on each line; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    store_paths: Option<PathBuf>,
    /// Only to this destination.
    #[arg(long, value_name = "DESTINATION")]
    to: Option<String>,
    /// For programs.
    #[arg(long)]
    json: bool,
}

/// Rebuilds what is not built here, and has what is the same claimed.
pub(super) fn witness(loaded: &Loaded, options: &Options) -> Exit {
    let done = destinations(&loaded.config, options.to.as_deref()).and_then(|destinations| {
        let mut witness = Witness::new(&loaded.config, destinations)?;
        let asked = choice::paths(&loaded.config, &mut witness.store, options)?;
        witness.claim_all(&asked)?;
        upload(loaded, &witness.queue, &witness.wishes, &mut witness.report.claims)?;
        Ok(witness.report)
    });
    match done {
        Ok(report) => report.print(options.json),
        Err(exit) => exit,
    }
}

/// The destinations that take claims, or the one that is named.
fn destinations<'a>(config: &'a Config, only: Option<&str>) -> Result<Vec<&'a Destination>, Exit> {
    let refused = |what: &str| {
        eprintln!("countersign: {what}");
        Err(Exit::Config)
    };
    if config.upload.signing_key_files.is_empty() {
        return refused(
            "there is no key to sign claims with: make one with `countersign key generate` and name it in \
             `upload.signing-key-files`",
        );
    }
    if let Some(name) = only {
        return match config.destinations.iter().find(|destination| *destination.name == *name) {
            Some(destination) if destination.publish == Publish::Claims => Ok(vec![destination]),
            Some(_) => refused(&format!(
                "[destinations.{name}] takes NARs; a witness sends claims alone, to a destination with `publish = \
                 \"claims\"`; what is built here goes there by `countersign push`"
            )),
            None => refused(&format!("the configuration has no [destinations.{name}]")),
        };
    }
    let all: Vec<_> = config.destinations.iter().filter(|d| d.publish == Publish::Claims).collect();
    if all.is_empty() {
        return refused(
            "the configuration has no destination that takes claims: add [destinations.NAME] with `publish = \"claims\"`",
        );
    }
    Ok(all)
}

/// What is under way.
struct Witness<'a> {
    config: &'a Config,
    destinations: Vec<&'a Destination>,
    address: StoreAddress,
    /// Keeps everything from being collected until it is there.
    store: Store,
    queue: Queue,
    ledger: Recorder<'a>,
    wishes: Vec<Wish>,
    report: Report,
}

impl<'a> Witness<'a> {
    fn new(config: &'a Config, destinations: Vec<&'a Destination>) -> Result<Self, Exit> {
        let address = StoreAddress::of_process().map_err(|error| fail(Exit::Config, &error))?;
        let store = Store::connect(&address, config.store_dir.clone(), Store::PATIENCE);
        let store = store.map_err(|error| fail(Exit::Io, &error))?;
        let queue = queue_of(config)?;
        let ledger = Recorder::without_caches(config);
        let (wishes, report) = (Vec::new(), Report::default());
        Ok(Self { config, destinations, address, store, queue, ledger, wishes, report })
    }

    fn claim_all(&mut self, asked: &[Asked]) -> Result<(), Exit> {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for Asked { path, is_named } in asked {
            let is_derivation = is_derivation(path);
            if self.takers(path).is_empty() && !is_derivation {
                if !is_named {
                    self.report.left_out += 1;
                    continue;
                }
                self.report.claims.held_back.extend(self.destinations.iter().map(|destination| Line {
                    path: path.to_string(),
                    destination: destination.name.to_string(),
                    why: format!("no `packages` of [destinations.{}] matches it", destination.name),
                }));
                continue;
            }
            self.store.add_temp_root(path).map_err(|error| fail(Exit::Io, &error))?;
            match self.info(path)? {
                _ if is_derivation => unknown.push(path.clone()),
                Some(info) if self.is_certified(&info) => self.report.add(path, Fate::ByContent),
                Some(info) if info.ultimate => {
                    self.report.add(path, Fate::BuiltHere);
                    known.push(path.clone());
                }
                _ => unknown.push(path.clone()),
            }
        }
        self.wish_for(&known)?;
        self.rebuild_all(&unknown)
    }

    fn rebuild_all(&mut self, paths: &[StorePath]) -> Result<(), Exit> {
        let planned = plan(&mut self.store, &self.address, paths);
        let Plan { jobs, troubles } = planned.map_err(|error| fail(Exit::Io, &error))?;
        for Trouble { path, why } in troubles {
            self.report.entries.push(Entry { why: Some(why), ..Entry::of(&path, Fate::NotBuilt) });
        }
        let asked: BTreeSet<&StorePath> = paths.iter().collect();
        let number = jobs.len();
        for (job, nth) in jobs.iter().zip(1_usize..) {
            eprintln!("countersign: rebuilding {nth} of {number}: {}", job.derivation);
            match run(job, &Nix::of_path(), &mut self.store, &self.address) {
                Ok(outcomes) => {
                    let all = asked.contains(&job.derivation);
                    for (output, outcome) in job.outputs.iter().zip(&outcomes) {
                        self.note(job, output, outcome);
                        if all || asked.contains(&output.path) {
                            self.judge(output, outcome)?;
                        }
                    }
                }
                Err(error) => {
                    let why = crate::upstream::Chain(&error).to_string();
                    let entry = Entry { why: Some(why), ..Entry::of(&job.derivation, Fate::NotBuilt) };
                    self.report.entries.push(entry);
                }
            }
        }
        self.report.recorded = self.ledger.is_written;
        Ok(())
    }

    /// Writes what came of a rebuild into the ledger.
    fn note(&mut self, job: &Job, output: &Output, outcome: &Outcome) {
        let claims = self.ledger.claims(&output.path);
        self.ledger.write(row(job, output, outcome).as_ref(), output, &claims);
    }

    /// Has an output claimed, if it is the same, and if Nix has noted that it was built here.
    fn judge(&mut self, output: &Output, outcome: &Outcome) -> Result<(), Exit> {
        let path = &output.path;
        let installed = output.installed.as_ref().map(|info| info.core.nar_hash.to_string());
        let entry = |fate| Entry { installed: installed.clone(), ..Entry::of(path, fate) };
        let because = |fate, why: &str| Entry { why: Some(why.to_owned()), ..entry(fate) };
        let entry = match outcome {
            Outcome::Other { kept } => Entry {
                rebuilt: kept.as_ref().map(|kept| kept.nar_hash.to_string()),
                kept: kept.as_ref().map(|kept| kept.place.to_string_lossy().into_owned()),
                ..entry(Fate::Differs)
            },
            Outcome::NotCompared => because(
                Fate::NotCompared,
                "another output of its derivation differs, and Nix stops there: it is not known whether this one does",
            ),
            Outcome::Failed => because(Fate::NotBuilt, "it could not be built; what Nix said stands above"),
            Outcome::Built { .. } | Outcome::Equal => {
                let fate = if *outcome == Outcome::Equal { Fate::Rebuilt } else { Fate::Built };
                match self.info(path)? {
                    Some(info) if self.is_certified(&info) => entry(Fate::ByContent),
                    Some(info) if info.ultimate && self.takers(path).is_empty() => because(
                        Fate::NotClaimed,
                        "no `packages` of a destination that takes claims matches it",
                    ),
                    Some(info) if info.ultimate => {
                        self.wish_for(std::slice::from_ref(path))?;
                        entry(fate)
                    }
                    Some(_) => because(Fate::NotBuilt, NOT_HERE),
                    None => because(Fate::NotBuilt, "it was built, and is not in the store any more"),
                }
            }
        };
        self.report.entries.push(entry);
        Ok(())
    }

    /// Puts paths into the queue of every destination that takes them. A running uploader goes ahead with them.
    fn wish_for(&mut self, paths: &[StorePath]) -> Result<(), Exit> {
        let mut wishes = Vec::new();
        for path in paths {
            wishes.extend(self.takers(path).into_iter().map(|destination| Wish {
                destination,
                path: path.clone(),
                origin: Origin::Pushed,
                derivation: None,
            }));
        }
        if !wishes.is_empty() {
            ask(self.config, &mut self.queue, &wishes).map_err(|error| fail(Exit::Io, &error))?;
        }
        self.wishes.extend(wishes);
        Ok(())
    }

    /// The destinations that a path may go to.
    fn takers(&self, path: &StorePath) -> Vec<Box<str>> {
        let takes = |d: &&&Destination| d.packages.iter().any(|glob| glob.matches(path.name()));
        self.destinations.iter().filter(takes).map(|destination| destination.name.clone()).collect()
    }

    fn info(&mut self, path: &StorePath) -> Result<Option<PathInfo>, Exit> {
        self.store.path_info(path).map_err(|error: StoreError| fail(Exit::Io, &error))
    }

    /// Whether the path follows from its contents, so that it needs nobody's word.
    fn is_certified(&self, info: &PathInfo) -> bool {
        info.content_address.is_some_and(|address| address.certifies(&self.config.store_dir, &info.core))
    }
}

const NOT_HERE: &str = "Nix did not note it as built here, so another machine has built it, and our word would be its: as a \
                        user that the daemon trusts, or without `builders` in nix.conf, it is built here";
