//! The ledger where a process is killed and where a disk fails: what was told of is there, and serving goes on.

mod disk;
mod kill;

use countersign::evidence::{
    Batch, Filter, Heard, Ledger, LedgerTerms, Outcome, Report, Sqlite, Storage, Terms, VerdictRow, Word,
    verify,
};
use countersign::format::{HashPart, KeyName, NarHash, SigningKey, StoreDir};
use countersign::trust::Timestamp;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

fn key() -> SigningKey {
    SigningKey::from_seed(KeyName::parse("countersign-machine-1").unwrap(), &[7; 32])
}

fn open(state: &Path) -> Ledger {
    let store_dir = StoreDir::new("/nowhere/store").unwrap();
    let keep = Duration::from_secs(36_500 * 86_400);
    let ledger = Ledger::open(state, LedgerTerms { keep, limit: 1 << 30, store_dir });
    ledger.set_key(key());
    ledger
}

fn hash_part(n: u64) -> HashPart {
    let mut digest = [3; 20];
    digest[..8].copy_from_slice(&n.to_be_bytes());
    HashPart::from_digest(digest)
}

fn verdict(n: u64, outcome: Outcome) -> Batch {
    let word = Word::Claim { nar_hash: NarHash::from_digest([9; 32]), signers: vec!["acme".into()] };
    let row = VerdictRow {
        at: Timestamp::from_seconds(1_790_000_000),
        asked: Some(hash_part(n)),
        name: Some(format!("package-{n}").into()),
        outcome,
        observing: false,
        rule: None,
        nar_hash: None,
        label: "signatures".into(),
        reason: "because".into(),
        heard: vec![Heard { cache: "one".into(), word }],
    };
    Batch { verdicts: vec![row], ..Batch::default() }
}

fn is_there(state: &Path, n: u64) -> bool {
    let mut found = false;
    let filter = Filter { path: Some(hash_part(n)), ..Filter::default() };
    let mut storage = Sqlite::open(state, &Terms::default()).unwrap();
    storage
        .verdicts(&filter, &mut |_| {
            found = true;
            ControlFlow::Break(())
        })
        .unwrap();
    found
}

fn check(state: &Path) -> Report {
    let mut storage = Sqlite::open(state, &Terms::default()).unwrap();
    verify(&mut storage, &[key().verifying_key()], &[]).unwrap()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never: {what}");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
