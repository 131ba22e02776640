//! What the service puts into the ledger, and what it makes of what is there after a restart.

mod explain;

use crate::support::dirs::Dir;
use crate::support::fake_cache::{FakeCache, Script};
use crate::support::party::{Package, Party, noise};
use crate::support::service::{Served, caches, signers};
use countersign::evidence::{
    Batch, BuildKind, BuildRow, EventKind, EventRow, Fate, Filter, Outcome, Sqlite, Storage, Terms,
    VerdictRow, Word,
};
use countersign::trust::Timestamp;
use std::ops::ControlFlow;
use std::time::Duration;

/// Two caches of two parties, and a package that both have.
struct Two {
    a: Party,
    b: Party,
    package: Package,
    first: FakeCache,
    second: FakeCache,
}

impl Two {
    fn agreeing(size: usize) -> Self {
        let (a, b) = (Party::new("a-1"), Party::new("b-1"));
        let package = Package::new("thing-1.0", &noise(1, size));
        let first = FakeCache::with("none", &[&a], &[&package]);
        let second = FakeCache::with("none", &[&b], &[&package]);
        Self { a, b, package, first, second }
    }

    fn text(&self) -> String {
        let caches = caches(&[("first", &self.first), ("second", &self.second)]);
        let rule = "[[rules]]\nname = \"all\"\nsignatures = [{ at-least = 1, of = [\"a-1\", \"b-1\"] }]\n";
        format!("{}{caches}{rule}", signers(&[&self.a, &self.b]))
    }

    fn narinfo_path(&self) -> String {
        format!("/{}.narinfo", self.package.hash())
    }

    /// The second cache claims other contents under its own valid signature.
    fn dissent(&self) {
        self.second.claim(&self.package, &self.package.forged(b"other").narinfo("none", &[&self.b]));
    }

    fn silence(&self, cache: &FakeCache) {
        cache.script(&self.narinfo_path(), Script::Status(500));
    }

    fn not_found(&self, cache: &FakeCache) {
        cache.script(&self.narinfo_path(), Script::Status(404));
    }
}

fn ledger(dir: &Dir) -> Sqlite {
    Sqlite::open_existing(&dir.join("state"), &Terms::default()).unwrap().unwrap()
}

fn verdicts(dir: &Dir) -> Vec<VerdictRow> {
    let mut rows = Vec::new();
    let mut each = |chained: countersign::evidence::Chained| {
        rows.insert(0, chained.row);
        ControlFlow::Continue(())
    };
    ledger(dir).verdicts(&Filter::default(), &mut each).unwrap();
    rows
}

fn events(dir: &Dir) -> Vec<EventRow> {
    let mut rows = Vec::new();
    let mut each = |row| {
        rows.push(row);
        ControlFlow::Continue(())
    };
    ledger(dir).events(&Filter::default(), &mut each).unwrap();
    rows
}

fn event(dir: &Dir, kind: EventKind) -> EventRow {
    let events = events(dir);
    let found = events.iter().find(|event| event.kind == kind);
    found.unwrap_or_else(|| panic!("no {} among {events:?}", kind.label())).clone()
}

#[test]
fn who_said_what_and_what_was_decided_is_kept() {
    let two = Two::agreeing(3000);
    let served = Served::with(&two.text());
    assert!(served.serves(&two.package));
    let dir = served.stop();
    let earlier = ledger(&dir).earlier(two.package.core.store_path.hash_part()).unwrap();
    let mut claims: Vec<_> = earlier.claims.iter().map(|row| (&*row.cache, row.count)).collect();
    claims.sort();
    assert_eq!(claims, [("first", 1), ("second", 1)]);
    for row in &earlier.claims {
        assert_eq!(*row.core, two.package.core);
        let party = if &*row.cache == "first" { &two.a } else { &two.b };
        assert_eq!(
            row.signatures.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [party.sign(&row.core)]
        );
        assert!(row.credible_at.is_some());
    }
    let [verdict] = verdicts(&dir).try_into().unwrap();
    assert_eq!(verdict.outcome, Outcome::Endorse);
    assert_eq!((verdict.rule.as_deref(), verdict.name.as_deref()), (Some("all"), Some("thing-1.0")));
    assert_eq!(verdict.nar_hash, Some(two.package.core.nar_hash));
    assert_eq!(verdict.heard.len(), 2);
    assert!(
        verdict
            .heard
            .iter()
            .all(|heard| matches!(&heard.word, Word::Claim { signers, .. } if signers.len() == 1))
    );
    assert_eq!(events(&dir), []);
}

