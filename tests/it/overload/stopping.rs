//! Stopping: who rests goes at once, who is being answered within a time, and nobody after.

use super::Kept;
use crate::support::client::get;
use crate::support::daemon::Daemon;
use crate::support::dirs::Dir;
use crate::support::fake_cache::Script;
use crate::support::scene::{RULE, Scene};
use crate::support::service::{Served, caches, config, nar_url, signers};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn text(scene: &Scene) -> String {
    format!("{}{}{RULE}", signers(&[&scene.party]), caches(&[("a", &scene.cache)]))
}

fn served(scene: &Scene, drain: Duration) -> Served {
    let dir = Dir::new();
    let mut config = config(&dir, &text(scene));
    config.patience.drain = drain;
    Served::of(dir, &config)
}

/// A connection at rest does not hold up a stop, and ends without a fault.
#[test]
fn who_rests_goes_at_once() {
    let scene = Scene::small();
    let served = served(&scene, Duration::from_secs(60));
    let mut kept = Kept::open(served.port()).unwrap();
    assert_eq!(kept.get("/healthz").unwrap().status, 200);
    let mut silent = Kept::open(served.port()).unwrap();
    assert!(served.serves(&scene.package));
    let since = Instant::now();
    served.stop();
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    assert!(kept.has_ended() && silent.has_ended());
}

/// A NAR that is under way comes whole, and a request that comes meanwhile on a connection that was answered just now
/// is answered, as the last.
#[test]
fn what_is_under_way_is_finished_and_what_is_asked_is_answered_as_the_last() {
    let scene = Scene::new("none", 3_000_000);
    scene.delivers(Script::Slow(scene.bytes(), Duration::from_secs(2)));
    let served = served(&scene, Duration::from_secs(60));
    assert_eq!(served.narinfo(&scene.package).status, 200);
    let mut slow = Kept::open(served.port()).unwrap();
    slow.ask(&nar_url(&scene.package)).unwrap();
    let mut kept = Kept::open(served.port()).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut last = kept.get("/healthz").unwrap();
            while last.header("connection") != Some("close") {
                assert!(!over.load(Ordering::Acquire), "no answer said that it is the last");
                last = kept.get("/healthz").expect("an answer, or word that there will be none");
            }
            assert!(kept.has_ended());
        });
        std::thread::sleep(Duration::from_millis(300));
        served.stop();
        over.store(true, Ordering::Release);
        asking.join().unwrap();
    });
    assert!(slow.answer().expect("the whole NAR").body == scene.package.nar);
}

/// A NAR that takes longer than the deadline ends before its last byte.
#[test]
fn what_takes_too_long_is_broken_off() {
    let scene = Scene::new("none", 3_000_000);
    scene.delivers(Script::Slow(scene.bytes(), Duration::from_secs(20)));
    let served = served(&scene, Duration::from_millis(500));
    assert_eq!(served.narinfo(&scene.package).status, 200);
    let mut slow = Kept::open(served.port()).unwrap();
    slow.ask(&nar_url(&scene.package)).unwrap();
    // Something of it has come.
    assert!(slow.stream.peek(&mut [0]).unwrap() > 0);
    let since = Instant::now();
    served.stop();
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    assert!(slow.answer().is_none(), "it came whole");
}

/// The program says how many it broke off, in one line.
#[test]
fn the_log_says_how_many_were_broken_off() {
    let scene = Scene::new("none", 3_000_000);
    scene.delivers(Script::Slow(scene.bytes(), Duration::from_secs(40)));
    let dir = Dir::new();
    let text = format!("listen = [\"127.0.0.1:0\"]\n{}", text(&scene));
    let mut daemon = Daemon::start(&dir, dir.write("c.toml", text).to_str().unwrap());
    assert_eq!(get(daemon.port, &scene.narinfo_path()).status, 200);
    let slow: Vec<Kept> = (0..3)
        .map(|_| {
            let mut kept = Kept::open(daemon.port).unwrap();
            kept.ask(&nar_url(&scene.package)).unwrap();
            assert!(kept.stream.peek(&mut [0]).unwrap() > 0);
            kept
        })
        .collect();
    daemon.signal("-TERM");
    let line = daemon.wait_for("broke off answers");
    assert!(line.contains("answers=3"), "{line}");
    assert_eq!(daemon.stop(), Some(0));
    assert!(slow.into_iter().all(|mut kept| kept.answer().is_none()));
}

/// The configuration is read again and again while clients ask for what is warm and what is cold: every request is
/// answered as before.
#[test]
fn reloading_fails_no_request() {
    let scene = Scene::small();
    let dir = Dir::new();
    let text = format!("listen = [\"127.0.0.1:0\"]\n{}", text(&scene));
    let mut daemon = Daemon::start(&dir, dir.write("c.toml", text).to_str().unwrap());
    let (port, over, answered) = (daemon.port, AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (scene, over, answered) = (&scene, &over, &answered);
            scope.spawn(move || {
                let mut kept = Kept::open(port).unwrap();
                while !over.load(Ordering::Acquire) {
                    let path = if n == 0 { nar_url(&scene.package) } else { scene.narinfo_path() };
                    let status = kept.get(&path).map(|reply| reply.status);
                    assert!(status == Some(200), "{path}: {status:?}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..20 {
            daemon.signal("-HUP");
            daemon.wait_for("reloaded the configuration");
        }
        over.store(true, Ordering::Release);
    });
    assert!(answered.into_inner() > 20);
    daemon.forget_log();
    assert_eq!(daemon.stop(), Some(0));
}
