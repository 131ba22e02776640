//! Fills a ledger and measures it, for `run` and for callgrind. Usage:
//!   bench-evidence generate STATE CLAIMS     half as many paths and verdicts, two caches, one claim in twenty noise
//!   bench-evidence ask STATE PATHS           what is known of so many paths, in milliseconds: median and longest
//!   bench-evidence prune STATE SECONDS       refusals recorded while the ledger is over its limit: median and longest
//!   bench-evidence write STATE QUESTIONS     what cold questions write, 128 to a transaction (for callgrind)
//!   bench-evidence miss STATE QUESTIONS      what cold questions read (for callgrind)
//!   bench-evidence serve STATE QUESTIONS     both, through the handle of the service (for callgrind)

#![allow(clippy::unwrap_used, clippy::panic, reason = "a tool of the benchmarks: what fails ends it")]

use countersign::evidence::{
    Batch, ClaimSeen, Filter, Heard, Ledger, LedgerTerms, Outcome, Sqlite, Storage, Terms, VerdictRow, Word,
};
use countersign::format::{
    Core, HashPart, KeyName, NarHash, References, Signature, SigningKey, StoreDir, StorePath,
};
use countersign::trust::Timestamp;
use sha2::{Digest, Sha256};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn main() {
    let [what, state, number] = &std::env::args().skip(1).collect::<Vec<_>>()[..] else {
        panic!("usage: bench-evidence generate|ask|prune|write|miss|serve STATE NUMBER")
    };
    let (state, number): (&Path, u64) = (state.as_ref(), number.parse().expect("a number"));
    std::fs::create_dir_all(state).unwrap();
    match what.as_str() {
        "generate" => generate(state, number),
        "ask" => ask(state, number),
        "prune" => prune(state, number),
        "write" => write(state, number),
        "miss" => miss(state, number),
        "serve" => serve(state, number),
        _ => panic!("{what} is nothing that is measured"),
    }
}

fn generate(state: &Path, claims: u64) {
    let began = Instant::now();
    let mut storage = open(state);
    let paths = claims / 2;
    let mut next = 0;
    while next < paths {
        let end = (next + 20_000).min(paths);
        storage.write(&questions(next..end, paths)).unwrap();
        next = end;
    }
    drop(storage);
    let tally = open(state).tally().unwrap();
    let bytes = tally.bytes as f64 / tally.claims as f64;
    println!("{} claims, {} verdicts, {} bytes", tally.claims, tally.verdicts, tally.bytes);
    println!(
        "{bytes:.0} bytes for each claim, its verdict counted in; {:.0} s",
        began.elapsed().as_secs_f64()
    );
}

fn ask(state: &Path, number: u64) {
    let paths = open(state).tally().unwrap().verdicts;
    let mut took = Vec::new();
    for n in 0..number {
        let began = Instant::now();
        // As a command does: opened for one question.
        let mut storage = open(state);
        let asked = path(n * 7919 % (paths + paths / 10)).hash_part();
        let known = storage.earlier(asked).unwrap();
        let mut verdicts = 0;
        let filter = Filter { path: Some(asked), ..Filter::default() };
        storage
            .verdicts(&filter, &mut |_| {
                verdicts += 1;
                ControlFlow::Continue(())
            })
            .unwrap();
        took.push(began.elapsed().as_secs_f64() * 1e3);
        assert_eq!(known.claims.is_empty(), verdicts == 0);
    }
    tell(took);
}

