//! What a witness must never sign: what was merely downloaded, whoever asks, and whatever lies on the way.

use super::{CLAIMS, OTHER, SAME, Witness};
use crate::support::nix::GENERATIONS;
use crate::support::nix_daemon::full;
use crate::support::uploads::narinfo;
use countersign::evidence::{Batch, BuildKind, BuildRow, Sqlite, Storage, Terms};
use countersign::format::{StoreDir, StorePath};
use countersign::queue::{Origin, Queue, Wish};
use countersign::spool::{Record, Spool, layout::Stem};
use std::time::Duration;

const BOTH: &str = "[destinations.claims]\nurl = \"file://DIR/claims\"\npackages = [\"*\"]\npublish = \"claims\"\n\
                    [destinations.nars]\nurl = \"file://DIR/nars\"\npackages = [\"*\"]\n";

/// A wish in the queue, as whoever can write it may put there.
fn wish(witness: &Witness, path: &StorePath, origin: Origin, derivation: Option<StorePath>) {
    std::fs::create_dir_all(witness.uploads.state()).unwrap();
    let mut queue = Queue::open(&witness.uploads.state()).unwrap();
    let terms = countersign::queue::Terms {
        now: countersign::clock::now(),
        give_up_after: Duration::from_secs(u64::MAX >> 2),
        jitter: 0,
    };
    let to = |destination: &str| Wish {
        destination: destination.into(),
        path: path.clone(),
        origin,
        derivation: derivation.clone(),
    };
    queue.ask(&[to("claims"), to("nars")], &terms).unwrap();
}

/// Somebody who can write the queue, the spool and the ledger says that a downloaded path was built and rebuilt here.
#[test]
fn nobody_is_believed_who_says_that_it_was_rebuilt() {
    for generation in GENERATIONS {
        let witness = Witness::with(generation, "", BOTH);
        let path = witness.download_one(SAME);
        let info = witness.daemon().connect().path_info(&path).unwrap().unwrap();
        std::fs::create_dir_all(witness.uploads.state()).unwrap();
        let mut storage = Sqlite::open(&witness.uploads.state(), &Terms::default()).unwrap();
        let row = |kind| BuildRow {
            path: path.clone(),
            nar_hash: Some(info.core.nar_hash),
            nar_size: Some(info.core.nar_size),
            derivation: info.deriver.clone(),
            kind,
            at: countersign::clock::now(),
        };
        let builds = vec![row(BuildKind::Built), row(BuildKind::RebuiltEqual)];
        storage.write(&Batch { builds, ..Batch::default() }).unwrap();
        let spool = Spool::create(&witness.uploads.dir.join("spool")).unwrap();
        let deriver = info.deriver.clone();
        let record =
            Record::new(1_700_000_000, StoreDir::default(), deriver.clone(), [path.clone()]).unwrap();
        let stem = Stem { seconds: 1_700_000_000, nanos: 0, pid: 1, attempt: 0 };
        std::fs::write(spool.path().join(stem.record()), record.encode()).unwrap();
        wish(&witness, &path, Origin::Built, deriver);
        let uploader = witness.uploads.start();
        witness.uploads.wait_for("the claim is skipped", |u| {
            u.state_of("claims", &path)
                .is_some_and(|(state, why)| state == "skipped" && why.contains("not built here"))
        });
        witness.uploads.wait_for("the NAR is held", |u| {
            u.state_of("nars", &path).is_some_and(|(_, why)| why.contains("it was not built here"))
        });
        assert!(!witness.is_signed(&path));
        // Its honest twin.
        let done = witness.witness(&[&path]);
        assert_eq!(done.code, Some(0), "{}\n{}", done.report, done.said);
        assert!(witness.claimed(&path).is_some());
        drop(uploader);
    }
}

/// The cache that it came from is there, and has it: a rebuild takes nothing from it, so what is of chance differs.
#[test]
fn a_rebuild_takes_nothing_from_a_cache() {
    for generation in GENERATIONS {
        let witness = Witness::with(generation, "", BOTH);
        let path = witness.download_one(OTHER);
        assert!(narinfo(&witness.binary(), &path).is_some());
        let done = witness.witness(&[&path]);
        assert_eq!((done.code, done.outcome(&path)), (Some(1), "differs"), "{generation}: {}", done.said);
        wish(&witness, &path, Origin::Pushed, None);
        let _uploader = witness.uploads.start();
        witness.uploads.wait_for("it is skipped", |u| {
            u.state_of("claims", &path).is_some_and(|(state, _)| state == "skipped")
        });
        assert!(!witness.is_signed(&path));
    }
}

