//! `countersign check`: reads the configuration as `serve` would, and says what it means or what is wrong.

use crate::cli::{Exit, state};
use crate::config::{Config, Environment, LoadError, Loaded, Location, Mode, Style, load};
use crate::trust::{Dissent, Glob, Policy, Rule, SignerSet, Timestamp};
use crate::upload::{Keys, KeysError};
use std::error::Error as _;
use std::io::{self, Write};

/// Checks the configuration: a summary goes to `out`, faults and warnings to `err`.
pub fn check(
    location: &Location,
    env: &Environment,
    now: Timestamp,
    style: Style,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Exit {
    match report(load(location, env, now), style, out, err) {
        Ok(exit) => exit,
        // Nobody is left to tell: a pipe that was closed, or a full disk.
        Err(_) => Exit::Io,
    }
}

fn report(
    loaded: Result<Loaded, LoadError>,
    style: Style,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<Exit> {
    match loaded {
        Ok(loaded) => {
            err.write_all(loaded.warnings.render(style).as_bytes())?;
            if let Err(error) = check_keys(&loaded.config) {
                writeln!(err, "error: {error}")?;
                return Ok(Exit::Config);
            }
            summarise(&loaded, out)?;
            out.flush()?;
            Ok(Exit::Ok)
        }
        Err(LoadError::Faulty(report)) => {
            err.write_all(report.render(style).as_bytes())?;
            let warnings = match report.warnings() {
                0 => String::new(),
                n => format!(", {}", count(n, "warning", "warnings")),
            };
            writeln!(err, "\n{}{warnings}", count(report.errors(), "error", "errors"))?;
            Ok(Exit::Config)
        }
        Err(unreadable @ LoadError::Unreadable { .. }) => {
            let why = unreadable.source().map(|why| format!(": {why}")).unwrap_or_default();
            writeln!(err, "error: {unreadable}{why}")?;
            Ok(Exit::Io)
        }
    }
}

/// Whether the signing keys that this user can read may sign together. Where a system is put together none is there.
fn check_keys(config: &Config) -> Result<(), KeysError> {
    let machine = state(config).public_keys().unwrap_or_default();
    Keys::check(&config.upload.signing_key_files, &config.policy, &machine.all)
}

fn summarise(Loaded { config, warnings, file }: &Loaded, out: &mut impl Write) -> io::Result<()> {
    match file {
        Some(file) => write!(out, "{}: ", file.display())?,
        None => write!(out, "no configuration file, built-in policy: ")?,
    }
    match warnings.warnings() {
        0 => writeln!(out, "no faults")?,
        n => writeln!(out, "no errors, {}", count(n, "warning", "warnings"))?,
    }
    let policy = &config.policy;
    let exceptions = match policy.exceptions().len() {
        0 => String::new(),
        n => format!(", {}", count(n, "exception", "exceptions")),
    };
    writeln!(
        out,
        "policy: {} of {}, {}, {}{exceptions}; {}",
        count(policy.caches().len(), "cache", "caches"),
        count(policy.operators().len(), "operator", "operators"),
        count(policy.signers().len(), "signer", "signers"),
        count(policy.rules().len(), "rule", "rules"),
        match config.mode {
            Mode::Enforce => "enforced",
            Mode::Observe => "observed only",
        },
    )?;
    for rule in policy.rules() {
        writeln!(out, "  {}", in_words(policy, rule))?;
    }
    summarise_settings(config, out)
}

fn summarise_settings(config: &Config, out: &mut impl Write) -> io::Result<()> {
    let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    writeln!(out, "listening on {}; state in {}", listen.join(", "), config.state_directory.display())?;
    if !config.destinations.is_empty() {
        let keys = count(config.upload.signing_key_files.len(), "key", "keys");
        writeln!(
            out,
            "uploads: {}, signed by {keys}",
            count(config.destinations.len(), "destination", "destinations")
        )?;
    }
    Ok(())
}

/// A rule in one line.
fn in_words(policy: &Policy, rule: &Rule) -> String {
    let packages = match &rule.packages {
        Some(globs) => globs.iter().map(Glob::as_str).collect::<Vec<_>>().join(", "),
        None => "everything else".to_owned(),
    };
    let clauses: Vec<String> = rule
        .clauses
        .iter()
        .map(|clause| {
            let voices = count(usize::from(clause.at_least.get()), "voice", "voices");
            format!("{voices} of {}", signer_names(policy, clause.of))
        })
        .collect();
    let mut words = format!("{:?}, for {packages}: {}", rule.name, clauses.join(" and "));
    if rule.operators.get() > 1 {
        words.push_str(&format!("; {}", count(usize::from(rule.operators.get()), "operator", "operators")));
    }
    match &rule.dissent {
        Dissent::Refuse => {}
        Dissent::Outvote => words.push_str("; dissent is outvoted"),
        Dissent::Prefer(ids) => {
            let names = ids.iter().filter_map(|&id| Some(&*policy.signer(id)?.name));
            words.push_str(&format!("; on dissent, {}", names.collect::<Vec<_>>().join(", then ")));
        }
    }
    let must: Vec<&str> = rule.must_answer.iter().filter_map(|&id| Some(&*policy.cache(id)?.name)).collect();
    if !must.is_empty() {
        words.push_str(&format!("; {} must answer", must.join(", ")));
    }
    if !rule.verify_content_addressed {
        words.push_str("; content-addressed paths too");
    }
    words
}

fn signer_names(policy: &Policy, set: SignerSet) -> String {
    set.iter().filter_map(|id| Some(&*policy.signer(id)?.name)).collect::<Vec<_>>().join(", ")
}

/// A number and its noun.
fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests;
