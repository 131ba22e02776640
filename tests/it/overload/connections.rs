//! More connections than `limits.connections`, and more than there are descriptors.

use super::Kept;
use crate::support::client::get;
use crate::support::daemon::{Daemon, countersign};
use crate::support::dirs::Dir;
use crate::support::fake_cache::Script;
use crate::support::scene::{RULE, SMALL, Scene};
use crate::support::service::{Served, caches, nar_url, signers};
use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

/// Far below the 60 s that a connection may rest when nobody waits, and far above what a busy machine needs.
const SOON: Duration = Duration::from_secs(10);

fn text(scene: &Scene, connections: usize) -> String {
    let (signers, caches) = (signers(&[&scene.party]), caches(&[("a", &scene.cache)]));
    format!("{signers}{caches}{RULE}[limits]\nconnections = {connections}\n")
}

/// Connections that were answered and are kept, that never asked, and whose head never ends: none of them keeps others
/// out. Without giving way, each of these takes a minute.
#[test]
fn who_rests_gives_way_to_who_waits() {
    let scene = Scene::small();
    let served = Served::with(&text(&scene, 8));
    for kind in ["answered", "silent", "dribbling"] {
        let mut resting: Vec<Kept> = (0..8)
            .map(|_| {
                let mut kept = Kept::open(served.port()).unwrap();
                match kind {
                    "answered" => assert_eq!(kept.get("/healthz").unwrap().status, 200),
                    "silent" => {}
                    _ => kept.stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: loc").unwrap(),
                }
                kept
            })
            .collect();
        let since = Instant::now();
        for _ in 0..20 {
            assert_eq!(get(served.port(), "/healthz").status, 200);
        }
        assert!(since.elapsed() < SOON, "{kind}: {:?}", since.elapsed());
        if kind == "dribbling" {
            for kept in &mut resting {
                // Those that were closed do not take it.
                kept.stream.write_all(b"a").unwrap_or_default();
            }
            assert!(served.serves(&scene.package));
        }
    }
}

/// Two NARs fill the room and take their time: who waits gets in after them, and they come whole.
#[test]
fn what_is_being_answered_is_not_cut_for_who_waits() {
    let scene = Scene::new("none", 3_000_000);
    scene.delivers(Script::Slow(scene.bytes(), Duration::from_secs(2)));
    let served = Served::with(&text(&scene, 2));
    assert_eq!(served.narinfo(&scene.package).status, 200);
    let mut slow: Vec<Kept> = (0..2).map(|_| Kept::open(served.port()).unwrap()).collect();
    slow.iter_mut().for_each(|kept| kept.ask(&nar_url(&scene.package)).unwrap());
    let since = Instant::now();
    assert_eq!(get(served.port(), "/healthz").status, 200);
    assert!(since.elapsed() > Duration::from_millis(500), "there was room all the time");
    for kept in &mut slow {
        assert!(kept.answer().unwrap().body == scene.package.nar);
    }
}

/// A client that does not read what it was answered is not at rest: what was written for it is not taken back.
#[test]
fn an_answer_that_is_not_read_yet_is_not_cut() {
    let scene = Scene::new("none", 20_000_000);
    let served = Served::with(&text(&scene, 1));
    assert_eq!(served.narinfo(&scene.package).status, 200);
    let mut slow = Kept::open(served.port()).unwrap();
    slow.ask(&nar_url(&scene.package)).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| get(served.port(), "/healthz").status);
        std::thread::sleep(Duration::from_millis(500));
        assert!(slow.answer().unwrap().body == scene.package.nar);
        assert_eq!(waiting.join().unwrap(), 200);
    });
}

fn descriptors(daemon: &Daemon) -> usize {
    fs::read_dir(format!("/proc/{}/fd", daemon.id())).unwrap().count()
}

fn comes_back_to(daemon: &Daemon, before: usize) {
    let since = Instant::now();
    while descriptors(daemon) > before {
        assert!(since.elapsed() < SOON, "{} descriptors, {before} before", descriptors(daemon));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Two thousand connections that stay, for 64 places: each is answered, those that were give way, and what they took
/// comes back.
#[test]
fn two_thousand_connections_are_answered_by_sixty_four_places() {
    let scene = Scene::new("none", SMALL);
    let dir = Dir::new();
    let text = format!("listen = [\"127.0.0.1:0\"]\n{}", text(&scene, 64));
    let mut daemon = Daemon::start(&dir, dir.write("c.toml", text).to_str().unwrap());
    daemon.forget_log();
    let narinfo = scene.narinfo_path();
    assert_eq!(get(daemon.port, &narinfo).status, 200);
    let before = descriptors(&daemon);
    let (port, mut most) = (daemon.port, 0);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut all = Vec::new();
                    for _ in 0..250 {
                        let mut kept = Kept::open(port).unwrap();
                        kept.ask(&narinfo).unwrap();
                        all.push(kept);
                    }
                    all.iter_mut().map_while(Kept::answer).filter(|reply| reply.status == 200).count()
                })
            })
            .collect();
        while all.iter().any(|one| !one.is_finished()) {
            most = most.max(descriptors(&daemon));
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(all.into_iter().map(|one| one.join().unwrap()).sum::<usize>(), 2000);
    });
    assert!(most <= before + 64 + 8, "{most} descriptors were open");
    comes_back_to(&daemon, before + 2);
    assert_eq!(daemon.stop(), Some(0));
}

/// With all its descriptors taken by clients it says so once, goes on as soon as it can, and answers.
#[test]
fn it_goes_on_when_descriptors_run_out() {
    let scene = Scene::small();
    let dir = Dir::new();
    let text = format!("listen = [\"127.0.0.1:0\"]\n{}", text(&scene, 512));
    let config = dir.write("c.toml", text);
    let program = countersign(&dir, &["serve", "--config", config.to_str().unwrap()]);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -n 40; exec \"$0\" \"$@\""]).arg(program.get_program());
    command.args(program.get_args()).env_clear().env("HOME", dir.path());
    let mut daemon = Daemon::start_as(command);
    assert!(served_by(daemon.port, &scene), "before");
    let before = descriptors(&daemon);
    let held: Vec<Kept> = (0..100)
        .map(|_| {
            let mut kept = Kept::open(daemon.port).unwrap();
            kept.ask("/healthz").unwrap();
            kept
        })
        .collect();
    assert!(daemon.wait_for("cannot accept").contains("they wait until we can"));
    daemon.forget_log();
    let since = Instant::now();
    assert_eq!(get(daemon.port, "/healthz").status, 200, "while they are held");
    assert!(since.elapsed() < SOON * 2, "{:?}", since.elapsed());
    drop(held);
    comes_back_to(&daemon, before + 2);
    assert!(served_by(daemon.port, &scene), "after");
    assert_eq!(daemon.stop(), Some(0));
}

fn served_by(port: u16, scene: &Scene) -> bool {
    let narinfo = get(port, &scene.narinfo_path());
    let nar = get(port, &nar_url(&scene.package));
    narinfo.status == 200 && nar.body == scene.package.nar
}
