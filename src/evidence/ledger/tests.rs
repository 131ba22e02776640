//! The handle, its writer and its reader on a real disk; troubles with the disk are in `tests/it/evidence_ledger`.

use super::*;
use crate::evidence::tests::samples::{
    DAY, at, claim, claims, fate, hash_part, key, noise, public, verdict, verdicts,
};
use crate::evidence::{Fate, Filter, Outcome, Sqlite, Storage, Terms, verify};
use std::ops::ControlFlow;
use tempfile::TempDir;

fn terms() -> LedgerTerms {
    LedgerTerms {
        keep: Duration::from_secs(36_500 * 86_400),
        limit: 1 << 30,
        store_dir: StoreDir::new("/nowhere/store").unwrap(),
    }
}

fn open(dir: &TempDir) -> Ledger {
    let ledger = Ledger::open(dir.path(), terms());
    ledger.set_key(key(1));
    ledger
}

fn storage(dir: &TempDir) -> Sqlite {
    Sqlite::open(dir.path(), &Terms::default()).unwrap()
}

fn count(dir: &TempDir) -> usize {
    let mut count = 0;
    storage(dir)
        .verdicts(&Filter::default(), &mut |_| {
            count += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    count
}

#[tokio::test]
async fn what_is_noted_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(&dir);
    assert_eq!(ledger.earlier(hash_part(1)).await, Earlier::default());
    ledger.note(claims(vec![claim(1, 1, "one", 0)]));
    // A refusal is written behind what waits no longer than it takes to gather.
    while ledger.status().waiting > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    ledger.record(verdicts(vec![verdict(2, Outcome::Refuse, 0)])).await;
    assert_eq!(ledger.earlier(hash_part(1)).await.claims.len(), 1);
    assert_eq!(ledger.status().lost, 0);
    assert_eq!(ledger.status().trouble, None);
}

#[tokio::test]
async fn a_refusal_is_in_the_file_when_it_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(&dir);
    for n in 1..=20 {
        ledger.record(verdicts(vec![verdict(n, Outcome::Refuse, 0)])).await;
        assert_eq!(count(&dir), n as usize);
    }
}

#[tokio::test]
async fn a_stop_writes_what_waits_and_signs_a_head() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(&dir);
    for n in 1..=2000 {
        ledger.note(verdicts(vec![verdict(n, Outcome::Endorse, 0)]));
    }
    ledger.stop().await;
    let report = verify(&mut storage(&dir), &[public(1)], &[]).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.rows, report.covered), (2000, Some(2000)));
    ledger.note(verdicts(vec![verdict(3000, Outcome::Endorse, 0)]));
    ledger.record(verdicts(vec![verdict(3001, Outcome::Refuse, 0)])).await;
    assert_eq!((count(&dir), ledger.status().lost), (2000, 2));
}

#[tokio::test]
async fn the_first_verdict_of_a_chain_is_under_a_head_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path(), terms());
    ledger.record(verdicts(vec![verdict(1, Outcome::Refuse, 0)])).await;
    assert_eq!(storage(&dir).last_head().unwrap(), None, "without a key there is none");
    ledger.set_key(key(1));
    while storage(&dir).last_head().unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    ledger.record(verdicts(vec![verdict(2, Outcome::Refuse, 0)])).await;
    let report = verify(&mut storage(&dir), &[public(1)], &[]).unwrap();
    assert_eq!((report.covered, report.uncovered), (Some(1), 1), "the next one a day later");
}

#[tokio::test]
async fn with_its_last_handle_a_ledger_writes_and_closes() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(&dir);
    ledger.note(verdicts(vec![verdict(1, Outcome::Endorse, 0)]));
    drop(ledger.clone());
    drop(ledger);
    while count(&dir) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_a_start_needs_is_known_at_once() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!((open(&dir).newest(), open(&dir).liars()), (None, vec![]));
    let ledger = open(&dir);
    let fates = vec![fate(1, "one", Fate::False, DAY), fate(1, "two", Fate::Right, 0)];
    ledger.record(Batch { fates, ..Batch::default() }).await;
    assert_eq!(ledger.liars(), [Box::from("one")]);
    ledger.stop().await;
    let again = open(&dir);
    assert_eq!((again.newest(), again.liars()), (Some(at(DAY)), vec!["one".into()]));
}

#[tokio::test]
async fn a_ledger_that_is_off_keeps_nothing_and_waits_for_nothing() {
    let ledger = Ledger::off();
    ledger.note(claims(vec![claim(1, 1, "one", 0)]));
    ledger.record(verdicts(vec![verdict(1, Outcome::Refuse, 0)])).await;
    assert_eq!(ledger.earlier(hash_part(1)).await, Earlier::default());
    ledger.stop().await;
    assert_eq!((ledger.status(), ledger.newest()), (LedgerStatus::default(), None));
}

/// A cache that invents a claim for every request, past a limit that is small: noise never takes more than its share, what
/// was signed stays, and the file does not grow beyond its bound.
#[tokio::test]
async fn random_claims_do_not_grow_the_ledger_past_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let limit = 1 << 20;
    let ledger = Ledger::open(dir.path(), LedgerTerms { limit, ..terms() });
    ledger.note(claims(vec![claim(1, 1, "one", 0)]));
    for n in 2..8000 {
        ledger.note(claims(vec![noise(n, 1, "one", i64::from(n))]));
        if n % 1000 == 0 {
            while ledger.status().waiting > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    ledger.stop().await;
    let tally = storage(&dir).tally().unwrap();
    assert!(tally.noise <= limit / 16, "{tally:?}");
    assert!(tally.bytes <= limit, "{tally:?}");
    assert_eq!(storage(&dir).earlier(hash_part(1)).unwrap().claims.len(), 1);
}

/// Verdicts without end, as a client may cause them, past a limit that is small: the oldest go, and the chain holds.
#[tokio::test]
async fn verdicts_without_end_stay_within_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let limit = 1 << 20;
    let ledger = Ledger::open(dir.path(), LedgerTerms { limit, ..terms() });
    ledger.set_key(key(1));
    for n in 0..16_000 {
        ledger.note(verdicts(vec![verdict(n, Outcome::Defer, 0)]));
        if n % 500 == 0 {
            ledger.record(verdicts(vec![verdict(50_000 + n, Outcome::Refuse, 0)])).await;
            while ledger.status().waiting > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    ledger.stop().await;
    let tally = storage(&dir).tally().unwrap();
    // What refusals may take beyond it, and one batch.
    assert!(tally.bytes <= limit + limit / 16 + (256 << 10), "{tally:?}");
    assert!(tally.verdicts > 100, "{tally:?}");
    let report = verify(&mut storage(&dir), &[public(1)], &[]).unwrap();
    assert!(report.is_sound() && report.pruned.is_some(), "{report:?}");
}

#[tokio::test]
async fn a_row_that_fits_nowhere_takes_no_other_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(&dir);
    let mut rows = verdicts((1..=9).map(|n| verdict(n, Outcome::Endorse, 0)).collect());
    let mut bad = fate(1, "one", Fate::Right, 0);
    bad.count = u64::MAX;
    rows.fates = vec![bad];
    ledger.note(rows);
    ledger.stop().await;
    assert_eq!((count(&dir), ledger.status().lost), (9, 1));
}

#[test]
fn what_is_said_seldom_is_said_once() {
    let seldom = Seldom::default();
    assert!(seldom.is_due());
    assert!(!seldom.is_due());
}
