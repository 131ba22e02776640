//! The bytes of NARs: every compression, checked whole or as they go, and from whichever source delivers.

use crate::support::fake_cache::{FakeCache, Script};
use crate::support::party::{Package, Party, noise};
use crate::support::service::{Served, caches, signers};

const SMALL: usize = 10_000;
const LARGE: usize = 2_000_000;

fn one_of(parties: &[&Party], fakes: &[(&str, &FakeCache)], more: &str) -> String {
    let names: Vec<String> = parties.iter().map(|p| format!("\"{}\"", p.0.name())).collect();
    format!(
        "{more}\n{}{}[[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [{}] }}]\n",
        signers(parties),
        caches(fakes),
        names.join(", ")
    )
}

#[test]
fn every_compression_is_served_to_the_last_byte() {
    let party = Party::new("a-1");
    for compression in ["none", "xz", "zstd", "bzip2", "gzip", "br"] {
        for size in [0, SMALL, LARGE] {
            let package = Package::new("thing-1.0", &noise(1, size));
            let cache = FakeCache::with(compression, &[&party], &[&package]);
            let served = Served::with(&one_of(&[&party], &[("a", &cache)], ""));
            assert!(served.serves(&package), "{compression}, {size} bytes");
        }
    }
}

#[test]
fn a_flipped_bit_never_completes() {
    let party = Party::new("a-1");
    for compression in ["none", "xz", "zstd", "bzip2", "gzip", "br"] {
        for size in [SMALL, LARGE] {
            let package = Package::new("thing-1.0", &noise(2, size));
            let honest = package.compressed(compression);
            for place in [0, honest.len() / 2, honest.len() - 1] {
                let cache = FakeCache::with(compression, &[&party], &[&package]);
                let mut bytes = honest.clone();
                bytes[place] ^= 1;
                cache.script(&format!("/{}", package.url(compression)), Script::Bytes(bytes));
                let served = Served::with(&one_of(&[&party], &[("a", &cache)], ""));
                let reply = served.nar(&package);
                // Some formats have bits that mean nothing; then the bytes are right all the same.
                let is_right = reply.status == 200 && reply.is_whole() && reply.body == package.nar;
                assert!(
                    is_right || !reply.is_whole() || reply.status == 404,
                    "{compression} {size} at {place}"
                );
                assert!(size > SMALL || is_right || reply.status == 404, "a small NAR is checked whole");
            }
        }
    }
}

#[test]
fn a_source_that_fails_before_the_first_byte_is_replaced() {
    let party = Party::new("a-1");
    for size in [SMALL, LARGE] {
        let package = Package::new("thing-1.0", &noise(3, size));
        let honest = FakeCache::with("xz", &[&party], &[&package]);
        for script in [
            Script::Status(404),
            Script::Status(500),
            Script::Bytes(b"garbage".to_vec()),
            Script::Bytes(Vec::new()),
            Script::Cut(package.compressed("zstd"), 1),
            Script::Raw(b"HTTP/1.1 nonsense\r\n\r\n".to_vec()),
            Script::With(
                vec![("Content-Encoding".to_owned(), "gzip".to_owned())],
                package.compressed("zstd"),
            ),
            Script::Redirect(302, "http://127.0.0.2:1/".to_owned()),
        ] {
            let broken = FakeCache::with("zstd", &[&party], &[&package]);
            broken.script(&format!("/{}", package.url("zstd")), script.clone());
            let fakes = [("a", &broken), ("b", &honest)];
            let served = Served::with(&one_of(&[&party], &fakes, ""));
            assert!(served.serves(&package), "{size} bytes after {script:?}");
        }
    }
}

#[test]
fn a_small_nar_that_lies_is_replaced_by_an_honest_one() {
    let party = Party::new("a-1");
    let package = Package::new("thing-1.0", &noise(4, SMALL));
    let liar = FakeCache::with("none", &[&party], &[&package]);
    liar.script(&format!("/{}", package.url("none")), Script::Bytes(package.forged(&noise(5, SMALL)).nar));
    let honest = FakeCache::with("zstd", &[&party], &[&package]);
    let served = Served::with(&one_of(&[&party], &[("a", &liar), ("b", &honest)], ""));
    assert!(served.serves(&package));
}

#[test]
fn whole_verification_never_sends_a_byte_of_a_lie() {
    let party = Party::new("a-1");
    let package = Package::new("thing-1.0", &noise(6, LARGE));
    let mut wrong = package.nar.clone();
    let middle = wrong.len() / 2;
    wrong[middle] ^= 1;
    let liar = FakeCache::with("none", &[&party], &[&package]);
    liar.script(&format!("/{}", package.url("none")), Script::Bytes(wrong));
    let honest = FakeCache::with("zstd", &[&party], &[&package]);
    let whole = "[serving]\nverify-before-sending = \"whole\"\n";
    let fakes = [("a", &liar), ("b", &honest)];
    let served = Served::with(&format!("{}{whole}", one_of(&[&party], &fakes, "")));
    assert!(served.serves(&package));
}

#[test]
fn a_cache_that_has_lied_is_checked_whole_from_then_on() {
    let party = Party::new("a-1");
    let first = Package::new("first-1.0", &noise(7, SMALL));
    let second = Package::new("second-1.0", &noise(8, LARGE));
    let liar = FakeCache::with("none", &[&party], &[&first, &second]);
    liar.script(&format!("/{}", first.url("none")), Script::Bytes(first.forged(b"x").nar));
    let mut wrong = second.nar.clone();
    let near_the_end = wrong.len() - 100;
    wrong[near_the_end] ^= 1;
    liar.script(&format!("/{}", second.url("none")), Script::Bytes(wrong));
    let served = Served::with(&one_of(&[&party], &[("a", &liar)], ""));
    assert_eq!(served.nar(&first).status, 404);
    assert_eq!(served.nar(&second).status, 404, "not a byte of the second lie went out");
}
