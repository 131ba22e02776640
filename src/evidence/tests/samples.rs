//! Rows to be kept, different by a number.

use crate::evidence::{
    Batch, BuildKind, BuildRow, ClaimSeen, EventKind, EventRow, Fate, FateRow, Heard, Outcome, VerdictRow,
    Word,
};
use crate::format::{
    Core, HashPart, KeyName, NarHash, References, Signature, SigningKey, StorePath, VerifyingKey,
};
use crate::trust::Timestamp;
use std::sync::Arc;

pub(in crate::evidence) const DAY: i64 = 86_400;

/// Noon of a day in 2026, so that a day has room on both sides.
pub(in crate::evidence) const NOON: i64 = 1_790_000_000 / DAY * DAY + DAY / 2;

pub(in crate::evidence) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(NOON + seconds)
}

pub(in crate::evidence) fn hash_part(n: u32) -> HashPart {
    let mut digest = [7; 20];
    digest[..4].copy_from_slice(&n.to_be_bytes());
    HashPart::from_digest(digest)
}

pub(in crate::evidence) fn path(n: u32) -> StorePath {
    StorePath::from_parts(hash_part(n), &format!("package-{n}")).unwrap()
}

pub(in crate::evidence) fn nar_hash(n: u8) -> NarHash {
    NarHash::from_digest([n; 32])
}

pub(in crate::evidence) fn core(n: u32, content: u8) -> Arc<Core> {
    let references = References::from_unsorted(vec![path(n), path(1000 + n)]);
    Arc::new(Core { store_path: path(n), nar_hash: nar_hash(content), nar_size: 4096, references })
}

pub(in crate::evidence) fn signature(name: &str, n: u8) -> Signature {
    Signature::from_parts(KeyName::parse(name).unwrap(), [n; 64])
}

pub(in crate::evidence) fn claim(n: u32, content: u8, cache: &str, seconds: i64) -> ClaimSeen {
    ClaimSeen {
        cache: cache.into(),
        core: core(n, content),
        signatures: vec![signature("acme-1", content)],
        deriver: Some(path(2000 + n)),
        content_address: None,
        is_credible: true,
        at: at(seconds),
    }
}

pub(in crate::evidence) fn noise(n: u32, content: u8, cache: &str, seconds: i64) -> ClaimSeen {
    ClaimSeen { is_credible: false, signatures: Vec::new(), ..claim(n, content, cache, seconds) }
}

pub(in crate::evidence) fn verdict(n: u32, outcome: Outcome, seconds: i64) -> VerdictRow {
    let word = Word::Claim { nar_hash: nar_hash(1), signers: vec!["acme".into(), "nixos".into()] };
    VerdictRow {
        at: at(seconds),
        asked: Some(hash_part(n)),
        name: Some(format!("package-{n}").into()),
        outcome,
        observing: false,
        rule: Some("everything else".into()),
        nar_hash: (outcome == Outcome::Endorse).then(|| nar_hash(1)),
        label: "signatures".into(),
        reason: "because".into(),
        heard: vec![
            Heard { cache: "one".into(), word },
            Heard { cache: "two".into(), word: Word::NotFound },
            Heard { cache: "three".into(), word: Word::Nothing },
        ],
    }
}

pub(in crate::evidence) fn event(n: u32, kind: EventKind, party: &str, seconds: i64) -> EventRow {
    EventRow {
        kind,
        path: hash_part(n),
        name: Some(format!("package-{n}").into()),
        party: party.into(),
        before: "this".into(),
        after: format!("that {seconds}").into(),
        first_seen: at(seconds),
        last_seen: at(seconds),
        count: 1,
    }
}

pub(in crate::evidence) fn fate(n: u8, cache: &str, fate: Fate, seconds: i64) -> FateRow {
    FateRow { nar_hash: nar_hash(n), cache: cache.into(), fate, at: at(seconds), count: 1 }
}

pub(in crate::evidence) fn build(n: u32, content: u8, seconds: i64) -> BuildRow {
    BuildRow {
        path: path(n),
        nar_hash: Some(nar_hash(content)),
        nar_size: Some(4096),
        derivation: Some(path(3000 + n)),
        kind: BuildKind::Built,
        at: at(seconds),
    }
}

pub(in crate::evidence) fn claims(claims: Vec<ClaimSeen>) -> Batch {
    Batch { claims, ..Batch::default() }
}

pub(in crate::evidence) fn verdicts(verdicts: Vec<VerdictRow>) -> Batch {
    Batch { verdicts, ..Batch::default() }
}

pub(in crate::evidence) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(KeyName::parse("countersign-machine-1").unwrap(), &[seed; 32])
}

pub(in crate::evidence) fn public(seed: u8) -> VerifyingKey {
    key(seed).verifying_key()
}
