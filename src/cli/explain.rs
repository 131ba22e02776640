//! `countersign explain`: every cache's claim on one path side by side, and what the rule of trust makes of it.
//!
//! The running service is asked, which knows what it serves. Without it the ledger tells what was said last, and the
//! network is not needed; of a path that it has nothing of, or with `--ask`, the caches are asked from here.

use crate::cli::evidence::plain;
use crate::cli::say::say;
use crate::cli::{Exit, fail, run_async};
use crate::clock;
use crate::config::Config;
use crate::control::{self, ControlError};
use crate::evidence::{Earlier, Ledger, Sqlite, Storage, Terms};
use crate::explain::{Explanation, Source, recalled};
use crate::format::{HashPart, StorePath};
use crate::question::Question;
use crate::state::StateDirectory;
use crate::transfer::Relay;
use crate::upstream::{Occasion, Upstreams};
use std::future::ready;
use std::time::Duration;

/// Explains a path.
pub(super) fn explain(config: &Config, path: &str, ask: bool, json: bool) -> Exit {
    let Some(asked) = parse(config, path) else {
        eprintln!(
            "countersign: {path:?} is neither a store path below {} nor a 32-character hash",
            config.store_dir.as_str()
        );
        return Exit::Config;
    };
    let explained = if ask { Ok(None) } else { of_service(config, asked) };
    let explanation = match explained {
        Ok(Some(explanation)) => Ok(explanation),
        Ok(None) => of_evidence(config, asked, ask),
        Err(exit) => Err(exit),
    };
    match explanation {
        Ok(explanation) => print(&explanation, json),
        Err(exit) => exit,
    }
}

/// What the running service says; `None` if none runs.
fn of_service(config: &Config, asked: HashPart) -> Result<Option<Explanation>, Exit> {
    let socket = control::find(&config.state_directory);
    match run_async(control::ask_explanation(&socket, asked))? {
        Ok(explanation) => Ok(Some(explanation)),
        Err(ControlError::Unreachable { .. }) => Ok(None),
        Err(error) => Err(fail(Exit::Io, &error)),
    }
}

/// What the ledger has, or what the caches say to us.
fn of_evidence(config: &Config, asked: HashPart, ask: bool) -> Result<Explanation, Exit> {
    let upstreams = Upstreams::new(config).map_err(|error| fail(Exit::Io, &error))?;
    let earlier = earlier(config, asked);
    if !ask && !earlier.claims.is_empty() {
        let ballot = recalled(&upstreams, asked, &earlier);
        return Ok(Explanation::of(&upstreams, &ballot, &earlier, Source::Ledger, clock::now()));
    }
    let spool = StateDirectory::at(config.state_directory.clone()).path().join("spool");
    let relay = Relay::new(&config.serving, &config.limits, config.patience, spool, Ledger::off());
    // Explained before the runtime ends: what it cuts off is no fault of a cache.
    run_async(async {
        let known = ready(earlier);
        let question = Question::ask(&upstreams, &relay, asked, &[], known, Occasion::Wanted).await;
        Explanation::of(&upstreams, &question.ballot, &question.earlier, Source::Caches, clock::now())
    })
}

/// What the ledger has of a path. That it cannot be read is said, and hinders nothing.
fn earlier(config: &Config, asked: HashPart) -> Earlier {
    let terms = Terms { patience: PATIENCE, limit: config.limits.evidence.bytes() };
    let read = Sqlite::open_existing(&config.state_directory, &terms).and_then(|storage| match storage {
        Some(mut storage) => {
            if let Some(newest) = storage.newest()? {
                clock::raise_to(newest);
            }
            storage.earlier(asked)
        }
        None => Ok(Earlier::default()),
    });
    read.unwrap_or_else(|error| {
        eprintln!("countersign: explained without the evidence: {error}");
        Earlier::default()
    })
}

fn print(explanation: &Explanation, json: bool) -> Exit {
    if json {
        match serde_json::to_string_pretty(explanation) {
            Ok(text) => say!("{text}"),
            Err(error) => return fail(Exit::Io, &error),
        }
    } else {
        // Nothing of what a cache or a file said reaches the terminal as it is; the ellipsis is ours.
        for line in explanation.to_string().lines() {
            say!("{}", line.split('…').map(plain).collect::<Vec<_>>().join("…"));
        }
    }
    match explanation.verdict.as_str() {
        "endorse" => Exit::Ok,
        "refuse" | "absent" => Exit::Refused,
        _ => Exit::Io,
    }
}

/// The hash part of a store path, of its base name, or alone.
fn parse(config: &Config, path: &str) -> Option<HashPart> {
    let whole =
        StorePath::from_absolute_path(&config.store_dir, path).or_else(|_| StorePath::from_base_name(path));
    whole.map(|p| p.hash_part()).ok().or_else(|| HashPart::parse(path).ok())
}

/// How long the ledger may be held by another process.
const PATIENCE: Duration = Duration::from_secs(2);
