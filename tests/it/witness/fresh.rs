//! A destination that is a cache too: what we have just published is not "not found" any more.

use crate::support::client::get;
use crate::support::daemon::Daemon;
use crate::support::dirs::Dir;
use crate::support::fake_cache::{FakeCache, Script};
use crate::support::nix::Nginx;
use crate::support::nix_daemon::{NixDaemon, full};
use crate::support::party::{Package, Party};
use crate::support::service::{Served, caches, signers};
use crate::support::uploads::Uploads;
use countersign::control::{Published, path, tell_published};
use countersign::format::StorePath;
use std::io::{Read, Write};

/// A machine that serves from where it uploads to, by a name that both have or by the URL.
fn machine(destination: &str, url: &str, root: &Nginx) -> Uploads {
    let uploads = Uploads::with(NixDaemon::start("2.34"), Dir::new(), "", "");
    let sections = format!(
        "[signers.acme]\nkeys = [\"{}\"]\n[caches.acme]\nurl = \"{}\"\n\
         [[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [\"acme\"] }}]\n",
        uploads.key(),
        root.url(0)
    );
    let destinations = format!("[destinations.{destination}]\nurl = \"{url}\"\npackages = [\"*\"]\n");
    uploads.configure(&sections, "", &destinations);
    uploads
}

fn status(daemon: &Daemon, path: &StorePath) -> u16 {
    get(daemon.port, &format!("/{}.narinfo", path.hash_part())).status
}

/// The path is asked for before it is uploaded, and so remembered as absent; then it is pushed, and served at once.
fn served_at_once(uploads: &Uploads, uploader_apart: bool) {
    let uploader = uploader_apart.then(|| {
        let uploader = uploads.start();
        uploads.wait_for("the uploader holds the lock", |u| {
            u.state().join("upload.lock").exists() && u.log().contains("uploading")
        });
        uploader
    });
    let mut daemon = Daemon::start_as(uploads.command(&["serve"]));
    daemon.forget_log();
    for n in 0..3 {
        let built = uploads.daemon.build_one(&format!("shell \"acme-{n}\" \"echo {n} > $out\" {{}}"));
        assert_eq!(status(&daemon, &built), 404, "it is nowhere yet");
        uploads.ok(&["push", &full(&built)]);
        assert_eq!(status(&daemon, &built), 200, "it was uploaded");
    }
    drop(uploader);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_the_child_of_the_service_uploads_is_served_at_once() {
    let root = Dir::new();
    let nginx = Nginx::serve(&[root.path()]);
    served_at_once(&machine("acme", &format!("file://{}", root.path().display()), &nginx), false);
}

#[test]
fn what_an_uploader_of_its_own_uploads_is_served_at_once() {
    let root = Dir::new();
    let nginx = Nginx::take_uploads(root.path());
    // Another name, and the same URL.
    served_at_once(&machine("other", &nginx.url(0), &nginx), true);
}

/// Told of a path, the service asks the cache that is named for that path again, and none for another; claims stay.
#[test]
fn an_absence_is_forgotten_and_nothing_else() {
    let (ours, theirs, party) = (FakeCache::start(), FakeCache::start(), Party::new("a-1"));
    let [there, gone] = ["there-1", "gone-1"].map(|name| Package::new(name, name.as_bytes()));
    let url = |package: &Package| format!("/{}.narinfo", package.hash());
    ours.script(&url(&there), Script::Bytes(there.narinfo("none", &[&party]).into()));
    let text = format!(
        "{}{}[[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [\"a-1\"] }}]\n",
        signers(&[&party]),
        caches(&[("ours", &ours), ("theirs", &theirs)])
    );
    let served = Served::with(&text);
    let asked = |cache: &FakeCache, package: &Package| cache.times_asked(&url(package));
    let tell = |package: &Package, caches: &[&str]| {
        let news = Published {
            caches: caches.iter().map(|name| (*name).to_owned()).collect(),
            paths: vec![package.hash()],
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(tell_published(&path(&served.state()), &news)).unwrap();
    };
    for package in [&there, &gone, &there, &gone] {
        served.narinfo(package);
    }
    assert_eq!([&ours, &theirs].map(|c| (asked(c, &there), asked(c, &gone))), [(1, 1); 2]);
    tell(&gone, &["nobody"]);
    tell(&there, &["ours"]);
    for package in [&there, &gone] {
        served.narinfo(package);
    }
    assert_eq!(
        [&ours, &theirs].map(|c| (asked(c, &there), asked(c, &gone))),
        [(1, 1); 2],
        "nothing was absent"
    );
    tell(&gone, &["ours"]);
    assert_eq!(served.narinfo(&gone).status, 404);
    assert_eq!((asked(&ours, &gone), asked(&theirs, &gone)), (2, 1));
    // For a moment it is asked each time: what is in front of it may be late.
    ours.script(&url(&gone), Script::Bytes(gone.narinfo("none", &[&party]).into()));
    assert_eq!(served.narinfo(&gone).status, 200);
}

/// What makes no sense is refused, and the service goes on.
#[test]
fn news_that_make_no_sense_are_refused() {
    let cache = FakeCache::start();
    let party = Party::new("a-1");
    let text = format!(
        "{}{}[[rules]]\nname = \"all\"\nsignatures = [{{ at-least = 1, of = [\"a-1\"] }}]\n",
        signers(&[&party]),
        caches(&[("x", &cache)])
    );
    let served = Served::with(&text);
    let hash = "0".repeat(32);
    let many =
        format!("{{\"caches\":[\"x\"],\"paths\":[{}\"{hash}\"]}}", format!("\"{hash}\",").repeat(3000));
    for (body, status) in [
        (format!("{{\"caches\":[\"x\"],\"paths\":[\"{hash}\"]}}"), "200"),
        ("{\"caches\":[\"x\"],\"paths\":[\"../x\"]}".to_owned(), "404"),
        ("[]".to_owned(), "404"),
        (String::new(), "404"),
        (many, "404"),
    ] {
        let mut stream = std::os::unix::net::UnixStream::connect(path(&served.state())).unwrap();
        let head =
            format!("POST /published HTTP/1.1\r\nhost: control\r\ncontent-length: {}\r\n\r\n", body.len());
        // It may have answered before it was all sent.
        stream.write_all((head + &body).as_bytes()).unwrap_or_default();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap_or_default();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    assert_eq!(served.status().mode, "enforce");
}
