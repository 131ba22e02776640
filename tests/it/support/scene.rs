//! One party, one package that it signed, and one cache that has it: a test changes one thing in this.

use crate::support::client::Reply;
use crate::support::fake_cache::{FakeCache, Script};
use crate::support::party::{Package, Party, noise};
use crate::support::service::{Served, caches, signers};

/// A package of a cache whose only rule is one signature by `a-1`.
pub struct Scene {
    pub party: Party,
    pub package: Package,
    pub cache: FakeCache,
    compression: &'static str,
    bytes: Vec<u8>,
}

impl Scene {
    /// A cache that honestly has a package of so many bytes.
    pub fn new(compression: &'static str, size: usize) -> Self {
        Self::of(compression, Package::new("thing-1.0", &noise(1, size)))
    }

    /// A cache that honestly has this package.
    pub fn of(compression: &'static str, package: Package) -> Self {
        Self::at(FakeCache::start(), compression, package)
    }

    /// The same in a cache that runs already.
    pub fn at(cache: FakeCache, compression: &'static str, package: Package) -> Self {
        let party = Party::new("a-1");
        let bytes = package.compressed(compression);
        let scene = Self { party, package, cache, compression, bytes };
        scene.says(&scene.narinfo());
        scene.delivers(Script::Bytes(scene.bytes.clone()));
        scene
    }

    /// A small package, not compressed.
    pub fn small() -> Self {
        Self::new("none", SMALL)
    }

    /// The narinfo that an honest cache shows.
    pub fn narinfo(&self) -> String {
        self.package.narinfo(self.compression, &[&self.party])
    }

    /// The same, with one text in it replaced.
    pub fn narinfo_with(&self, from: &str, to: &str) -> String {
        let honest = self.narinfo();
        assert!(honest.contains(from), "{from} is not in\n{honest}");
        honest.replacen(from, to, 1)
    }

    /// The bytes that an honest cache delivers.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    pub fn narinfo_path(&self) -> String {
        format!("/{}.narinfo", self.package.hash())
    }

    pub fn nar_path(&self) -> String {
        format!("/{}", self.package.url(self.compression))
    }

    /// The cache shows this narinfo.
    pub fn says(&self, narinfo: &str) {
        self.cache.claim(&self.package, narinfo);
    }

    /// The cache does this when it is asked for the narinfo.
    pub fn answers(&self, script: Script) {
        self.cache.script(&self.narinfo_path(), script);
    }

    /// The cache does this when it is asked for the NAR.
    pub fn delivers(&self, script: Script) {
        self.cache.script(&self.nar_path(), script);
    }

    pub fn serve(&self) -> Served {
        self.serve_with("")
    }

    /// Serves with further settings of the cache.
    pub fn serve_with(&self, settings: &str) -> Served {
        self.serve_from(&format!("{}{settings}\n", caches(&[("a", &self.cache)])))
    }

    /// Serves from `[caches.*]` of the test's own.
    pub fn serve_from(&self, caches: &str) -> Served {
        // So that nothing but the cache's own time-out ends the wait for it.
        let patient = "decision-timeout = \"60s\"\n";
        Served::with(&format!("{patient}{}{caches}{RULE}", signers(&[&self.party])))
    }
}

/// Whether a NAR's answer holds nothing that Nix could take for the NAR.
pub fn is_harmless(reply: &Reply) -> bool {
    reply.status == 404 || (reply.status == 200 && !reply.is_whole())
}

/// One signature by `a-1` is enough.
pub const RULE: &str = "[[rules]]\nname = \"all\"\nsignatures = [{ at-least = 1, of = [\"a-1\"] }]\n";

/// Contents that are checked whole before the first byte leaves.
pub const SMALL: usize = 10_000;

/// Contents that are checked as they go out.
pub const LARGE: usize = 1_500_000;
