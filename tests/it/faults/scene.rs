//! A service before two bad caches that have the same packages.

use crate::support::bad_cache::BadCache;
use crate::support::client::Reply;
use crate::support::party::{Package, Party};
use crate::support::service::{Served, nar_url, signers};
use countersign::config::Patience;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Waits of milliseconds: long enough for a busy machine, short enough for many tests.
pub const PATIENCE: Patience = Patience {
    stall: Duration::from_millis(1500),
    restless: Duration::from_millis(400),
    grace: Duration::from_millis(1500),
    hedge: Duration::from_millis(150),
    late: Duration::from_millis(500),
    probe: Duration::from_millis(50),
    drain: Duration::from_millis(2000),
};

/// Packages with the same NAR under different paths.
pub fn packages(count: usize, nar: &[u8]) -> Vec<Package> {
    let sample = Package::of_nar("thing-0", nar.to_vec(), &[]);
    (0..count)
        .map(|n| {
            let mut package = sample.clone();
            package.core.store_path = Package::of_nar(&format!("thing-{n}"), Vec::new(), &[]).core.store_path;
            package
        })
        .collect()
}

/// The party that signs everything in these tests.
pub fn party() -> Party {
    Party::new("a-1")
}

/// A configuration with these caches, the first preferred, of which one is enough.
pub fn configuration(caches: &[&BadCache], more: &str) -> String {
    let sections: String = caches.iter().enumerate().map(|(n, cache)| section(n, &cache.url())).collect();
    format!("{more}\n{}{sections}{}", signers(&[&party()]), crate::support::scene::RULE)
}

/// The section of the n-th cache.
pub fn section(n: usize, url: &str) -> String {
    format!("[caches.c{n}]\nurl = \"{url}\"\npriority = {}\nclaim-timeout = \"1s\"\n", 10 * (n + 1))
}

/// Asks for every package's NAR once, several at a time; gives what was wrong with an answer.
pub fn faults_of(served: &Served, packages: &[Package]) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let ask = || {
        let mut wrong = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(package) = packages.get(n) else { return wrong };
            let since = Instant::now();
            let reply = served.nar(package);
            if let Err(fault) = is_right(&reply, package) {
                wrong.push(format!("package {n}: {fault} after {:?}", since.elapsed()));
            }
        }
    };
    thread::scope(|scope| {
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().flat_map(|a| a.join().unwrap()).collect()
    })
}

/// Whether an answer is the package's NAR, in one piece.
pub fn is_right(reply: &Reply, package: &Package) -> Result<(), String> {
    if reply.status != 200 {
        return Err(format!("status {} {} {}", reply.status, reply.verdict(), reply.reason()));
    }
    if let Some(at) = reply.body.iter().zip(&package.nar).position(|(a, b)| a != b) {
        return Err(format!("a wrong byte at {at}"));
    }
    match reply.is_whole() {
        true => Ok(()),
        false => Err(format!("broken off after {} of {}", reply.body.len(), package.nar.len())),
    }
}

/// The rest of a package's NAR from a byte on.
pub fn rest(served: &Served, package: &Package, from: usize) -> Reply {
    let range = format!("bytes={from}-");
    crate::support::client::get_with(served.port(), &nar_url(package), &[("Range", &range)])
}
