//! Every client is served as by an ordinary cache, request by request, or refused in the documented way.
//!
//! Each command of [`commands::CASES`] is run twice with each version of Nix, against an ordinary cache and against
//! Countersign, and both are recorded. [`rule`] says what must be the same. What was recorded is kept in
//! `tests/data/clients`, one file for each version, where a change of either Nix or Countersign shows.

mod commands;
mod record;
mod rule;
mod scene;

use self::rule::Names;
use self::scene::Scene;
use crate::support::nix::{Closure, Machine};
use std::fs;
use std::path::Path;

fn is_served_as_by_an_ordinary_cache(generation: &'static str) {
    let closure = Closure::get();
    let (scene, names) = (Scene::new(closure), Names::of(closure));
    let mut faults = String::new();
    let mut outcomes = Vec::new();
    for case in record::cases(generation) {
        let both = scene.run(generation, closure, case);
        match rule::compare(&names, &both[0], &both[1]) {
            Ok(differences) => outcomes.push((*case, both, differences)),
            Err(fault) => faults.push_str(&format!("\n$ {}  ({:?})\n{fault}\n", case.command, case.stock)),
        }
    }
    assert!(faults.is_empty(), "Nix {generation} is not served as by an ordinary cache:\n{faults}");

    let mut now = record::legend(&record::agent(&outcomes));
    for (case, both, differences) in &outcomes {
        now.push_str(&record::record(&names, case, both, differences));
    }
    let version = Machine::new(generation).version();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/clients/{generation}.txt"));
    if std::env::var_os("RECORD_CLIENTS").is_some() {
        fs::write(&file, record::head(&version) + &now).unwrap();
    }
    let text = fs::read_to_string(&file).unwrap();
    let (head, recorded) = text.split_once('\n').unwrap();
    let differing: Vec<(&str, &str)> =
        recorded.lines().zip(now.lines()).filter(|(a, b)| a != b).take(5).collect();
    assert!(
        recorded == now,
        "Nix {version} is not as recorded ({head}): {differing:#?}\n\
         If that is right, write it anew: RECORD_CLIENTS=1 tests/run clients"
    );
}

#[test]
fn nix_2_8() {
    is_served_as_by_an_ordinary_cache("2.8");
}

#[test]
fn nix_2_26() {
    is_served_as_by_an_ordinary_cache("2.26");
}

#[test]
fn nix_2_34() {
    is_served_as_by_an_ordinary_cache("2.34");
}
