//! `countersign explain`: every cache's claim on one path side by side, and what the rule of trust makes of it.

use crate::cli::{Exit, fail, run_async};
use crate::clock;
use crate::config::Config;
use crate::evidence::{Earlier, Ledger};
use crate::format::{HashPart, StorePath};
use crate::question::Question;
use crate::state::StateDirectory;
use crate::transfer::Relay;
use crate::trust::{Basis, Verdict};
use crate::upstream::{Occasion, Upstreams};
use serde::Serialize;
use std::fmt;
use std::future::ready;

/// What is printed, as text or as JSON.
#[derive(Debug, Serialize)]
struct Explanation {
    /// The hash part that was asked for.
    path: String,
    /// The name, where a claim told it.
    name: Option<String>,
    /// endorse, refuse, defer or absent.
    verdict: &'static str,
    /// The rule that applied.
    rule: Option<String>,
    /// What the endorsement rests on.
    basis: Option<&'static str>,
    /// Why it is not endorsed.
    reason: Option<String>,
    /// A stable number and a word for the reason.
    code: Option<u16>,
    label: Option<&'static str>,
    /// What would lift a refusal.
    lift: Option<String>,
    /// One row for each cache.
    caches: Vec<Row>,
}

/// What one cache said.
#[derive(Debug, Serialize)]
struct Row {
    cache: String,
    operator: String,
    answer: String,
    nar_hash: Option<String>,
    nar_size: Option<u64>,
    references: Option<usize>,
    /// The signers whose signatures count, shown by this cache.
    signers: Vec<String>,
    /// The names of the keys on its signature lines, whether they count or not.
    content_address: Option<String>,
}

/// Asks the caches and prints what they say.
pub(super) fn explain(config: &Config, path: &str, json: bool) -> Exit {
    let Some(asked) = parse(config, path) else {
        eprintln!(
            "countersign: {path:?} is neither a store path below {} nor a 32-character hash",
            config.store_dir.as_str()
        );
        return Exit::Config;
    };
    let upstreams = match Upstreams::new(config) {
        Ok(upstreams) => upstreams,
        Err(error) => return fail(Exit::Io, &error),
    };
    let state = StateDirectory::at(config.state_directory.clone());
    let relay = Relay::new(
        &config.serving,
        &config.limits,
        config.patience,
        state.path().join("spool"),
        Ledger::off(),
    );
    // Explained before the runtime ends: what it cuts off is no fault of a cache.
    let explaining = async {
        explanation(
            &upstreams,
            &Question::ask(&upstreams, &relay, asked, &[], ready(Earlier::default()), Occasion::Wanted).await,
            asked,
        )
    };
    let (explanation, verdict) = match run_async(explaining) {
        Ok(explained) => explained,
        Err(exit) => return exit,
    };
    if json {
        match serde_json::to_string_pretty(&explanation) {
            Ok(text) => println!("{text}"),
            Err(error) => return fail(Exit::Io, &error),
        }
    } else {
        print!("{explanation}");
    }
    match verdict {
        Verdict::Endorse(_) => Exit::Ok,
        Verdict::Refuse(_) | Verdict::Absent => Exit::Refused,
        Verdict::Defer(_) => Exit::Io,
    }
}

/// The hash part of a store path, of its base name, or alone.
fn parse(config: &Config, path: &str) -> Option<HashPart> {
    let whole =
        StorePath::from_absolute_path(&config.store_dir, path).or_else(|_| StorePath::from_base_name(path));
    whole.map(|p| p.hash_part()).ok().or_else(|| HashPart::parse(path).ok())
}

