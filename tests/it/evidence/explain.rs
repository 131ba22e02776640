//! `explain` with a service, without one, and beside what was built here.

use super::Two;
use crate::support::daemon::countersign;
use crate::support::dirs::Dir;
use crate::support::service::Served;
use countersign::evidence::{Batch, BuildKind, BuildRow, Sqlite, Storage, Terms};
use countersign::trust::Timestamp;

/// What the command says, and its exit status.
fn explain(dir: &Dir, arguments: &[&str]) -> (String, Option<i32>) {
    let config = dir.join("config.toml");
    let mut all = vec!["explain", "--config", config.to_str().unwrap()];
    all.extend(arguments);
    let output = countersign(dir, &all).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (text, output.status.code())
}

/// A line of the output that begins so.
fn line<'t>(text: &'t str, begins: &str) -> &'t str {
    text.lines().find(|line| line.starts_with(begins)).unwrap_or_else(|| panic!("no {begins:?} in\n{text}"))
}

#[test]
fn without_the_service_the_evidence_explains_and_nobody_is_asked() {
    let two = Two::agreeing(3000);
    two.dissent();
    let served = Served::with(&two.text());
    assert_eq!(served.narinfo(&two.package).verdict(), "refuse");
    let dir = served.stop();
    let asked = two.first.times_asked(&two.narinfo_path());
    let (text, code) = explain(&dir, &[&two.package.hash()]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("what the evidence has"), "{text}");
    for (cache, signer) in [("first", "a-1"), ("second", "b-1")] {
        let line = line(&text, cache);
        assert!(line.contains("claimed sha256:") && line.contains(&format!("signed by {signer}")), "{text}");
        assert!(line.contains("; heard since 20"), "{text}");
    }
    assert!(line(&text, "reason").contains("credible claims differ"), "{text}");
    assert_eq!(two.first.times_asked(&two.narinfo_path()), asked);
    // Whoever wants to know it from the caches asks them, and what is not known is asked for.
    let (text, _) = explain(&dir, &["--ask", &two.package.hash()]);
    assert!(line(&text, "first").contains("claims sha256:"), "{text}");
    assert_eq!(two.first.times_asked(&two.narinfo_path()), asked + 1);
}

#[test]
fn a_running_service_explains_what_it_decided_on() {
    let two = Two::agreeing(3000);
    let served = Served::with(&two.text());
    assert!(served.serves(&two.package));
    let dir = served.dir();
    let (text, code) = explain(dir, &[&two.package.hash()]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(two.first.times_asked(&two.narinfo_path()), 1, "what is fresh is not asked for again");
    assert!(line(&text, "first").contains("claims sha256:"), "{text}");
    let (json, _) = explain(dir, &["--json", &two.package.hash()]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["source"], &json["verdict"]), (&"service".into(), &"endorse".into()));
}

/// A question of a person's is a question: what a silent cache says to it withdraws a verdict.
#[test]
fn what_a_question_brings_to_light_changes_what_is_served() {
    let two = Two::agreeing(3000);
    two.silence(&two.second);
    let served = Served::with(&two.text());
    assert!(served.serves(&two.package));
    two.dissent();
    let (text, code) = explain(served.dir(), &[&two.package.hash()]);
    assert_eq!(code, Some(1), "{text}");
    assert_eq!(served.narinfo(&two.package).verdict(), "refuse");
}

#[test]
fn what_was_built_here_is_one_more_column_and_settles_a_dissent() {
    let two = Two::agreeing(3000);
    two.dissent();
    let served = Served::with(&two.text());
    assert_eq!(served.narinfo(&two.package).verdict(), "refuse");
    let dir = served.stop();
    let (text, _) = explain(&dir, &[&two.package.hash()]);
    assert!(!text.contains("BUILT HERE") && !text.contains("this machine"), "{text}");
    let core = &two.package.core;
    let build = BuildRow {
        path: core.store_path.clone(),
        nar_hash: Some(core.nar_hash),
        nar_size: Some(core.nar_size),
        derivation: None,
        kind: BuildKind::Built,
        at: Timestamp::from_seconds(1_780_000_000),
    };
    let mut storage = Sqlite::open(&dir.join("state"), &Terms::default()).unwrap();
    storage.write(&Batch { builds: vec![build], ..Batch::default() }).unwrap();
    drop(storage);
    let (text, code) = explain(&dir, &[&two.package.hash()]);
    assert_eq!(code, Some(1), "it never votes: {text}");
    assert!(line(&text, "CACHE").contains("BUILT HERE"), "{text}");
    assert!(line(&text, "first").contains("the same") && line(&text, "second").contains("other"), "{text}");
    assert!(line(&text, "this machine: built on 2026-05-28").contains(&core.nar_hash.to_string()), "{text}");
    let settles = line(&text, "built here");
    assert!(settles.contains("the dissent is settled by what was built here"), "{text}");
    assert!(settles.contains("what first claims, and not what second does"), "{text}");
    assert!(settles.contains(&format!("nar-hash = \"{}\"", core.nar_hash)), "{text}");
    // The service says the same.
    let served = Served::in_dir(dir, &two.text());
    let (text, _) = explain(served.dir(), &[&two.package.hash()]);
    assert!(line(&text, "built here").contains("the dissent is settled"), "{text}");
    assert!(text.lines().all(|line| line.chars().all(|c| c == '…' || !c.is_control())), "{text}");
}
