//! The paths of a real store, by the way that they came.

use super::world::{World, json, labels, set_modified};
use crate::commands::stdout;
use crate::support::dirs::Dir;
use crate::support::party::{Package, Party, noise};
use std::fs;

super::with_every_generation! { paths_are_counted_by_the_way_that_they_came }

/// A cache in a folder, with one package.
fn folder(package: &Package, signers: &[&Party]) -> Dir {
    let dir = Dir::new();
    dir.write("nix-cache-info", "StoreDir: /nix/store\n");
    dir.write(&format!("{}.narinfo", package.hash()), package.narinfo("none", signers));
    dir.write(&package.url("none"), &package.nar);
    dir
}

fn paths_are_counted_by_the_way_that_they_came(generation: &'static str) {
    let world = World::new(generation);
    // So that the same second is not both before and after.
    let key = world.dir.join(".local/state/countersign/machine.pub");
    let now = u64::try_from(countersign::clock::now().seconds()).unwrap();
    let (before, after) = (now - 3600, now + 3600);
    set_modified(&key, before);
    let count = |part: &str| json(&world.doctor(&["--json"]))["installed"][part].clone();

    world.ok("nix-store", &["-r", &world.package.path()]);
    assert_eq!((count("paths"), count("countersigned")), (1.into(), 1.into()));

    let expression = "derivation { name = \"built\"; system = builtins.currentSystem; builder = \"/bin/sh\"; \
                      args = [ \"-c\" \"echo x > $out; exit 0\" ]; }";
    let file = world.dir.write("built.nix", expression);
    world.ok("nix-build", &["--no-out-link", file.to_str().unwrap()]);
    assert_eq!((count("built-here"), count("content-addressed")), (1.into(), 1.into()), "and its derivation");
    assert_eq!(world.found(), (vec![], Some(0)));

    let (other, unsigned) = (Package::new("other-1.0", &noise(2, 300)), Package::new("unsigned-1.0", b"x"));
    let thief = Party::new("thief-1");
    for (package, signers) in [(&other, &[&thief][..]), (&unsigned, &[])] {
        let cache = folder(package, signers);
        let from = format!("file://{}", cache.path().display());
        world.ok("nix", &["copy", "--no-check-sigs", "--from", &from, &package.path()]);
    }
    let (found, status) = world.found();
    assert_eq!((found, status), (vec!["weakness came-another-way".to_owned()], Some(1)));
    let told = json(&world.doctor(&["--json"]));
    let installed = &told["installed"];
    assert_eq!((&installed["paths"], &installed["another-way-since"]), (&5.into(), &2.into()));
    assert_eq!(installed["another-way-by-key"], serde_json::json!({ "thief-1": 1, "unsigned": 1 }));
    let mut paths: Vec<&str> = installed["another-way"]
        .as_array()
        .unwrap()
        .iter()
        .map(|other| other["path"].as_str().unwrap())
        .collect();
    let mut expected = [other.path(), unsigned.path()];
    paths.sort_unstable();
    expected.sort_unstable();
    assert_eq!(paths, expected);
    let said = stdout(&world.doctor(&[]));
    let line = "installed: 5 paths: 1 countersigned, 1 built here, 1 content-addressed, 2 by another way \
                (thief-1 1, unsigned 1)";
    assert!(said.contains(line) && said.contains(&format!("{} (thief-1)", other.path())), "{said}");

    // What was there before the key was is told, and is nobody's fault.
    set_modified(&key, after);
    assert_eq!(world.found(), (vec!["note came-another-way".to_owned()], Some(0)));
    // How to mend it works.
    set_modified(&key, before);
    world.ok("nix-store", &["--delete", &other.path(), &unsigned.path()]);
    assert_eq!(world.found(), (vec![], Some(0)));
}

#[test]
fn without_a_daemon_it_is_not_known_how_they_came() {
    let mut world = World::new("2.34");
    world.stop_daemon();
    fs::remove_file(world.machine.dir.join("socket")).unwrap();
    let nix = world.nix().to_str().unwrap().to_owned();
    let mut command = world.command(&["doctor", "--json", "--nix", &nix]);
    // Whoever runs a command is then who asks the substituters.
    let output = command.env("NIX_CONF_DIR", world.machine.dir.path()).output().unwrap();
    assert_eq!((labels(&output), output.status.code()), (vec!["unknown not-found-out".to_owned()], Some(3)));
    let told = json(&output);
    assert!(told["read"].as_str().unwrap().contains("since no daemon answers"), "{told}");
    assert!(told["installed"].is_null());
    let output =
        command.env("NIX_CONFIG", "require-sigs = false").env("http_proxy", "http://q").output().unwrap();
    let expected = ["way-around signatures-off", "weakness proxied", "unknown not-found-out"];
    assert_eq!(labels(&output), expected);
}
