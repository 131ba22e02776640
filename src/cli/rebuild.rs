//! `countersign rebuild`: paths are built again, and the results held against what is installed and what caches claim.
//! What is built and how is [`crate::rebuild`]'s business; here paths are read, caches asked, and outcomes told and
//! written into the ledger.

use crate::cli::queue::parse_path;
use crate::cli::say;
use crate::cli::{Exit, claims, fail, run_async};
use crate::clock;
use crate::config::Config;
use crate::evidence::{
    Batch, BuildKind, BuildRow, Claimed, Ledger, Sqlite, Storage, Terms, compare, counting,
};
use crate::format::StorePath;
use crate::rebuild::{Job, Nix, Outcome, Output, Plan, Trouble, plan, run};
use crate::store::{Store, StoreAddress};
use crate::transfer::Relay;
use crate::upload::Told;
use crate::upstream::Upstreams;
use serde::Serialize;

mod print;

/// What came of everything that was asked for.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// One for each output that was looked at.
    outputs: Vec<Rebuilt>,
    /// What could not be built because it could not be begun.
    troubles: Vec<Hindrance>,
    /// Whether the outcomes are in the ledger; `None` if there is nothing to write.
    recorded: Option<bool>,
}

/// What came of one output.
#[derive(Debug, Serialize)]
struct Rebuilt {
    path: String,
    derivation: String,
    output: String,
    /// equal, other, built, not-compared or failed.
    outcome: &'static str,
    /// The NarHash as the store has recorded it.
    installed: Option<String>,
    /// The NarHash of the new build.
    rebuilt: Option<String>,
    /// Where Nix kept a result that differs.
    kept: Option<String>,
    /// Whether its path follows from its contents: then the same path with other contents is impossible, and a rebuild
    /// says only that it can still be built.
    follows_from_content: bool,
    /// What each cache claims on the word of a signer that counts.
    claims: Vec<Compared>,
}

/// A claim beside a build.
#[derive(Debug, Serialize)]
struct Compared {
    cache: String,
    nar_hash: String,
    nar_size: u64,
    signers: Vec<String>,
    /// Whether that is what was built; `None` where there is no result.
    agrees: Option<bool>,
}

/// Why something could not be begun.
#[derive(Debug, Serialize)]
struct Hindrance {
    path: String,
    why: String,
}

/// Builds paths again.
pub(super) fn rebuild(config: &Config, paths: &[String], json: bool) -> Exit {
    let mut asked = Vec::new();
    for text in paths {
        match parse_path(config, text) {
            Some(path) => asked.push(path),
            None => return Exit::Config,
        }
    }
    let address = match StoreAddress::of_process() {
        Ok(address) => address,
        Err(error) => return fail(Exit::Config, &error),
    };
    let connected = Store::connect(&address, config.store_dir.clone(), Store::PATIENCE);
    let mut store = match connected {
        Ok(store) => store,
        Err(error) => return fail(Exit::Io, &error),
    };
    let Plan { jobs, troubles } = match plan(&mut store, &address, &asked) {
        Ok(plan) => plan,
        Err(error) => return fail(Exit::Io, &error),
    };
    let mut report =
        Report { troubles: troubles.into_iter().map(Hindrance::from).collect(), ..Report::default() };
    let mut ledger = Recorder::new(config);
    for job in jobs {
        // What was built before stands in the ledger, even if a later one breaks this off.
        match run(&job, &Nix::of_path(), &mut store, &address) {
            Ok(outcomes) => report.add(config, &job, &outcomes, &mut ledger),
            Err(error) => {
                let why = crate::upstream::Chain(&error).to_string();
                report.troubles.push(Hindrance { path: job.derivation.to_string(), why });
            }
        }
    }
    report.recorded = ledger.is_written;
    let shown = if json { print::json(&report) } else { print::text(&report) };
    shown.map_or_else(|error| say::failed(&error), |()| report.exit())
}

impl Report {
    fn add(&mut self, config: &Config, job: &Job, outcomes: &[Outcome], ledger: &mut Recorder<'_>) {
        for (output, outcome) in job.outputs.iter().zip(outcomes) {
            let row = row(job, output, outcome);
            let claims = ledger.claims(&output.path);
            ledger.write(row.as_ref(), output, &claims);
            self.outputs.push(Rebuilt::of(config, job, output, outcome, row.as_ref(), &claims));
        }
    }

    /// Whether anything differs is a finding even where something else could not be built.
    fn exit(&self) -> Exit {
        let differs = |output: &Rebuilt| {
            matches!(output.outcome, "other" | "not-compared")
                || output.claims.iter().any(|claim| claim.agrees == Some(false))
        };
        if self.outputs.iter().any(differs) {
            Exit::Refused
        } else if !self.troubles.is_empty()
            || self.recorded == Some(false)
            || self.outputs.iter().any(|output| output.outcome == "failed")
        {
            Exit::Io
        } else {
            Exit::Ok
        }
    }
}

/// The row for the ledger; `None` where nothing was found out.
pub(super) fn row(job: &Job, output: &Output, outcome: &Outcome) -> Option<BuildRow> {
    let core = output.installed.as_ref().map(|info| &info.core);
    let (kind, result) = match outcome {
        Outcome::Built { nar_hash, nar_size } => (BuildKind::Built, Some((*nar_hash, *nar_size))),
        Outcome::Equal => (BuildKind::RebuiltEqual, core.map(|core| (core.nar_hash, core.nar_size))),
        Outcome::Other { kept } => {
            (BuildKind::RebuiltOther, kept.as_ref().map(|kept| (kept.nar_hash, kept.nar_size)))
        }
        Outcome::Failed => (BuildKind::Failed, None),
        Outcome::NotCompared => return None,
    };
    Some(BuildRow {
        path: output.path.clone(),
        nar_hash: result.map(|(nar_hash, _)| nar_hash),
        nar_size: result.map(|(_, nar_size)| nar_size),
        derivation: Some(job.derivation.clone()),
        kind,
        at: clock::now(),
    })
}

