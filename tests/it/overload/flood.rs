//! Five hundred connections with cold requests against a slow cache, and others who want something too.

use super::Kept;
use crate::support::fake_cache::{FakeCache, Script};
use crate::support::party::{Package, Party};
use crate::support::service::{Served, caches, signers};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const FLOOD: usize = 500;

/// How long the cache takes for what the flood asks for.
const SLOW: Duration = Duration::from_millis(400);

struct Flooded {
    cache: FakeCache,
    party: Party,
    quick: Vec<Package>,
}

impl Flooded {
    fn new() -> Self {
        let party = Party::new("a-1");
        let quick: Vec<Package> = (0..20).map(|n| Package::new(&format!("quick-{n}"), b"q")).collect();
        let cache = FakeCache::with("none", &[&party], &quick.iter().collect::<Vec<_>>());
        Self { cache, party, quick }
    }

    fn serve(&self, more: &str) -> Served {
        let rule = "[[rules]]\nname = \"all\"\nsignatures = [{ at-least = 1, of = [\"a-1\"] }]\n";
        let caches = caches(&[("a", &self.cache)]);
        Served::with(&format!("{more}{}{caches}{rule}", signers(&[&self.party])))
    }

    /// The cache takes its time over the narinfos of these.
    fn slow_paths(&self, count: usize) -> Vec<String> {
        let slow = |n: usize| {
            let package = Package::new(&format!("slow-{n}"), b"s");
            let narinfo = package.narinfo("none", &[&self.party]).into_bytes();
            self.cache.script(&path(&package), Script::Late(SLOW, narinfo));
            path(&package)
        };
        (0..count).map(slow).collect()
    }
}

fn path(package: &Package) -> String {
    format!("/{}.narinfo", package.hash())
}

/// Every connection asks again as soon as it is answered. From another address, warm and cold requests are answered as
/// if nobody else were there, and from the same one in their turn; the cache never has more than half of all questions at
/// once. With one line for all, the cold requests from elsewhere take seconds; without a bound, the cache has 500.
#[test]
fn a_flood_does_not_keep_others_waiting() {
    let flooded = Flooded::new();
    let served = flooded.serve("decision-timeout = \"20s\"\n[serving]\nprefetch = false\n");
    let paths = flooded.slow_paths(FLOOD * 4);
    let warm = path(&flooded.quick[0]);
    let mut other = Kept::open_from([127, 0, 0, 2], served.port());
    assert_eq!(other.get(&warm).unwrap().status, 200);
    let (over, port) = (AtomicBool::new(false), served.port());
    std::thread::scope(|scope| {
        for one in paths.chunks(4) {
            let over = &over;
            std::thread::Builder::new()
                .stack_size(128 << 10)
                .spawn_scoped(scope, move || {
                    let mut kept = Kept::open(port).unwrap();
                    for path in one.iter().cycle().take_while(|_| !over.load(Ordering::Relaxed)) {
                        assert_eq!(kept.get(path).unwrap().status, 200);
                    }
                })
                .unwrap();
        }
        while flooded.cache.asked().len() < 64 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut took = Vec::new();
        for package in &flooded.quick[1..10] {
            for path in [&warm, &path(package)] {
                let since = Instant::now();
                assert_eq!(other.get(path).unwrap().status, 200);
                took.push(since.elapsed());
            }
        }
        took.sort();
        let same = Instant::now();
        let reply = Kept::open(port).unwrap().get(&path(&flooded.quick[10])).unwrap();
        let same = same.elapsed();
        over.store(true, Ordering::Relaxed);
        assert_eq!(reply.status, 200);
        // Its turn comes after one question of each of the others, 64 at a time: some 3 s.
        assert!(same < Duration::from_secs(15), "{same:?} from the same address");
        assert!(took[took.len() / 2] < SLOW, "{took:?}: from elsewhere");
    });
    let connections = flooded.cache.connections();
    assert!(connections <= 128 + 16, "the cache had {connections} connections");
}

/// Who has waited for as long as a question may take is told what is known, and no later.
#[test]
fn who_has_waited_long_enough_is_answered_as_undecided() {
    let flooded = Flooded::new();
    let served = flooded.serve("decision-timeout = \"1s\"\nwhen-undecided = \"fail\"\n");
    let paths = flooded.slow_paths(400);
    let port = served.port();
    let since = Instant::now();
    let mut all: Vec<Kept> = paths
        .iter()
        .map(|path| {
            let mut kept = Kept::open(port).unwrap();
            kept.ask(path).unwrap();
            kept
        })
        .collect();
    let mut verdicts: Vec<String> = Vec::new();
    for kept in &mut all {
        let reply = kept.answer().unwrap();
        // No credible claim is known of these, so that nothing fails on their account.
        assert_eq!(reply.status, if reply.verdict() == "endorse" { 200 } else { 404 }, "{}", reply.reason());
        verdicts.push(reply.verdict().to_owned());
    }
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    assert!(verdicts.iter().all(|verdict| verdict == "defer" || verdict == "endorse"), "{verdicts:?}");
    assert!(verdicts.iter().any(|verdict| verdict == "endorse"));
    let asked = flooded.cache.asked().len();
    assert!(asked < paths.len(), "all {asked} were asked for: nobody waited");
    assert!(served.serves(&flooded.quick[0]), "afterwards");
}

/// However many ask for one path, and however long they wait in the line, the cache is asked once.
#[test]
fn many_who_want_the_same_ask_once() {
    let flooded = Flooded::new();
    let served = flooded.serve("");
    let late = Script::Late(SLOW, flooded.quick[0].narinfo("none", &[&flooded.party]).into_bytes());
    flooded.cache.script(&path(&flooded.quick[0]), late);
    let mut all: Vec<Kept> = (0..300).map(|_| Kept::open(served.port()).unwrap()).collect();
    all.iter_mut().for_each(|kept| kept.ask(&path(&flooded.quick[0])).unwrap());
    assert!(all.iter_mut().all(|kept| kept.answer().unwrap().status == 200));
    assert_eq!(flooded.cache.times_asked(&path(&flooded.quick[0])), 1);
}
