//! Parts of NARs: what a client asks for when a transfer was cut.

use crate::support::client::{Reply, get_with, request};
use crate::support::fake_cache::{FakeCache, Script};
use crate::support::party::{Package, Party, noise};
use crate::support::service::{Served, caches, nar_url, signers};

const SMALL: usize = 10_000;
const LARGE: usize = 3_000_000;

fn serving(size: usize, fakes: usize) -> (Served, Package, Vec<FakeCache>) {
    let party = Party::new("a-1");
    let package = Package::new("thing-1.0", &noise(1, size));
    let compressions = ["zstd", "none", "xz"];
    let all: Vec<FakeCache> =
        compressions[..fakes].iter().map(|c| FakeCache::with(c, &[&party], &[&package])).collect();
    let named: Vec<(String, &FakeCache)> =
        all.iter().enumerate().map(|(i, c)| (format!("c{i}"), c)).collect();
    let named: Vec<(&str, &FakeCache)> = named.iter().map(|(n, c)| (n.as_str(), *c)).collect();
    let rule = "[[rules]]\nname = \"all\"\nsignatures = [{ at-least = 1, of = [\"a-1\"] }]\n";
    let served = Served::with(&format!("{}{}{rule}", signers(&[&party]), caches(&named)));
    (served, package, all)
}

fn part(served: &Served, package: &Package, range: &str) -> Reply {
    get_with(served.port(), &nar_url(package), &[("Range", range)])
}

#[test]
fn every_part_is_the_part_that_was_asked_for() {
    for size in [SMALL, LARGE] {
        let (served, package, _caches) = serving(size, 1);
        let end = package.nar.len();
        for (range, first, last) in [
            ("bytes=1-".to_owned(), 1, end - 1),
            (format!("bytes={}-", end / 2), end / 2, end - 1),
            (format!("bytes={}-", end - 1), end - 1, end - 1),
            ("bytes=0-9".to_owned(), 0, 9),
            (format!("bytes=100-{}", end - 2), 100, end - 2),
            ("bytes=-5".to_owned(), end - 5, end - 1),
        ] {
            let reply = part(&served, &package, &range);
            assert_eq!(reply.status, 206, "{range}");
            assert_eq!(reply.header("content-range"), Some(format!("bytes {first}-{last}/{end}").as_str()));
            assert!(reply.is_whole() && reply.body == package.nar[first..=last], "{range} of {size}");
        }
    }
}

#[test]
fn a_range_behind_the_end_cannot_be_satisfied() {
    let (served, package, _caches) = serving(SMALL, 1);
    let reply = part(&served, &package, &format!("bytes={}-", package.nar.len()));
    assert_eq!(reply.status, 416);
    assert_eq!(reply.header("content-range"), Some(format!("bytes */{}", package.nar.len()).as_str()));
    assert!(reply.is_whole());
}

#[test]
fn the_whole_says_that_parts_may_be_asked_for_and_under_which_tag() {
    let (served, package, _caches) = serving(SMALL, 1);
    let whole = served.nar(&package);
    let tag = format!("\"{}\"", package.core.nar_hash.nixbase32());
    assert_eq!((whole.header("accept-ranges"), whole.header("etag")), (Some("bytes"), Some(tag.as_str())));
    let url = nar_url(&package);
    let fresh = get_with(served.port(), &url, &[("Range", "bytes=10-"), ("If-Range", &tag)]);
    assert_eq!(fresh.status, 206);
    let stale = get_with(served.port(), &url, &[("Range", "bytes=10-"), ("If-Range", "\"other\"")]);
    assert!(stale.status == 200 && stale.body == package.nar);
    let head = request(served.port(), "HEAD", &url, &[("Range", "bytes=10-")]);
    assert_eq!((head.status, head.header("content-length")), (200, whole.header("content-length")));
}

#[test]
fn a_range_of_what_is_refused_is_not_found() {
    let (served, package, _caches) = serving(SMALL, 1);
    let other = package.forged(b"other");
    assert_eq!(part(&served, &other, "bytes=1-").status, 404);
}

#[test]
fn what_every_source_cut_is_resumed_once_one_of_them_delivers() {
    let (served, package, fakes) = serving(LARGE, 2);
    let compressions = ["zstd", "none"];
    let script = |n: usize, script: Script| {
        fakes[n].script(&format!("/{}", package.url(compressions[n])), script);
    };
    for (n, compression) in compressions.iter().enumerate() {
        let compressed = package.compressed(compression);
        script(n, Script::Cut(compressed.clone(), compressed.len() / 2));
    }
    let first = served.nar(&package);
    assert!(!first.is_whole() && package.nar.starts_with(&first.body) && !first.body.is_empty());
    script(0, Script::Status(500));
    script(1, Script::Bytes(package.nar.clone()));
    let rest = part(&served, &package, &format!("bytes={}-", first.body.len()));
    assert_eq!(rest.status, 206);
    assert!([first.body, rest.body].concat() == package.nar);
}

#[test]
fn the_rest_of_a_nar_that_lied_is_not_found_until_a_checked_copy_is_there() {
    let (served, package, fakes) = serving(LARGE, 2);
    let mut wrong = package.nar.clone();
    let middle = wrong.len() / 2;
    wrong[middle] ^= 1;
    fakes[0].script(
        &format!("/{}", package.url("zstd")),
        Script::Bytes(zstd::encode_all(&wrong[..], 3).unwrap()),
    );
    let lied = served.nar(&package);
    assert!(lied.status == 200 && !lied.is_whole());
    let rest = format!("bytes={}-", lied.body.len());
    assert_eq!(
        part(&served, &package, &rest).status,
        404,
        "what the client has is wrong: it must begin again"
    );
    let again = served.nar(&package);
    assert!(
        again.status == 200 && again.body == package.nar,
        "the liar is checked whole, the honest cache delivers"
    );
}