/// Where nix.conf allows no builds here, Nix would ask a remote builder: it is built here all the same.
#[test]
fn a_rebuild_is_not_left_to_others() {
    for generation in GENERATIONS {
        let conf = "max-jobs = 0\nbuilders = ssh-ng://nobody@127.0.0.1:1 - - 1 1";
        let witness = Witness::with(generation, conf, CLAIMS);
        let [same, other] = [witness.download_one(SAME), witness.download_one(OTHER)];
        let done = witness.witness(&[&same, &other]);
        assert_eq!(done.code, Some(1), "{generation}: {}\n{}", done.report, done.said);
        assert_eq!((done.outcome(&same), done.outcome(&other)), ("rebuilt", "differs"), "{}", done.said);
        assert!(witness.claimed(&same).is_some() && witness.claimed(&other).is_none());
    }
}

/// Rebuilt alike, then its files are changed before the uploader has hashed them.
#[test]
fn files_that_were_changed_after_the_rebuild_are_not_signed() {
    let witness = Witness::new("2.34");
    let path = witness.download_one(SAME);
    let rebuilt = witness.command(&["rebuild", &full(&path)]).output().unwrap();
    assert!(rebuilt.status.success() && witness.is_ultimate(&path));
    let file = witness.daemon().physical(&path);
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "evil\n").unwrap();
    let done = witness.witness(&[&path]);
    assert_eq!(done.code, Some(1), "{}\n{}", done.report, done.said);
    let why = done.report["claims"]["given_up"][0]["why"].as_str().unwrap();
    assert!(why.contains("its files are not what the store recorded"), "{why}");
    assert!(!witness.is_signed(&path));
}

/// Rebuilt alike, then deleted and downloaded again before the uploader came to it: what was known of it went with it.
#[test]
fn what_was_downloaded_again_after_the_rebuild_is_not_signed() {
    let witness = Witness::with("2.34", "", BOTH);
    let path = witness.download_one(SAME);
    let rebuilt = witness.command(&["rebuild", &full(&path)]).output().unwrap();
    assert!(rebuilt.status.success() && witness.is_ultimate(&path));
    wish(&witness, &path, Origin::Pushed, None);
    witness.daemon().ok("nix-store", &["--delete", &full(&path)]);
    witness.daemon().ok("nix-store", &["--realise", &full(&path)]);
    assert!(!witness.is_ultimate(&path));
    let _uploader = witness.uploads.start();
    witness.uploads.wait_for("it is skipped", |u| {
        u.state_of("claims", &path).is_some_and(|(state, _)| state == "skipped")
    });
    assert!(!witness.is_signed(&path));
}

/// A cache that has the right bytes, and says that they refer to something they do not; and one that leaves out what
/// they refer to. A destination of either kind gets nothing signed.
#[test]
fn references_that_are_not_in_the_bytes_are_not_signed() {
    const PAIR: &str = r#"rec {
        a = shell "acme-a" "echo a > $out" {};
        b = shell "acme-b" "echo ${a} > $out" {};
        c = shell "acme-c" "echo c > $out" {};
    }"#;
    for (from, forge) in [("acme-c", true), ("acme-b", false), ("acme-b", true)] {
        let witness = Witness::with("2.34", "", BOTH);
        let built = witness.other.build(PAIR);
        let cache = format!("file://{}", witness.binary().display());
        for path in &built {
            witness.other.ok("nix", &["copy", "--to", &cache, &full(path)]);
        }
        let path = built.iter().find(|path| path.name() == from).unwrap();
        let file = witness.binary().join(format!("{}.narinfo", path.hash_part()));
        let text = std::fs::read_to_string(&file).unwrap();
        let references: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("References: ")).collect();
        let references = references.first().copied().unwrap_or_default();
        let stranger = built.iter().find(|path| path.name() == "acme-c").unwrap().to_string();
        let self_or_stranger = if from == "acme-c" { built[0].to_string() } else { stranger };
        let told = if forge { format!("{references} {self_or_stranger}") } else { String::new() };
        let lines = text.lines().map(|line| match line.split_once(':') {
            Some(("References", _)) => format!("References: {}\n", told.trim()),
            _ => format!("{line}\n"),
        });
        std::fs::write(&file, lines.collect::<String>()).unwrap();
        witness.daemon().instantiate(PAIR);
        witness.daemon().ok("nix-store", &["--realise", &full(path)]);
        let core = witness.daemon().connect().path_info(path).unwrap().unwrap().core;
        assert_eq!(core.references.iter().count(), told.split_whitespace().count());
        let done = witness.witness(&[path]);
        assert_eq!(done.outcome(path), "rebuilt", "Nix compares the bytes alone: {}", done.said);
        assert_eq!(done.code, Some(1), "{}\n{}", done.report, done.said);
        let why = done.report["claims"]["given_up"][0]["why"].as_str().unwrap();
        assert!(why.contains("refer"), "{why}");
        // The store calls it built here now; where NARs go it is signed no more than where claims go.
        assert!(witness.is_ultimate(path));
        let pushed =
            witness.command(&["push", "--json", "--destination", "nars", &full(path)]).output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&pushed.stdout).unwrap();
        assert!(report["given_up"][0]["why"].as_str().unwrap().contains("refer"), "{report}");
        assert!(!witness.is_signed(path));
    }
}
