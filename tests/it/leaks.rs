//! What is left after a day's worth of good and bad requests: no descriptor, and no more memory than is allowed.

use crate::support::client::{get, open, raw};
use crate::support::daemon::Daemon;
use crate::support::dirs::Dir;
use crate::support::fake_cache::{FakeCache, Script};
use crate::support::party::{Package, Party, compress, noise};
use crate::support::scene::RULE;
use crate::support::service::{nar_url, signers};
use std::fs;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Packages of which every kind of good and bad there is comes round five times.
const PACKAGES: usize = 60;

/// The three caches: the first honest, the second lying about bytes, the third about everything else.
struct Caches {
    honest: FakeCache,
    lying: FakeCache,
    broken: FakeCache,
}

impl Caches {
    fn configuration(&self, party: &Party) -> String {
        let mut text = format!("listen = [\"127.0.0.1:0\"]\n{}", signers(&[party]));
        for (name, cache) in [("honest", &self.honest), ("lying", &self.lying), ("broken", &self.broken)] {
            text.push_str(&format!("[caches.{name}]\nurl = \"{}\"\nclaim-timeout = \"1s\"\n", cache.url()));
        }
        text.push_str(RULE);
        text
    }

    /// Puts the n-th package where its number says; gives whether it can be served.
    fn put(&self, n: usize, package: &Package, party: &Party) -> bool {
        let narinfo = format!("/{}.narinfo", package.hash());
        let nar = format!("/{}", package.url("zstd"));
        let (honest, lying, broken) = (&self.honest, &self.lying, &self.broken);
        lying.put("zstd", &[party], package);
        let bytes = package.compressed("zstd");
        match n % 12 {
            0 => honest.put("zstd", &[party], package),
            1 => honest.put("xz", &[party], package),
            2 => {
                honest.put("none", &[party], package);
                broken.script(&narinfo, Script::Status(500));
            }
            3 => lying.script(&nar, Script::Bytes(package.forged(b"lie").nar)),
            4 => lying.script(&nar, Script::Bytes([bytes, compress(&vec![0; 64 << 20], "zstd")].concat())),
            5 => lying.script(&nar, Script::Cut(bytes.clone(), bytes.len() / 2)),
            6 => lying.script(&nar, Script::Redirect(302, "http://127.0.0.2:1/".to_owned())),
            7 => lying.script(&nar, Script::Endless(b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'a'; 9999])),
            8 => {
                lying.script(&narinfo, Script::Status(404));
                broken
                    .script(&narinfo, Script::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'a'; 9999]));
            }
            9 => lying.script(&nar, Script::Raw(Vec::new())),
            10 => broken.script(&narinfo, Script::Late(Duration::from_secs(3), Vec::new())),
            _ => lying.script(&narinfo, Script::Raw(b"\0\0\r\n\r\n".to_vec())),
        }
        matches!(n % 12, 0..=2 | 10)
    }
}

fn descriptors(daemon: &Daemon) -> usize {
    fs::read_dir(format!("/proc/{}/fd", daemon.id())).unwrap().count()
}

/// The most memory that the process ever had, in KiB.
fn peak_memory(daemon: &Daemon) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn nothing_is_left_after_good_and_bad_requests() {
    let party = Party::new("a-1");
    let caches = Caches { honest: FakeCache::start(), lying: FakeCache::start(), broken: FakeCache::start() };
    let dir = Dir::new();
    let config = dir.write("c.toml", caches.configuration(&party));
    let mut daemon = Daemon::start(&dir, config.to_str().unwrap());
    daemon.forget_log();
    assert_eq!(get(daemon.port, "/healthz").status, 200);
    // The first question opens what stays open: the ledger's reader, the file of remembered answers.
    let absent = Package::new("absent-1", b"");
    assert_eq!(get(daemon.port, &format!("/{}.narinfo", absent.hash())).status, 404);
    let before = descriptors(&daemon);

    let packages: Vec<(Package, bool)> = (0..PACKAGES)
        .map(|n| {
            let size = if n % 3 == 0 { 4_000_000 } else { 20_000 };
            let package = Package::new(&format!("thing-{n}"), &noise(n as u64, size));
            let is_good = caches.put(n, &package, &party);
            (package, is_good)
        })
        .collect();
    let (next, port) = (AtomicUsize::new(0), daemon.port);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some((package, is_good)) = packages.get(next.fetch_add(1, Ordering::Relaxed)) {
                    ask_for(port, package, *is_good);
                }
            });
        }
    });

    drop(caches);
    let since = Instant::now();
    while descriptors(&daemon) > before + 3 {
        let now = descriptors(&daemon);
        assert!(
            since.elapsed() < Duration::from_secs(60),
            "{now} descriptors are open, {before} were before"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let peak = peak_memory(&daemon);
    assert!(peak <= 150 << 10, "the peak of memory was {peak} KiB");
    assert_eq!(get(daemon.port, "/nix-cache-info").status, 200);
    assert_eq!(daemon.stop(), Some(0));
}

/// Five requests: narinfo, NAR, a client that goes away, one that speaks no HTTP, one for what is not there.
fn ask_for(port: u16, package: &Package, is_good: bool) {
    let claim = get(port, &format!("/{}.narinfo", package.hash()));
    let nar = get(port, &nar_url(package));
    let is_served = nar.status == 200 && nar.is_whole();
    assert_eq!(is_served, is_good, "{}: {} {}", package.path(), claim.status, claim.reason());
    assert!(!is_served || nar.body == package.nar);
    let asking = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", nar_url(package));
    open(port, asking.as_bytes()).read_exact(&mut [0; 12]).unwrap();
    raw(port, b"\x16\x03\x01\r\n\r\n");
    assert_eq!(get(port, "/nowhere").status, 404);
}
