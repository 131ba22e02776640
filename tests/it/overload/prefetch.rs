//! Asking ahead for references: nothing twice, and never in a client's way.

use super::Kept;
use crate::support::client::{get_with, request};
use crate::support::fake_cache::{FakeCache, Script};
use crate::support::party::{Package, Party};
use crate::support::service::{Served, caches, signers};
use std::time::{Duration, Instant};

struct Chain {
    party: Party,
    cache: FakeCache,
    /// The last refers to the one before, and so on.
    packages: Vec<Package>,
}

fn path(package: &Package) -> String {
    format!("/{}.narinfo", package.hash())
}

impl Chain {
    fn new(length: usize, late: Duration) -> Self {
        let (party, cache) = (Party::new("a-1"), FakeCache::start());
        let mut packages: Vec<Package> = Vec::new();
        for n in 0..length {
            let before: Vec<&Package> = packages.last().into_iter().collect();
            packages.push(Package::with_references(&format!("link-{n}"), b"l", &before));
        }
        for package in &packages {
            let narinfo = package.narinfo("none", &[&party]).into_bytes();
            cache.script(&path(package), Script::Late(late, narinfo));
        }
        Self { party, cache, packages }
    }

    fn serve(&self, prefetch: bool) -> Served {
        let rule = "[[rules]]\nname = \"all\"\nsignatures = [{ at-least = 1, of = [\"a-1\"] }]\n";
        let caches = caches(&[("a", &self.cache)]);
        let signers = signers(&[&self.party]);
        Served::with(&format!("{signers}{caches}{rule}[serving]\nprefetch = {prefetch}\n"))
    }

    fn asked(&self, n: usize) -> usize {
        self.cache.times_asked(&path(&self.packages[n]))
    }
}

fn waits_until(what: &str, holds: impl Fn() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(60), "never {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A client that asks for what is being asked ahead for waits for that answer: the cache is asked once for each.
#[test]
fn a_client_joins_what_is_asked_ahead() {
    let chain = Chain::new(12, Duration::from_millis(50));
    let served = chain.serve(true);
    let mut kept = Kept::open(served.port()).unwrap();
    for package in chain.packages.iter().rev() {
        assert_eq!(kept.get(&path(package)).unwrap().status, 200);
    }
    for n in 0..chain.packages.len() {
        assert_eq!(chain.asked(n), 1, "link-{n}");
    }
}

/// Who only looks whether a path is there, and another Countersign, do not have its references asked for.
#[test]
fn only_a_client_that_takes_a_narinfo_has_its_references_asked_for() {
    let chain = Chain::new(2, Duration::ZERO);
    let served = chain.serve(true);
    let top = path(&chain.packages[1]);
    assert_eq!(request(served.port(), "HEAD", &top, &[]).status, 200);
    assert_eq!(get_with(served.port(), &top, &[("Countersign-Via", "other")]).status, 200);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!((chain.asked(1), chain.asked(0)), (1, 0));
    assert_eq!(get_with(served.port(), &top, &[]).status, 200);
    waits_until("asked ahead", || chain.asked(0) == 1);
}

/// A path with more references than are asked ahead for at once: as many as there is room for and no more, while
/// clients' own questions are answered without waiting for any of them.
#[test]
fn what_is_asked_ahead_is_bounded_and_in_nobodys_way() {
    let (party, cache) = (Party::new("a-1"), FakeCache::start());
    let leaves: Vec<Package> = (0..200).map(|n| Package::new(&format!("leaf-{n}"), b"l")).collect();
    let top = Package::with_references("top", b"t", &leaves.iter().collect::<Vec<_>>());
    let quick: Vec<Package> = (0..10).map(|n| Package::new(&format!("quick-{n}"), b"q")).collect();
    for leaf in &leaves {
        let narinfo = leaf.narinfo("none", &[&party]).into_bytes();
        cache.script(&path(leaf), Script::Late(Duration::from_millis(1500), narinfo));
    }
    quick.iter().chain([&top]).for_each(|package| cache.put("none", &[&party], package));
    let rule = "[[rules]]\nname = \"all\"\nsignatures = [{ at-least = 1, of = [\"a-1\"] }]\n";
    let served = Served::with(&format!("{}{}{rule}", signers(&[&party]), caches(&[("a", &cache)])));
    let mut kept = Kept::open(served.port()).unwrap();
    assert_eq!(kept.get(&path(&top)).unwrap().status, 200);
    let asked_ahead = || leaves.iter().filter(|leaf| cache.times_asked(&path(leaf)) > 0).count();
    waits_until("asked ahead", || asked_ahead() >= 64);
    let since = Instant::now();
    for package in &quick {
        assert_eq!(kept.get(&path(package)).unwrap().status, 200);
    }
    assert!(since.elapsed() < Duration::from_millis(1400), "{:?}", since.elapsed());
    assert_eq!(asked_ahead(), 64, "so much room there is");
    // One for which there was no room is asked for like any other.
    let left = leaves.iter().find(|leaf| cache.times_asked(&path(leaf)) == 0).unwrap();
    assert_eq!(kept.get(&path(left)).unwrap().status, 200);
}
