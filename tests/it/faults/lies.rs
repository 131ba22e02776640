//! A source whose bytes went out turns out to have lied: the answer is broken off, and the next one is right.

use crate::faults::scene::{PATIENCE, configuration, is_right, party, rest};
use crate::support::bad_cache::{BadCache, Fault, How, Times, Where, nar_path};
use crate::support::client::Reply;
use crate::support::party::{Package, compress, noise};
use crate::support::scene::is_harmless;
use crate::support::service::Served;
use std::sync::Arc;

const LARGE: usize = 1_300_000;

/// The package's file with one bit of the NAR at `at` turned round.
fn lie(package: &Package, compression: &str, at: usize) -> Arc<[u8]> {
    let mut nar = package.nar.clone();
    nar[at] ^= 1;
    compress(&nar, compression).into()
}

fn two(compressions: [&str; 2], package: &Package) -> (Served, [BadCache; 2]) {
    let caches = compressions.map(|c| BadCache::with(c, &[&party()], &[package]));
    let served = Served::patiently(PATIENCE, &configuration(&[&caches[0], &caches[1]], ""));
    (served, caches)
}

/// What came is no NAR, and no part of it can be continued; the whole comes then. Says whether it was broken off: a lie
/// may be found before it goes out.
fn was_broken_then_right(served: &Served, package: &Package, what: &str) -> bool {
    let first = served.nar(package);
    if is_right(&first, package) == Ok(()) {
        return false;
    }
    assert!(is_harmless(&first), "{what}: finished with a lie in it");
    if !first.body.is_empty() {
        let at = rest(served, package, first.body.len());
        assert_eq!(at.status, 404, "{what}: a client must not put the rest after a lie");
        assert_eq!(rest(served, package, 1).status, 404, "{what}");
    }
    assert_eq!(is_right(&served.nar(package), package), Ok(()), "{what}: the second time");
    let half = package.nar.len() / 2;
    let part: Reply = rest(served, package, half);
    assert!(part.status == 206 && part.body == package.nar[half..], "{what}: a checked copy was there");
    true
}

#[test]
fn after_a_lie_the_next_whole_request_is_right() {
    let package = Package::new("thing-1.0", &noise(31, LARGE));
    let mut broken = 0;
    let places = [100, 70_000, 300_000, LARGE / 2, LARGE - 100_000];
    for compressions in [["none", "zstd"], ["zstd", "zstd"], ["zstd", "xz"], ["xz", "none"], ["none", "none"]]
    {
        for at in places {
            let (served, caches) = two(compressions, &package);
            caches[0].when(
                &nar_path(&package, compressions[0]),
                Fault::Instead(lie(&package, compressions[0], at)),
            );
            broken +=
                usize::from(was_broken_then_right(&served, &package, &format!("{compressions:?} at {at}")));
        }
    }
    assert!(broken >= 15, "only {broken} lies went out");
}

/// What is withheld has not gone out: a lie in it is replaced like any other failure.
#[test]
fn a_lie_in_the_last_bytes_is_replaced_unseen() {
    let package = Package::new("thing-1.0", &noise(37, LARGE));
    for compressions in [["none", "zstd"], ["zstd", "zstd"], ["zstd", "xz"], ["xz", "none"], ["none", "none"]]
    {
        for at in [LARGE - 10_000, LARGE - 10, package.nar.len() - 1] {
            let (served, caches) = two(compressions, &package);
            caches[0].when("/nar/", Fault::Instead(lie(&package, compressions[0], at)));
            assert_eq!(is_right(&served.nar(&package), &package), Ok(()), "{compressions:?} at {at}");
        }
    }
}

/// A source lies and then dies, so that the next one is asked to go on after a lie that nobody has found yet.
#[test]
fn a_lie_that_is_cut_is_not_continued() {
    let package = Package::new("thing-1.0", &noise(32, LARGE));
    for compressions in [["none", "none"], ["none", "zstd"], ["zstd", "xz"], ["xz", "none"]] {
        for how in [How::Close, How::Stall] {
            let (served, caches) = two(compressions, &package);
            let path = nar_path(&package, compressions[0]);
            // The lie lies under the path; the narinfo still says which file is the honest one.
            let wrong = lie(&package, compressions[0], 200_000);
            let late = wrong.len() * 3 / 4;
            caches[0].file(&path, wrong);
            caches[0].when(&path, Fault::Ends(Where::Byte(late), how));
            let first = served.nar(&package);
            assert!(is_harmless(&first), "{compressions:?} {how:?}");
            assert_eq!(is_right(&served.nar(&package), &package), Ok(()), "{compressions:?} {how:?}: then");
        }
    }
}

