//! Witnesses: what is published at destinations that take claims alone, what `witness` rebuilds for it, what is never
//! signed, and what a second Countersign makes of it.

mod claims;
mod fresh;
mod never;
mod readme;
mod rebuilding;
mod second;

use crate::support::dirs::Dir;
use crate::support::nix_daemon::{NixDaemon, full};
use crate::support::uploads::{Uploads, narinfo};
use countersign::evidence::{BuildKind, Sqlite, Storage, Terms};
use countersign::format::{Limits, NarInfo, StoreDir, StorePath, fingerprint};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A destination in a directory that takes claims alone.
const CLAIMS: &str =
    "[destinations.claims]\nurl = \"file://DIR/claims\"\npackages = [\"*\"]\npublish = \"claims\"\n";

/// Always the same, and never.
const SAME: &str = "shell \"acme-same\" \"echo a > $out\" {}";
const OTHER: &str = "shell \"acme-other\" \"read -r l < /proc/sys/kernel/random/uuid; echo $l > $out\" {}";

/// A machine that builds, downloads and witnesses; where it downloads from was filled by another.
struct Witness {
    uploads: Uploads,
    generation: &'static str,
    /// The machine that built what is downloaded.
    other: NixDaemon,
}

/// What came of one command.
struct Witnessed {
    code: Option<i32>,
    report: serde_json::Value,
    said: String,
}

impl Witness {
    fn new(generation: &'static str) -> Self {
        Self::with(generation, "", CLAIMS)
    }

    /// With further lines of nix.conf, and these destinations; `DIR` in both is the machine's directory.
    fn with(generation: &'static str, conf: &str, destinations: &str) -> Self {
        let dir = Dir::new();
        let other = NixDaemon::start(generation);
        let cache = dir.join("binary");
        let lines = format!("substituters = file://{}\nrequire-sigs = false\n{conf}", cache.display());
        let lines = lines.replace("DIR", &dir.path().display().to_string());
        let daemon = NixDaemon::start_with(generation, &lines);
        std::fs::create_dir(dir.join("state")).unwrap();
        let uploads = Uploads::with(daemon, dir, "", destinations);
        Self { uploads, generation, other }
    }

    /// The cache that everything is downloaded from.
    fn binary(&self) -> PathBuf {
        self.uploads.dir.join("binary")
    }

    fn daemon(&self) -> &NixDaemon {
        &self.uploads.daemon
    }

    /// Built by the other machine, downloaded by this one, which has the derivations too.
    fn download(&self, expression: &str) -> Vec<StorePath> {
        let paths = self.download_alone(expression);
        self.daemon().instantiate(expression);
        paths
    }

    /// The same without the derivations.
    fn download_alone(&self, expression: &str) -> Vec<StorePath> {
        let paths = self.other.build(expression);
        let cache = format!("file://{}", self.binary().display());
        let texts: Vec<String> = paths.iter().map(full).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        self.other.ok("nix", &[&["copy", "--to", &cache], &texts[..]].concat());
        self.daemon().ok("nix-store", &[&["--realise"], &texts[..]].concat());
        for path in &paths {
            assert!(!self.is_ultimate(path), "it was downloaded");
        }
        paths
    }

    fn download_one(&self, expression: &str) -> StorePath {
        self.download(expression).remove(0)
    }

    /// A path that follows from its contents; whether Nix calls it its own is all the same.
    fn download_fixed(&self, expression: &str) -> StorePath {
        let path = self.other.build_one(expression);
        let cache = format!("file://{}", self.binary().display());
        self.other.ok("nix", &["copy", "--to", &cache, &full(&path)]);
        self.daemon().ok("nix-store", &["--realise", &full(&path)]);
        self.daemon().instantiate(expression);
        path
    }

    fn is_ultimate(&self, path: &StorePath) -> bool {
        self.daemon().connect().path_info(path).unwrap().unwrap().ultimate
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let nix = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/nix").join(self.generation);
        let machine = &self.daemon().machine;
        let mut command = self.uploads.command(arguments);
        command
            .env("PATH", format!("{}:/usr/bin:/bin", nix.join("bin").display()))
            .env("NIX_CONF_DIR", machine.dir.path())
            .env("NIX_STATE_DIR", machine.dir.join("state"))
            .env("XDG_CACHE_HOME", self.uploads.dir.join("cache"));
        command
    }

    /// `witness --json`.
    fn run(&self, arguments: &[&str]) -> Witnessed {
        self.end(self.command(&[&["witness", "--json"], arguments].concat()).output().unwrap())
    }

    fn end(&self, output: Output) -> Witnessed {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
        Witnessed { code: output.status.code(), report, said }
    }

    fn witness(&self, paths: &[&StorePath]) -> Witnessed {
        let paths: Vec<String> = paths.iter().map(|path| full(path)).collect();
        self.run(&paths.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// What is claimed of a path, which must be in good order: our signature over the store's core, and nobody else's.
    fn claimed(&self, path: &StorePath) -> Option<NarInfo> {
        let text = narinfo(&self.uploads.dir.join("claims"), path)?;
        let narinfo = NarInfo::parse(text.as_bytes(), &StoreDir::default(), &Limits::default()).unwrap();
        let core = self.daemon().connect().path_info(path).unwrap().unwrap().core;
        assert_eq!(narinfo.core, core);
        let signed = fingerprint(&StoreDir::default(), &core);
        assert_eq!(narinfo.signatures.len(), 1, "{text}");
        assert!(self.uploads.key().verify(signed.as_bytes(), &narinfo.signatures[0]), "{text}");
        Some(narinfo)
    }

    /// Whether there is anything with our name on it anywhere under the machine's directory but in its keys.
    fn is_signed(&self, path: &StorePath) -> bool {
        ["claims", "nars"].iter().any(|place| {
            narinfo(&self.uploads.dir.join(place), path).is_some_and(|text| text.contains("Sig: acme-1:"))
        })
    }

    /// The kinds of builds that the ledger has of a path, the last first.
    fn builds(&self, path: &StorePath) -> Vec<BuildKind> {
        let mut storage = Sqlite::open(&self.uploads.state(), &Terms::default()).unwrap();
        storage.earlier(path.hash_part()).unwrap().builds.iter().map(|build| build.kind).collect()
    }
}

impl Witnessed {
    /// The outcome of a path.
    fn of(&self, path: &StorePath) -> &serde_json::Value {
        let name = path.to_string();
        let entries = self.report["entries"].as_array();
        let entry = entries.and_then(|entries| entries.iter().find(|entry| entry["path"] == *name));
        entry.unwrap_or_else(|| panic!("{name} is not in {}\n{}", self.report, self.said))
    }

    fn outcome(&self, path: &StorePath) -> &str {
        self.of(path)["outcome"].as_str().unwrap()
    }

    fn why(&self, path: &StorePath) -> &str {
        self.of(path)["why"].as_str().unwrap_or_else(|| panic!("{}\n{}", self.report, self.said))
    }
}
