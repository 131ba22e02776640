//! The NixOS module: evaluated, compared, checked by `tests/nix/module`; its options against the schema; and what Nix
//! makes of its nix.conf from the first boot to a lost state directory.

use crate::support::dirs::Dir;
use crate::support::namespace;
use countersign::config::keys;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_module_renders_what_it_should() {
    let scratch = Dir::new();
    let output = Command::new(root().join("tests/nix/module"))
        .arg(env!("CARGO_BIN_EXE_countersign"))
        .env("TMPDIR", scratch.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "something is left");
}

/// Every typed option is a key that the program knows, and all that the policy and the upload side have is typed.
#[test]
fn the_options_are_the_schemas() {
    let scratch = Dir::new();
    scratch.write("nix.conf", "build-users-group =\nsubstituters =\n");
    let output = Command::new(root().join("target/nix/2.34/bin/nix-instantiate"))
        .args(["--eval", "--strict", "--json", "-A", "typed"])
        .arg(root().join("tests/nix/evaluate.nix"))
        .env_clear()
        .envs([
            ("PATH", Path::new("/usr/bin:/bin")),
            ("HOME", scratch.path()),
            ("NIX_CONF_DIR", scratch.path()),
        ])
        .envs([("XDG_CACHE_HOME", scratch.join("cache")), ("NIX_REMOTE", scratch.join("store"))])
        .output()
        .unwrap();
    let typed: BTreeSet<String> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    // Tables have no entry of their own in the list of keys.
    let is_table = |path: &str| {
        let below = [".", "[]."].map(|sign| format!("{path}{sign}"));
        keys().iter().any(|key| below.iter().any(|below| key.path.starts_with(below.as_str())))
    };
    for path in &typed {
        assert!(keys().iter().any(|key| key.path == *path) || is_table(path), "there is no key {path}");
    }
    let left_free = |path: &str| {
        let sections = ["serving.", "limits.", "evidence.", "dashboard."];
        ["hosts", "store-directory", "log-format"].contains(&path)
            || sections.iter().any(|s| path.starts_with(s))
    };
    for key in keys().iter().filter(|key| !left_free(key.path)) {
        assert!(typed.contains(key.path), "{} has no typed option", key.path);
    }
}

/// The text of a file in a rendered case.
fn rendered(case: &str, file: &str) -> String {
    let golden = std::fs::read_to_string(root().join(format!("tests/nix/golden/{case}.txt"))).unwrap();
    let (_, behind) = golden.split_once(&format!("==> {file} <==\n")).unwrap();
    behind.split_once("\n==> ").map_or(behind, |(text, _)| text).to_owned()
}

/// First boot, a second one, rotation, a lost state directory, a lost key, and the break-glass way there and back: what
/// real Nix reads from the rendered nix.conf, with the units' own scripts. Only systemd is played.
#[test]
fn nix_trusts_the_key_that_there_is_through_all_of_its_life() {
    let dir = Dir::new();
    dir.write("nix.conf", rendered("enforce", "nix.conf"));
    dir.write("config.toml", rendered("enforce", "config.toml"));
    dir.write("plain.conf", "substituters = https://cache.nixos.org\ntrusted-public-keys = plain-1:AAAA\n");
    dir.write("life", LIFE);
    let text = format!(
        "mount -t tmpfs none /run; mount -t tmpfs none /var/lib; root={} exec unshare --net sh -eu life",
        root().display()
    );
    let output = namespace::run(&dir, &text);
    let said = String::from_utf8_lossy(&output.stdout);
    let all = format!("{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{all}");
    let mut lines = said.lines();
    let mut next = |what: &str| {
        let line = lines.next().unwrap_or_else(|| panic!("{what} is missing:\n{all}"));
        line.strip_prefix(what)
            .unwrap_or_else(|| panic!("{line:?} instead of {what}:\n{all}"))
            .trim()
            .to_owned()
    };
    let reload =
        "--no-block try-reload-or-restart countersign.service --no-block try-restart nix-daemon.service";

    assert_eq!(next("before the first boot:"), "http://127.0.0.1:8419", "nothing is trusted");
    assert_eq!(next("without a key:"), "3");
    let first = next("first boot:");
    assert!(first.starts_with("http://127.0.0.1:8419 countersign-machine-"), "{all}");
    assert_eq!(next("its key:"), first.split_once(' ').unwrap().1);
    assert_eq!(next("systemctl:"), reload);
    assert_eq!(next("second boot:"), first);
    let rotated = next("rotated:");
    assert!(rotated != first && rotated.starts_with("http://127.0.0.1:8419 countersign-machine-"), "{all}");
    assert_eq!(next("its key:"), rotated.split_once(' ').unwrap().1);
    assert_eq!(next("systemctl:"), reload);
    let lost = next("state lost:");
    assert!(lost != rotated && lost.starts_with("http://127.0.0.1:8419 countersign-machine-"), "{all}");
    assert_eq!(next("its key:"), lost.split_once(' ').unwrap().1);
    let broken = "https://cache.nixos.org plain-1:AAAA";
    assert_eq!(next("glass broken:"), broken);
    assert_eq!(next("systemctl:"), "--no-block try-restart nix-daemon.service");
    assert_eq!(next("meanwhile:"), broken);
    assert_eq!(next("mended:"), lost);
    assert_eq!(next("secret half lost:"), "3 says: countersign key rotate");
    assert_eq!(next("another key above the include:"), "0");
    assert_eq!(next("and behind it:"), "1");
}

