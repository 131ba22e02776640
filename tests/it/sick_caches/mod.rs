//! Sick caches hold up nobody for long, are not made sicker, and are heard all the same.
//!
//! What is asserted is how often a cache was asked and how many questions waited, hardly ever a time: where one is, it is
//! what waiting for every question would take, or an upper bound that shows a hang.

mod offline;

use crate::support::client::{Session, get};
use crate::support::dirs::Dir;
use crate::support::fake_cache::{FakeCache, Script};
use crate::support::party::{Package, Party, noise};
use crate::support::service::{Served, caches, config, signers};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

/// A question that took longer than this has waited for a cache that is sick: half of `claim-timeout` below.
const WAITED: Duration = Duration::from_millis(400);

/// Between two probes of a sick cache, by default.
const PROBE: Duration = Duration::from_secs(1);

fn packages(count: usize) -> Vec<Package> {
    (0..count).map(|n| Package::new(&format!("thing-{n}"), &noise(n as u64, 300))).collect()
}

fn narinfo(package: &Package) -> String {
    format!("/{}.narinfo", package.hash())
}

/// One signature by any of the parties is enough.
fn text(parties: &[&Party], fakes: &[(&str, &FakeCache)], more: &str) -> String {
    let of: Vec<String> = parties.iter().map(|party| format!("\"{}\"", party.0.name())).collect();
    let fakes = caches(fakes).replace("\"2s\"", "\"800ms\"");
    let of = of.join(", ");
    format!(
        "{}{fakes}[[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [{of}] }}]\n{more}",
        signers(parties)
    )
}

