//! Real Nix in three versions copies packages whose sources break off, each at another byte, and sees one clean answer
//! for each: every NAR is asked for once.

use crate::faults::places::Framed;
use crate::faults::scene::{configuration, is_right, packages, party};
use crate::support::bad_cache::{BadCache, Fault, Times, nar_path};
use crate::support::nix::{GENERATIONS, Machine};
use crate::support::party::{Package, compress, file_nar, noise};
use crate::support::recorder::{Exchange, Recorder};
use crate::support::service::{Served, nar_url};
use std::collections::BTreeMap;
use std::process::Output;
use std::sync::{Arc, OnceLock};

/// How many packages each command copies; the first cache breaks each off at another byte.
const PACKAGES: usize = 48;

/// Larger than all that is read ahead, checked whole, or withheld.
const SIZE: usize = 2_300_000;

/// A machine that is given paths by us, behind a recorder.
struct Copying {
    served: Served,
    recorder: Recorder,
    machine: Machine,
}

impl Copying {
    fn from(generation: &'static str, caches: &[&BadCache]) -> Self {
        let served = Served::with(&configuration(caches, ""));
        let recorder = Recorder::before(served.port());
        Self { served, recorder, machine: Machine::new(generation) }
    }

    fn copy(&self, packages: &[Package]) -> Output {
        let (url, store, key) = (self.recorder.url(), self.machine.store(), self.served.key());
        let paths: Vec<String> = packages.iter().map(Package::path).collect();
        let mut arguments =
            vec!["copy", "--from", &url, "--to", &store, "--option", "trusted-public-keys", &key];
        arguments.extend(paths.iter().map(String::as_str));
        self.machine.run("nix", &arguments)
    }

    /// What was asked of us since the last time, by URL, NARs only.
    fn nars_asked(&self) -> BTreeMap<String, Vec<Exchange>> {
        let mut asked: BTreeMap<String, Vec<Exchange>> = BTreeMap::new();
        for exchange in self.recorder.take() {
            if exchange.path.starts_with("/nar/") {
                asked.entry(exchange.path.clone()).or_default().push(exchange);
            }
        }
        asked
    }

    /// Whether the store has these packages with their very bytes.
    fn assert_has(&self, packages: &[Package]) {
        let verified = self.machine.run("nix-store", &["--verify", "--check-contents"]);
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert!(verified.status.success() && !said.contains("modified"), "{said}");
        let registered = self.machine.ok("nix-store", &["--dump-db"]);
        let lines: Vec<&str> = registered.lines().collect();
        for package in packages {
            let at = lines.iter().position(|line| *line == package.path());
            let at = at.unwrap_or_else(|| panic!("{} is not there", package.path()));
            let hash = data_encoding::HEXLOWER.encode(package.core.nar_hash.digest());
            assert_eq!(lines[at + 1].trim_start_matches("sha256:"), hash, "{}", package.path());
            assert_eq!(lines[at + 2], package.nar.len().to_string(), "{}", package.path());
        }
    }
}

/// The NAR that all packages have, compressed once for all tests.
fn framed(compression: &str) -> Framed {
    static ALL: OnceLock<BTreeMap<&str, Framed>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let nar = nar();
        ["none", "zstd", "xz"].into_iter().map(|c| (c, Framed::of(&nar, c))).collect()
    });
    all[compression].clone()
}

fn nar() -> Vec<u8> {
    file_nar(&noise(41, SIZE))
}

