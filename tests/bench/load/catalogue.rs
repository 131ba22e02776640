//! The paths that there are, what each really is, and how it must be answered.

use crate::support::dice::Dice;
use crate::support::party::{Package, Party, compress, file_nar, noise};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Everything that may be asked for.
pub struct Catalogue {
    pub contents: Vec<Content>,
    pub paths: Vec<Path>,
    /// Whom the policy trusts.
    pub party: Party,
    /// Whom it does not.
    pub mallory: Party,
}

/// A NAR and its files.
pub struct Content {
    pub nar: Arc<[u8]>,
    pub zstd: Arc<[u8]>,
    pub xz: Arc<[u8]>,
    /// Another NAR of the same size, as zstd.
    pub lie: Arc<[u8]>,
}

/// One path.
pub struct Path {
    /// Its core; its NAR is with the content.
    pub package: Package,
    pub content: usize,
    pub kind: Kind,
    pub nar_hash: String,
}

/// How a path must be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The honest cache has it, and that is enough.
    Plain,
    /// One cache delivers wrong bytes for it.
    LiedAbout,
    /// Two operators are needed, of which one comes and goes.
    Pair,
    /// Nobody whom the policy trusts vouches for it: never served.
    Forged,
    /// Two caches whom the policy trusts differ: never served.
    Disputed,
}

impl Catalogue {
    pub fn new() -> Self {
        let mut dice = Dice::new(1);
        let sizes = (0..40).map(|n| 200 + n * n * 40).chain((1..13).map(|n| n * 150_000));
        let sizes = sizes.chain([4_000_000, 8_000_000, 16_000_000]);
        let contents: Vec<Content> =
            sizes.enumerate().map(|(n, size)| Content::new(n as u64, size)).collect();
        let weights = |dice: &mut Dice| match dice.below(100) {
            0..85 => dice.below(40),
            85..98 => 40 + dice.below(12),
            _ => 52 + dice.below(3),
        };
        let paths = (0..PATHS).map(|n| {
            let kind = match n % 20 {
                0 | 1 => Kind::LiedAbout,
                2..5 => Kind::Pair,
                5 => Kind::Forged,
                6 => Kind::Disputed,
                _ => Kind::Plain,
            };
            let content = weights(&mut dice);
            Path::new(n, kind, content, &contents[content])
        });
        let paths = paths.collect();
        Self { contents, paths, party: Party::new("a-1"), mallory: Party::new("mallory-1") }
    }
}

const PATHS: usize = 20_000;

impl Content {
    fn new(seed: u64, size: usize) -> Self {
        let nar = file_nar(&noise(seed + 1, size));
        let lie = file_nar(&noise(seed + 1001, size));
        Self {
            zstd: compress(&nar, "zstd").into(),
            xz: compress(&nar, "xz").into(),
            lie: compress(&lie, "zstd").into(),
            nar: nar.into(),
        }
    }
}

impl Path {
    fn new(n: usize, kind: Kind, content: usize, of: &Content) -> Self {
        let prefix = if kind == Kind::Pair { "pair" } else { "thing" };
        let mut package = Package::of_nar(&format!("{prefix}-{n}"), Vec::new(), &[]);
        package.core.nar_hash = countersign::format::NarHash::from_digest(Sha256::digest(&of.nar[..]).into());
        package.core.nar_size = of.nar.len() as u64;
        let nar_hash = package.core.nar_hash.to_string();
        Self { package, content, kind, nar_hash }
    }

    /// What a forger says that it is.
    pub fn forged(&self) -> Package {
        self.package.forged(b"forged")
    }
}