/// How long each package's narinfo took, asked for by so many clients; all are endorsed.
fn ask_all(port: u16, packages: &[Package], clients: usize) -> Vec<Duration> {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let client = || {
            let (mut session, mut took) = (Session::open(port), Vec::new());
            while let Some(package) = packages.get(next.fetch_add(1, Ordering::Relaxed)) {
                let since = Instant::now();
                let reply = session.get(&narinfo(package));
                assert_eq!(reply.verdict(), "endorse", "{}", reply.reason());
                took.push(since.elapsed());
            }
            took
        };
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

fn waited(took: &[Duration]) -> usize {
    took.iter().filter(|took| **took > WAITED).count()
}

/// The most probes that there can have been.
fn probes(since: Instant) -> usize {
    since.elapsed().as_secs() as usize + 1
}

/// An honest cache, one that takes connections and never answers, and one that sends at a crawl what it sends.
struct Three {
    party: Party,
    packages: Vec<Package>,
    good: FakeCache,
    hole: FakeCache,
    slow: FakeCache,
}

impl Three {
    fn new(count: usize) -> Self {
        let (party, packages) = (Party::new("a-1"), packages(count));
        let good = FakeCache::with("none", &[&party], &packages.iter().collect::<Vec<_>>());
        let (hole, slow) = (FakeCache::start(), FakeCache::start());
        hole.otherwise(Script::Late(Duration::from_secs(60), Vec::new()));
        for package in &packages {
            let text = package.narinfo("none", &[&party]).into_bytes();
            slow.script(&narinfo(package), Script::Slow(text, 2 * PROBE));
        }
        Self { party, packages, good, hole, slow }
    }

    fn serve(&self) -> Served {
        let fakes = [("good", &self.good), ("hole", &self.hole), ("slow", &self.slow)];
        Served::with(&text(&[&self.party], &fakes, ""))
    }
}

/// A hundred paths by 25 clients, as Nix asks: those that were asked for before anything was known of the caches wait,
/// once, and no other. What the sick ones are asked meanwhile is bounded.
#[test]
fn after_the_first_questions_no_question_waits_for_a_sick_cache() {
    let three = Three::new(100);
    let served = three.serve();
    let took = ask_all(served.port(), &three.packages, 25);
    // Without learning every one of them waits: 100 × 0.8 s over 25 clients.
    assert!(waited(&took) <= 25, "{} questions waited: {took:?}", waited(&took));
    assert!(took.iter().all(|took| *took < Duration::from_secs(4)), "{took:?}");
    for sick in [&three.hole, &three.slow] {
        let times = three.packages.iter().map(|package| sick.times_asked(&narinfo(package)));
        assert!(times.max().unwrap() <= 1, "a sick cache is asked for each path once at most");
    }
}

/// One after the other, as a chain of references makes Nix ask: one question finds out, not five.
#[test]
fn a_cache_that_never_answered_holds_up_one_question_of_a_chain() {
    let three = Three::new(20);
    let served = three.serve();
    let took = ask_all(served.port(), &three.packages, 1);
    assert_eq!(waited(&took), 1, "{took:?}");
    let times = three.packages.iter().map(|package| three.hole.times_asked(&narinfo(package)));
    assert!(times.max().unwrap() <= 1, "a black hole is asked for each path once");
}

/// A cache that may only be slow is asked everything, not waited for; once nothing came even late, it is left alone.
#[test]
fn a_cache_of_which_nothing_comes_even_late_is_asked_by_probes_alone() {
    let three = Three::new(80);
    let dir = Dir::new();
    let mut config =
        config(&dir, &text(&[&three.party], &[("good", &three.good), ("hole", &three.hole)], ""));
    config.patience.late = 300 * MS;
    let served = Served::of(dir, &config);
    let (first, rest) = three.packages.split_at(20);
    ask_all(served.port(), first, 10);
    // Until the last of them is given up: its turn, its time and the time after that.
    let quiet = 4 * 800 * MS;
    thread::sleep(quiet);
    let (since, before) = (Instant::now(), three.hole.asked().len());
    let took = ask_all(served.port(), rest, 1);
    assert_eq!(waited(&took), 0, "{took:?}");
    let asked = three.hole.asked().len() - before;
    assert!(asked <= probes(since), "{asked} questions");
}

/// A question that began just before the others found out does not wait its own time as well.
#[test]
fn what_waits_for_a_cache_stops_when_it_is_found_to_be_down() {
    let three = Three::new(2);
    let served = three.serve();
    let port = served.port();
    thread::scope(|scope| {
        let first = scope.spawn(|| get(port, &narinfo(&three.packages[0])));
        while three.hole.asked().is_empty() {
            thread::sleep(MS);
        }
        thread::sleep(500 * MS);
        let since = Instant::now();
        assert_eq!(get(port, &narinfo(&three.packages[1])).verdict(), "endorse");
        // It began 500 ms into the 800 ms of the first, and would otherwise wait 800 ms.
        assert!(since.elapsed() < 700 * MS, "{:?}", since.elapsed());
        assert_eq!(first.join().unwrap().verdict(), "endorse");
    });
}

/// The slow one is honest and the quick one lies: every endorsement is withdrawn as soon as the slow one is heard,
/// although nobody waits for it, and not only on the paths that happened to be probes.
#[test]
fn a_slow_dissenter_is_not_waited_for_and_withdraws_every_endorsement() {
    let (a, b, packages) = (Party::new("a-1"), Party::new("b-1"), packages(30));
    let (quick, slow) = (FakeCache::start(), FakeCache::start());
    for package in &packages {
        quick.claim(package, &package.forged(b"evil").narinfo("none", &[&a]));
        slow.script(&narinfo(package), Script::Late(1500 * MS, package.narinfo("none", &[&b]).into_bytes()));
    }
    let served = Served::with(&text(&[&a, &b], &[("quick", &quick), ("slow", &slow)], ""));
    let took = ask_all(served.port(), &packages, 5);
    assert!(waited(&took) <= 5, "{took:?}");
    let since = Instant::now();
    for package in &packages {
        while served.narinfo(package).verdict() != "refuse" {
            assert!(since.elapsed() < Duration::from_secs(30), "the slow cache was not heard");
            thread::sleep(20 * MS);
        }
        assert_eq!(slow.times_asked(&narinfo(package)), 1);
    }
}

/// `Retry-After` on the wire, the connection staying open.
fn busy(status: u16, after: &str) -> Script {
    Script::Wire(
        format!("HTTP/1.1 {status} Busy\r\nRetry-After: {after}\r\nContent-Length: 0\r\n\r\n").into_bytes(),
    )
}

/// As a server writes a date.
fn date_in(time: Duration) -> String {
    let now = jiff::Timestamp::now();
    let then = now.saturating_add(jiff::SignedDuration::try_from(time).unwrap()).unwrap();
    jiff::fmt::strtime::format("%a, %d %b %Y %H:%M:%S GMT", &then.to_zoned(jiff::tz::TimeZone::UTC)).unwrap()
}

#[test]
fn a_cache_that_asks_to_be_left_alone_is() {
    // A date has whole seconds: two to three from now.
    let (seconds, date) = (|| "2".to_owned(), || date_in(3 * PROBE));
    let cases: [(u16, &dyn Fn() -> String); 3] = [(503, &seconds), (429, &seconds), (503, &date)];
    for (status, after) in cases {
        let (party, packages) = (Party::new("a-1"), packages(400));
        let good = FakeCache::with("none", &[&party], &packages.iter().collect::<Vec<_>>());
        let other = FakeCache::start();
        let served = Served::with(&text(&[&party], &[("good", &good), ("other", &other)], ""));
        let (after, least) = (after(), 1900 * MS);
        other.otherwise(busy(status, &after));
        let since = Instant::now();
        let mut wanted = packages.iter();
        let mut ask = || assert_eq!(served.narinfo(wanted.next().unwrap()).verdict(), "endorse");
        ask();
        assert_eq!(other.asked().len(), 1);
        loop {
            ask();
            let asked = other.asked().len();
            // Asked again, and the time was not up when we looked.
            assert!(
                asked == 1 || since.elapsed() >= least,
                "{status} {after}: asked again after {:?}",
                since.elapsed()
            );
            if asked > 1 {
                break;
            }
            assert!(since.elapsed() < Duration::from_secs(60), "never asked again");
            thread::sleep(20 * MS);
        }
    }
}

#[test]
fn a_burst_of_errors_is_met_with_five_questions_and_probes_and_forgiven_at_the_first_answer() {
    let (party, packages) = (Party::new("a-1"), packages(300));
    let good = FakeCache::with("none", &[&party], &packages.iter().collect::<Vec<_>>());
    let other = FakeCache::start();
    other.otherwise(Script::Status(502));
    let served = Served::with(&text(&[&party], &[("good", &good), ("other", &other)], ""));
    let (burst, rest) = packages.split_at(100);
    let since = Instant::now();
    ask_all(served.port(), burst, 1);
    assert!(other.asked().len() <= 5 + probes(since), "{} questions", other.asked().len());
    // It is well again: a probe finds that, and after it every path is asked for.
    other.otherwise(Script::Status(404));
    let since = Instant::now();
    let returned = rest.iter().position(|package| {
        assert!(since.elapsed() < Duration::from_secs(60), "it is not asked again");
        thread::sleep(50 * MS);
        served.narinfo(package);
        other.times_asked(&narinfo(package)) == 1
    });
    let rest = &rest[returned.unwrap() + 1..];
    thread::sleep(200 * MS);
    for package in &rest[..20] {
        served.narinfo(package);
        assert_eq!(other.times_asked(&narinfo(package)), 1, "it is back");
    }
}

/// A client for each of 25 paths at once, asking again and again while the cache is down. When it returns, each of
/// them would be at its door.
#[test]
fn a_cache_that_returns_is_met_by_one_question() {
    let (party, packages) = (Party::new("a-1"), packages(25));
    let placeholder = FakeCache::start();
    let port = placeholder.port();
    let served = Served::with(&text(&[&party], &[("a", &placeholder)], ""));
    drop(placeholder);
    let ours = served.port();
    let ask = |package: &Package| get(ours, &narinfo(package)).verdict() == "endorse";
    for package in &packages[..6] {
        assert!(!ask(package));
    }
    let mut returned = None;
    thread::scope(|scope| {
        let since = Instant::now();
        for package in &packages {
            scope.spawn(move || {
                while !ask(package) {
                    assert!(since.elapsed() < Duration::from_secs(60), "never endorsed again");
                    thread::sleep(10 * MS);
                }
            });
        }
        let returned = returned.insert(FakeCache::start_at(([127, 0, 0, 1], port).into()));
        for package in &packages {
            let text = package.narinfo("none", &[&party]).into_bytes();
            returned.script(&narinfo(package), Script::Late(500 * MS, text));
        }
        let first = loop {
            if !returned.asked().is_empty() {
                break Instant::now();
            }
            assert!(since.elapsed() < Duration::from_secs(60), "no probe");
            thread::sleep(MS);
        };
        // Until it can have answered.
        loop {
            let asked = returned.asked().len();
            if first.elapsed() > 400 * MS {
                break;
            }
            assert_eq!(asked, 1, "a storm");
            thread::sleep(5 * MS);
        }
    });
}

/// A hundred questions are asked at one time; the cache is found again although a hundred are still listened for.
#[test]
fn a_black_hole_with_all_its_places_taken_is_found_when_it_answers_again() {
    let (party, packages) = (Party::new("a-1"), packages(120));
    let hole = FakeCache::start();
    hole.otherwise(Script::Late(Duration::from_secs(60), Vec::new()));
    let served = Served::with(&text(&[&party], &[("hole", &hole)], ""));
    let port = served.port();
    thread::scope(|scope| {
        let since = Instant::now();
        for package in &packages {
            scope.spawn(move || assert_eq!(get(port, &narinfo(package)).verdict(), "defer"));
        }
        // Until the first can have given up.
        loop {
            let asked = hole.asked().len();
            if since.elapsed() > 700 * MS {
                break;
            }
            assert!(asked <= 100, "{asked} at one time");
            thread::sleep(5 * MS);
        }
    });
    for package in &packages {
        hole.put("none", &[&party], package);
    }
    let since = Instant::now();
    while served.narinfo(&packages[0]).verdict() != "endorse" {
        assert!(since.elapsed() < Duration::from_secs(60), "it is not found again");
        thread::sleep(50 * MS);
    }
}

/// What `status --json` says of a cache that is too slow: the word, and how long it takes.
#[test]
fn the_status_says_which_cache_is_slow_and_how_slow() {
    let three = Three::new(30);
    let dir = Dir::new();
    let fakes = [("good", &three.good), ("hole", &three.hole), ("slow", &three.slow)];
    let config = config(&dir, &text(&[&three.party], &fakes, ""));
    let socket = countersign::control::path(&config.state_directory);
    let served = Served::of(dir, &config);
    ask_all(served.port(), &three.packages, 5);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let since = Instant::now();
    let slow = loop {
        let status = runtime.block_on(countersign::control::ask_status(&socket)).unwrap();
        let of = |name: &str| status.caches.iter().find(|cache| cache.name == name).unwrap().clone();
        let (good, hole) = (of("good"), of("hole"));
        assert_eq!((good.state.as_str(), good.open_for, good.down), ("up", None, false));
        assert_eq!((hole.state.as_str(), hole.latency_ms, hole.down), ("down", None, true));
        assert_eq!(hole.fault.as_deref(), Some("nothing came within 0.8 s"));
        assert!(hole.open_for.is_some() && good.latency_ms.is_some());
        if of("slow").state == "slow" {
            break of("slow");
        }
        assert!(since.elapsed() < Duration::from_secs(60), "{:?}", of("slow"));
        thread::sleep(50 * MS);
    };
    assert!(slow.latency_ms.unwrap() >= 1500 && slow.open_for.is_some() && !slow.down, "{slow:?}");
}
