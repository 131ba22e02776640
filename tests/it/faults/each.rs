//! Every fault by itself, in claims and in bytes, of a cache that is preferred, beside one that is honest.

use crate::faults::scene::{PATIENCE, configuration, is_right, party, section};
use crate::support::bad_cache::{BadCache, Fault, How, Times, Where, nar_path, narinfo_path, nowhere};
use crate::support::party::{Package, Party, noise};
use crate::support::scene::RULE;
use crate::support::service::{Served, signers};
use crate::support::slow_door::SlowDoor;
use crate::support::tls_cache::TlsCache;
use std::collections::HashMap;
use std::time::{Duration, Instant};

const SMALL: usize = 20_000;
const LARGE: usize = 1_300_000;

/// Far above every wait that is in force, and far below what a client would wait itself.
const HANG: Duration = Duration::from_secs(15);

fn busy(status: u16) -> Fault {
    Fault::Status(status, vec![("Retry-After".to_owned(), "2".to_owned())])
}

/// What may happen to a body of so many bytes. None of it makes a client take a wrong byte for a right one.
fn troubles(length: usize) -> Vec<Fault> {
    let mut all = vec![
        Fault::Reset,
        Fault::Silent,
        Fault::Garbage,
        Fault::Late(Duration::from_millis(700)),
        Fault::TooLong(1000),
        Fault::TooShort(100),
        Fault::TooShort(length),
        busy(429),
        busy(503),
    ];
    all.extend([400, 403, 404, 410, 500, 502, 504, 599].map(Fault::status));
    for at in [0, 1, length / 2, length - 1] {
        all.extend([How::Close, How::Reset, How::Stall].map(|how| Fault::Ends(Where::Byte(at), how)));
        all.push(Fault::Drip(at, 1000));
    }
    all
}

/// The service before two caches, and the package that both have.
struct Two {
    served: Served,
    caches: [BadCache; 2],
    package: Package,
}

impl Two {
    fn having(compressions: [&str; 2], package: &Package) -> Self {
        let caches = compressions.map(|c| BadCache::with(c, &[&party()], &[package]));
        let served = Served::patiently(PATIENCE, &configuration(&[&caches[0], &caches[1]], ""));
        Self { served, caches, package: package.clone() }
    }

    /// Asks for narinfo and NAR, which must both be right, and soon.
    fn assert_served(&self, after: &dyn std::fmt::Debug) {
        let since = Instant::now();
        let narinfo = self.served.narinfo(&self.package);
        assert_eq!(narinfo.status, 200, "{after:?}: {} {}", narinfo.verdict(), narinfo.reason());
        assert!(since.elapsed() < HANG, "{after:?}: the narinfo took {:?}", since.elapsed());
        let since = Instant::now();
        let nar = self.served.nar(&self.package);
        assert_eq!(is_right(&nar, &self.package), Ok(()), "{after:?}, after {:?}", since.elapsed());
        assert!(since.elapsed() < HANG, "{after:?}: the NAR took {:?}", since.elapsed());
    }
}

#[test]
fn no_trouble_with_the_bytes_is_seen_by_the_client() {
    for size in [SMALL, LARGE] {
        let package = Package::new("thing-1.0", &noise(21, size));
        for compressions in [["zstd", "zstd"], ["none", "xz"]] {
            let length = package.compressed(compressions[0]).len();
            std::thread::scope(|scope| {
                for some in troubles(length).chunks(9) {
                    let (package, some) = (&package, some.to_vec());
                    scope.spawn(move || {
                        for fault in some {
                            let two = Two::having(compressions, package);
                            two.caches[0].when("/nar/", fault.clone());
                            two.assert_served(&(size, compressions, fault));
                        }
                    });
                }
            });
        }
    }
}

#[test]
fn no_trouble_with_the_claim_of_one_cache_withholds_what_another_one_vouches_for() {
    let package = Package::new("thing-1.0", &noise(22, SMALL));
    let length = package.narinfo("zstd", &[&party()]).len();
    std::thread::scope(|scope| {
        for some in troubles(length).chunks(5) {
            let (package, some) = (&package, some.to_vec());
            scope.spawn(move || {
                for fault in some {
                    let two = Two::having(["zstd", "xz"], package);
                    two.caches[0].when(".narinfo", fault.clone());
                    two.assert_served(&fault);
                    assert_eq!(two.caches[0].count(".narinfo"), 1, "{fault:?}: nothing is asked twice");
                }
            });
        }
    });
}

#[test]
fn a_cache_that_is_gone_is_not_missed() {
    for size in [SMALL, LARGE] {
        let package = Package::new("thing-1.0", &noise(23, size));
        let mut two = Two::having(["zstd", "xz"], &package);
        assert_eq!(two.served.narinfo(&package).status, 200);
        two.caches[0].go_down();
        two.assert_served(&"nobody listens");
        two.caches[0].come_back();
        two.assert_served(&"it is back");
    }
}