#[test]
fn what_is_asked_again_and_answered_from_memory_adds_nothing() {
    let two = Two::agreeing(3000);
    let served = Served::with(&two.text());
    for _ in 0..5 {
        assert!(served.serves(&two.package));
    }
    let absent = Package::new("absent-1", b"");
    assert_eq!(served.narinfo(&absent).verdict(), "absent");
    let dir = served.stop();
    assert_eq!(verdicts(&dir).len(), 1, "and plain absence is not kept");
    assert_eq!(ledger(&dir).tally().unwrap().claims, 2);
}

#[test]
fn a_refusal_is_in_the_ledger_when_it_is_answered() {
    let two = Two::agreeing(3000);
    two.dissent();
    let served = Served::with(&two.text());
    let state = served.state();
    for n in 0..20 {
        let package = Package::new(&format!("thing-{n}"), &noise(n, 500));
        two.first.put("none", &[&two.a], &package);
        two.second.claim(&package, &package.forged(b"other").narinfo("none", &[&two.b]));
        assert_eq!(served.narinfo(&package).verdict(), "refuse");
        // No wait: whoever has the answer finds the row.
        let mut storage = Sqlite::open_existing(&state, &Terms::default()).unwrap().unwrap();
        let mut found = 0;
        let filter = Filter { path: Some(package.core.store_path.hash_part()), ..Filter::default() };
        let mut each = |chained: countersign::evidence::Chained| {
            assert_eq!((chained.row.outcome, &*chained.row.label), (Outcome::Refuse, "dissent"));
            found += 1;
            ControlFlow::Continue(())
        };
        storage.verdicts(&filter, &mut each).unwrap();
        assert_eq!(found, 1, "thing-{n}");
    }
}

/// Design §3.6, over a restart: nothing is left in memory.
#[test]
fn the_last_credible_claim_of_a_cache_that_is_silent_now_dissents_after_a_restart() {
    let two = Two::agreeing(3000);
    two.dissent();
    let served = Served::with(&two.text());
    assert_eq!(served.narinfo(&two.package).verdict(), "refuse");
    let dir = served.stop();
    two.silence(&two.second);
    let served = Served::in_dir(dir, &two.text());
    let reply = served.narinfo(&two.package);
    assert_eq!(reply.verdict(), "defer");
    assert!(reply.reason().contains("second before"), "{}", reply.reason());
    // Its twin: without that row the silence changes nothing.
    let dir = served.stop();
    std::fs::remove_file(dir.join("state/evidence.db")).unwrap();
    let served = Served::in_dir(dir, &two.text());
    assert!(served.serves(&two.package));
}

#[test]
fn what_was_read_back_is_verified_again() {
    let two = Two::agreeing(3000);
    two.dissent();
    let served = Served::with(&two.text());
    assert_eq!(served.narinfo(&two.package).verdict(), "refuse");
    let dir = served.stop();
    two.silence(&two.second);
    // Whoever can write the file makes no dissent by it: the signatures are not over these contents.
    let database = rusqlite::Connection::open(dir.join("state/evidence.db")).unwrap();
    assert!(database.execute("UPDATE cores SET nar_size = nar_size + 1", []).unwrap() >= 2);
    drop(database);
    let served = Served::in_dir(dir, &two.text());
    assert!(served.serves(&two.package));
    // Nor does a key that was revoked since.
    let dir = served.stop();
    std::fs::remove_file(dir.join("state/evidence.db")).unwrap();
    two.dissent();
    let served = Served::in_dir(dir, &two.text());
    assert_eq!(served.narinfo(&two.package).verdict(), "refuse");
    let dir = served.stop();
    two.silence(&two.second);
    let key = format!("keys = [\"{}\"]", two.b.key());
    let revoked = format!("keys = [{{ key = \"{}\", revoked = \"lost\" }}]", two.b.key());
    let text = two.text();
    assert!(text.contains(&key));
    let served = Served::in_dir(dir, &text.replace(&key, &revoked).replace(", \"b-1\"]", "]"));
    assert!(served.serves(&two.package));
}

