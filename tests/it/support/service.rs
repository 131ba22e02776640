//! Countersign in the test's process, under a configuration written as text.

use crate::support::client::{self, Reply};
use crate::support::dirs::Dir;
use crate::support::fake_cache::FakeCache;
use crate::support::party::{Package, Party};
use countersign::config::{Config, Environment, LoadError, Location, Patience, Style, load};
use countersign::control;
use countersign::format::{NarHash, VerifyingKey};
use countersign::run::Running;
use countersign::status::Status;
use countersign::trust::Timestamp;
use std::path::PathBuf;
use tokio::runtime::Runtime;

/// A running service.
pub struct Served {
    runtime: Runtime,
    running: Option<Running>,
    port: u16,
    dir: Dir,
    patience: Patience,
}

impl Served {
    /// Serves under this configuration, from a state directory and a port of its own.
    pub fn with(text: &str) -> Self {
        Self::in_dir(Dir::new(), text)
    }

    pub fn in_dir(dir: Dir, text: &str) -> Self {
        let config = config(&dir, text);
        Self::of(dir, &config)
    }

    /// Serves with other waits than those that no key sets.
    pub fn patiently(patience: Patience, text: &str) -> Self {
        let dir = Dir::new();
        let mut config = config(&dir, text);
        config.patience = patience;
        Self::of(dir, &config)
    }

    /// Serves under a configuration that was read before.
    pub fn of(dir: Dir, config: &Config) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let running = runtime.block_on(Running::start(config, None)).unwrap();
        let port = running.places()[0].rsplit(':').next().unwrap().parse().unwrap();
        Self { runtime, running: Some(running), port, dir, patience: config.patience }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where its configuration and its state are.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// What it says of itself over its control socket.
    pub fn status(&self) -> Status {
        self.runtime.block_on(control::ask_status(&control::path(&self.state()))).unwrap()
    }

    pub fn key(&self) -> String {
        self.running.as_ref().unwrap().key()
    }

    /// Reads another configuration, as SIGHUP does.
    pub fn reload(&self, text: &str) {
        let mut config = config(&self.dir, text);
        config.patience = self.patience;
        let _guard = self.runtime.enter();
        self.running.as_ref().unwrap().reload(&config, None).unwrap();
    }

    pub fn narinfo(&self, package: &Package) -> Reply {
        client::get(self.port, &format!("/{}.narinfo", package.hash()))
    }

    pub fn nar(&self, package: &Package) -> Reply {
        client::get(self.port, &nar_url(package))
    }

    /// Whether narinfo and NAR of the package are served, right to the last byte, and countersigned.
    pub fn serves(&self, package: &Package) -> bool {
        let narinfo = self.narinfo(package);
        if narinfo.status != 200 {
            assert!(matches!(narinfo.status, 404 | 503), "status {}", narinfo.status);
            assert_eq!(self.nar(package).status, 404, "a NAR was served whose narinfo was not");
            return false;
        }
        assert!(
            is_countersigned(&narinfo.text(), &self.key(), package),
            "not countersigned:\n{}",
            narinfo.text()
        );
        let nar = self.nar(package);
        nar.status == 200 && nar.is_whole() && nar.body == package.nar
    }

    /// Stops, and gives the state directory for another start.
    pub fn stop(mut self) -> Dir {
        let running = self.running.take().unwrap();
        self.runtime.block_on(running.stop());
        std::mem::replace(&mut self.dir, Dir::new())
    }
}

/// The URL that we print for a package's NAR.
pub fn nar_url(package: &Package) -> String {
    format!("/nar/{}-{}.nar", package.hash(), NarHash::nixbase32(&package.core.nar_hash))
}

/// Whether the last signature of a narinfo is by this key, over the package's core.
pub fn is_countersigned(narinfo: &str, key: &str, package: &Package) -> bool {
    use countersign::format::{Signature, StoreDir, fingerprint::fingerprint};
    let last = narinfo.lines().filter_map(|l| l.strip_prefix("Sig: ")).next_back();
    let key = VerifyingKey::parse(key).unwrap();
    last.and_then(|sig| Signature::parse(sig).ok())
        .is_some_and(|sig| key.verify(fingerprint(&StoreDir::default(), &package.core).as_bytes(), &sig))
}

/// A configuration from text; what a test does not say is filled in.
pub fn config(dir: &Dir, text: &str) -> Config {
    let mut whole = String::new();
    for (key, line) in [
        ("listen", "listen = [\"127.0.0.1:0\"]".to_owned()),
        ("state-directory", format!("state-directory = \"{}\"", dir.join("state").display())),
        ("decision-timeout", "decision-timeout = \"5s\"".to_owned()),
    ] {
        if !text.lines().any(|l| l.starts_with(key)) {
            whole.push_str(&line);
            whole.push('\n');
        }
    }
    whole.push_str(text);
    let path = dir.write("config.toml", &whole);
    let environment = Environment::default();
    let location = Location::File(path);
    match load(&location, &environment, Timestamp::from_seconds(1_790_000_000)) {
        Ok(loaded) => loaded.config,
        Err(LoadError::Faulty(report)) => panic!("{}\n{whole}", report.render(Style::Plain)),
        Err(error) => panic!("{error}"),
    }
}

/// `[signers.*]` for parties, each under its key's name.
pub fn signers(parties: &[&Party]) -> String {
    parties.iter().map(|p| format!("[signers.{}]\nkeys = [\"{}\"]\n", p.0.name(), p.key())).collect()
}

/// `[caches.*]` for caches, with short time-outs.
pub fn caches(caches: &[(&str, &FakeCache)]) -> String {
    caches
        .iter()
        .map(|(name, cache)| format!("[caches.{name}]\nurl = \"{}\"\nclaim-timeout = \"2s\"\n", cache.url()))
        .collect()
}
