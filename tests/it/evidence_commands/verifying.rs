//! `evidence verify`: what was done to the file shows, and so does a tail that was cut off, by a head that was exported.

use super::{Scene, at};
use countersign::evidence::{Batch, Outcome};
use rusqlite::Connection;

/// Does to the file what somebody with access to it would.
fn tamper(scene: &Scene, sql: &str) {
    let database = Connection::open(scene.dir.join("state/evidence.db")).unwrap();
    database.execute_batch(sql).unwrap();
}

fn sealed() -> Scene {
    let scene = Scene::new();
    scene.seal();
    scene
}

#[test]
fn what_is_as_it_was_written_is_said_to_be() {
    let scene = sealed();
    let text = scene.ok(&["evidence", "verify"]);
    assert!(text.contains("3 verdicts, the last one number 3"), "{text}");
    assert!(text.contains("verdicts up to 3 are covered; the last head is 1, of 2026-06-04"), "{text}");
    assert!(text.ends_with("all is as it was written\n"), "{text}");
    scene.write(Batch {
        verdicts: vec![scene.verdict(&scene.thing, 4, Outcome::Refuse, "dissent")],
        ..Batch::default()
    });
    let text = scene.ok(&["evidence", "verify"]);
    assert!(text.contains("1 behind that are not covered yet"), "{text}");
    let json = &scene.json(&["evidence", "verify", "--json"])[0];
    assert_eq!((json["verdicts"].as_u64(), json["covered"].as_u64()), (Some(4), Some(3)));
    assert_eq!((json["uncovered"].as_u64(), json["flaws"].as_array().unwrap().len()), (Some(1), 0));
}

#[test]
fn whatever_was_done_to_the_file_is_named() {
    for (sql, words) in [
        ("UPDATE verdicts SET reason = 'fine' WHERE number = 2", "verdict 2 on "),
        ("DELETE FROM verdicts WHERE number = 2", "verdict 2 is gone"),
        ("DELETE FROM verdicts WHERE number = 3", "verdict 3, for which the head of 2026-06-04"),
        ("DELETE FROM heads", "every head was removed"),
        ("UPDATE heads SET text = replace(text, ';3;', ';2;')", "head 1 does not hold"),
    ] {
        let scene = sealed();
        tamper(&scene, sql);
        let ran = scene.run(&["evidence", "verify"]);
        assert_eq!(ran.code, Some(1), "{sql}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains(words), "{sql}: {}", ran.out);
        assert!(ran.out.ends_with("this is not as it was written\n"), "{}", ran.out);
        let json = scene.run(&["evidence", "verify", "--json"]);
        assert_eq!(json.code, Some(1));
        let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        assert!(json["flaws"][0].as_str().unwrap().contains(words.split(',').next().unwrap()), "{json}");
    }
}

/// The rows behind an old head, and the heads since, were cut off: what is left fits together, and the head that left
/// the machine does not.
#[test]
fn a_head_that_left_the_machine_betrays_a_tail_that_was_cut_off() {
    let scene = sealed();
    let head = scene.ok(&["evidence", "export", "--head"]);
    let export = scene.ok(&["evidence", "export"]);
    let journal = format!(
        "Jun 04 00:00:00 host countersign[7]: INFO the chain of verdicts, signed head=\"{}\"\nother words\n",
        head.trim_end()
    );
    let files = [("head", head.as_str()), ("export", &export), ("journal", &journal)];
    let files = files.map(|(name, text)| scene.dir.write(name, text).display().to_string());
    scene.write(Batch {
        verdicts: vec![scene.verdict(&scene.thing, 9, Outcome::Refuse, "dissent")],
        ..Batch::default()
    });
    scene.seal();
    for file in &files {
        let text = scene.ok(&["evidence", "verify", "--against", file]);
        assert!(text.contains("exported heads that hold: "), "{text}");
    }
    let later = scene.dir.write("later", scene.ok(&["evidence", "export", "--head"])).display().to_string();
    tamper(&scene, "DELETE FROM verdicts WHERE number = 4; DELETE FROM heads WHERE serial = 2");
    assert_eq!(scene.run(&["evidence", "verify"]).code, Some(0), "by itself it cannot be seen");
    assert_eq!(scene.run(&["evidence", "verify", "--against", &files[0]]).code, Some(0));
    let ran = scene.run(&["evidence", "verify", "--against", &files[0], "--against", &later]);
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    assert!(ran.out.contains("verdict 4, for which the exported head of"), "{}", ran.out);
    // The file as a whole.
    for file in ["evidence.db", "evidence.db-wal", "evidence.db-shm"] {
        std::fs::remove_file(scene.dir.join("state").join(file)).unwrap_or_default();
    }
    let ran = scene.run(&["evidence", "verify", "--against", &later]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.out.contains("the whole ledger is gone"), "{}", ran.out);
}

/// A newer program has made it: it is refused, and left as it is.
#[test]
fn the_ledger_of_a_newer_program_is_refused() {
    let scene = sealed();
    tamper(&scene, "PRAGMA user_version = 99");
    for command in [&["list"][..], &["show", "1"], &["verify"], &["export"], &["clock", "--reset", "--yes"]] {
        let ran = scene.run(&[&["evidence"], command].concat());
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{command:?}");
        assert!(ran.err.contains("is of a newer version (99)"), "{}", ran.err);
    }
}

#[test]
fn heads_that_cannot_be_read_are_told() {
    let scene = sealed();
    let none = scene.dir.write("none", "nothing\n").display().to_string();
    let broken = scene.dir.write("broken", "a\nx countersign-head;1;1;3;zz y\n").display().to_string();
    let ran = scene.run(&["evidence", "verify", "--against", &none]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("holds no signed head"), "{}", ran.err);
    let ran = scene.run(&["evidence", "verify", "--against", &broken]);
    assert_eq!(ran.code, Some(3));
    assert!(ran.err.contains("line 2: not of the form"), "{}", ran.err);
    assert_eq!(scene.run(&["evidence", "verify", "--against", "/nonexistent"]).code, Some(3));
}

/// Without the key no head can be signed; the last one is shown.
#[test]
fn without_the_key_the_last_head_is_exported() {
    let scene = sealed();
    let head = scene.ok(&["evidence", "export", "--head"]);
    scene.write(Batch {
        verdicts: vec![scene.verdict(&scene.glibc, 9, Outcome::Refuse, "dissent")],
        ..Batch::default()
    });
    let (key, away) = (scene.dir.join("state/machine.sec"), scene.dir.join("away"));
    std::fs::rename(&key, &away).unwrap();
    assert_eq!(scene.ok(&["evidence", "export", "--head"]), head);
    let rows = scene.json(&["evidence", "export"]);
    assert!(rows.iter().all(|row| row["number"] != 4), "it ends where its head does");
    std::fs::rename(&away, &key).unwrap();
    assert!(scene.ok(&["evidence", "export", "--head"]).starts_with("countersign-head;1;2;4;"));
    assert!(at(9).seconds() > 0);
}
