//! Rows as programs are told of them: one JSON object each, on one line. Names and meanings here are a promise: they may
//! be added to, and `export` counts its version up for everything else.

use crate::evidence::{BuildRow, Chained, ClaimRow, EventRow, FateRow, Word};
use crate::trust::Timestamp;
use serde::Serialize;

/// A row of any table.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Row {
    /// A verdict, with its place in the chain.
    Verdict {
        number: u64,
        /// Its hash in the chain, in base16.
        hash: String,
        /// The number that it had before, if it was written again when others were pruned, and when that was.
        carried: Option<CarriedFrom>,
        at: String,
        /// The hash part that was asked for.
        path: Option<String>,
        name: Option<String>,
        /// endorse, refuse, defer, absent or clock-reset.
        outcome: &'static str,
        observing: bool,
        rule: Option<String>,
        nar_hash: Option<String>,
        label: String,
        reason: String,
        heard: Vec<HeardWord>,
    },
    /// What a cache claimed of a path.
    Claim {
        path: String,
        cache: String,
        nar_hash: String,
        nar_size: u64,
        references: Vec<String>,
        signatures: Vec<String>,
        deriver: Option<String>,
        content_address: Option<String>,
        first_seen: String,
        last_seen: String,
        /// When it was last credible; null for noise.
        credible_at: Option<String>,
        count: u64,
    },
    /// What does not happen every day.
    Event {
        kind: &'static str,
        path: String,
        name: Option<String>,
        party: String,
        before: String,
        after: String,
        first_seen: String,
        last_seen: String,
        count: u64,
    },
    /// What was built here.
    Build {
        path: String,
        nar_hash: Option<String>,
        nar_size: Option<u64>,
        derivation: Option<String>,
        kind: &'static str,
        at: String,
    },
    /// What became of bytes.
    Bytes { nar_hash: String, cache: String, fate: &'static str, at: String, count: u64 },
    /// A signed head of the chain, as `verify --against` reads it.
    Head { head: String },
}

/// Where a verdict stood before.
#[derive(Debug, Serialize)]
pub(super) struct CarriedFrom {
    from: u64,
    at: String,
}

/// What one cache said when a verdict was reached.
#[derive(Debug, Serialize)]
pub(super) struct HeardWord {
    cache: String,
    /// claim, not-found or nothing.
    word: &'static str,
    nar_hash: Option<String>,
    signers: Vec<String>,
}

impl From<&Chained> for Row {
    fn from(Chained { number, hash, carried, row }: &Chained) -> Self {
        let heard = row.heard.iter().map(|heard| {
            let (word, nar_hash, signers) = match &heard.word {
                Word::Claim { nar_hash, signers } => {
                    ("claim", Some(nar_hash.to_string()), signers.as_slice())
                }
                Word::NotFound => ("not-found", None, &[][..]),
                Word::Nothing => ("nothing", None, &[][..]),
            };
            let signers = signers.iter().map(ToString::to_string).collect();
            HeardWord { cache: heard.cache.to_string(), word, nar_hash, signers }
        });
        Self::Verdict {
            number: *number,
            hash: hash.to_string(),
            carried: carried.map(|carried| CarriedFrom { from: carried.from, at: date(carried.at) }),
            at: date(row.at),
            path: row.asked.map(|path| path.to_string()),
            name: row.name.as_deref().map(str::to_owned),
            outcome: row.outcome.label(),
            observing: row.observing,
            rule: row.rule.as_deref().map(str::to_owned),
            nar_hash: row.nar_hash.map(|hash| hash.to_string()),
            label: row.label.to_string(),
            reason: row.reason.to_string(),
            heard: heard.collect(),
        }
    }
}

impl From<&ClaimRow> for Row {
    fn from(row: &ClaimRow) -> Self {
        Self::Claim {
            path: row.core.store_path.to_string(),
            cache: row.cache.to_string(),
            nar_hash: row.core.nar_hash.to_string(),
            nar_size: row.core.nar_size,
            references: row.core.references.iter().map(ToString::to_string).collect(),
            signatures: row.signatures.iter().map(ToString::to_string).collect(),
            deriver: row.deriver.as_ref().map(ToString::to_string),
            content_address: row.content_address.as_ref().map(ToString::to_string),
            first_seen: date(row.first_seen),
            last_seen: date(row.last_seen),
            credible_at: row.credible_at.map(date),
            count: row.count,
        }
    }
}

impl From<&EventRow> for Row {
    fn from(row: &EventRow) -> Self {
        Self::Event {
            kind: row.kind.label(),
            path: row.path.to_string(),
            name: row.name.as_deref().map(str::to_owned),
            party: row.party.to_string(),
            before: row.before.to_string(),
            after: row.after.to_string(),
            first_seen: date(row.first_seen),
            last_seen: date(row.last_seen),
            count: row.count,
        }
    }
}

impl From<&BuildRow> for Row {
    fn from(row: &BuildRow) -> Self {
        Self::Build {
            path: row.path.to_string(),
            nar_hash: row.nar_hash.map(|hash| hash.to_string()),
            nar_size: row.nar_size,
            derivation: row.derivation.as_ref().map(ToString::to_string),
            kind: row.kind.label(),
            at: date(row.at),
        }
    }
}

impl From<&FateRow> for Row {
    fn from(row: &FateRow) -> Self {
        Self::Bytes {
            nar_hash: row.nar_hash.to_string(),
            cache: row.cache.to_string(),
            fate: row.fate.label(),
            at: date(row.at),
            count: row.count,
        }
    }
}

/// A moment in the form of RFC 3339; the bare number of seconds where no calendar reaches.
pub(super) fn date(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.seconds()).map_or_else(|_| format!("@{at}"), |at| at.to_string())
}
