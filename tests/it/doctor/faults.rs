//! Each fault of a machine, as real Nix and the system around it show it.

use super::world::{World, json, labels, set_modified};
use crate::commands::{stderr, stdout};
use crate::hook::HOOK;
use std::os::unix::fs::PermissionsExt;

super::with_every_generation! {
    nothing_is_found_on_a_clean_machine
    each_setting_is_found_as_nix_reads_it
    what_the_daemon_is_told_counts
}

fn nothing_is_found_on_a_clean_machine(generation: &'static str) {
    let world = World::new(generation);
    let output = world.doctor(&[]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{said}{}", stderr(&output));
    for words in [
        "installed: 0 paths",
        "config show, for the Nix daemon (process ",
        world.nix().to_str().unwrap(),
        "no way around was found\n",
    ] {
        assert!(said.contains(words), "{words} is not in\n{said}");
    }
    assert_eq!(world.found(), (vec![], Some(0)));
}

fn each_setting_is_found_as_nix_reads_it(generation: &'static str) {
    let world = World::new(generation);
    let machines = world.dir.write("machines", "# none\nssh://somebody@builder x86_64-linux\n");
    let another = "k-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";
    for (lines, expected) in [
        ("require-sigs = 0", vec!["way-around signatures-off"]),
        ("trusted-users = root @wheel", vec!["way-around trusted-user"]),
        ("secret-key-files = /k", vec!["way-around secret-key-file"]),
        (
            "experimental-features = nix-command flakes\naccept-flake-config = true",
            vec!["way-around flake-settings"],
        ),
        (&format!("extra-trusted-public-keys = {another}"), vec!["way-around other-key"]),
        (
            &format!("trusted-public-keys = {another}"),
            vec!["way-around other-key", "weakness machine-key-not-trusted"],
        ),
        (&format!("builders = @{}", machines.display()), vec!["way-around remote-builder"]),
        ("builders = ssh-ng://b ; ssh://c", vec!["way-around remote-builder"]),
        ("builders = @/none", vec![]),
        ("extra-substituters = https://x.example?trusted=1", vec!["way-around unsigned-substituter"]),
        ("extra-substituters = https://x.example", vec!["note other-substituter"]),
        ("trusted-substituters = https://x.example", vec!["note user-substituter"]),
        ("substituters =", vec!["weakness not-asked"]),
        ("substitute = false", vec!["weakness not-asked"]),
        ("narinfo-cache-negative-ttl = 3600", vec!["weakness long-ttl"]),
        ("narinfo-cache-positive-ttl = 2592000", vec!["weakness long-ttl"]),
        ("post-build-hook = /bin/sh", vec!["weakness hook-elsewhere"]),
        ("post-build-hook = /none", vec!["weakness hook-broken"]),
    ] {
        world.conf(lines);
        let (found, status) = world.found();
        assert_eq!(found, expected, "{lines}");
        let is_fine = found.iter().all(|finding| finding.starts_with("note"));
        assert_eq!(status, Some(i32::from(!is_fine)), "{lines}");
    }
    // What follows from one line is told with its place.
    world.conf("trusted-users = root u");
    let said = stdout(&world.doctor(&[]));
    let line = world.conf.lines().count() + 1;
    let place = format!("trusted-users has u ({}/nix.conf:{line})", world.machine.dir.path().display());
    assert!(said.contains(&place), "{said}");
}

/// The daemon's environment is what counts, and what a user sets is told apart.
fn what_the_daemon_is_told_counts(generation: &'static str) {
    let world = World::with(
        generation,
        &[("NIX_CONFIG", "trusted-users = root v"), ("http_proxy", "http://u:hush@proxy.example:3128")],
    );
    let expected = ["way-around trusted-user", "weakness proxied"];
    assert_eq!(world.found(), (expected.map(str::to_owned).to_vec(), Some(1)));
    let said = stdout(&world.doctor(&[]));
    assert!(said.contains("trusted-users has v ($NIX_CONFIG:1)"), "{said}");
    assert!(
        said.contains("http_proxy in the environment of the Nix daemon") && !said.contains("hush"),
        "{said}"
    );

    let spared = World::with(generation, &[("http_proxy", "http://p"), ("no_proxy", "127.0.0.1,localhost")]);
    assert_eq!(spared.found(), (vec![], Some(0)));
    // The files and variables of whoever asks are not the daemon's.
    spared.dir.write(".config/nix/nix.conf", "extra-substituters = https://x.example\n");
    let mut command = spared.command(&["doctor", "--json", "--nix", spared.nix().to_str().unwrap()]);
    let output =
        command.env("NIX_CONFIG", "require-sigs = false").env("http_proxy", "http://q").output().unwrap();
    let own = labels(&output);
    assert_eq!(own.len(), 2, "{own:?}");
    assert!(own.iter().all(|finding| finding.ends_with("own-settings")), "{own:?}");
    let told = json(&output)["findings"].to_string();
    assert!(
        told.contains("$NIX_CONFIG sets require-sigs for") && told.contains("nix.conf sets substituters")
    );
}

#[test]
fn the_service_and_its_keys() {
    let mut world = World::new("2.34");
    // Another configuration than the one that is served.
    world.dir.write("config.toml", format!("mode = \"observe\"\n{}", world.config));
    let (found, status) = world.found();
    assert_eq!(found, ["way-around observing", "weakness other-service", "weakness no-machine-key"]);
    assert_eq!(status, Some(1));
    world.dir.write("config.toml", &world.config);

    let rotated = world.command(&["key", "rotate"]).output().unwrap();
    assert!(rotated.status.success(), "{}", stderr(&rotated));
    let (found, _) = world.found();
    assert_eq!(
        found,
        ["way-around retired-key-trusted", "weakness other-service", "weakness machine-key-not-trusted"]
    );

    world.stop_service();
    let (found, _) = world.found();
    assert!(found.contains(&"weakness service-silent".to_owned()), "{found:?}");
}

/// Under systemd the control socket lies where a shell does not look.
#[test]
fn a_service_that_answers_nix_is_not_called_silent() {
    let mut world = World::new("2.34");
    world.dir.write("config.toml", world.config.replace(":0\"", &format!(":{}\"", world.port)));
    let nix = world.nix().to_str().unwrap().to_owned();
    let mut command = world.command(&["doctor", "--json", "--nix", &nix]);
    command.env("RUNTIME_DIRECTORY", world.dir.join("run"));
    let output = command.output().unwrap();
    assert_eq!((labels(&output), output.status.code()), (vec!["note not-found-out".to_owned()], Some(0)));
    world.stop_service();
    let output = command.output().unwrap();
    assert_eq!(
        (labels(&output), output.status.code()),
        (vec!["weakness service-silent".to_owned()], Some(1))
    );
}

#[test]
fn hooks_and_their_spool() {
    let world = World::new("2.26");
    let ours = world.dir.join("countersign-hook");
    std::os::unix::fs::symlink(HOOK, &ours).unwrap();
    let script = |name: &str, text: &str| {
        let file = world.dir.write(name, text);
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        file.display().to_string()
    };
    let calls = script("calls", "#!/bin/sh\n/bin/countersign-hook\n");
    let copies = script("copies", "#!/bin/sh\n/bin/countersign-hook\nnix copy --to s3://x $OUT_PATHS\n");
    let twice = script("twice", "#!/bin/sh\n/bin/countersign-hook\n/bin/countersign-hook\n");
    let found = |hook: &str| {
        world.conf(&format!("post-build-hook = {hook}"));
        world.found().0
    };
    let ours = ours.display().to_string();
    assert_eq!(found(&ours), ["weakness spool-unusable"]);
    let spool = world.dir.join("spool");
    std::fs::set_permissions(world.dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::create_dir(&spool).unwrap();
    std::fs::set_permissions(&spool, PermissionsExt::from_mode(0o755)).unwrap();
    assert!(found(&ours).is_empty());
    assert!(found(&calls).is_empty());
    assert_eq!(found(&copies), ["weakness hook-elsewhere"]);
    assert_eq!(found(&twice), ["weakness hook-twice"]);
    assert_eq!(found(&format!("{calls}\npost-build-hook = {ours}")), ["weakness hook-twice"]);
    std::fs::set_permissions(&spool, PermissionsExt::from_mode(0o777)).unwrap();
    assert_eq!(found(&ours), ["weakness spool-unusable"]);
    std::fs::set_permissions(&spool, PermissionsExt::from_mode(0o755)).unwrap();

    // The hook writes where the daemon's environment says.
    world.dir.write("config.toml", world.config.replace("/spool\"", "/other\""));
    assert_eq!(found(&ours), ["weakness spool-unusable"]);
    world.dir.write(
        "config.toml",
        format!("{}[destinations.acme]\nurl = \"file:///srv/x\"\npackages = [\"*\"]\n", world.config),
    );
    assert_eq!(found(&ours), ["note uploads-everything"]);
    assert_eq!(found(""), ["weakness hook-missing", "note uploads-everything"]);
}

#[test]
fn a_daemon_that_has_not_read_its_file_is_found() {
    let world = World::new("2.34");
    let file = world.machine.dir.join("nix.conf");
    let now = u64::try_from(countersign::clock::now().seconds()).unwrap();
    set_modified(&file, now + 60);
    assert_eq!(world.found(), (vec!["weakness daemon-outdated".to_owned()], Some(1)));
    // When it started is known to the second.
    set_modified(&file, now - 60);
    assert_eq!(world.found(), (vec![], Some(0)));
}

/// From plain Nix to a clean machine, by doing what is said.
#[test]
fn what_is_said_to_mend_it_does() {
    let world = World::new("2.34");
    world.dir.write("config.toml", world.config.replace(":0\"", &format!(":{}\"", world.port)));
    let plain = "substituters = https://cache.nixos.org/\nrequire-sigs = false\ntrusted-users = root u\n\
                 trusted-public-keys = cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=\n\
                 narinfo-cache-negative-ttl = 3600\nnarinfo-cache-positive-ttl = 2592000\nsecret-key-files = /k\n\
                 builders = ssh://b\npost-build-hook = /none\n";
    world.conf(plain);
    let said = stdout(&world.doctor(&[]));
    let expected = [
        "signatures-off",
        "other-key",
        "secret-key-file",
        "other-substituter",
        "trusted-user",
        "remote-builder",
        "machine-key-not-trusted",
        "not-asked",
        "hook-broken",
    ];
    let found = world.found().0;
    assert_eq!(found.iter().map(|f| f.split(' ').nth(1).unwrap()).collect::<Vec<_>>(), expected, "{said}");
    for words in [
        "`countersign key public --nix-conf`",
        "set `trusted-users = root` in nix.conf",
        "set `builders =` (empty) in nix.conf",
        "remove the setting from nix.conf",
        "or correct the line in nix.conf",
    ] {
        assert!(said.contains(words), "{words} is not in\n{said}");
    }
    let printed = world.command(&["key", "public", "--nix-conf"]).output().unwrap();
    assert!(printed.status.success(), "{}", stderr(&printed));
    let mended = plain.replace("secret-key-files = /k\n", "").replace("post-build-hook = /none\n", "");
    world.conf(&format!("{mended}{}\ntrusted-users = root\nbuilders =\n", stdout(&printed)));
    assert_eq!(world.found(), (vec![], Some(0)));
}
