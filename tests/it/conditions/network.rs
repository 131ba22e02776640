//! The network's surroundings: names that do not resolve or take for ever, and no certificates to trust.

use crate::conditions::LISTEN;
use crate::support::client::{Reply, Session, get};
use crate::support::daemon::{Daemon, countersign};
use crate::support::dirs::Dir;
use crate::support::fake_cache::FakeCache;
use crate::support::namespace;
use crate::support::party::{Package, Party, noise};
use crate::support::scene::RULE;
use crate::support::service::{caches, nar_url, signers};
use crate::support::tls_cache::TlsCache;
use std::collections::HashMap;
use std::fs;
use std::process::{Command, Output};
use std::thread;

/// A package that an honest cache on a plain address has, and a configuration with one more cache at `url`.
struct Scene {
    dir: Dir,
    package: Package,
    _cache: FakeCache,
}

impl Scene {
    fn beside(url: &str) -> Self {
        let (dir, party, package) =
            (Dir::new(), Party::new("a-1"), Package::new("thing-1.0", &noise(1, 1000)));
        let cache = FakeCache::with("none", &[&party], &[&package]);
        let other = format!("[caches.other]\nurl = \"{url}\"\nclaim-timeout = \"2s\"\n");
        let all = format!("{}{}{other}{RULE}", signers(&[&party]), caches(&[("a", &cache)]));
        dir.write("c.toml", format!("{LISTEN}state-directory = \"{}\"\n{all}", dir.join("state").display()));
        Self { dir, package, _cache: cache }
    }

    fn narinfo(&self) -> String {
        format!("/{}.narinfo", self.package.hash())
    }

    /// Runs the command with these arguments; `prepare` comes before it.
    fn command(&self, prepare: &str, arguments: &str) -> Command {
        namespace::script(&self.dir, &format!("{prepare}\nexec $countersign {arguments} --config c.toml"))
    }

    fn says(&self, prepare: &str, arguments: &str) -> (Option<i32>, String) {
        said(&self.command(prepare, arguments).output().unwrap())
    }

    fn status(&self) -> String {
        said(
            &countersign(&self.dir, &["status", "--config", "c.toml"])
                .current_dir(self.dir.path())
                .output()
                .unwrap(),
        )
        .1
    }

    /// `explain` of the package, which the honest cache alone is enough for.
    fn explain(&self) -> String {
        format!("explain {}", self.package.hash())
    }
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap();
    assert!(!text.contains("panicked"), "{text}");
    (output.status.code(), text)
}

/// Names come from /etc/hosts alone, which is what the test writes into `hosts`.
const NAMES: &str = "\
printf 'hosts: files\\n' > nsswitch; mount --bind nsswitch /etc/nsswitch.conf
mount --bind hosts /etc/hosts
";

#[test]
fn a_cache_whose_name_does_not_resolve_is_named_at_the_start_and_holds_up_nobody() {
    let scene = Scene::beside("http://cache.invalid");
    scene.dir.write("hosts", "127.0.0.1 localhost\n");
    let mut daemon = Daemon::start_as(scene.command(NAMES, "serve"));
    let line = daemon.wait_for("cannot be asked now");
    assert!(line.contains("other") && line.contains("the name cache.invalid cannot be resolved"), "{line}");
    assert_eq!(get(daemon.port, &scene.narinfo()).status, 200);
    let line = daemon.wait_for("gave no answer");
    assert!(line.contains("the name cache.invalid cannot be resolved"), "{line}");
    let status = scene.status();
    assert!(status.contains("the name cache.invalid cannot be resolved"), "{status}");
    let (code, text) = scene.says(NAMES, &scene.explain());
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("could not be reached: ") && text.contains("the name cache.invalid cannot be"),
        "{text}"
    );
    assert_eq!(daemon.stop(), Some(0));
}