fn explanation(upstreams: &Upstreams, question: &Question, asked: HashPart) -> (Explanation, Verdict) {
    let now = clock::now();
    let ballot = &question.ballot;
    let policy = ballot.policy();
    let mut name = None;
    let mut caches = Vec::new();
    for (id, said) in ballot.said() {
        let Some(cache) = policy.cache(id) else { continue };
        let operator = policy.operators().get(usize::from(cache.operator.0)).map(ToString::to_string);
        let mut row = Row {
            cache: cache.name.to_string(),
            operator: operator.unwrap_or_default(),
            answer: String::new(),
            nar_hash: None,
            nar_size: None,
            references: None,
            signers: Vec::new(),
            content_address: None,
        };
        match said {
            Ok(Some(claim)) => {
                let core = claim.core();
                name.get_or_insert_with(|| core.store_path.name().to_owned());
                row.answer = "claims".to_owned();
                row.nar_hash = Some(core.nar_hash.to_string());
                row.nar_size = Some(core.nar_size);
                row.references = Some(core.references.len());
                let counting = claim.counting(policy, now).iter().filter_map(|id| policy.signer(id));
                row.signers = counting.map(|s| s.name.to_string()).collect();
                row.content_address = claim.hints().content_address.as_ref().map(ToString::to_string);
            }
            Ok(None) => row.answer = "does not have it".to_owned(),
            Err(silence) => {
                let fault = upstreams.cache(id).and_then(|cache| cache.fault());
                row.answer = fault.map_or_else(|| silence.to_string(), |fault| format!("{silence}: {fault}"));
            }
        }
        caches.push(row);
    }
    let verdict = ballot.verdict(now);
    let (rule, basis) = match &verdict {
        Verdict::Endorse(endorsed) => (Some(endorsed.rule().to_owned()), Some(words(endorsed.basis()))),
        Verdict::Absent | Verdict::Defer(_) | Verdict::Refuse(_) => {
            (verdict.reason().and_then(|r| r.rule.as_deref()).map(str::to_owned), None)
        }
    };
    let reason = verdict.reason();
    let explanation = Explanation {
        path: asked.to_string(),
        name,
        verdict: verdict.label(),
        rule,
        basis,
        reason: reason.map(ToString::to_string),
        code: reason.map(crate::trust::Reason::code),
        label: reason.map(crate::trust::Reason::label),
        lift: reason.map(crate::trust::Reason::lift),
        caches,
    };
    (explanation, verdict)
}

fn words(basis: Basis) -> &'static str {
    match basis {
        Basis::Rule => "the signatures and operators that the rule demands",
        Basis::Content => "its own content address, which Nix checks itself; no countersignature",
        Basis::Observed => "one allowed signature (observing)",
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().map(|n| format!("-{n}")).unwrap_or_default();
        writeln!(f, "{}{name}", self.path)?;
        let width = |of: fn(&Row) -> &str, head: &str| {
            self.caches.iter().map(|r| of(r).chars().count()).chain([head.len()]).max().unwrap_or_default()
        };
        let (cache, operator) = (width(|r| &r.cache, "CACHE"), width(|r| &r.operator, "OPERATOR"));
        writeln!(f, "\n{:cache$}  {:operator$}  ANSWER", "CACHE", "OPERATOR")?;
        for row in &self.caches {
            write!(f, "{:cache$}  {:operator$}  {}", row.cache, row.operator, row.answer)?;
            if let (Some(hash), Some(size), Some(references)) = (&row.nar_hash, row.nar_size, row.references)
            {
                write!(f, " {hash}, {size} bytes, {references} references; ")?;
                match row.signers.as_slice() {
                    [] => write!(f, "no counting signature")?,
                    signers => write!(f, "signed by {}", signers.join(", "))?,
                }
            }
            if let Some(address) = &row.content_address {
                write!(f, "; CA {address}")?;
            }
            writeln!(f)?;
        }
        writeln!(f, "\nverdict    {}", self.verdict)?;
        for (label, value) in [
            ("rule", self.rule.as_deref()),
            ("rests on", self.basis),
            ("reason", self.reason.as_deref()),
            ("lifted by", self.lift.as_deref()),
        ] {
            if let Some(value) = value {
                writeln!(f, "{label:9}  {value}")?;
            }
        }
        Ok(())
    }
}