/// Copies packages whose first source breaks off. Of the pairs of compressions each has its share.
fn arrives_although_cut(generation: &'static str, pairs: &[[&'static str; 2]]) {
    let packages = packages(PACKAGES, &nar());
    let caches = [BadCache::start(), BadCache::start()];
    let mut cuts = Vec::new();
    for (n, package) in packages.iter().enumerate() {
        let compressions = pairs[n % pairs.len()];
        let place = framed(compressions[0]).some_places(PACKAGES)[n];
        for (cache, compression) in caches.iter().zip(compressions) {
            cache.put_file(compression, &[&party()], package, framed(compression).bytes);
        }
        let always = Times::always();
        caches[0].whenever(&nar_path(package, compressions[0]), always.clone(), Fault::cut(place));
        caches[1].when(&nar_path(package, compressions[1]), Fault::After(always.clone()));
        cuts.push((place, compressions, always));
    }
    let copying = Copying::from(generation, &[&caches[0], &caches[1]]);
    let output = copying.copy(&packages);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let asked = copying.nars_asked();
    for (package, (place, compressions, cut)) in packages.iter().zip(&cuts) {
        let told = format!("Nix {generation}, {compressions:?} cut at {place}: {said}");
        assert!(cut.came_true(), "was not cut: {told}");
        let requests = asked.get(&nar_url(package)).unwrap_or_else(|| panic!("was not asked for: {told}"));
        assert_eq!(requests.len(), 1, "was asked for again: {told}");
        assert!(requests[0].method == "GET" && requests[0].status == 200 && requests[0].is_whole, "{told}");
    }
    assert!(output.status.success(), "Nix {generation}: {said}");
    copying.assert_has(&packages);
}

fn the_same_file(generation: &'static str) {
    arrives_although_cut(generation, &[["zstd", "zstd"], ["xz", "xz"], ["none", "none"], ["zstd", "zstd"]]);
}

fn another_compression(generation: &'static str) {
    let all = ["none", "zstd", "xz"];
    let pairs: Vec<[&str; 2]> =
        all.iter().flat_map(|a| all.iter().filter(move |b| *b != a).map(move |b| [*a, *b])).collect();
    arrives_although_cut(generation, &pairs);
}

/// Bytes that went out were wrong, and the answer was broken off. Every version asks again by itself, for the rest alone,
/// and takes the 404 for an end: none of them begins again within one command. The next command brings the path.
fn a_lie_costs_a_second_command_at_most(generation: &'static str) {
    let package = Package::of_nar("thing-0", nar(), &[]);
    let caches = ["none", "zstd"].map(|c| BadCache::with(c, &[&party()], &[&package]));
    let mut wrong = package.nar.clone();
    wrong[SIZE / 2] ^= 1;
    let lie: Arc<[u8]> = compress(&wrong, "none").into();
    caches[0].when("/nar/", Fault::Instead(lie));
    let copying = Copying::from(generation, &[&caches[0], &caches[1]]);
    let first = copying.copy(std::slice::from_ref(&package));
    let said = String::from_utf8_lossy(&first.stderr).into_owned();
    let asked: Vec<(u16, Option<String>, bool)> = copying
        .nars_asked()
        .into_values()
        .flatten()
        .map(|e| {
            let range = e.asked_with.iter().find(|(name, _)| name == "range").map(|(_, value)| value.clone());
            (e.status, range, e.is_whole)
        })
        .collect();
    let told = format!("Nix {generation}, asked {asked:?}: {said}");
    let [(200, None, false), (404, Some(_), true)] = &asked[..] else { panic!("{told}") };
    assert!(!first.status.success(), "{told}");
    let second = copying.copy(std::slice::from_ref(&package));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(second.status.success(), "Nix {generation}, the second time: {said}");
    copying.assert_has(std::slice::from_ref(&package));
    assert_eq!(is_right(&copying.served.nar(&package), &package), Ok(()));
}

macro_rules! with_every_generation {
    ($($test:ident)*) => {$(
        mod $test {
            #[test]
            fn nix_2_8() {
                super::$test(super::GENERATIONS[0]);
            }

            #[test]
            fn nix_2_26() {
                super::$test(super::GENERATIONS[1]);
            }

            #[test]
            fn nix_2_34() {
                super::$test(super::GENERATIONS[2]);
            }
        }
    )*};
}

with_every_generation! {
    the_same_file
    another_compression
    a_lie_costs_a_second_command_at_most
}