const LIFE: &str = r#"
"$root/target/nix/busybox" ip link set lo up
mkdir bin /run/countersign-trust
ln -s "$countersign" bin/countersign
printf '#!/bin/sh\necho "$*" >>"%s/systemctl"\n' "$PWD" >bin/systemctl
chmod +x bin/systemctl
PATH=$PWD/bin:$PATH
export COUNTERSIGN_CONFIG=$PWD/config.toml

# What Nix makes of nix.conf: whom it asks, whom it trusts.
nix() {
  for name in substituters trusted-public-keys; do
    env -i PATH="$PATH" HOME="$PWD" XDG_CACHE_HOME="$PWD/cache" NIX_CONF_DIR="$PWD" NIX_REMOTE="$PWD/store" \
      "$root/target/nix/2.34/bin/nix" --extra-experimental-features nix-command config show "$name"
  done | tr '\n' ' '
}
trust() { sh "$root/examples/systemd/countersign-trust" --nix-conf "$PWD/nix.conf"; }
glass() { sh "$root/examples/systemd/countersign-break-glass" "$@"; }
told() { tr '\n' ' ' <systemctl; echo; rm systemctl; }
serve() {
  countersign serve 2>log & service=$!
  until grep -q listening log; do kill -0 $service; sleep 0.1; done
}
end() { kill $service; wait $service; }

echo "before the first boot: $(nix)"
status=0; trust || status=$?
echo "without a key: $status"
serve
trust
echo "first boot: $(nix)"
echo "its key: $(countersign key public)"
echo "systemctl: $(told)"
end; serve; rm /run/countersign-trust/*
trust
echo "second boot: $(nix)"
rm systemctl
countersign key rotate >/dev/null
trust
echo "rotated: $(nix)"
echo "its key: $(countersign key public)"
echo "systemctl: $(told)"
end; rm -r /var/lib/countersign; serve
trust
echo "state lost: $(nix)"
echo "its key: $(countersign key public)"
rm systemctl
glass plain.conf
echo "glass broken: $(nix)"
echo "systemctl: $(told)"
trust
echo "meanwhile: $(nix)"
glass
trust
echo "mended: $(nix)"
end; rm /var/lib/countersign/machine.sec
status=0; countersign serve 2>log || status=$?
echo "secret half lost: $status says: $(grep -o 'countersign key rotate' log)"
printf 'trusted-public-keys = other-1:AAAA\n%s\n' "$(cat nix.conf)" >nix.conf
status=0; trust || status=$?
echo "another key above the include: $status"
echo 'extra-trusted-public-keys = other-1:AAAA' >>nix.conf
status=0; trust || status=$?
echo "and behind it: $status"
"#;
