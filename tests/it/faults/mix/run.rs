//! One run: the caches and the service of a world, its clients, and what must hold of every answer.

use crate::faults::mix::world::{Act, Bytes, Cache, Claims, Drawn, Held, Word, World};
use crate::support::bad_cache::{BadCache, Fault, nar_path, nowhere};
use crate::support::client::{self, Reply};
use crate::support::dirs::Dir;
use crate::support::party::{Package, Party};
use crate::support::scene::RULE;
use crate::support::service::{config, nar_url, signers};
use countersign::config::Patience;
use countersign::run::Running;
use std::io::Read;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// What is waited for in these runs.
const PATIENCE: Patience = Patience {
    stall: Duration::from_millis(700),
    restless: Duration::from_millis(250),
    grace: Duration::from_millis(700),
    hedge: Duration::from_millis(60),
    late: Duration::from_millis(300),
    probe: Duration::from_millis(20),
    drain: Duration::from_millis(1500),
};

const CLAIM_TIMEOUT: Duration = Duration::from_millis(500);

const DECISION_TIMEOUT: Duration = Duration::from_millis(1000);

/// Bytes per second; a source that is slower is given up.
const LEAST_RATE: usize = 128 << 10;

/// How often a source may be tried for one answer, more or less.
const TRIES: u32 = 8;

/// What a machine that does other things as well may take on top.
const SLACK: Duration = Duration::from_secs(8);

/// A running service of a world.
struct Scene<'a> {
    world: &'a World,
    packages: Vec<Package>,
    forged: Vec<Package>,
    port: u16,
    wrong: Mutex<Vec<Complaint>>,
}

/// What did not hold.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "they are printed")]
pub enum Complaint {
    /// Something was served or said that may never be.
    Wrong(String),
    /// Something that was due came too late, or not: where the whole machine stood still for a while, so did the
    /// honest caches.
    Late(String),
}

/// Runs a world to its end; gives what was wrong.
pub fn run(world: &World, runtime: &Handle) -> Vec<Complaint> {
    let party = Party::new("a-1");
    let packages: Vec<Package> =
        world.packages.iter().enumerate().map(|(n, d)| package(world.seed, n, d)).collect();
    let forged: Vec<Package> = packages.iter().map(|package| package.forged(b"forged")).collect();
    let mut caches: Vec<BadCache> = world.caches.iter().map(|_| BadCache::start()).collect();
    let returning = Mutex::new(Vec::new());
    for (n, (cache, drawn)) in caches.iter_mut().zip(&world.caches).enumerate() {
        for ((package, forged), of) in packages.iter().zip(&forged).zip(&world.packages) {
            put(cache, &party, package, forged, of, &of.held[n]);
        }
        prepare(cache, drawn);
    }
    let dir = Dir::new();
    let mut config = config(&dir, &configuration(world, &caches, &party));
    config.patience = PATIENCE;
    let running = runtime.block_on(Running::start(&config, None)).unwrap();
    let port = running.places()[0].rsplit(':').next().unwrap().parse().unwrap();
    let scene = Scene { world, packages, forged, port, wrong: Mutex::default() };
    thread::scope(|scope| {
        for (cache, drawn) in caches.drain(..).zip(&world.caches) {
            let returning = &returning;
            scope.spawn(move || {
                let mut cache = cache;
                if let Claims::Returns(after) = drawn.claims {
                    thread::sleep(after);
                    cache.come_back();
                }
                returning.lock().unwrap().push(cache);
            });
        }
        for acts in &world.clients {
            scope.spawn(|| acts.iter().for_each(|(n, act)| scene.act(*n, *act)));
        }
    });
    for n in 0..scene.packages.len() {
        scene.assert_end(n);
    }
    let since = Instant::now();
    runtime.block_on(running.stop());
    let took = since.elapsed();
    if took > PATIENCE.drain + SLACK {
        scene.is_late(format!("stopping took {took:?}"));
    }
    drop(returning);
    scene.wrong.into_inner().unwrap()
}

/// Under a path that no other run has: a port that one run lets go of may become another's.
fn package(seed: u64, n: usize, drawn: &Drawn) -> Package {
    Package::of_nar(&format!("thing-{seed}-{n}"), drawn.content.nar().to_vec(), &[])
}

/// Gives a cache what it has of a package.
fn put(cache: &BadCache, party: &Party, package: &Package, forged: &Package, of: &Drawn, held: &Held) {
    let file = of.content.file(held.compression);
    let path = nar_path(package, held.compression);
    let forge = |signer: &Party| {
        cache.put_file(held.compression, &[signer], forged, forged.compressed(held.compression).into());
    };
    match held.word {
        Word::True => cache.put_file(held.compression, &[party], package, file),
        Word::NotFound => {}
        Word::Noise => forge(&Party::new("mallory-1")),
        Word::Dissent => forge(party),
    }
    match &held.bytes {
        Bytes::Honest => {}
        Bytes::Troubled(fault, often) => cache.whenever(&path, often.times(), fault.clone()),
        Bytes::Lie(at, often) => {
            let lie = of.content.lie(held.compression, *at);
            cache.whenever(&path, often.times(), Fault::Instead(lie));
        }
    }
}

/// Has a cache answer questions as it does.
fn prepare(cache: &mut BadCache, drawn: &Cache) {
    if !drawn.knows_ranges {
        cache.ignore_ranges();
    }
    match &drawn.claims {
        Claims::Honest | Claims::Nowhere => {}
        Claims::Down | Claims::Returns(_) => cache.go_down(),
        Claims::Troubled(fault, often) => cache.whenever(".narinfo", often.times(), fault.clone()),
    }
}

