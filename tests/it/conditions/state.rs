//! The state directory: read-only, full, of a newer program; its key unreadable or cut short.

use crate::conditions::{LISTEN, PLAIN, serve};
use crate::support::client::get;
use crate::support::daemon::{Daemon, countersign};
use crate::support::dirs::Dir;
use crate::support::fake_cache::FakeCache;
use crate::support::namespace::{self, is_root};
use crate::support::party::{Package, Party, noise};
use crate::support::scene::{LARGE, RULE};
use crate::support::service::{caches, nar_url, signers};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

/// A configuration in `c.toml`, with its state in `state`, which is there.
fn prepared() -> Dir {
    let dir = Dir::new();
    let state = dir.join("state");
    fs::create_dir(&state).unwrap();
    dir.write("c.toml", format!("{LISTEN}state-directory = \"{}\"\n{PLAIN}", state.display()));
    dir
}

/// A command to its end: its exit code, and what it says on both channels.
fn command(dir: &Dir, arguments: &[&str]) -> (Option<i32>, String) {
    said(&countersign(dir, arguments).current_dir(dir.path()).output().unwrap())
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [output.stdout.as_slice(), b"\n", &output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert!(!text.contains("panicked"), "{text}");
    (output.status.code(), text)
}

/// Fills a small file system below the state directory.
const FULL: &str = "\
mount -t tmpfs -o size=64k tmpfs state
fill() { cat /dev/zero > state/filler 2>/dev/null || true; }
try() { status=0; \"$@\" || status=$?; echo \"exit $status\"; }
";

#[test]
fn a_full_disk_leaves_no_half_key_behind() {
    let dir = prepared();
    let script = "fill; try $countersign serve --config c.toml; ls state; echo ---
        rm state/filler; try $countersign key rotate --config c.toml; ls state";
    let output = namespace::run(&dir, &format!("{FULL}{script}"));
    let (_, text) = said(&output);
    let (full, free) = text.split_once("---").unwrap();
    assert_eq!(full.trim(), "exit 3\nfiller", "{text}");
    assert!(text.contains("No space left on device") && text.contains("make room and try again"), "{text}");
    assert!(free.contains("exit 0\nmachine.pub\nmachine.sec\n"), "{text}");
}

#[test]
fn a_rotation_on_a_full_disk_changes_nothing() {
    let dir = prepared();
    let script = "$countersign key rotate --config c.toml 2>/dev/null
        fill; try $countersign key rotate --config c.toml; $countersign key public --config c.toml; ls state; echo ---
        rm state/filler; $countersign key rotate --config c.toml 2>/dev/null; cat state/retired.pub";
    let (code, text) = said(&namespace::run(&dir, &format!("{FULL}{script}")));
    assert_eq!(code, Some(0), "{text}");
    let (full, free) = text.split_once("---").unwrap();
    let full: Vec<&str> = full.lines().collect();
    let [first, "exit 3", after, "filler", "machine.pub", "machine.sec"] = full[..] else { panic!("{text}") };
    assert_eq!(first, after, "the old key is still in place");
    assert!(text.contains("make room"), "{text}");
    // Retired once, when it was.
    let free: Vec<&str> = free.trim().lines().collect();
    assert_eq!(free[1], first, "{text}");
    assert_eq!(free.iter().filter(|line| **line == first).count(), 1, "{text}");
}

#[test]
fn a_read_only_state_directory_cannot_take_a_first_key() {
    let dir = prepared();
    let script = "mount --bind state state; mount -o remount,ro,bind state
        exec $countersign serve --config c.toml";
    let (code, text) = said(&namespace::run(&dir, script));
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("Read-only file system") && text.contains("`state-directory` must lie"), "{text}");
}

/// What a test of a running service needs: a party, a package, and a cache that has it.
fn scene(dir: &Dir, size: usize, settings: &str) -> (Package, FakeCache) {
    let (party, package) = (Party::new("a-1"), Package::new("thing-1.0", &noise(1, size)));
    let cache = FakeCache::with("none", &[&party], &[&package]);
    let state = dir.join("state");
    let text = format!("{LISTEN}state-directory = \"{}\"\n", state.display());
    let text = format!("{text}{}{}{RULE}{settings}", signers(&[&party]), caches(&[("a", &cache)]));
    dir.write("c.toml", text);
    (package, cache)
}

#[test]
fn a_state_directory_that_has_become_read_only_is_served_from() {
    let dir = prepared();
    let (package, _cache) = scene(&dir, 1000, "");
    let (_, key) = command(&dir, &["key", "rotate", "--config", "c.toml"]);
    let script = "mount --bind state state; mount -o remount,ro,bind state
        exec $countersign serve --config c.toml";
    let mut daemon = Daemon::start_as(namespace::script(&dir, script));
    assert!(
        key.contains(
            daemon.wait_for("countersigning").split_once("key=").unwrap().1.trim_matches(['"', '\n'])
        )
    );
    assert_eq!(get(daemon.port, &nar_url(&package)).body, package.nar);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_nar_that_finds_no_room_is_not_served_until_it_does() {
    let dir = prepared();
    let (package, _cache) = scene(&dir, LARGE, "[serving]\nverify-before-sending = \"whole\"\n");
    let script = "mount -t tmpfs -o size=2m tmpfs state; head -c 1m /dev/zero > state/filler
        exec $countersign serve --config c.toml";
    let mut daemon = Daemon::start_as(namespace::script(&dir, script));
    assert_eq!(get(daemon.port, &nar_url(&package)).status, 404);
    let line = daemon.wait_for("cannot spool");
    assert!(
        line.contains("ERROR") && line.contains("No space left") && line.contains("state/spool"),
        "{line}"
    );
    // The narinfo never needed room.
    assert_eq!(get(daemon.port, &format!("/{}.narinfo", package.hash())).status, 200);
    let inside = format!("/proc/{}/root{}/filler", daemon.id(), dir.join("state").display());
    fs::remove_file(inside).unwrap();
    assert_eq!(get(daemon.port, &nar_url(&package)).body, package.nar);
}

#[test]
fn a_newer_programs_state_directory_is_left_alone() {
    let dir = prepared();
    command(&dir, &["key", "rotate", "--config", "c.toml"]);
    let before = fs::read(dir.join("state/machine.sec")).unwrap();
    for mark in ["2\n", "1.5\n", ""] {
        dir.write("state/version", mark);
        for arguments in [&["serve"][..], &["key", "public"], &["key", "rotate"]] {
            let (code, text) = command(&dir, &[arguments, &["--config", "c.toml"]].concat());
            assert_eq!(code, Some(2), "{arguments:?}: {text}");
            assert!(text.contains("newer countersign") && text.contains("`state-directory`"), "{text}");
        }
        assert_eq!(fs::read(dir.join("state/machine.sec")).unwrap(), before);
        assert_eq!(fs::read_to_string(dir.join("state/version")).unwrap(), mark);
    }
    dir.write("state/version", "1\n");
    assert_eq!(command(&dir, &["key", "public", "--config", "c.toml"]).0, Some(0));
}

#[test]
fn the_first_start_marks_the_state_directory() {
    let dir = prepared();
    let daemon = Daemon::start(&dir, dir.join("c.toml").to_str().unwrap());
    assert_eq!(fs::read_to_string(dir.join("state/version")).unwrap(), "1\n");
    drop(daemon);
}

#[test]
fn a_machine_key_that_may_not_be_read_is_not_replaced() {
    let dir = prepared();
    command(&dir, &["key", "rotate", "--config", "c.toml"]);
    let secret = dir.join("state/machine.sec");
    let before = fs::read(&secret).unwrap();
    // Root may read everything, so it has to become somebody else.
    let output = if is_root() {
        let script =
            "exec setpriv --reuid 65534 --regid 65534 --clear-groups $countersign serve --config c.toml";
        namespace::run(&dir, script)
    } else {
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o200)).unwrap();
        let output = serve(&dir, &fs::read_to_string(dir.join("c.toml")).unwrap());
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        output
    };
    let (code, text) = said(&output);
    assert_eq!(code, Some(3), "{text}");
    assert!(
        text.contains("machine.sec: Permission denied") && text.contains("run this as the user"),
        "{text}"
    );
    assert_eq!(fs::read(&secret).unwrap(), before);
}

#[test]
fn a_start_that_was_cut_short_is_completed_so_that_a_lost_key_is_noticed() {
    let dir = prepared();
    command(&dir, &["key", "rotate", "--config", "c.toml"]);
    let public = dir.join("state/machine.pub");
    let before = fs::read(&public).unwrap();
    fs::remove_file(&public).unwrap();
    drop(Daemon::start(&dir, dir.join("c.toml").to_str().unwrap()));
    assert_eq!(fs::read(&public).unwrap(), before);
    fs::remove_file(dir.join("state/machine.sec")).unwrap();
    let (code, text) = command(&dir, &["serve", "--config", "c.toml"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("missing although its public half is there"), "{text}");
}
