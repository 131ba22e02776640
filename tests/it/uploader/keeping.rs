//! What waits is not collected, and what waits no longer is: under Nix's own collector, with the uploader running on.

use crate::support::nix_daemon::full;
use crate::support::uploads::{Uploads, chain, hooked};
use crate::uploader::crashes::ask;
use countersign::clock::system_time;
use countersign::format::{StoreDir, StorePath};
use countersign::queue::{Origin, Queue, Terms, Wish};
use countersign::spool::Spool;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use std::path::Path;
use std::time::{Duration, SystemTime};

const DIRECTORY: &str = "[destinations.acme]\nurl = \"file://DIR/cache\"\npackages = [\"*\"]\n";
const NOWHERE: &str = "[destinations.acme]\nurl = \"http://127.0.0.1:1/\"\npackages = [\"*\"]\n";

/// A chain of so many that waits for a destination that cannot be reached.
fn waiting(count: usize) -> (Uploads, Vec<StorePath>) {
    let uploads = Uploads::new("2.34", NOWHERE);
    let built = uploads.daemon.build(&chain(count, 10));
    let paths: Vec<String> = built.iter().map(full).collect();
    let mut arguments = vec!["push"];
    arguments.extend(paths.iter().map(String::as_str));
    assert_eq!(uploads.run(&arguments).0, Some(1));
    (uploads, built)
}

/// Waits until the uploader keeps nothing, and has it all collected while it runs.
fn collect(uploads: &Uploads, built: &[StorePath]) {
    uploads.wait_for("nothing is kept", |_| roots(uploads).is_empty());
    // Its connection ends a moment after it lets go of the last.
    uploads.wait_for("it is collected", |uploads| {
        uploads.daemon.gc();
        !built.iter().any(|path| uploads.daemon.is_valid(path))
    });
}

/// What is linked to for the collector; nothing before there is a spool.
fn roots(uploads: &Uploads) -> Vec<String> {
    let Ok(links) = std::fs::read_dir(uploads.dir.join("spool/roots")) else { return Vec::new() };
    links.map(|link| link.unwrap().file_name().into_string().unwrap()).collect()
}

/// The collector runs while thirty entries wait for a destination: none vanishes, with and without an uploader.
#[test]
fn nothing_that_waits_is_collected() {
    let (uploads, built) = waiting(30);
    let uploader = uploads.start();
    uploads.wait_for("all are kept", |_| roots(&uploads).len() == 30);
    uploads.daemon.gc();
    assert!(built.iter().all(|path| uploads.daemon.is_valid(path)), "collected while the uploader runs");
    uploader.kill();
    uploads.daemon.gc();
    assert!(built.iter().all(|path| uploads.daemon.is_valid(path)), "collected while no uploader runs");
    uploads.configure("", "", DIRECTORY);
    let _uploader = uploads.start();
    uploads.ok(&["queue", "retry", "--all"]);
    uploads.wait();
    collect(&uploads, &built);
}

/// What is uploaded while the uploader still looks through what waits is not kept after that.
#[test]
fn what_is_uploaded_at_the_start_is_kept_no_longer() {
    let (uploads, built) = waiting(150);
    uploads.configure("", "jobs = 8", DIRECTORY);
    uploads.ok(&["queue", "retry", "--all"]);
    let _uploader = uploads.start();
    uploads.wait();
    collect(&uploads, &built);
}

/// References that are at the destination already are not kept for what refers to them.
#[test]
fn references_that_are_there_are_not_kept() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let _uploader = uploads.start();
    for count in 1..4 {
        let built = uploads.daemon.build(&chain(count, 10));
        uploads.ok(&["push", &full(built.last().unwrap())]);
        uploads.wait();
        uploads.wait_for("nothing is kept", |_| roots(&uploads).is_empty());
    }
    collect(&uploads, &uploads.daemon.build(&chain(3, 10)));
}

/// Entries that a person has forgotten keep nothing.
#[test]
fn what_is_dropped_is_kept_no_longer() {
    let uploads = Uploads::new("2.34", NOWHERE);
    let built = uploads.daemon.build(&chain(5, 10));
    let _uploader = uploads.start();
    drop(ask(&uploads, &built));
    uploads.wait_for("all are kept", |_| roots(&uploads).len() == 5);
    uploads.ok(&["queue", "drop", "--all"]);
    collect(&uploads, &built);
}

/// What was linked to long ago and is in no queue is let go at the start; what a hook reported long ago is not.
#[test]
fn what_nobody_needs_for_a_day_is_let_go() {
    let uploads = hooked("2.34", NOWHERE);
    let built = uploads.daemon.build(&chain(4, 10));
    let spool = Spool::open(&uploads.dir.join("spool")).unwrap();
    let (old, young) = (uploads.daemon.add("old", b"old"), uploads.daemon.add("young", b"young"));
    spool.root(&StoreDir::default(), &old).unwrap();
    for link in roots(&uploads) {
        age(&uploads.dir.join("spool/roots").join(link), Duration::from_secs(2 * 86_400));
    }
    spool.root(&StoreDir::default(), &young).unwrap();
    let _uploader = uploads.start();
    uploads.wait_for("the old one is let go", |_| !roots(&uploads).contains(&old.to_string()));
    let mut expected: Vec<_> = built.iter().chain([&young]).map(StorePath::to_string).collect();
    expected.sort();
    let mut left = roots(&uploads);
    left.sort();
    assert_eq!(left, expected);
}

/// While one path waits on, most of what is uploaded beside it can be collected.
#[test]
fn what_waits_does_not_keep_what_is_uploaded_beside_it() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let both = format!("{DIRECTORY}{}", NOWHERE.replace("acme]", "far]").replace("\"*\"", "\"*-waits\""));
    uploads.configure("", "", &both);
    let waits = uploads.daemon.build_one("shell \"acme-waits\" \"echo waits > $out\" {}");
    let one = |n| format!("(shell \"acme-{n}\" \"echo {n} > $out\" {{}})");
    let built = uploads.daemon.build(&format!("[ {} ]", (0..140).map(one).collect::<Vec<_>>().join(" ")));
    let _uploader = uploads.start();
    let mut all = vec![waits.clone()];
    all.extend(built.iter().cloned());
    drop(ask(&uploads, &all));
    let far =
        Wish { destination: "far".into(), path: waits.clone(), origin: Origin::Pushed, derivation: None };
    let terms =
        Terms { now: countersign::clock::now(), give_up_after: Duration::from_secs(86_400), jitter: 0 };
    Queue::open(&uploads.state()).unwrap().ask(&[far], &terms).unwrap();
    uploads.wait_for("all but one are let go", |_| roots(&uploads) == [waits.to_string()]);
    uploads.wait_for("most are collected", |uploads| {
        uploads.daemon.gc();
        built.iter().filter(|path| uploads.daemon.is_valid(path)).count() <= 64
    });
    assert!(uploads.daemon.is_valid(&waits));
}

/// Has a link be so much older.
fn age(link: &Path, by: Duration) {
    let at = system_time().duration_since(SystemTime::UNIX_EPOCH).unwrap() - by;
    let at = Timespec { tv_sec: i64::try_from(at.as_secs()).unwrap(), tv_nsec: 0 };
    let times = Timestamps { last_access: at, last_modification: at };
    utimensat(CWD, link, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}
