//! Listing, showing and exporting.

use super::{Scene, at};
use countersign::evidence::{Batch, EventKind, EventRow, Fate, FateRow, Heard, Outcome, Word};
use countersign::format::{KeyName, NarHash, SigningKey, StoreDir, fingerprint};

/// The numbers of the verdicts that a list shows.
fn numbers(scene: &Scene, filters: &[&str]) -> Vec<u64> {
    let rows = scene.json(&[&["evidence", "list", "--json"], filters].concat());
    rows.iter().map(|row| row["number"].as_u64().unwrap()).collect()
}

#[test]
fn verdicts_are_listed_by_every_filter_the_newest_last() {
    let scene = Scene::new();
    let thing = scene.thing.hash();
    for (filters, expected) in [
        (&[][..], &[1, 2, 3][..]),
        (&["--since", "2026-06-02"], &[2, 3]),
        (&["--until", "2026-06-02"], &[1]),
        (&["--since", "2026-06-02T00:00:00Z", "--until", "2026-06-02T00:00:01Z"], &[2]),
        (&["--since", "1d"], &[]),
        (&["--path", &thing], &[2, 3]),
        (&["--package", "gl*"], &[1]),
        (&["--cache", "y"], &[2]),
        (&["--signer", "a"], &[1, 2, 3]),
        (&["--signer", "b"], &[]),
        (&["--reason", "dissent"], &[2]),
        (&["--outcome", "defer"], &[3]),
        (&["--limit", "2"], &[2, 3]),
        (&["--limit", "0"], &[1, 2, 3]),
    ] {
        assert_eq!(numbers(&scene, filters), expected, "{filters:?}");
    }
    let said = scene.run(&["evidence", "list", "--limit", "2"]);
    assert!(said.err.contains("the newest 2"), "{}", said.err);
    let text = scene.ok(&["evidence", "list"]);
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("      1  2026-06-01T00:00:00Z  endorse      "), "{text}");
    assert!(first.ends_with("-glibc-2.40") && text.contains("dissent: they differ"), "{text}");
}

#[test]
fn a_verdict_as_json_has_all_that_is_known() {
    let scene = Scene::new();
    let row = &scene.json(&["evidence", "list", "--json", "--reason", "dissent"])[0];
    let hash = scene.thing.core.nar_hash.to_string();
    let expected = serde_json::json!({
        "type": "verdict", "number": 2, "hash": row["hash"], "carried": null, "at": "2026-06-02T00:00:00Z",
        "path": scene.thing.hash(), "name": "thing-1.0", "outcome": "refuse", "observing": false, "rule": "all",
        "nar_hash": null, "label": "dissent", "reason": "they differ",
        "heard": [
            { "cache": "x", "word": "claim", "nar_hash": hash, "signers": ["a"] },
            { "cache": "y", "word": "not-found", "nar_hash": null, "signers": [] },
        ],
    });
    assert_eq!(*row, expected);
    assert_eq!(row["hash"].as_str().unwrap().len(), 64);
}