/// Design §3.5, over time: one key has signed two contents for one path.
#[test]
fn a_signer_that_vouches_for_another_core_than_before_has_no_voice() {
    let two = Two::agreeing(3000);
    two.not_found(&two.second);
    let served = Served::with(&two.text());
    assert!(served.serves(&two.package));
    let dir = served.stop();
    let forged = two.package.forged(b"other");
    two.first.put("none", &[&two.a], &forged);
    let served = Served::in_dir(dir, &two.text());
    let reply = served.narinfo(&forged);
    assert_eq!(reply.verdict(), "refuse");
    assert!(reply.reason().contains("a-1 vouched for another core before"), "{}", reply.reason());
    let dir = served.stop();
    let contradiction = event(&dir, EventKind::Contradiction);
    assert_eq!(&*contradiction.party, "a-1");
    assert!(contradiction.before.contains(&two.package.core.nar_hash.to_string()), "{contradiction:?}");
    assert!(contradiction.after.contains(&forged.core.nar_hash.to_string()), "{contradiction:?}");
    assert_eq!(&*event(&dir, EventKind::ChangedWord).party, "first");
    // The other party's word suffices.
    two.second.put("none", &[&two.b], &forged);
    let served = Served::in_dir(dir, &two.text());
    assert!(served.serves(&forged));
}

#[test]
fn dissent_is_an_event_with_both_sides_counted() {
    let two = Two::agreeing(3000);
    two.dissent();
    let mut dir = Dir::new();
    for _ in 0..3 {
        let served = Served::in_dir(dir, &two.text());
        assert_eq!(served.narinfo(&two.package).verdict(), "refuse");
        dir = served.stop();
    }
    let dissent = event(&dir, EventKind::Dissent);
    assert_eq!(dissent.count, 3);
    assert!(dissent.before.contains("first") && dissent.after.contains("second"), "{dissent:?}");
    assert_eq!(events(&dir).len(), 1, "{:?}", events(&dir));
    assert_eq!(verdicts(&dir).len(), 1, "the same verdict within a day is one row");
}

#[test]
fn a_path_that_one_cache_has_no_more_is_an_event() {
    let two = Two::agreeing(3000);
    let served = Served::with(&two.text());
    assert!(served.serves(&two.package));
    let dir = served.stop();
    two.not_found(&two.first);
    let served = Served::in_dir(dir, &two.text());
    assert!(served.serves(&two.package));
    let dir = served.stop();
    let gone = event(&dir, EventKind::Gone);
    assert_eq!(&*gone.party, "first");
    assert!(gone.after.contains("second"), "{gone:?}");
}

#[test]
fn a_shortfall_is_an_event() {
    let two = Two::agreeing(3000);
    two.not_found(&two.second);
    let served = Served::with(&two.text().replace("at-least = 1", "at-least = 2"));
    assert_eq!(served.narinfo(&two.package).verdict(), "refuse");
    let dir = served.stop();
    assert_eq!(&*event(&dir, EventKind::Shortfall).party, "all");
}

#[test]
fn a_cache_that_lied_is_spooled_whole_after_a_restart() {
    let two = Two::agreeing(1_500_000);
    two.not_found(&two.second);
    let lie = Package::new("thing-1.0", &noise(9, 1_500_000)).nar;
    let path = format!("/{}", two.package.url("none"));
    two.first.script(&path, Script::Bytes(lie));
    let served = Served::with(&two.text());
    assert_eq!(served.narinfo(&two.package).status, 200);
    assert!(!served.nar(&two.package).is_whole());
    let dir = served.stop();
    let mut fates = Vec::new();
    let mut each = |row: countersign::evidence::FateRow| {
        fates.push((row.cache.clone(), row.fate));
        ControlFlow::Continue(())
    };
    ledger(&dir).fates(&Filter::default(), &mut each).unwrap();
    assert_eq!(fates, [("first".into(), Fate::False)]);
    assert_eq!(&*event(&dir, EventKind::FalseBytes).party, "first");
    // It breaks off in the middle: had it not lied, a part would have gone out.
    two.first.script(&path, Script::Cut(two.package.nar.clone(), 1_000_000));
    let served = Served::in_dir(dir, &two.text());
    assert_eq!(served.nar(&two.package).status, 404);
    let other = Served::with(&two.text());
    assert_eq!(other.nar(&two.package).status, 200);
    assert!(served.status().caches[0].lied);
}

#[test]
fn the_newest_row_is_the_least_that_it_may_be_now() {
    let two = Two::agreeing(3000);
    let served = Served::with(&two.text());
    assert!(served.serves(&two.package));
    let dir = served.stop();
    let newest = ledger(&dir).newest().unwrap().unwrap();
    assert!(newest >= Timestamp::from_seconds(1_767_225_600));
}