fn configuration(world: &World, caches: &[BadCache], party: &Party) -> String {
    let mut text = format!(
        "decision-timeout = \"{}ms\"\n{}[serving]\nbuffer = \"{} KiB\"\nminimum-rate = \"{} KiB/s\"\n",
        DECISION_TIMEOUT.as_millis(),
        signers(&[party]),
        world.buffer,
        LEAST_RATE >> 10,
    );
    if world.whole {
        text.push_str("verify-before-sending = \"whole\"\n");
    }
    for (n, (cache, drawn)) in caches.iter().zip(&world.caches).enumerate() {
        let url = if matches!(drawn.claims, Claims::Nowhere) { nowhere(n) } else { cache.url() };
        let timeout = CLAIM_TIMEOUT.as_millis();
        text.push_str(&format!(
            "[caches.c{n}]\nurl = \"{url}\"\npriority = {}\nclaim-timeout = \"{timeout}ms\"\n",
            10 * (n + 1)
        ));
    }
    format!("{text}{RULE}operators = {}\n", world.operators)
}

impl Scene<'_> {
    fn is_wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(Complaint::Wrong(what));
    }

    fn is_late(&self, what: String) {
        self.wrong.lock().unwrap().push(Complaint::Late(what));
    }

    /// Asks, and complains where the answer took too long or is none.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], size: usize) -> Reply {
        let bytes = Duration::from_secs_f64(size as f64 / LEAST_RATE as f64);
        let most = DECISION_TIMEOUT + PATIENCE.stall * TRIES + bytes + SLACK;
        let since = Instant::now();
        let reply = client::request(self.port, method, path, headers);
        if since.elapsed() > most {
            self.is_late(format!("{method} {path} {headers:?} took {:?}", since.elapsed()));
        }
        if !matches!(reply.status, 200 | 206 | 404 | 416) {
            self.is_wrong(format!("{method} {path} {headers:?}: status {}", reply.status));
        }
        reply
    }

    fn narinfo(&self, n: usize, method: &str) -> Reply {
        let (package, drawn) = (&self.packages[n], &self.world.packages[n]);
        let reply = self.ask(method, &format!("/{}.narinfo", package.hash()), &[], 0);
        let told = format!("narinfo of {n}: {} {} {}", reply.status, reply.verdict(), reply.reason());
        if reply.status == 200 && method == "GET" && !drawn.is_disputed() {
            let line = format!("NarHash: {}\n", package.core.nar_hash);
            if !reply.text().contains(&line) {
                self.is_wrong(format!("{told}: endorses something else"));
            }
        }
        if reply.status != 200 && drawn.must_be_served(self.world) {
            self.is_late(format!("{told}: honest caches satisfy the policy"));
        }
        if reply.status == 200 && drawn.must_be_refused(self.world) {
            self.is_late(format!("{told}: a credible cache dissents"));
        }
        reply
    }

    fn nar(&self, n: usize, package: &Package, part: Option<(usize, usize)>) -> Reply {
        let range = part.map(|(from, count)| format!("bytes={from}-{}", from + count - 1));
        let headers: Vec<(&str, &str)> = range.iter().map(|range| ("Range", range.as_str())).collect();
        let reply = self.ask("GET", &nar_url(package), &headers, package.nar.len());
        let (from, count) = match (reply.status, part) {
            (206, Some(part)) => part,
            (200, _) => (0, package.nar.len()),
            _ => return reply,
        };
        if reply.is_whole() && reply.body != package.nar[from..from + count] {
            self.is_wrong(format!("package {n}: a wrong byte in a finished answer to {range:?}"));
        }
        reply
    }

    fn act(&self, n: usize, act: Act) {
        let package = &self.packages[n];
        let (url, length) = (nar_url(package), package.nar.len());
        match act {
            Act::Narinfo => drop(self.narinfo(n, "GET")),
            Act::NarinfoHead => drop(self.narinfo(n, "HEAD")),
            Act::Nar => drop(self.nar(n, package, None)),
            Act::NarHead => {
                let reply = self.ask("HEAD", &url, &[], 0);
                let said = reply.header("content-length").and_then(|l| l.parse().ok());
                if reply.status == 200 && (said != Some(length) || !reply.body.is_empty()) {
                    self.is_wrong(format!("package {n}: HEAD says {said:?} of {length}"));
                }
            }
            Act::Rest(from) => drop(self.nar(n, package, Some((from, length - from)))),
            Act::Inner(from, count) => drop(self.nar(n, package, Some((from, count)))),
            Act::GoAway(after) => {
                let head = format!("GET {url} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
                let mut stream = client::open(self.port, head.as_bytes());
                stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
                stream.by_ref().take(after as u64).read_to_end(&mut Vec::new()).ok();
            }
            Act::Nonsense => drop(client::raw(self.port, b"\x16\x03\x01\r\n\r\n")),
            Act::Forged => {
                let reply = self.nar(n, &self.forged[n], None);
                if reply.status == 200 && !self.world.packages[n].is_disputed() {
                    self.is_wrong(format!("package {n}: what nobody vouches for was served"));
                }
            }
        }
    }

    /// What must hold when the others have gone.
    fn assert_end(&self, n: usize) {
        let drawn = &self.world.packages[n];
        drop(self.narinfo(n, "GET"));
        if !drawn.must_be_served(self.world) {
            return drop(self.nar(n, &self.packages[n], None));
        }
        // What went out of a lie is broken off, and what is asked for then is checked before it goes out.
        let tries = if drawn.is_lied_about() { 2 } else { 1 };
        let arrives = |_: &usize| {
            let reply = self.nar(n, &self.packages[n], None);
            reply.status == 200 && reply.is_whole()
        };
        if !(0..tries).any(|n| arrives(&n)) {
            self.is_late(format!(
                "package {n}: an honest cache delivers, and {tries} answers did not finish"
            ));
        }
    }
}