#[test]
fn the_other_tables_are_listed_by_what_they_know() {
    let scene = Scene::new();
    let list = |more: &[&str]| scene.json(&[&["evidence", "list", "--json"], more].concat());
    let caches = |rows: Vec<serde_json::Value>| -> Vec<String> {
        rows.iter().map(|row| format!("{} {}", row["cache"], row["credible_at"].is_null())).collect()
    };
    assert_eq!(list(&["--claims"]).len(), 3);
    assert_eq!(caches(list(&["--claims", "--limit", "2"])).len(), 2);
    assert_eq!(caches(list(&["--claims", "--package", "thing*", "--cache", "y"])), ["\"y\" true"]);
    assert_eq!(caches(list(&["--claims", "--package", "thing*", "--signer", "a"])), ["\"x\" false"]);
    let claims = list(&["--claims", "--since", "2026-06-02", "--cache", "x"]);
    assert_eq!(claims.len(), 1, "the newest of them");
    assert_eq!(claims[0]["path"], scene.thing.core.store_path.to_string());
    assert!(claims[0]["signatures"][0].as_str().unwrap().starts_with("a-1:"));
    let events = list(&["--events", "--kind", "dissent"]);
    assert_eq!(
        (events.len(), &events[0]["before"], &events[0]["after"]),
        (1, &"this".into(), &"that".into())
    );
    assert_eq!(list(&["--events", "--kind", "gone"]).len(), 0);
    assert_eq!(list(&["--builds"])[0]["kind"], "built");
    assert_eq!(list(&["--builds", "--package", "glibc*"]).len(), 0);
    assert_eq!(list(&["--bytes"])[0]["fate"], "false");
    assert_eq!(list(&["--bytes", "--cache", "x"]).len(), 0);
    for table in ["--claims", "--events", "--builds", "--bytes"] {
        assert!(!scene.ok(&["evidence", "list", table]).is_empty(), "{table}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let scene = Scene::new();
    for (arguments, words) in [
        (&["--claims", "--outcome", "refuse"][..], "--outcome does not apply to claims"),
        (&["--bytes", "--package", "a*"], "--package does not apply to bytes"),
        (&["--builds", "--signer", "a"], "--signer does not apply to builds"),
        (&["--since", "tomorrow"], "2026-11-02"),
        (&["--package", "a b"], "cannot occur in a package name"),
        (&["--outcome", "maybe"], "one of endorse"),
        (&["--kind", "maybe"], "one of dissent"),
        (&["--path", "/nix/store/nonsense"], "32-character hash"),
        (&["--claims", "--events"], "cannot be used with"),
    ] {
        let ran = scene.run(&[&["evidence", "list"], arguments].concat());
        assert_eq!(ran.code, Some(2), "{arguments:?}");
        assert!(ran.err.contains(words), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn without_a_ledger_there_is_nothing_and_that_is_said() {
    let scene = Scene::empty();
    for (arguments, code) in [
        (&["list"][..], 0),
        (&["show", "1"], 1),
        (&["verify"], 3),
        (&["export"], 3),
        (&["export", "--head"], 3),
    ] {
        let ran = scene.run(&[&["evidence"], arguments].concat());
        assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{arguments:?}");
        assert!(ran.err.contains("there is no evidence yet"), "{}", ran.err);
    }
    assert!(!scene.dir.join("state/evidence.db").exists(), "looking makes none");
}

#[test]
fn all_about_one_path_is_shown_side_by_side() {
    let scene = Scene::new();
    let path = scene.thing.path();
    let text = scene.ok(&["evidence", "show", &path]);
    let forged = scene.thing.forged(b"other").core.nar_hash;
    for words in [
        format!("claimed: {}, ", scene.thing.core.nar_hash),
        format!("claimed: {forged}, "),
        "vouched for by a".into(),
        "no signature of it counts now".into(),
        "signed with a-1".into(),
        "signed by nobody".into(),
        "built here".into(),
        "dissent: they differ".into(),
        "before  this".into(),
        "after   that".into(),
        "false       sha256:".into(),
    ] {
        assert!(text.contains(&words), "{words:?} is not in\n{text}");
    }
    assert!(!text.contains("glibc"), "{text}");
    let types: Vec<_> = scene.json(&["evidence", "show", "--json", &scene.thing.hash()]);
    let types: Vec<_> = types.iter().map(|row| row["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["claim", "claim", "build", "verdict", "verdict", "event", "bytes"]);
}

#[test]
fn one_verdict_is_shown_with_its_hash_in_the_chain() {
    let scene = Scene::new();
    let text = scene.ok(&["evidence", "show", "2"]);
    let hash = scene.json(&["evidence", "show", "2", "--json"])[0]["hash"].as_str().unwrap().to_owned();
    assert!(text.contains(&format!("hash {hash}")) && text.contains("x: claims sha256:"), "{text}");
    assert!(text.contains("y: does not have it"), "{text}");
    for (unknown, code) in [("4", 1), ("1b9p07z77phvv2hf6gm9f28syp39f1ag", 1), ("nonsense", 2)] {
        assert_eq!(scene.run(&["evidence", "show", unknown]).code, Some(code), "{unknown}");
    }
}

#[test]
fn an_export_has_every_row_and_ends_with_the_head() {
    let scene = Scene::new();
    let rows = scene.json(&["evidence", "export"]);
    assert_eq!(rows[0], serde_json::json!({ "type": "countersign-evidence", "version": 1 }));
    let of = |kind: &str| rows.iter().filter(|row| row["type"] == kind).collect::<Vec<_>>();
    let verdicts: Vec<_> = of("verdict").iter().map(|row| row["number"].as_u64().unwrap()).collect();
    assert_eq!(verdicts, [1, 2, 3]);
    for (kind, count) in [("claim", 3), ("event", 1), ("build", 1), ("bytes", 1)] {
        assert_eq!(of(kind).len(), count, "{kind}");
    }
    let head = scene.ok(&["evidence", "export", "--head"]);
    assert!(head.starts_with("countersign-head;1;1;3;") && head.lines().count() == 1, "{head}");
    assert_eq!(rows.last().unwrap()["head"], head.trim_end(), "signed once, as nothing was written since");
    // Filtered: what each table has of it.
    let filtered = scene.json(&["evidence", "export", "--package", "thing*"]);
    let types: Vec<_> = filtered.iter().map(|row| row["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        ["countersign-evidence", "verdict", "verdict", "claim", "claim", "event", "build", "head"]
    );
    assert_eq!(scene.run(&["evidence", "export", "--head", "--since", "1d"]).code, Some(2));
}

/// Everything that a row can hold, as whoever wants to write onto a terminal would fill it.
#[test]
fn nothing_of_a_row_reaches_a_terminal_as_it_is() {
    const EVIL: &str = "\u{1b}]0;x\u{7}\u{1b}[2J\u{9b}31m\r\n<b>\u{202e}gpj\u{200b}p\u{430}y\u{7f}\"'\\";
    let scene = Scene::empty();
    let path = scene.thing.core.store_path.hash_part();
    let mut verdict = scene.verdict(&scene.thing, 1, Outcome::Refuse, EVIL);
    let evil = || Box::<str>::from(EVIL);
    (verdict.name, verdict.rule, verdict.reason) = (Some(evil()), Some(evil()), evil());
    let word = Word::Claim { nar_hash: NarHash::from_digest([1; 32]), signers: vec![evil()] };
    verdict.heard = vec![Heard { cache: evil(), word }];
    let mut endorsed = verdict.clone();
    (endorsed.outcome, endorsed.at) = (Outcome::Endorse, at(2));
    let mut claim = scene.claim(EVIL, &scene.thing, &[], 1, true);
    // A key's name is of a few characters; a row with another would not be read at all.
    assert!(KeyName::parse("\u{1b}[2J").is_err() && KeyName::parse("<b>").is_err());
    let key = SigningKey::from_seed(KeyName::parse("._+=@-").unwrap(), &[1; 32]);
    claim.signatures = vec![key.sign(fingerprint(&StoreDir::default(), &scene.thing.core).as_bytes())];
    let event = EventRow {
        kind: EventKind::Dissent,
        path,
        name: Some(evil()),
        party: evil(),
        before: evil(),
        after: evil(),
        first_seen: at(1),
        last_seen: at(1),
        count: 2,
    };
    let nar_hash = scene.thing.core.nar_hash;
    let fate = FateRow { nar_hash, cache: evil(), fate: Fate::False, at: at(1), count: 1 };
    scene.write(Batch {
        claims: vec![claim],
        verdicts: vec![verdict, endorsed],
        events: vec![event],
        fates: vec![fate],
        builds: Vec::new(),
    });
    scene.seal();
    let thing = scene.thing.hash();
    let mut said = String::new();
    for arguments in [
        &["list"][..],
        &["list", "--claims"],
        &["list", "--events"],
        &["list", "--bytes"],
        &["show", &thing],
        &["show", "1"],
        &["verify"],
        &["export"],
    ] {
        for json in [&[][..], &["--json"]] {
            if arguments == ["export"] && !json.is_empty() {
                continue;
            }
            let ran = scene.run(&[&["evidence"], arguments, json].concat());
            assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
            let text = ran.out + &ran.err;
            let odd = text.chars().find(|c| !(c.is_ascii_graphic() || matches!(c, ' ' | '\n')));
            assert_eq!(odd, None, "{arguments:?}: {text}");
            said += &text;
        }
    }
    // It is there, escaped: lines are what we make of them.
    assert!(said.contains("\\u{1b}]0;x") && said.contains("\\u001b]0;x") && said.contains("\\u202e"));
    let rows = scene.json(&["evidence", "list", "--json"]);
    assert_eq!((rows.len(), &rows[0]["reason"]), (2, &EVIL.into()), "programs read what was written");
}

/// `countersign … | head`: whoever has read enough is no error, and nothing is said of it.
#[test]
fn a_reader_that_goes_away_ends_the_command_without_a_word() {
    let scene = Scene::new();
    let thing = scene.thing.hash();
    for arguments in [
        &["evidence", "list"][..],
        &["evidence", "list", "--json"],
        &["evidence", "show", &thing],
        &["evidence", "verify"],
        &["evidence", "export"],
        &["evidence", "clock"],
        &["explain", &thing],
        &["key", "public"],
        &["doctor"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = scene.command(arguments).stdout(writer).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("pipe") && !said.contains("panicked"), "{arguments:?}: {said}");
        assert_eq!(output.status.code(), Some(141), "{arguments:?}: {said}");
    }
}
