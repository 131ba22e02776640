//! Ten thousand paths and what each of the three caches answers for them: honest, missing, forged, malformed.

use crate::served::law::{CACHES, SIGNERS};
use crate::served::mangle::mangle;
use crate::support::dice::Dice;
use crate::support::fake_cache::Script;
use crate::support::party::{Package, Party, file_nar};
use countersign::format::narinfo::{Core, References};
use countersign::format::{KeyName, NarHash, SigningKey, StorePath, base32};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// Everything that is generated from one seed.
pub struct World {
    pub urls: [String; 3],
    pub paths: Vec<Path>,
    /// The NARs of paths that may certify themselves, by cache and URL.
    pub nars: HashMap<(usize, String), Vec<u8>>,
    pub pins: Vec<Pin>,
}

/// One path, and what each cache answers.
pub struct Path {
    pub hash: String,
    pub answers: [Wire; 3],
}

/// One response.
#[derive(Clone, Debug)]
pub struct Wire {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the connection is closed in the middle of it.
    pub cut: bool,
}

/// An exception for one build.
pub struct Pin {
    pub path: String,
    pub nar_hash: String,
    pub rule: &'static str,
    pub holds: bool,
}

impl Wire {
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), cut: false }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn script(&self) -> Script {
        let mut head =
            format!("HTTP/1.1 {} Scripted\r\nContent-Length: {}\r\n", self.status, self.body.len());
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let sent = if self.cut { self.body.len() / 2 } else { self.body.len() };
        let bytes = [head.as_bytes(), b"\r\n", &self.body[..sent]].concat();
        if self.cut { Script::Raw(bytes) } else { Script::Wire(bytes) }
    }
}

/// Every key of the policy, and those of nobody: `mallory-1`, and one that bears the name `alice-1`.
static KEYS: LazyLock<BTreeMap<&'static str, Party>> = LazyLock::new(|| {
    let own = SIGNERS.iter().flat_map(|s| s.keys).map(|k| (k.name, Party::new(k.name)));
    let false_alice = SigningKey::from_seed(KeyName::parse("alice-1").unwrap(), &[7; 32]);
    let others = [("mallory-1", Party::new("mallory-1")), ("false alice", Party(false_alice))];
    own.chain(others).collect()
});

/// The party with a key.
pub fn key(name: &str) -> &'static Party {
    &KEYS[name]
}

/// Keys for one party's word: those that are enough for most rules come most often.
const SIGNING: &[&str] = &[
    "alice-1",
    "alice-1",
    "alice-1",
    "alice-2",
    "bob-1",
    "bob-1",
    "bob-1",
    "bob-0",
    "carol-1",
    "carol-1",
    "dave-1",
    "erin-1",
    "frank-1",
    "frank-1",
    "frank-0",
    "grace-1",
    "mallory-1",
    "false alice",
];

const NAMES: &[&str] = &[
    "core-",
    "core-mild-",
    "core-late-",
    "pair-",
    "vote-",
    "pref-",
    "must-",
    "carol-",
    "both-",
    "plain-",
    "shared-",
    "tool-",
    "tool-strict-",
    "source-",
];

/// The package that a path honestly is, and the content address that makes the path, if one does.
struct Truth {
    package: Package,
    address: Option<String>,
}

pub fn world(seed: u64, count: usize, urls: [String; 3]) -> World {
    let mut dice = Dice::new(seed);
    let mut world = World { urls, paths: Vec::new(), nars: HashMap::new(), pins: Vec::new() };
    let mut truths: Vec<Truth> = Vec::new();
    for n in 0..count {
        truths.push(truth(&mut dice, seed, n, truths.last()));
    }
    for (n, truth) in truths.iter().enumerate() {
        let answers = answers(&mut dice, n, truth, &truths[(n + 1) % count].package, &mut world);
        world.paths.push(Path { hash: truth.package.hash(), answers });
        if n.is_multiple_of(40) {
            let build = if dice.percent(60) { truth.package.clone() } else { variant(&mut dice, truth) };
            let pin = Pin {
                path: build.path(),
                nar_hash: build.core.nar_hash.to_string(),
                rule: dice.pick(&["the rest", "two voices", "outvoted"]),
                holds: dice.percent(80),
            };
            world.pins.push(pin);
        }
    }
    world
}

fn truth(dice: &mut Dice, seed: u64, n: usize, before: Option<&Truth>) -> Truth {
    let name = format!("{}{n}-{}.{}", dice.pick(NAMES), dice.below(9), dice.below(9));
    let contents = format!("the contents of {n} under {seed}");
    if dice.percent(20) {
        let kind = dice.pick(&["recursive", "flat", "text"]);
        let certified = Package::content_addressed(kind, &name, contents.as_bytes());
        return Truth { package: certified.package, address: Some(certified.address.to_string()) };
    }
    let references: Vec<&Package> =
        before.map(|t| &t.package).into_iter().filter(|_| n.is_multiple_of(3)).collect();
    let mut package = Package::with_references(&name, contents.as_bytes(), &references);
    let hash: [u8; 32] = Sha256::digest(format!("{seed} {n}")).into();
    let base = format!("{}-{name}", base32::encode(&hash[..20]));
    package.core.store_path = StorePath::from_base_name(&base).unwrap();
    Truth { package, address: None }
}