impl Rebuilt {
    fn of(
        config: &Config,
        job: &Job,
        output: &Output,
        outcome: &Outcome,
        row: Option<&BuildRow>,
        claims: &[Claimed],
    ) -> Self {
        let (outcome, kept) = match outcome {
            Outcome::Built { .. } => ("built", None),
            Outcome::Equal => ("equal", None),
            Outcome::Other { kept } => {
                ("other", kept.as_ref().map(|kept| kept.place.to_string_lossy().into_owned()))
            }
            Outcome::NotCompared => ("not-compared", None),
            Outcome::Failed => ("failed", None),
        };
        let result = row.filter(|row| row.nar_hash.is_some());
        let references = references(output, result);
        let compared = |claim: &Claimed| Compared {
            cache: claim.cache.to_string(),
            nar_hash: claim.nar_hash.to_string(),
            nar_size: claim.nar_size,
            signers: claim.signers.iter().map(ToString::to_string).collect(),
            agrees: result.map(|row| claim.is_of(row, references)),
        };
        Self {
            path: output.path.to_absolute_path(&config.store_dir),
            derivation: job.derivation.to_absolute_path(&config.store_dir),
            output: output.name.clone(),
            outcome,
            installed: output.installed.as_ref().map(|info| info.core.nar_hash.to_string()),
            rebuilt: result.and_then(|row| row.nar_hash).map(|hash| hash.to_string()),
            kept,
            follows_from_content: output.follows_from_content,
            claims: claims.iter().map(compared).collect(),
        }
    }
}

/// The references of a result: known where it is what is installed.
fn references<'a>(output: &'a Output, result: Option<&BuildRow>) -> Option<&'a crate::format::References> {
    let core = &output.installed.as_ref()?.core;
    (result?.nar_hash == Some(core.nar_hash)).then_some(&core.references)
}

impl From<Trouble> for Hindrance {
    fn from(Trouble { path, why }: Trouble) -> Self {
        Self { path: path.to_string(), why }
    }
}

/// The ledger and the caches, for what they have to say of what is built again.
pub(super) struct Recorder<'a> {
    config: &'a Config,
    storage: Option<Sqlite>,
    caches: Option<(Upstreams, Relay)>,
    /// Whether all that was to be written is; `None` until something was.
    pub(super) is_written: Option<bool>,
}

impl<'a> Recorder<'a> {
    fn new(config: &'a Config) -> Self {
        let caches = match Upstreams::new(config) {
            Ok(upstreams) => {
                let spool = config.state_directory.join("spool");
                let relay =
                    Relay::new(&config.serving, &config.limits, config.patience, spool, Ledger::off());
                Some((upstreams, relay))
            }
            Err(error) => {
                eprintln!("countersign: no cache is asked what it claims: {error}");
                None
            }
        };
        Self { caches, ..Self::without_caches(config) }
    }

    /// One that compares with what the ledger has of claims, and asks nobody.
    pub(super) fn without_caches(config: &'a Config) -> Self {
        let terms = Terms { limit: config.limits.evidence.bytes(), ..Terms::default() };
        let storage = match Sqlite::open(&config.state_directory, &terms) {
            Ok(storage) => Some(storage),
            Err(error) => {
                eprintln!("countersign: what comes of this is not written down: {error}");
                None
            }
        };
        Self { config, storage, caches: None, is_written: None }
    }

    /// What every cache claims now; of one that does not answer, what the ledger has of it.
    pub(super) fn claims(&mut self, path: &StorePath) -> Vec<Claimed> {
        let mut claims: Vec<Claimed> = self.ask(path).iter().filter_map(Told::counted).collect();
        if let Some(storage) = &mut self.storage {
            match storage.earlier(path.hash_part()) {
                Ok(earlier) => {
                    let (policy, limits) = (&self.config.policy, self.config.limits.of_narinfo());
                    let known = counting(&earlier.claims, policy, &limits, clock::now());
                    let fresh: Vec<_> =
                        known.into_iter().filter(|k| claims.iter().all(|c| c.cache != k.cache)).collect();
                    claims.extend(fresh);
                }
                Err(error) => eprintln!("countersign: {error}"),
            }
        }
        claims.sort_by(|a, b| a.cache.cmp(&b.cache));
        claims
    }

    fn ask(&self, path: &StorePath) -> Vec<Told> {
        let Some((upstreams, relay)) = &self.caches else { return Vec::new() };
        let told = run_async(claims::ask(upstreams, relay, path.hash_part())).unwrap_or_default();
        told.into_iter().filter(|told| told.path == path.to_string()).collect()
    }

    pub(super) fn write(&mut self, row: Option<&BuildRow>, output: &Output, claims: &[Claimed]) {
        let Some(row) = row else { return };
        let events = compare(row, references(output, Some(row)), claims);
        let batch = Batch { builds: vec![row.clone()], events, ..Batch::default() };
        let written = self.storage.as_mut().map(|storage| storage.write(&batch));
        if let Some(Err(error)) = &written {
            eprintln!("countersign: what came of {} is not written down: {error}", row.path);
        }
        let is_written = matches!(written, Some(Ok(())));
        self.is_written = Some(self.is_written.unwrap_or(true) && is_written);
    }
}
