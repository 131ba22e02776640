//! Rows as people read them: a line for each, and where it has more to say, further lines below.

use crate::cli::evidence::plain;
use crate::cli::evidence::rows::date;
use crate::evidence::{BuildRow, Chained, ClaimRow, EventRow, FateRow, Heard, Outcome, Word};
use crate::format::Signature;
use crate::trust::Timestamp;

/// A verdict: when, what, on which path, and why.
pub(super) fn verdict(Chained { number, row, .. }: &Chained) -> String {
    let mode = if row.observing { " (observed)" } else { "" };
    let why = match row.outcome {
        Outcome::Endorse => {
            row.rule.as_ref().map(|rule| format!("by {rule:?}: {}", row.label)).unwrap_or_default()
        }
        Outcome::Refuse | Outcome::Defer | Outcome::Absent | Outcome::ClockReset => {
            let label = if row.label.is_empty() { String::new() } else { format!("{}: ", row.label) };
            format!("{label}{}", row.reason)
        }
    };
    let path = row.asked.map(|path| path.to_string()).unwrap_or_default();
    let name = row.name.as_ref().map(|name| format!("-{}", plain(name))).unwrap_or_default();
    let line = format!("{number:>7}  {}  {:11}  {path}{name}{mode}", when(row.at), row.outcome.label());
    let line = line.trim_end().to_owned();
    if why.trim().is_empty() { line } else { format!("{line}\n{:31}{}", "", plain(&why)) }
}

/// What was heard when a verdict was reached, a line for each cache.
pub(super) fn heard(heard: &[Heard]) -> String {
    let lines = heard.iter().map(|Heard { cache, word }| {
        let word = match word {
            Word::Claim { nar_hash, signers } if signers.is_empty() => {
                format!("claims {nar_hash}, and nobody vouches for it")
            }
            Word::Claim { nar_hash, signers } => {
                format!("claims {nar_hash}, vouched for by {}", signers.join(", "))
            }
            Word::NotFound => "does not have it".to_owned(),
            Word::Nothing => "gave no answer".to_owned(),
        };
        format!("{:31}{}: {}\n", "", plain(cache), plain(&word))
    });
    lines.collect()
}

/// A claim: who said what of which path, signed by whom, from when to when.
pub(super) fn claim(row: &ClaimRow) -> String {
    format!("{}\n{:22}{}", row.core.store_path, "", word(row))
}

/// The same without the path.
pub(super) fn word(row: &ClaimRow) -> String {
    let ClaimRow { cache, core, signatures, first_seen, last_seen, credible_at, count, .. } = row;
    let noise = if credible_at.is_none() { ", noise" } else { "" };
    format!(
        "{}: {}, {} bytes, {} references; {}; heard {}, first {}, last {}{noise}",
        plain(cache),
        core.nar_hash,
        core.nar_size,
        core.references.len(),
        signed(signatures),
        times(*count),
        when(*first_seen),
        when(*last_seen)
    )
}

fn signed(signatures: &[Signature]) -> String {
    let names: Vec<String> =
        signatures.iter().map(|signature| plain(&signature.key_name().to_string())).collect();
    if names.is_empty() { "signed by nobody".to_owned() } else { format!("signed with {}", names.join(", ")) }
}

/// An event, with both sides.
pub(super) fn event(row: &EventRow) -> String {
    let EventRow { kind, path, name, party, before, after, first_seen, last_seen, count } = row;
    let name = name.as_ref().map(|name| format!("-{}", plain(name))).unwrap_or_default();
    let party = if party.is_empty() { String::new() } else { format!("  ({})", plain(party)) };
    let mut text = format!("{}  {:13}  {path}{name}{party}", when(*last_seen), kind.label());
    for (side, said) in [("before", before), ("after", after)] {
        if !said.is_empty() {
            text.push_str(&format!("\n{:22}{side:6}  {}", "", plain(said)));
        }
    }
    if *count > 1 {
        text.push_str(&format!("\n{:22}seen {}, first {}", "", times(*count), when(*first_seen)));
    }
    text
}

/// A build.
pub(super) fn build(row: &BuildRow) -> String {
    format!("{}  {:13}  {}{}", when(row.at), row.kind.label(), row.path, result(row))
}

/// What a build came to.
pub(super) fn result(row: &BuildRow) -> String {
    let derivation =
        row.derivation.as_ref().map(|derivation| format!(", from {derivation}")).unwrap_or_default();
    match (row.nar_hash, row.nar_size) {
        (Some(hash), Some(size)) => format!("\n{:22}{hash}, {size} bytes{derivation}", ""),
        (Some(hash), None) => format!("\n{:22}{hash}{derivation}", ""),
        (None, _) => format!("\n{:22}no result was kept{derivation}", ""),
    }
}

/// What became of bytes.
pub(super) fn fate(row: &FateRow) -> String {
    let FateRow { nar_hash, cache, fate, at, count } = row;
    format!("{}  {:10}  {nar_hash}  from {}, {}", when(*at), fate.label(), plain(cache), times(*count))
}

/// A moment, in UTC.
pub(super) fn when(at: Timestamp) -> String {
    date(at)
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