fn prune(state: &Path, seconds: u64) {
    let before = open(state).tally().unwrap();
    // A little over the limit, whatever there is: noise is not written then, refusals are.
    let terms = |bytes: u64| LedgerTerms {
        keep: Duration::from_secs(400 * 86_400),
        limit: bytes / 103 * 100,
        store_dir: StoreDir::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let took = runtime.block_on(async {
        let mut limit = terms(before.bytes).limit;
        let ledger = Ledger::open(state, terms(before.bytes));
        ledger.set_key(SigningKey::from_seed(KeyName::parse("bench-1").unwrap(), &[7; 32]));
        let (began, mut took, mut n) = (Instant::now(), Vec::new(), before.verdicts);
        while began.elapsed() < Duration::from_secs(seconds) {
            let mut rows = questions(n..n + 1, n + 1);
            rows.verdicts[0].outcome = Outcome::Refuse;
            rows.claims.clear();
            let one = Instant::now();
            ledger.record(rows).await;
            took.push(one.elapsed().as_secs_f64() * 1e3);
            tokio::time::sleep(Duration::from_millis(5)).await;
            n += 1;
            let bytes = ledger.status().tally.bytes;
            if bytes <= limit {
                limit = terms(bytes).limit;
                ledger.set_terms(terms(bytes));
            }
        }
        ledger.stop().await;
        let status = ledger.status();
        assert_eq!(status.lost, 0, "{status:?}");
        took
    });
    let after = open(state).tally().unwrap();
    tell(took);
    println!("{} claims and {} bytes were removed", before.claims - after.claims, before.bytes - after.bytes);
}

fn write(state: &Path, number: u64) {
    let mut storage = open(state);
    let begin = storage.tally().unwrap().verdicts;
    for n in 0..number / 128 {
        let from = begin + n * 128;
        storage.write(&questions(from..from + 128, u64::MAX)).unwrap();
    }
}

fn miss(state: &Path, number: u64) {
    let mut storage = open(state);
    for n in 0..number {
        assert!(storage.earlier(path(u64::MAX - n).hash_part()).unwrap().claims.is_empty());
    }
}

fn serve(state: &Path, number: u64) {
    let terms =
        LedgerTerms { keep: Duration::from_secs(86_400), limit: 1 << 40, store_dir: StoreDir::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let ledger = Ledger::open(state, terms);
        for n in 0..number {
            let rows = questions(n..n + 1, u64::MAX);
            assert!(ledger.earlier(path(n).hash_part()).await.claims.is_empty());
            ledger.note(rows);
            if n % 256 == 0 {
                // Under callgrind one thread runs at a time: the writer gets its turn.
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
        }
        ledger.stop().await;
        assert_eq!(ledger.status().lost, 0);
    });
}

fn open(state: &Path) -> Sqlite {
    Sqlite::open(state, &Terms { limit: 1 << 40, ..Terms::default() }).unwrap()
}

/// What cold questions about these paths write; of all `paths` the first are the oldest, 400 days ago.
fn questions(numbers: std::ops::Range<u64>, paths: u64) -> Batch {
    let mut batch = Batch::default();
    for n in numbers {
        let age =
            i64::try_from((paths - n).min(paths) / (paths / (400 * 86_400) + 1)).unwrap().min(400 * 86_400);
        let at = Timestamp::from_seconds(1_790_000_000 - age);
        let core = core(n);
        for cache in ["cache.nixos.org", "acme"] {
            let signature =
                Signature::from_parts(KeyName::parse("cache.nixos.org-1").unwrap(), [n as u8; 64]);
            batch.claims.push(ClaimSeen {
                cache: cache.into(),
                core: Arc::clone(&core),
                signatures: vec![signature],
                deriver: Some(path(n ^ (1 << 60))),
                content_address: None,
                is_credible: n % 20 != 0,
                at,
            });
        }
        batch.verdicts.push(verdict(&core, at));
    }
    batch
}

fn verdict(core: &Core, at: Timestamp) -> VerdictRow {
    let heard = |cache: &str| {
        let word = Word::Claim { nar_hash: core.nar_hash, signers: vec!["nixos".into()] };
        Heard { cache: cache.into(), word }
    };
    VerdictRow {
        at,
        asked: Some(core.store_path.hash_part()),
        name: Some(core.store_path.name().into()),
        outcome: Outcome::Endorse,
        observing: false,
        rule: Some("everything else".into()),
        nar_hash: Some(core.nar_hash),
        label: "signatures".into(),
        reason: "".into(),
        heard: vec![heard("cache.nixos.org"), heard("acme")],
    }
}

/// A core with six references, as a path of nixpkgs has.
fn core(n: u64) -> Arc<Core> {
    let references =
        References::from_unsorted((0..6).map(|k| path(n.wrapping_mul(31) % 50_000 + k)).collect());
    let nar_hash = NarHash::from_digest(digest(n ^ (1 << 61)));
    Arc::new(Core { store_path: path(n), nar_hash, nar_size: 100_000 + n % 1000, references })
}

fn path(n: u64) -> StorePath {
    let mut hash = [0; 20];
    hash.copy_from_slice(&digest(n)[..20]);
    StorePath::from_parts(HashPart::from_digest(hash), &format!("package-{}-1.{}", n % 50_000, n % 97))
        .unwrap()
}

fn digest(n: u64) -> [u8; 32] {
    Sha256::digest(n.to_be_bytes()).into()
}

fn tell(mut took: Vec<f64>) {
    took.sort_by(f64::total_cmp);
    println!("{:.3} {:.3}", took[took.len() / 2], took[took.len() - 1]);
}
