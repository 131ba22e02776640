//! What was found, for people and for programs.

use crate::doctor::installed::paths;
use crate::doctor::{Facts, Finding, Installed, Severity};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// One line for each finding, what is installed, and what no setting changes. `sources` says what was read.
pub fn text(facts: &Facts, findings: &[Finding], sources: &str) -> String {
    let mut text = String::new();
    let width = Severity::WayAround.word().len();
    for finding in findings {
        let Finding { severity, what, why, mend, .. } = finding;
        line(&mut text, format_args!("{:width$}  {what}: {why}. To mend: {mend}.", severity.word()));
    }
    if !findings.is_empty() {
        text.push('\n');
    }
    if let Some(installed) = &facts.installed {
        line(&mut text, format_args!("installed: {}", counted(installed)));
    }
    line(&mut text, format_args!("read: {sources}"));
    let rest = "root, and paths that certify themselves by their content address, need no countersignature on any machine";
    line(&mut text, format_args!("always: {rest}"));
    line(&mut text, format_args!("{}", verdict(findings)));
    text
}

/// The same for programs.
pub fn json(facts: &Facts, findings: &[Finding], sources: &str) -> Value {
    let installed = facts.installed.as_ref().map(|installed| {
        let others: Vec<Value> = (installed.others.iter())
            .map(|other| {
                json!({
                    "path": other.path,
                    "keys": other.keys,
                    "registered": other.registered,
                    "since-machine-key": other.is_since,
                })
            })
            .collect();
        json!({
            "paths": installed.total,
            "countersigned": installed.countersigned,
            "observed": installed.observed,
            "built-here": installed.built,
            "content-addressed": installed.content_addressed,
            "another-way-before": installed.other_before,
            "another-way-since": installed.other_since,
            "unreadable": installed.unreadable,
            "not-looked-at": installed.left,
            "machine-key-made": installed.since,
            "another-way-by-key": installed.by_key,
            "another-way": others,
        })
    });
    json!({ "findings": findings, "installed": installed, "read": sources })
}

fn counted(installed: &Installed) -> String {
    let others = installed.other_before.saturating_add(installed.other_since);
    let mut text = format!(
        "{}: {} countersigned, {} built here, {} content-addressed, {others} by another way",
        paths(installed.total),
        installed.countersigned,
        installed.built,
        installed.content_addressed,
    );
    let keys: Vec<String> = installed.by_key.iter().map(|(key, count)| format!("{key} {count}")).collect();
    if !keys.is_empty() {
        let more = if keys.len() > MOST_KEYS { ", …" } else { "" };
        text.push_str(&format!(" ({}{more})", keys.get(..MOST_KEYS).unwrap_or(&keys).join(", ")));
    }
    if installed.observed > 0 {
        text.push_str(&format!(", {} while only observing", installed.observed));
    }
    if installed.left > 0 {
        text.push_str(&format!(", {} not looked at", installed.left));
    }
    text
}

fn verdict(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let counts = [
        (count(Severity::WayAround), "way around", "ways around"),
        (count(Severity::Weakness), "weakness", "weaknesses"),
        (count(Severity::Unknown), "thing could not be found out", "things could not be found out"),
        (count(Severity::Note), "note", "notes"),
    ];
    let words: Vec<String> = (counts.iter())
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many)| format!("{number} {}", if *number == 1 { one } else { many }))
        .collect();
    match (counts.first(), words.is_empty()) {
        (_, true) => "no way around was found".to_owned(),
        (Some((0, ..)), false) => format!("no way around was found; {}", words.join(", ")),
        _ => words.join(", "),
    }
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    writeln!(text, "{words}").unwrap_or_default();
}

/// How many key names the line of the count has.
const MOST_KEYS: usize = 6;
