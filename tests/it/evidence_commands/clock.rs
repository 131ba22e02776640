//! `evidence clock`: a clock that was ahead once, and what it left behind.

use super::{Scene, at};
use crate::support::daemon::Daemon;
use countersign::clock::system_time;
use countersign::evidence::{Batch, Outcome, Storage};
use std::time::{Duration, SystemTime};

/// 2040-01-01, of a clock that was ahead.
const AHEAD: u64 = 2_208_988_800;

/// A ledger and a state directory from the future.
fn ahead() -> Scene {
    let scene = Scene::new();
    let day = (i64::try_from(AHEAD).unwrap() - super::BEGIN) / super::DAY;
    scene.write(Batch {
        verdicts: vec![scene.verdict(&scene.thing, day, Outcome::Refuse, "dissent")],
        ..Batch::default()
    });
    scene.seal();
    let version = std::fs::File::options().append(true).open(scene.dir.join("state/version")).unwrap();
    version.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(AHEAD)).unwrap();
    scene
}

fn dated(scene: &Scene) -> SystemTime {
    std::fs::metadata(scene.dir.join("state/version")).unwrap().modified().unwrap()
}

#[test]
fn a_clock_that_is_right_is_said_to_be() {
    let scene = Scene::new();
    let text = scene.ok(&["evidence", "clock"]);
    assert!(text.contains("the newest row is of      2026-06-03"), "{text}");
    assert!(text.ends_with("nothing is from the future\n"), "{text}");
    assert_eq!(scene.ok(&["evidence", "clock", "--reset", "--yes"]), text);
    assert_eq!(scene.storage().last().unwrap().unwrap().0, 3, "nothing was recorded");
    assert!(Scene::empty().ok(&["evidence", "clock"]).contains("the ledger has no row"));
}

#[test]
fn a_clock_that_was_ahead_is_set_back_and_that_is_recorded() {
    let scene = ahead();
    let looked = scene.run(&["evidence", "clock"]);
    assert_eq!(looked.code, Some(1));
    assert!(looked.out.contains("the newest row is of      2040-01-01"), "{}", looked.out);
    assert!(looked.out.contains("state/version"), "{}", looked.out);
    // Nobody sits there to be asked.
    let asked = scene.run(&["evidence", "clock", "--reset"]);
    assert_eq!(asked.code, Some(2));
    assert!(asked.err.contains("--yes"), "{}", asked.err);
    assert!(dated(&scene) > system_time(), "nothing was changed");
    let done = scene.ok(&["evidence", "clock", "--reset", "--yes"]);
    assert!(
        done.contains("state/version is dated now") && done.contains("the clock is set back to"),
        "{done}"
    );
    assert!(dated(&scene) <= system_time());
    let newest = scene.storage().newest().unwrap().unwrap();
    assert!(newest > at(3) && newest.seconds() < i64::try_from(AHEAD).unwrap());
    let rows = scene.json(&["evidence", "list", "--json", "--outcome", "clock-reset"]);
    assert_eq!(rows.len(), 1);
    assert!(rows[0]["reason"].as_str().unwrap().contains("from 2208988800 to "), "{}", rows[0]);
    assert_eq!(scene.run(&["evidence", "verify"]).code, Some(0), "the chain goes on");
    // A service that starts now knows of no other time.
    let mut service = Daemon::start(&scene.dir, scene.dir.join("config.toml").to_str().unwrap());
    assert!(!service.before.contains("which is taken for now"), "{}", service.before);
    service.forget_log();
    assert_eq!(service.stop(), Some(0));
    assert_eq!(scene.run(&["evidence", "clock"]).code, Some(0));
}

/// It would go on with the time that it has, and write from the future again.
#[test]
fn while_the_service_runs_the_clock_is_left_alone() {
    let scene = ahead();
    let mut service = Daemon::start(&scene.dir, scene.dir.join("config.toml").to_str().unwrap());
    service.forget_log();
    let ran = scene.run(&["evidence", "clock", "--reset", "--yes"]);
    assert_eq!(ran.code, Some(3));
    assert!(ran.err.contains("stop it first"), "{}", ran.err);
    assert_eq!(service.stop(), Some(0));
    assert_eq!(scene.storage().last().unwrap().unwrap().0, 4, "nothing was recorded");
}