/// The resolver hangs on every name, as it does on a network that swallows packets: /etc/hosts is a pipe.
/// Without one lookup for each name there would be one for each of a hundred questions, each holding a thread of
/// those that transfers need too.
#[test]
fn a_resolver_that_hangs_holds_up_one_thread_and_no_other_cache() {
    let scene = Scene::beside("http://cache.test");
    let hanging = format!("mkfifo hosts\n{NAMES}");
    let mut daemon = Daemon::start_as(scene.command(&hanging, "serve"));
    let line = daemon.wait_for("the lookup of the name has not ended");
    assert!(line.contains("cache.test"), "{line}");
    daemon.forget_log();
    let port = daemon.port;
    let idle = threads(&daemon);
    let clients: Vec<_> = (0..100).map(|n| thread::spawn(move || one_of(port, n))).collect();
    let most = loop {
        let most = threads(&daemon);
        if clients.iter().all(thread::JoinHandle::is_finished) || most > idle + 50 {
            break most;
        }
        thread::sleep(std::time::Duration::from_millis(20));
    };
    assert!(most < idle + 50, "{most} threads, {idle} before the questions");
    for client in clients {
        assert_eq!(client.join().unwrap().status, 404);
    }
    // The other cache is asked and served from, narinfo and bytes.
    assert_eq!(get(port, &scene.narinfo()).status, 200);
    assert_eq!(get(port, &nar_url(&scene.package)).body, scene.package.nar);
    let status = scene.status();
    assert!(
        status.contains("down") && status.contains("the lookup of the name cache.test has not ended"),
        "{status}"
    );
    let (code, text) = scene.says(NAMES, &format!("{} --ask", scene.explain()));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("in time: the lookup of the name cache.test has not ended"), "{text}");
    assert_eq!(daemon.stop(), Some(0));
}

/// Asks for a path that no cache has.
fn one_of(port: u16, n: usize) -> Reply {
    let package = Package::new(&format!("absent-{n}"), b"");
    Session::open(port).get(&format!("/{}.narinfo", package.hash()))
}

fn threads(daemon: &Daemon) -> usize {
    fs::read_dir(format!("/proc/{}/task", daemon.id())).unwrap().count()
}

/// An environment in which no certificate is to be found.
const NO_CERTIFICATES: &str = "export SSL_CERT_FILE=/nonexistent.pem SSL_CERT_DIR=/nonexistent";

#[test]
fn without_certificates_https_says_what_to_install_and_http_goes_on() {
    let cache = TlsCache::serve(HashMap::new());
    let scene = Scene::beside(&cache.url());
    let advice = "install the package ca-certificates";
    let mut daemon = Daemon::start_as(scene.command(NO_CERTIFICATES, "serve"));
    assert_eq!(get(daemon.port, &scene.narinfo()).status, 200);
    assert_eq!(get(daemon.port, &nar_url(&scene.package)).body, scene.package.nar);
    let line = daemon.wait_for("gave no answer");
    assert!(line.contains("other") && line.contains(advice), "{line}");
    let status = scene.status();
    assert!(status.contains("https is not possible") && status.contains(advice), "{status}");
    let (code, text) = scene.says(NO_CERTIFICATES, &scene.explain());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("could not be reached: https is not possible") && text.contains(advice), "{text}");
    assert!(cache.versions().is_empty(), "nothing was sent over a connection that nobody vouched for");
}

#[test]
fn without_certificates_and_with_https_alone_nothing_starts() {
    let scene = Scene::beside("https://cache.invalid");
    let text = fs::read_to_string(scene.dir.join("c.toml")).unwrap();
    let plain = text.lines().find(|line| line.starts_with("url = \"http://")).unwrap();
    scene.dir.write("c.toml", text.replace(plain, "url = \"https://127.0.0.1:9\""));
    let (code, text) = scene.says(NO_CERTIFICATES, "serve");
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("no trusted certificates") && text.contains("ca-certificates"), "{text}");
}