/// Another build under the same hash part: what a forger says.
fn variant(dice: &mut Dice, truth: &Truth) -> Package {
    let package = &truth.package;
    let own = package.core.store_path.clone();
    match dice.below(6) {
        0 => Package {
            core: Core { nar_size: package.core.nar_size + 8, ..package.core.clone() },
            ..package.clone()
        },
        1 => {
            let references = References::from_unsorted(vec![own]);
            Package { core: Core { references, ..package.core.clone() }, ..package.clone() }
        }
        2 => {
            let other = format!("{}-{}9-9", package.hash(), dice.pick(NAMES));
            let store_path = StorePath::from_base_name(&other).unwrap();
            Package { core: Core { store_path, ..package.core.clone() }, ..package.clone() }
        }
        3 => package.forged(b"something else"),
        _ => package.forged(b"something worse"),
    }
}

fn answers(dice: &mut Dice, n: usize, truth: &Truth, next: &Package, world: &mut World) -> [Wire; 3] {
    let style = dice.below(100);
    let enough: Vec<&str> = (0..1 + dice.below(3)).map(|_| dice.pick(&SIGNING[..7])).collect();
    let mut answers = [0, 1, 2].map(|cache| match style {
        0..8 => missing(dice),
        8..60 if dice.percent(15) => missing(dice),
        8..60 => narinfo(dice, truth, &truth.package, &enough, cache, world),
        _ if dice.percent(20) => missing(dice),
        _ => anything(dice, truth, cache, world),
    });
    let liar = dice.below(3);
    match style {
        // One forger among the honest.
        8..18 => answers[liar] = forged(dice, truth, liar, world),
        18..28 => answers[liar] = mangle(dice, &answers[liar], next),
        _ if dice.percent(5) => answers[liar] = mangle(dice, &answers[liar], next),
        _ => {}
    }
    // A server that fails. Five such in a row take a cache for down, so they are far apart.
    if n.is_multiple_of(25) {
        answers[n / 25 % 3] = match dice.below(4) {
            0 => Wire::status(500),
            1 => Wire::status(503).body("busy"),
            2 => Wire::status(429),
            _ => Wire { cut: true, ..answers[n / 25 % 3].clone().body("StorePath: /nix/store/") },
        };
    }
    answers
}

fn missing(dice: &mut Dice) -> Wire {
    match dice.below(10) {
        0 => Wire::status(410),
        1 => Wire::status(403).with("x-amz-request-id", "1").body("<Error/>"),
        2 => Wire::status(403).with("Server", "AmazonS3"),
        3 => Wire::status(404).body("<html>not found</html>"),
        _ => Wire::status(404),
    }
}

/// A forged build, signed by nobody, by a stolen key, or by one that may not sign it.
fn forged(dice: &mut Dice, truth: &Truth, cache: usize, world: &mut World) -> Wire {
    let mut build = variant(dice, truth);
    let signing: &[&str] = match dice.below(7) {
        0 => &[],
        1 => &["mallory-1", "false alice"],
        2 => &["carol-1"],
        6 => {
            // Renamed into what the limited signer may vouch for.
            let name = format!("{}-carol-1", build.hash());
            build.core.store_path = StorePath::from_base_name(&name).unwrap();
            &["carol-1"]
        }
        3 => &["bob-0", "frank-0", "grace-1", "erin-1"],
        4 => &["bob-1"],
        _ => &["alice-2"],
    };
    narinfo(dice, truth, &build, signing, cache, world)
}

fn anything(dice: &mut Dice, truth: &Truth, cache: usize, world: &mut World) -> Wire {
    let build = if dice.percent(70) { truth.package.clone() } else { variant(dice, truth) };
    let signing: Vec<&str> = (0..dice.below(5)).map(|_| dice.pick(SIGNING)).collect();
    narinfo(dice, truth, &build, &signing, cache, world)
}

/// A well-formed narinfo of a build with these signatures, and its NAR where the bytes may be asked for.
fn narinfo(
    dice: &mut Dice,
    truth: &Truth,
    build: &Package,
    signing: &[&str],
    cache: usize,
    world: &mut World,
) -> Wire {
    let parties: Vec<&Party> = signing.iter().map(|name| key(name)).collect();
    // Nobody can decode the last.
    let packed = dice.pick(&["none", "xz", "zstd", "br", "gzip", "bzip2", "lz4"]);
    let compression = if truth.address.is_some() { "none" } else { packed };
    let mut text = build.narinfo(compression, &parties);
    if dice.percent(10) {
        // A good signature of another build.
        text.push_str(&format!("Sig: {}\n", key("alice-1").sign(&variant(dice, truth).core)));
    }
    if dice.percent(4) {
        let line = key("frank-1").sign(&build.core);
        text.push_str(&format!("Sig: {}\n", line.replace("frank-1", "bob-1")));
    }
    if let Some(address) = truth.address.as_ref().filter(|_| dice.percent(80)) {
        text.push_str(&format!("CA: {address}\n"));
        let nar = match dice.below(10) {
            0 => file_nar(b"other bytes"),
            _ => build.nar.clone(),
        };
        world.nars.insert((cache, build.url("none")), nar);
    } else if dice.percent(6) {
        let address = NarHash::to_string(&build.core.nar_hash);
        text.push_str(&format!("CA: fixed:r:{address}\n"));
    }
    if !CACHES[cache].witness && dice.percent(2) {
        text = text.replacen("URL: ", &format!("URL: {}/", world.urls[cache]), 1);
    }
    Wire::status(200).body(text)
}
