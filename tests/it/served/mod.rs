//! The served set: ten thousand paths asked of a running Countersign, and what it serves compared with what a second,
//! slow and obvious rule of trust says of the same texts.
//!
//! The second rule shares nothing with `src/`: it reads the texts of the caches itself (`reading`), checks
//! signatures with the library and counts by trying every subset (`judging`). `paths` and `mangle` make the texts
//! from one seed, which is printed; `COUNTERSIGN_SEED` sets it.
//!
//! Seen to fail with each of these taken out or turned round by hand, one at a time: `may-vouch-for`, `suspended` and
//! `accept-signers` (`Policy::may_vouch`, `showable`); `revoked`, `not-before`, `not-after` (`SignerKey::is_valid`);
//! `derives-from` (`Policy::voices`); caches of one operator counted as two (`candidates`); the void voices (`lacks`);
//! "more than" taken for "as many as" (`outvoting`); a signer with two cores preferred (`preferred`); names of limited
//! signers that are no noise (`with_one_name`); a credible claim without a signer that the rule names (`weighed`);
//! `must-answer`; the offer of a witness, or in an unknown compression (`offers`); content beside another credible core,
//! under a rule that ignores it, or that does not recompute (`by_content`); an exception's end (`Exception::holds`);
//! other cores beside a pinned one (`judge`); a narinfo that contradicts its own address (`Claim::new`); the name of
//! a signature's key (`keys_named`).

mod judging;
mod law;
mod mangle;
mod paths;
mod reading;

use crate::served::judging::{Expected, expected};
use crate::served::law::CACHES;
use crate::served::paths::{Path, World, world};
use crate::served::reading::{Address, read};
use crate::support::client::{Reply, Session};
use crate::support::fake_cache::{FakeCache, Script};
use crate::support::service::Served;
use countersign::format::{Signature, VerifyingKey};
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const PATHS: usize = 10_000;

/// Requests under way at one time.
const CLIENTS: usize = 8;

/// How many of the paths were to be served, and why the rest was not.
#[derive(Debug, Default)]
struct Mix {
    countersigned: usize,
    by_content: usize,
    withheld: usize,
    absent: usize,
}

#[test]
fn the_served_set_is_the_expected_set() {
    let seed = std::env::var("COUNTERSIGN_SEED").ok().map_or_else(any_seed, |s| s.parse().unwrap());
    println!("COUNTERSIGN_SEED={seed}");
    let caches = CACHES.map(|_| FakeCache::start());
    let urls = [0, 1, 2].map(|cache: usize| caches[cache].url());
    let world = world(seed, PATHS, urls);
    for path in &world.paths {
        let url = format!("/{}.narinfo", path.hash);
        caches.iter().zip(&path.answers).for_each(|(cache, wire)| cache.script(&url, wire.script()));
    }
    for ((cache, url), nar) in &world.nars {
        caches[*cache].script(&format!("/{url}"), Script::Bytes(nar.clone()));
    }
    let served = Served::with(&law::configuration(&world.urls, &world.pins));
    let (mix, differing) = compared(&world, &served);
    assert!(
        differing.is_empty(),
        "COUNTERSIGN_SEED={seed}: {} of {PATHS} paths differ; the first:\n{}",
        differing.len(),
        differing[..differing.len().min(3)].join("\n")
    );
    // Enough of each for the comparison to mean something.
    let Mix { countersigned, by_content, withheld, absent } = mix;
    assert!(countersigned > PATHS / 5 && withheld > PATHS / 5, "COUNTERSIGN_SEED={seed}: {mix:?}");
    assert!(by_content > PATHS / 50 && absent > PATHS / 50, "COUNTERSIGN_SEED={seed}: {mix:?}");
}

/// Asks for every path, and says where an answer is not the expected one.
fn compared(world: &World, served: &Served) -> (Mix, Vec<String>) {
    let key = VerifyingKey::parse(&served.key()).unwrap();
    let (next, mix, differing) = (AtomicUsize::new(0), Mutex::new(Mix::default()), Mutex::new(Vec::new()));
    let ask = || {
        let mut session = Session::open(served.port());
        while let Some(path) = world.paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            let expected = expected(world, path);
            let reply = session.get(&format!("/{}.narinfo", path.hash));
            if let Err(fault) = agrees(&reply, &expected, &key) {
                differing.lock().unwrap().push(report(path, &fault, &expected, &reply));
            }
            let mut mix = mix.lock().unwrap();
            match expected {
                Expected::Served { countersigned: true, .. } => mix.countersigned += 1,
                Expected::Served { countersigned: false, .. } => mix.by_content += 1,
                Expected::Withheld => mix.withheld += 1,
                Expected::Absent => mix.absent += 1,
            }
        }
    };
    thread::scope(|scope| (0..CLIENTS).for_each(|_| drop(scope.spawn(ask))));
    (mix.into_inner().unwrap(), differing.into_inner().unwrap())
}

/// Whether a reply is the expected one.
fn agrees(reply: &Reply, expected: &Expected, key: &VerifyingKey) -> Result<(), String> {
    let same = |what: &str, is: bool| if is { Ok(()) } else { Err(format!("another {what}")) };
    let (core, countersigned, signatures) = match expected {
        Expected::Served { core, countersigned, signatures } => (core, countersigned, signatures),
        Expected::Absent => return same("verdict", reply.status == 404 && reply.verdict() == "absent"),
        Expected::Withheld => {
            let withheld = matches!(reply.verdict(), "refuse" | "defer");
            return same("verdict", reply.status == 404 && withheld);
        }
    };
    same("verdict", reply.status == 200 && reply.verdict() == "endorse")?;
    let told = read(&reply.body).ok_or("no narinfo")?;
    same("core", told.core == *core)?;
    let mut lines: Vec<&str> = told.signatures.iter().map(|(_, _, line)| line.as_str()).collect();
    if *countersigned {
        let last = lines.pop().and_then(|line| Signature::parse(line).ok());
        let is_ours = last.is_some_and(|sig| key.verify(core.signed_text().as_bytes(), &sig));
        same("countersignature", is_ours)?;
    }
    let lines: BTreeSet<String> = lines.into_iter().map(str::to_owned).collect();
    same("set of signatures", lines == *signatures)?;
    let certified = told.content_address.is_none() || Address::of(&told).is_some();
    same("content address", certified && (*countersigned || told.content_address.is_some()))
}

/// The path, the three texts, and both answers.
fn report(path: &Path, fault: &str, expected: &Expected, reply: &Reply) -> String {
    let mut text = format!("--- {}: {fault}\n", path.hash);
    for (cache, wire) in CACHES.iter().zip(&path.answers) {
        let body = String::from_utf8_lossy(&wire.body);
        text.push_str(&format!("{} answers {} {:?}:\n{body}\n", cache.name, wire.status, wire.headers));
    }
    text.push_str(&format!("expected: {expected:?}\ngot: {} {}\n", reply.status, reply.verdict()));
    text + reply.reason() + "\n" + &reply.text()
}

/// Another one in each run.
fn any_seed() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
