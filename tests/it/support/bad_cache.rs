//! A cache that serves its files well, parts and tags included, and breaks in every way that it is told: while it
//! runs, by path, once or always or so many times of so many. What it did is counted, so that a test can say that
//! a fault came true.
//!
//! One thread a connection over plain sockets, so that a fault can break HTTP itself. What goes onto the wire is in
//! `delivery`.

mod delivery;
mod fault;

pub use fault::{Fault, How, Times, Where, WrongPart};

use crate::support::party::{Package, Party, compress, extension};
use crate::support::port::Port;
use delivery::serve;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};

/// A running cache. It is gone with its owner.
#[derive(Debug)]
pub struct BadCache {
    port: Port,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    files: Mutex<HashMap<String, File>>,
    rules: Mutex<Vec<Rule>>,
    log: Mutex<Vec<Asked>>,
    fired: Mutex<BTreeMap<&'static str, usize>>,
    open: Mutex<Vec<Weak<TcpStream>>>,
    whole_only: AtomicBool,
    stopped: AtomicBool,
}

/// Bytes under a path, and their tag.
#[derive(Clone, Debug)]
struct File {
    bytes: Arc<[u8]>,
    tag: String,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
}

impl Asked {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// A fault, of which requests, and how often.
#[derive(Clone, Debug)]
struct Rule {
    part: String,
    times: Times,
    fault: Fault,
}

impl BadCache {
    /// An empty cache on a port of its own.
    pub fn start() -> Self {
        let mut cache = Self { port: Port::open(), shared: Arc::default(), accepting: None };
        cache.listen();
        cache
    }

    /// A cache that has these packages, signed by these parties.
    pub fn with(compression: &str, signers: &[&Party], packages: &[&Package]) -> Self {
        let cache = Self::start();
        packages.iter().for_each(|package| cache.put(compression, signers, package));
        cache
    }

    /// Has a package. Its file is named after the path, so that a fault can be told by it, and the narinfo says
    /// which file it is.
    pub fn put(&self, compression: &str, signers: &[&Party], package: &Package) {
        self.put_file(compression, signers, package, compress(&package.nar, compression).into());
    }

    /// The same with a file that was made before.
    pub fn put_file(&self, compression: &str, signers: &[&Party], package: &Package, file: Arc<[u8]>) {
        let url = nar_path(package, compression);
        let narinfo = package
            .narinfo_of_file(compression, signers, &file)
            .replace(&package.url(compression), url.trim_start_matches('/'));
        self.file(&narinfo_path(package), narinfo.into_bytes());
        self.file(&url, file);
    }

    /// Has these bytes under a path; what was there before is replaced.
    pub fn file(&self, path: &str, bytes: impl Into<Arc<[u8]>>) {
        let bytes = bytes.into();
        let digest = Sha256::digest(&bytes);
        let tag = format!("\"{:02x}{:02x}{:02x}{:02x}\"", digest[0], digest[1], digest[2], digest[3]);
        self.shared.files.lock().unwrap().insert(path.to_owned(), File { bytes, tag });
    }

    /// From now on, does this with every request whose path contains `part`. Of several that apply the newest holds.
    pub fn when(&self, part: &str, fault: Fault) {
        self.whenever(part, Times::always(), fault);
    }

    /// The same so many times; `Times` may be shared with other faults, also of other caches.
    pub fn whenever(&self, part: &str, times: Times, fault: Fault) {
        self.shared.rules.lock().unwrap().push(Rule { part: part.to_owned(), times, fault });
    }

    /// Does as it should again, with everything.
    pub fn heal(&self) {
        self.shared.rules.lock().unwrap().clear();
    }

    /// Answers every request for a part with the whole.
    pub fn ignore_ranges(&self) {
        self.shared.whole_only.store(true, Ordering::Release);
    }

    /// Nobody listens any more, and open connections are closed.
    pub fn go_down(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        self.shared.stopped.store(true, Ordering::Release);
        self.port.stop();
        accepting.join().unwrap();
        for stream in self.shared.open.lock().unwrap().drain(..).filter_map(|open| open.upgrade()) {
            stream.shutdown(Shutdown::Both).unwrap_or_default();
        }
    }

    /// Listens again at the same address, with all that it had.
    pub fn come_back(&mut self) {
        self.port.listen_again();
        self.listen();
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// The requests so far, in their order.
    pub fn log(&self) -> Vec<Asked> {
        self.shared.log.lock().unwrap().clone()
    }

    /// How often something whose path contains `part` was asked for.
    pub fn count(&self, part: &str) -> usize {
        self.shared.log.lock().unwrap().iter().filter(|asked| asked.path.contains(part)).count()
    }

    /// How often a fault came true, by its name.
    pub fn fired(&self, name: &str) -> usize {
        self.shared.fired.lock().unwrap().get(name).copied().unwrap_or(0)
    }

    /// How often each fault came true.
    pub fn all_fired(&self) -> BTreeMap<&'static str, usize> {
        self.shared.fired.lock().unwrap().clone()
    }

    fn listen(&mut self) {
        self.shared.stopped.store(false, Ordering::Release);
        let (port, shared) = (self.port.clone(), Arc::clone(&self.shared));
        self.accepting = Some(thread::spawn(move || {
            while let Some(stream) = port.accept() {
                let (stream, shared) = (Arc::new(stream), Arc::clone(&shared));
                {
                    let mut open = shared.open.lock().unwrap();
                    open.retain(|old| old.strong_count() > 0);
                    open.push(Arc::downgrade(&stream));
                }
                thread::spawn(move || serve(&stream, &shared));
            }
        }));
    }
}

impl Drop for BadCache {
    fn drop(&mut self) {
        self.go_down();
    }
}

impl Shared {
    /// The newest fault that applies.
    fn rule(&self, asked: &Asked) -> Option<Rule> {
        let rules = self.rules.lock().unwrap();
        rules.iter().rev().find(|rule| asked.path.contains(&rule.part) && rule.times.applies()).cloned()
    }

    /// A fault has come true.
    fn note(&self, rule: &Rule) {
        *self.fired.lock().unwrap().entry(rule.fault.name()).or_default() += 1;
        rule.times.come_true();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

/// Where a cache has the NAR of a package.
pub fn nar_path(package: &Package, compression: &str) -> String {
    format!("/nar/{}.nar{}", package.hash(), extension(compression))
}

/// Where a cache has the narinfo of a package.
pub fn narinfo_path(package: &Package) -> String {
    format!("/{}.narinfo", package.hash())
}

/// The URL of the n-th cache whose name has no address: a label is too long to be asked for, so that no resolver is.
pub fn nowhere(n: usize) -> String {
    format!("https://c{n}.{}.invalid", "a".repeat(64))
}
