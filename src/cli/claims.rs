//! `countersign claims`: the process that asks the caches for the uploader, which must not parse what they send.
//!
//! A hash part on each line of its input; on each line of its output what every cache claims, as JSON. It holds
//! no key, and ends when its input does.

use crate::cli::{Exit, fail, run_async};
use crate::clock;
use crate::config::Config;
use crate::evidence::{Earlier, Ledger};
use crate::format::HashPart;
use crate::question::Question;
use crate::transfer::Relay;
use crate::trust::Role;
use crate::upload::Told;
use crate::upstream::{Occasion, Upstreams};
use std::future::ready;
use std::io::{BufRead, Write};

/// Answers questions until there are none.
pub(super) fn claims(config: &Config) -> Exit {
    let upstreams = match Upstreams::new(config) {
        Ok(upstreams) => upstreams,
        Err(error) => return fail(Exit::Io, &error),
    };
    let relay = Relay::new(
        &config.serving,
        &config.limits,
        config.patience,
        config.state_directory.join("spool"),
        Ledger::off(),
    );
    match run_async(answer_all(&upstreams, &relay)) {
        Ok(exit) | Err(exit) => exit,
    }
}

/// Waits for each line with this thread, which the runtime does not need for what it has begun.
async fn answer_all(upstreams: &Upstreams, relay: &Relay) -> Exit {
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = match line {
            Ok(line) => match HashPart::parse(&line) {
                Ok(path) => Ok(ask(upstreams, relay, path).await),
                Err(error) => Err(error.to_string()),
            },
            Err(error) => return fail(Exit::Io, &error),
        };
        let written = serde_json::to_string(&answer)
            .map_err(std::io::Error::other)
            .and_then(|text| writeln!(output, "{text}").and_then(|()| output.flush()));
        if let Err(error) = written {
            return fail(Exit::Io, &error);
        }
    }
    Exit::Ok
}

/// What every cache claims of a path.
pub(super) async fn ask(upstreams: &Upstreams, relay: &Relay, path: HashPart) -> Vec<Told> {
    let question =
        Question::ask(upstreams, relay, path, &[], ready(Earlier::default()), Occasion::Wanted).await;
    let policy = question.ballot.policy();
    let mut told = Vec::new();
    for (id, said) in question.ballot.said() {
        let (Some(cache), Ok(Some(claim))) = (policy.cache(id), said) else { continue };
        let core = claim.core();
        let signers = claim.counting(policy, clock::now());
        told.push(Told {
            cache: cache.name.to_string(),
            is_source: cache.role == Role::Source,
            path: core.store_path.to_string(),
            nar_hash: core.nar_hash.nixbase32(),
            nar_size: core.nar_size,
            references: core.references.iter().map(ToString::to_string).collect(),
            signers: signers.iter().filter_map(|id| policy.signer(id)).map(|s| s.name.to_string()).collect(),
        });
    }
    told
}
