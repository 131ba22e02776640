//! Every compression goes on where every other one stopped, at places spread over the file.

use crate::faults::places::Framed;
use crate::faults::scene::{PATIENCE, configuration, faults_of, packages, party};
use crate::support::bad_cache::{BadCache, Fault, Times, nar_path};
use crate::support::party::{Package, file_nar, noise};
use crate::support::service::Served;

const COMPRESSIONS: [&str; 6] = ["none", "zstd", "xz", "bzip2", "gzip", "br"];

/// Of each pair.
const PLACES: usize = 8;

#[test]
fn every_compression_goes_on_where_any_other_stopped() {
    let nar = file_nar(&noise(12, 500_000));
    let files = COMPRESSIONS.map(|compression| Framed::of(&nar, compression));
    let all = packages(COMPRESSIONS.len() * COMPRESSIONS.len() * PLACES, &nar);
    let caches = [BadCache::start(), BadCache::start()];
    let mut left: Vec<&Package> = all.iter().rev().collect();
    let mut told = Vec::new();
    for (first, file) in COMPRESSIONS.iter().zip(&files) {
        for (second, other) in COMPRESSIONS.iter().zip(&files) {
            for place in file.some_places(PLACES) {
                let package = left.pop().unwrap();
                caches[0].put_file(first, &[&party()], package, file.bytes.clone());
                caches[1].put_file(second, &[&party()], package, other.bytes.clone());
                let once = Times::always();
                caches[0].whenever(&nar_path(package, first), once.clone(), Fault::cut(place));
                caches[1].when(&nar_path(package, second), Fault::After(once));
                told.push(format!("{first} at {place} of {}, then {second}", file.bytes.len()));
            }
        }
    }
    let more = "[serving]\nbuffer = \"32 KiB\"\n";
    let text = configuration(&[&caches[0], &caches[1]], "");
    let served = Served::patiently(PATIENCE, &format!("{text}{more}"));
    let wrong = faults_of(&served, &all);
    assert!(wrong.is_empty(), "{wrong:#?}\n{:#?}", told.iter().enumerate().collect::<Vec<_>>());
    assert!(caches[0].fired("cut") >= all.len(), "{:?}", caches[0].all_fired());
}