#[test]
fn bursts_of_server_errors_are_not_seen_by_the_client() {
    let party = party();
    let packages: Vec<Package> =
        (0..30).map(|n| Package::new(&format!("thing-{n}"), &noise(n, SMALL))).collect();
    let all: Vec<&Package> = packages.iter().collect();
    let caches = ["zstd", "xz"].map(|c| BadCache::with(c, &[&party], &all));
    caches[0].whenever("", Times::bursts(3, 5), Fault::status(503));
    caches[1].whenever("/nar/", Times::bursts(1, 2), Fault::status(500));
    let served = Served::patiently(PATIENCE, &configuration(&[&caches[0], &caches[1]], ""));
    for package in &packages {
        assert!(served.serves(package), "{}", package.path());
    }
    assert!(caches[0].fired("status") > 10, "{:?}", caches[0].all_fired());
}

#[test]
fn a_cache_that_asks_to_be_left_alone_is_left_alone() {
    let party = party();
    let packages: Vec<Package> =
        (0..20).map(|n| Package::new(&format!("thing-{n}"), &noise(n, 1000))).collect();
    let all: Vec<&Package> = packages.iter().collect();
    let caches = ["zstd", "xz"].map(|c| BadCache::with(c, &[&party], &all));
    caches[0].when("", Fault::Status(429, vec![("Retry-After".to_owned(), "60".to_owned())]));
    let served = Served::patiently(PATIENCE, &configuration(&[&caches[0], &caches[1]], ""));
    for package in &packages {
        assert!(served.serves(package), "{}", package.path());
    }
    assert!(caches[0].count("") <= 2, "asked {} times", caches[0].count(""));
}

#[test]
fn a_name_without_an_address_delays_nobody() {
    let package = Package::new("thing-1.0", &noise(24, LARGE));
    let cache = BadCache::with("zstd", &[&party()], &[&package]);
    let sections = format!("{}{}", section(0, &nowhere(0)), section(1, &cache.url()));
    let served = Served::patiently(PATIENCE, &format!("{}{sections}{RULE}", signers(&[&party()])));
    assert_eq!(served.narinfo(&package).status, 200);
    assert_eq!(is_right(&served.nar(&package), &package), Ok(()));
}

#[test]
fn a_slow_tls_handshake_is_waited_for_as_long_as_an_answer() {
    let package = Package::new("thing-1.0", &noise(25, LARGE));
    let party = party();
    let narinfo = package.narinfo("zstd", &[&party]);
    let files = HashMap::from([
        (narinfo_path(&package), narinfo.into_bytes()),
        (format!("/{}", package.url("zstd")), package.compressed("zstd")),
    ]);
    let behind = TlsCache::serve(files);
    let tls_port = behind.url().rsplit(':').next().unwrap().parse().unwrap();
    let door = SlowDoor::before(tls_port, Duration::from_secs(3));
    let honest = BadCache::with("xz", &[&party], &[&package]);
    let slow = section(0, &format!("https://localhost:{}", door.port()));
    let slow = format!("{slow}ca-file = \"{}\"\n", behind.ca_file().display());
    let text = format!("{}{slow}{}{RULE}", signers(&[&party]), section(1, &honest.url()));
    let served = Served::patiently(PATIENCE, &text);
    let since = Instant::now();
    let reply = served.narinfo(&package);
    assert_eq!(reply.status, 200, "{}", reply.reason());
    assert!(since.elapsed() < Duration::from_millis(2500), "{:?}", since.elapsed());
    assert_eq!(is_right(&served.nar(&package), &package), Ok(()));
    assert!(door.passed() > 0);
}

/// A cache that says one thing and then another: what was served stays right, and what is dissent is refused.
#[test]
fn a_cache_that_changes_its_word_is_believed_neither_way_against_another() {
    let party = party();
    let package = Package::new("thing-1.0", &noise(26, SMALL));
    let forged = package.forged(b"something else");
    let two = Two::having(["zstd", "xz"], &package);
    let lie = forged.narinfo_of_file("zstd", &[&Party::new("mallory-1")], &forged.compressed("zstd"));
    two.caches[0].whenever(
        &narinfo_path(&package),
        Times::bursts(1, 2),
        Fault::Instead(lie.into_bytes().into()),
    );
    two.assert_served(&"noise");
    assert_eq!(two.served.nar(&forged).status, 404);
    let dissent = forged.narinfo_of_file("zstd", &[&party], &forged.compressed("zstd"));
    let refusing = Two::having(["zstd", "xz"], &package);
    let path = nar_path(&package, "zstd");
    refusing.caches[0].when(&narinfo_path(&package), Fault::Instead(dissent.into_bytes().into()));
    assert_eq!(refusing.served.narinfo(&package).status, 404, "{path}");
    assert_eq!(refusing.served.nar(&package).status, 404);
    assert_eq!(refusing.served.nar(&forged).status, 404);
}
