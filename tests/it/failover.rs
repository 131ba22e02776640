//! Sources that fail in the middle of a NAR: the client gets one clean response all the same.

use crate::support::client::get;
use crate::support::daemon::Daemon;
use crate::support::dirs::Dir;
use crate::support::fake_cache::{FakeCache, Script};
use crate::support::party::{Package, Party, noise};
use crate::support::scene::RULE;
use crate::support::service::{Served, caches, config, nar_url, signers};
use countersign::config::Patience;
use countersign::format::NarHash;
use sha2::{Digest, Sha256};
use std::time::Duration;

const LARGE: usize = 3_000_000;

/// Two caches that have one package, each compressed in its way; the first has priority.
struct Pair {
    party: Party,
    package: Package,
    first: (FakeCache, &'static str),
    second: (FakeCache, &'static str),
}

impl Pair {
    fn new(first: &'static str, second: &'static str) -> Self {
        let party = Party::new("a-1");
        let package = Package::new("thing-1.0", &noise(1, LARGE));
        let cache = |compression| {
            let cache = FakeCache::with(compression, &[&party], &[&package]);
            let file = NarHash::from_digest(Sha256::digest(package.compressed(compression)).into());
            let narinfo = package.narinfo(compression, &[&party]);
            cache.claim(&package, &format!("{narinfo}FileHash: {file}\n"));
            (cache, compression)
        };
        let (first, second) = (cache(first), cache(second));
        Self { party, package, first, second }
    }

    fn script(&self, (cache, compression): &(FakeCache, &str), script: Script) {
        cache.script(&format!("/{}", self.package.url(compression)), script);
    }

    fn bytes(&self, (_, compression): &(FakeCache, &str)) -> Vec<u8> {
        self.package.compressed(compression)
    }

    fn served(&self) -> Served {
        let fakes = [("a", &self.first.0), ("b", &self.second.0)];
        let text = format!("{}{}{RULE}", signers(&[&self.party]), caches(&fakes));
        let dir = Dir::new();
        let mut config = config(&dir, &text);
        config.patience = Patience {
            stall: Duration::from_millis(1500),
            restless: Duration::from_millis(200),
            grace: Duration::from_millis(600),
            hedge: Duration::from_millis(100),
            ..Patience::default()
        };
        Served::of(dir, &config)
    }

    fn times_asked(&self, (cache, compression): &(FakeCache, &str)) -> usize {
        cache.times_asked(&format!("/{}", self.package.url(compression)))
    }
}

/// Around the edges of what is held, read and withheld, and at both ends.
fn positions(length: usize) -> Vec<usize> {
    let mut positions = vec![0, 1, 5, 64, 1000, 65_536, 262_143, 262_144, 262_145, 524_288, 1_048_576];
    positions.extend([length / 2, length - 65_537, length - 65_536, length - 100, length - 1]);
    positions.retain(|position| *position < length);
    positions
}

const PAIRS: [(&str, &str); 8] = [
    ("zstd", "xz"),
    ("xz", "zstd"),
    ("zstd", "none"),
    ("none", "zstd"),
    ("xz", "none"),
    ("br", "gzip"),
    ("gzip", "bzip2"),
    ("bzip2", "br"),
];

#[test]
fn a_source_that_breaks_off_is_replaced_by_another_file() {
    std::thread::scope(|scope| {
        for (first, second) in PAIRS {
            scope.spawn(move || {
                let pair = Pair::new(first, second);
                let served = pair.served();
                let bytes = pair.bytes(&pair.first);
                for position in positions(bytes.len()) {
                    pair.script(&pair.first, Script::Cut(bytes.clone(), position));
                    assert!(served.serves(&pair.package), "{first} cut at {position}, then {second}");
                }
            });
        }
    });
}

#[test]
fn the_same_file_goes_on_where_it_stopped() {
    for compression in ["none", "zstd", "xz"] {
        let pair = Pair::new(compression, compression);
        let bytes = pair.bytes(&pair.second);
        pair.script(&pair.second, Script::Part(bytes.clone(), usize::MAX));
        for position in positions(bytes.len()) {
            // A cache that is known to be quick is turned to first, so both begin anew.
            let served = pair.served();
            pair.script(&pair.first, Script::Cut(bytes.clone(), position));
            assert!(served.serves(&pair.package), "{compression} cut at {position}");
        }
        let ranges =
            pair.second.0.asked().iter().filter(|a| a.headers.iter().any(|(n, _)| n == "range")).count();
        assert!(
            ranges + 2 >= positions(bytes.len()).len(),
            "{compression}: only {ranges} ranges were asked for"
        );
    }
}

#[test]
fn a_single_cache_that_always_breaks_off_is_gone_on_with() {
    for compression in ["none", "zstd", "xz"] {
        let pair = Pair::new(compression, compression);
        let bytes = pair.bytes(&pair.first);
        pair.second.0.script(&format!("/{}.narinfo", pair.package.hash()), Script::Status(404));
        for most in [100_000, 262_144, 1_000_001] {
            pair.script(&pair.first, Script::Part(bytes.clone(), most));
            assert!(pair.served().serves(&pair.package), "{compression}, {most} bytes at a time");
        }
    }
}

#[test]
fn a_part_that_was_not_asked_for_is_not_taken() {
    let pair = Pair::new("zstd", "zstd");
    let bytes = pair.bytes(&pair.first);
    let wrong = format!("bytes 5-{}/{}", bytes.len() - 1, bytes.len());
    for head in [
        "HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n".to_owned(),
        format!("HTTP/1.1 206 Part\r\nContent-Range: {wrong}\r\nContent-Length: {}\r\n\r\n", bytes.len() - 5),
        format!("HTTP/1.1 206 Part\r\nContent-Length: {}\r\n\r\n", bytes.len()),
    ] {
        let (served, asked) = (pair.served(), pair.times_asked(&pair.second));
        pair.script(&pair.first, Script::Cut(bytes.clone(), 1_000_000));
        pair.script(&pair.second, Script::Wire([head.as_bytes(), &bytes].concat()));
        assert!(!served.serves(&pair.package), "{head}: neither has the whole file");
        assert!(pair.times_asked(&pair.second) > asked);
    }
}

#[test]
fn a_cache_that_says_it_has_the_same_file_and_has_not_harms_nobody() {
    // The third has it honestly, in another file.
    let pair = Pair::new("zstd", "zstd");
    let bytes = pair.bytes(&pair.first);
    let third = FakeCache::with("xz", &[&pair.party], &[&pair.package]);
    let wrong = pair.package.forged(&noise(9, LARGE)).compressed("zstd");
    pair.script(&pair.first, Script::Cut(bytes.clone(), 1_000_000));
    pair.script(
        &pair.second,
        Script::Part([wrong, vec![0; bytes.len()]].concat()[..bytes.len()].to_vec(), usize::MAX),
    );
    let fakes = [("a", &pair.first.0), ("b", &pair.second.0), ("c", &third)];
    let served = Served::with(&format!("{}{}{RULE}", signers(&[&pair.party]), caches(&fakes)));
    assert!(served.serves(&pair.package));
}

#[test]
fn a_source_that_stalls_is_replaced() {
    for (first, second) in [("zstd", "xz"), ("none", "none")] {
        let pair = Pair::new(first, second);
        let bytes = pair.bytes(&pair.first);
        for position in [0, 1000, 1_500_000, bytes.len() - 1] {
            let served = pair.served();
            pair.script(&pair.first, Script::Stall(bytes.clone(), position));
            assert!(served.serves(&pair.package), "{first} stalls at {position}");
        }
    }
}

#[test]
fn a_source_that_drips_is_replaced() {
    let pair = Pair::new("zstd", "xz");
    pair.script(&pair.first, Script::Drip(pair.bytes(&pair.first), Duration::from_millis(2)));
    assert!(pair.served().serves(&pair.package));
}

#[test]
fn a_source_that_says_nothing_is_hedged() {
    let pair = Pair::new("zstd", "xz");
    pair.script(&pair.first, Script::Late(Duration::from_secs(60), Vec::new()));
    let served = pair.served();
    assert!(served.serves(&pair.package));
    assert_eq!((pair.times_asked(&pair.first), pair.times_asked(&pair.second)), (1, 1));
}

#[test]
fn a_lie_that_has_gone_out_is_broken_off_and_the_next_request_succeeds() {
    for lie_at in [1_500_000, LARGE - 200_000] {
        let pair = Pair::new("none", "xz");
        let mut wrong = pair.package.nar.clone();
        wrong[lie_at] ^= 1;
        pair.script(&pair.first, Script::Slow(wrong, Duration::from_millis(500)));
        let served = pair.served();
        let reply = served.nar(&pair.package);
        assert!(!reply.is_whole(), "a lie at {lie_at} went out whole");
        assert!(served.serves(&pair.package), "the second time it is spooled");
    }
}

#[test]
fn another_liar_does_not_spoil_what_an_honest_source_began() {
    let pair = Pair::new("zstd", "none");
    let third = FakeCache::with("xz", &[&pair.party], &[&pair.package]);
    let mut wrong = pair.package.nar.clone();
    wrong[200_000] ^= 1;
    pair.script(&pair.first, Script::Cut(pair.bytes(&pair.first), 2_000_000));
    pair.script(&pair.second, Script::Bytes(wrong));
    let fakes = [("a", &pair.first.0), ("b", &pair.second.0), ("c", &third)];
    let served = Served::with(&format!("{}{}{RULE}", signers(&[&pair.party]), caches(&fakes)));
    assert!(served.serves(&pair.package));
}

#[test]
fn when_every_source_is_cut_the_response_is() {
    let pair = Pair::new("zstd", "xz");
    for side in [&pair.first, &pair.second] {
        pair.script(side, Script::Cut(pair.bytes(side), 1_000_000));
    }
    let reply = pair.served().nar(&pair.package);
    assert!(!reply.is_whole());
    // Three times in vain, and once each time that it got on.
    assert!(pair.times_asked(&pair.first) + pair.times_asked(&pair.second) <= 8, "tried too often");
}

#[test]
fn whole_verification_begins_again_with_another_source() {
    let pair = Pair::new("none", "xz");
    let mut wrong = pair.package.nar.clone();
    wrong[LARGE - 5] ^= 1;
    pair.script(&pair.first, Script::Bytes(wrong));
    let fakes = [("a", &pair.first.0), ("b", &pair.second.0)];
    let whole = "[serving]\nverify-before-sending = \"whole\"\n";
    let served = Served::with(&format!("{}{}{RULE}{whole}", signers(&[&pair.party]), caches(&fakes)));
    assert!(served.serves(&pair.package));
}

/// A file that begins as the first cache's and goes on otherwise.
fn turned(honest: &[u8], at: usize) -> Vec<u8> {
    let mut wrong = honest.to_vec();
    wrong[at + 100_000] ^= 1;
    wrong
}

#[test]
fn who_lied_in_a_part_is_found_once_the_whole_is_there() {
    let pair = Pair::new("none", "none");
    let third = FakeCache::with("xz", &[&pair.party], &[&pair.package]);
    let cut_at = 1_500_000;
    pair.script(&pair.first, Script::Cut(pair.package.nar.clone(), cut_at));
    pair.script(&pair.second, Script::Part(turned(&pair.package.nar, cut_at), usize::MAX));
    let fakes = [("a", &pair.first.0), ("b", &pair.second.0), ("c", &third)];
    let dir = Dir::new();
    let text = format!("listen = [\"127.0.0.1:0\"]\n{}{}{RULE}", signers(&[&pair.party]), caches(&fakes));
    let path = dir.write("c.toml", text);
    let mut daemon = Daemon::start(&dir, path.to_str().unwrap());
    let url = nar_url(&pair.package);
    assert!(!get(daemon.port, &url).is_whole(), "the second cache's lie went out");
    assert!(get(daemon.port, &url).body == pair.package.nar, "the third has it");
    let line = daemon.wait_for("sent other bytes than the NAR has");
    assert!(line.contains("cache=\"b\""), "{line}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_cache_that_lied_once_delivers_the_next_time_if_nobody_else_does() {
    let pair = Pair::new("zstd", "xz");
    let small = Package::new("small-1.0", b"small");
    pair.second.0.put("none", &[&pair.party], &small);
    pair.second.0.script(&format!("/{}", small.url("none")), Script::Bytes(small.forged(b"lies!").nar));
    pair.script(&pair.first, Script::Cut(pair.bytes(&pair.first), 1_500_000));
    let served = pair.served();
    assert_eq!(served.nar(&small).status, 404, "it has lied");
    assert!(!served.nar(&pair.package).is_whole(), "only what is checked whole is taken from it");
    assert!(served.serves(&pair.package), "and so it is the next time");
}
