//! The wall clock: unset at boot, set back, put right while running.
//!
//! The program runs under a clock of the test's own, a small C library that is loaded before libc.

use crate::conditions::LISTEN;
use crate::support::client::get;
use crate::support::daemon::{Daemon, countersign};
use crate::support::dirs::Dir;
use crate::support::fake_cache::FakeCache;
use crate::support::party::{Package, Party};
use crate::support::service::caches;
use std::fs;
use std::path::Path;
use std::process::Command;

const YEAR_2027: i64 = 1_798_761_600;
const YEAR_2028: i64 = 1_830_297_600;
const YEAR_2029: i64 = 1_861_920_000;

/// A cache with three packages: one by a key that began in 2020, one by a key that ends with 2027, one by a key that
/// ended in 2025.
struct Scene {
    dir: Dir,
    began: Package,
    ends: Package,
    ended: Package,
    _cache: FakeCache,
}

impl Scene {
    fn at(seconds: i64) -> Self {
        let dir = Dir::new();
        let cache = FakeCache::start();
        let mut text = format!("{LISTEN}state-directory = \"{}\"\n", dir.join("state").display());
        text.push_str(&caches(&[("a", &cache)]));
        let mut keys = Vec::new();
        let mut package = |name: &str, bound: &str| {
            let (party, package) = (Party::new(name), Package::new(&format!("{name}-1.0"), name.as_bytes()));
            cache.put("none", &[&party], &package);
            keys.push(format!("{{ key = \"{}\", {bound} }}", party.key()));
            package
        };
        let began = package("began", "not-before = 2020-01-01T00:00:00Z");
        let ends = package("ends", "not-after = 2027-12-31T23:59:59Z");
        let ended = package("ended", "not-after = 2025-01-01T00:00:00Z");
        text.push_str(&format!("[signers.all]\nkeys = [{}]\n", keys.join(", ")));
        text.push_str("[[rules]]\nname = \"all\"\nsignatures = [{ at-least = 1, of = [\"all\"] }]\n");
        dir.write("c.toml", text);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/set_clock.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(dir.join("set_clock.so")).arg(source).arg("-ldl");
        assert!(compiler.status().unwrap().success());
        let scene = Self { dir, began, ends, ended, _cache: cache };
        scene.set(seconds);
        scene
    }

    fn set(&self, seconds: i64) {
        // Never half written.
        let fresh = self.dir.write("clock.new", seconds.to_string());
        fs::rename(fresh, self.dir.join("clock")).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = countersign(&self.dir, arguments);
        command.args(["--config", "c.toml"]).current_dir(self.dir.path());
        command.env("LD_PRELOAD", self.dir.join("set_clock.so")).env("CLOCK_FILE", self.dir.join("clock"));
        command
    }

    fn start(&self) -> Daemon {
        Daemon::start_as(self.command(&["serve"]))
    }

    fn says(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }
}

fn serves(daemon: &Daemon, package: &Package) -> bool {
    get(daemon.port, &format!("/{}.narinfo", package.hash())).status == 200
}

#[test]
fn a_clock_that_is_unset_at_boot_is_told_of_and_revives_no_key() {
    let scene = Scene::at(12);
    let daemon = scene.start();
    assert!(serves(&daemon, &scene.began), "it is later than 2020 whatever the clock says");
    assert!(!serves(&daemon, &scene.ended), "it is later than 2025 whatever the clock says");
    let warning = "the system clock says 1970-01-01T00:00:12Z, but it has been 2026-";
    assert!(daemon.before.contains(&format!("WARN {warning}")), "{}", daemon.before);
    let status = scene.says(&["status"]);
    assert!(status.contains(&format!("clock     {warning}")), "{status}");
    let explained = scene.says(&["explain", &scene.began.hash()]);
    assert!(explained.contains(warning) && explained.contains("set the clock"), "{explained}");
    // Put right, it is as if nothing had been.
    scene.set(YEAR_2027);
    assert!(serves(&daemon, &scene.ends));
    assert!(!scene.says(&["status"]).contains("clock     "));
}

#[test]
fn a_clock_that_is_put_right_ends_what_was_endorsed_before() {
    let scene = Scene::at(12);
    let mut daemon = scene.start();
    assert!(serves(&daemon, &scene.ends));
    scene.set(YEAR_2029);
    assert!(!serves(&daemon, &scene.ends), "the key has ended, and the verdict was remembered");
    let line = daemon.wait_for("right again");
    assert!(line.contains("clock"), "{line}");
}

#[test]
fn a_clock_that_steps_back_revives_no_key_while_running() {
    let scene = Scene::at(YEAR_2029);
    let mut daemon = scene.start();
    assert!(!serves(&daemon, &scene.ends));
    scene.set(YEAR_2027);
    assert!(!serves(&daemon, &scene.ends));
    assert!(serves(&daemon, &scene.began));
    let line = daemon.wait_for("the system clock says 2027");
    assert!(line.contains("WARN") && line.contains("it has been 2029"), "{line}");
}

#[test]
fn a_clock_that_is_behind_the_last_start_revives_no_key() {
    let scene = Scene::at(YEAR_2029);
    assert_eq!(scene.start().stop(), Some(0));
    scene.set(YEAR_2028 - 1_000_000);
    let daemon = scene.start();
    assert!(!serves(&daemon, &scene.ends));
    assert!(serves(&daemon, &scene.began));
    let status = scene.says(&["status"]);
    assert!(status.contains("`countersign evidence clock --reset`"), "{status}");
    assert_eq!(daemon.stop(), Some(0));
    // The advice, where it was the last start whose clock was wrong.
    scene.set(YEAR_2027);
    let reset = scene.says(&["evidence", "clock", "--reset", "--yes"]);
    assert!(reset.contains("the clock is set back to 2027"), "{reset}");
    assert!(serves(&scene.start(), &scene.ends));
}