/// A small NAR is checked whole before its first byte leaves, so nobody sees that one source lied.
#[test]
fn a_lie_in_a_small_nar_is_replaced_unseen() {
    let package = Package::new("thing-1.0", &noise(33, 30_000));
    for compressions in [["none", "zstd"], ["zstd", "zstd"], ["xz", "none"]] {
        for at in [0, 9, 100, 20_000, package.nar.len() - 1] {
            let (served, caches) = two(compressions, &package);
            caches[0].when(
                &nar_path(&package, compressions[0]),
                Fault::Instead(lie(&package, compressions[0], at)),
            );
            assert_eq!(is_right(&served.nar(&package), &package), Ok(()), "{compressions:?} at {at}");
        }
    }
}

/// The file itself is damaged, so that it can no longer be decoded or its check value does not agree: what had gone
/// out before was right, so somebody else goes on.
#[test]
fn a_damaged_file_is_replaced_or_broken_off() {
    let package = Package::new("thing-1.0", &noise(38, LARGE));
    for compressions in [["zstd", "xz"], ["xz", "zstd"], ["gzip", "xz"], ["bzip2", "none"], ["zstd", "zstd"]]
    {
        let length = package.compressed(compressions[0]).len();
        for (at, and_after) in
            [(0, false), (20, true), (length / 2, false), (length / 2, true), (length - 1, false)]
        {
            let (served, caches) = two(compressions, &package);
            caches[0].when("/nar/", Fault::Wrong(at, and_after));
            let told = format!("{compressions:?} at {at}, {and_after}");
            let first = served.nar(&package);
            assert!(is_harmless(&first) || is_right(&first, &package) == Ok(()), "{told}");
            assert_eq!(is_right(&served.nar(&package), &package), Ok(()), "{told}: then");
        }
    }
}

/// Two of three lie, each in its own way.
#[test]
fn two_liars_hide_no_honest_cache() {
    let package = Package::new("thing-1.0", &noise(34, LARGE));
    let caches = ["zstd", "none", "xz"].map(|c| BadCache::with(c, &[&party()], &[&package]));
    caches[0].when("/nar/", Fault::Instead(lie(&package, "zstd", LARGE / 2)));
    caches[1].when("/nar/", Fault::Instead(lie(&package, "none", LARGE / 3)));
    let served = Served::patiently(PATIENCE, &configuration(&[&caches[0], &caches[1], &caches[2]], ""));
    assert!(was_broken_then_right(&served, &package, "two liars"));
}

/// The only cache there is lies once: its next answer is checked whole, and taken.
#[test]
fn a_cache_that_lied_once_is_checked_whole() {
    let package = Package::new("thing-1.0", &noise(35, LARGE));
    let cache = BadCache::with("zstd", &[&party()], &[&package]);
    let once = Times::first(1);
    cache.whenever("/nar/", once, Fault::Instead(lie(&package, "zstd", LARGE / 2)));
    let served = Served::patiently(PATIENCE, &configuration(&[&cache], ""));
    assert!(was_broken_then_right(&served, &package, "the only cache"));
}

/// Nobody is honest: not one byte more than before the lie was found, and never the last.
#[test]
fn where_all_lie_nothing_is_finished() {
    let package = Package::new("thing-1.0", &noise(36, LARGE));
    let caches = ["zstd", "none"].map(|c| BadCache::with(c, &[&party()], &[&package]));
    for (cache, compression) in caches.iter().zip(["zstd", "none"]) {
        cache.when("/nar/", Fault::Instead(lie(&package, compression, LARGE / 2)));
    }
    let served = Served::patiently(PATIENCE, &configuration(&[&caches[0], &caches[1]], ""));
    for _ in 0..4 {
        assert!(is_harmless(&served.nar(&package)));
    }
}