#[test]
fn without_a_ledger_everything_is_served_and_that_is_said() {
    let two = Two::agreeing(3000);
    let dir = Dir::new();
    std::fs::create_dir_all(dir.join("state/evidence.db")).unwrap();
    let served = Served::in_dir(dir, &two.text());
    assert!(served.serves(&two.package));
    assert!(served.status().evidence.trouble.is_some());
    // A refusal waits for its row no longer than a second.
    let other = Package::new("other-1.0", &noise(4, 500));
    two.first.put("none", &[&two.a], &other);
    two.second.claim(&other, &other.forged(b"other").narinfo("none", &[&two.b]));
    assert_eq!(served.narinfo(&other).verdict(), "refuse");
    let dir = served.stop();
    std::fs::remove_dir(dir.join("state/evidence.db")).unwrap();
    let served = Served::in_dir(dir, &two.text());
    assert!(served.serves(&two.package));
    assert_eq!(served.status().evidence.trouble, None);
}

#[test]
fn what_a_late_answer_changes_is_kept_too() {
    let two = Two::agreeing(3000);
    let dissenting = two.package.forged(b"other").narinfo("none", &[&two.b]);
    let late = Script::Late(Duration::from_millis(900), dissenting.into_bytes());
    two.second.script(&two.narinfo_path(), late);
    let served = Served::with(&two.text().replacen("claim-timeout = \"2s\"", "claim-timeout = \"300ms\"", 2));
    assert_eq!(served.narinfo(&two.package).verdict(), "endorse");
    let until = std::time::Instant::now() + Duration::from_secs(60);
    while served.narinfo(&two.package).verdict() != "refuse" {
        assert!(std::time::Instant::now() < until, "the late dissent changed nothing");
        std::thread::sleep(Duration::from_millis(50));
    }
    let dir = served.stop();
    let outcomes: Vec<Outcome> = verdicts(&dir).iter().map(|row| row.outcome).collect();
    assert_eq!(outcomes, [Outcome::Endorse, Outcome::Refuse]);
    assert_eq!(event(&dir, EventKind::Dissent).count, 1);
}

/// The uploader compares a build with what is known; what is claimed later the service compares with the build.
#[test]
fn what_is_claimed_after_a_build_is_compared_with_it() {
    let two = Two::agreeing(3000);
    two.dissent();
    let dir = Dir::new();
    let core = &two.package.core;
    let build = BuildRow {
        path: core.store_path.clone(),
        nar_hash: Some(core.nar_hash),
        nar_size: Some(core.nar_size),
        derivation: None,
        kind: BuildKind::Built,
        at: Timestamp::from_seconds(1_780_000_000),
    };
    std::fs::create_dir_all(dir.join("state")).unwrap();
    let mut storage = Sqlite::open(&dir.join("state"), &Terms::default()).unwrap();
    storage.write(&Batch { builds: vec![build], ..Batch::default() }).unwrap();
    drop(storage);
    let served = Served::in_dir(dir, &two.text());
    assert_eq!(served.narinfo(&two.package).verdict(), "refuse");
    let dir = served.stop();
    assert_eq!(&*event(&dir, EventKind::BuildAgrees).party, "first");
    let differs = event(&dir, EventKind::BuildDiffers);
    assert_eq!((&*differs.party, differs.count), ("second", 1));
    assert!(differs.after.contains(&core.nar_hash.to_string()), "{differs:?}");
}

/// Noise that a cache changes with every answer is neither dissent nor worth an event, and is bounded.
#[test]
fn what_a_cache_invents_is_bounded_and_no_event() {
    let two = Two::agreeing(3000);
    let mut dir = Dir::new();
    for n in 0..12 {
        let invented = two.package.forged(&noise(100 + n, 600));
        two.second.claim(&two.package, &invented.narinfo("none", &[&Party::new("mallory-1")]));
        let served = Served::in_dir(dir, &two.text());
        assert!(served.serves(&two.package));
        dir = served.stop();
    }
    let claims = ledger(&dir).earlier(two.package.core.store_path.hash_part()).unwrap().claims;
    assert_eq!(claims.iter().filter(|row| &*row.cache == "second").count(), 8);
    assert_eq!(claims.iter().filter(|row| &*row.cache == "first").count(), 1);
    assert_eq!(events(&dir), []);
}

#[test]
fn while_observing_what_is_served_is_kept_beside_the_refusal() {
    let two = Two::agreeing(3000);
    two.dissent();
    let served = Served::with(&format!("mode = \"observe\"\n{}", two.text()));
    assert_eq!(served.narinfo(&two.package).status, 200);
    let dir = served.stop();
    let [verdict] = verdicts(&dir).try_into().unwrap();
    assert_eq!((verdict.outcome, verdict.observing), (Outcome::Refuse, true));
    assert_eq!(verdict.nar_hash, Some(two.package.core.nar_hash));
}
