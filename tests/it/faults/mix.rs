//! A thousand runs by chance: caches that fail in claims and bytes, clients that go away, all at once. Each run
//! follows from a seed of its own, which is printed if it fails; `COUNTERSIGN_SEED` repeats that run alone. A wrong answer
//! fails at once; one that is late is asked for again in a run by itself, so that a machine that stands still for
//! seconds is not taken for a fault.
//!
//! The runs are made by the same program in a process of their own, so that what grows in it is ours.

mod contents;
mod run;
mod world;

use crate::support::dice::Dice;
use run::Complaint;
use std::env;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::panic;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const RUNS: usize = 1000;

/// Runs at one time: they wait more than they work.
const AT_ONCE: usize = 16;

/// After each of so many parts of the runs nothing may be left of them.
const PARTS: usize = 5;

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Holding {
    descriptors: usize,
    threads: usize,
    tasks: usize,
    /// In MiB, without the packages that the runs are made of.
    memory: usize,
}

#[test]
fn a_thousand_runs_end_right() {
    if let Ok(seed) = env::var("COUNTERSIGN_SEED") {
        return repeat(seed.parse().unwrap());
    }
    if let Ok(seed) = env::var(OWN_PROCESS) {
        return all(seed.parse().unwrap());
    }
    let seed = RandomState::new().hash_one(std::process::id());
    let own = env::current_exe().unwrap();
    let name = thread::current().name().unwrap().to_owned();
    let mut command = Command::new(own);
    command.args(["--exact", &name, "--nocapture", "--test-threads=1"]).env(OWN_PROCESS, seed.to_string());
    // Each thread of its own arena would hide in the noise what grows.
    command.env("MALLOC_ARENA_MAX", "2");
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{out}");
    assert!(output.status.success(), "{out}\n{err}");
}

/// Set for the process that makes the runs.
const OWN_PROCESS: &str = "COUNTERSIGN_MIX";

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name(SERVICE)
        .enable_all()
        .build()
        .unwrap()
}

/// The threads of the service have this name; the caches and clients have others.
const SERVICE: &str = "the service";

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Counts panics of the service: a runtime catches them, and nobody would see.
fn watch_for_panics() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().name() == Some(SERVICE) {
            PANICS.lock().unwrap().push(info.to_string());
        }
        before(info);
    }));
}

fn repeat(seed: u64) {
    watch_for_panics();
    let runtime = runtime();
    println!("{:#?}", world::world(seed));
    let complaints = complaints(seed, &runtime);
    assert!(complaints.is_empty(), "COUNTERSIGN_SEED={seed}: {complaints:#?}");
    assert_no_panics();
}

fn all(seed: u64) {
    watch_for_panics();
    let since = Instant::now();
    let runtime = runtime();
    let mut dice = Dice::new(seed);
    let seeds: Vec<u64> = (0..RUNS).map(|_| dice.any()).collect();
    let (failed, late) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let mut held = Vec::new();
    for part in seeds.chunks(RUNS / PARTS) {
        let next = AtomicUsize::new(0);
        let run_on = || {
            while let Some(seed) = part.get(next.fetch_add(1, Ordering::Relaxed)) {
                let complaints = complaints(*seed, &runtime);
                let is_late = complaints.iter().all(|complaint| matches!(complaint, Complaint::Late(_)));
                let to = if is_late { &late } else { &failed };
                if !complaints.is_empty() {
                    to.lock().unwrap().push((*seed, complaints));
                }
            }
        };
        thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(run_on))));
        held.push(settled(&runtime));
        println!("{} runs in {:?}", held.len() * part.len(), since.elapsed());
    }
    println!("held after each part: {held:#?}");
    let (mut failed, late) = (failed.into_inner().unwrap(), late.into_inner().unwrap());
    assert!(late.len() <= RUNS / 50, "{} of {RUNS} runs were late: {late:#?}", late.len());
    for (seed, complaints) in late {
        println!("COUNTERSIGN_SEED={seed} was late, and runs again by itself: {complaints:#?}");
        failed
            .extend((0..2).map(|_| (seed, self::complaints(seed, &runtime))).filter(|(_, c)| !c.is_empty()));
    }
    let listed: Vec<String> =
        failed.iter().map(|(seed, c)| format!("COUNTERSIGN_SEED={seed}: {c:#?}")).collect();
    assert!(failed.is_empty(), "{} of {RUNS} runs failed:\n{}", failed.len(), listed.join("\n"));
    assert_no_panics();
    assert_no_growth(&held);
}

/// One run.
fn complaints(seed: u64, runtime: &Runtime) -> Vec<Complaint> {
    let ran = panic::catch_unwind(|| run::run(&world::world(seed), runtime.handle()));
    ran.unwrap_or_else(|_| vec![Complaint::Wrong("the run itself panicked".to_owned())])
}

fn assert_no_panics() {
    let panics = PANICS.lock().unwrap();
    assert!(panics.is_empty(), "{panics:#?}");
}

/// What is held once everything that a run started has ended.
fn settled(runtime: &Runtime) -> Holding {
    let since = Instant::now();
    loop {
        let now = holding(runtime);
        // Threads that have nothing to do end after ten seconds.
        if (now.tasks == 0 && now.threads <= 6) || since.elapsed() > Duration::from_secs(20) {
            return now;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn holding(runtime: &Runtime) -> Holding {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
    };
    Holding {
        descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
        threads: field("Threads:"),
        tasks: runtime.metrics().num_alive_tasks(),
        memory: (field("VmRSS:") >> 10).saturating_sub(contents::held() >> 20),
    }
}

/// Compares what is held after the last part with what was after the second: by then everything that is made once has
/// been.
fn assert_no_growth(held: &[Holding]) {
    let (early, last) = (held[1], held[held.len() - 1]);
    assert_eq!(last.tasks, 0, "{held:#?}");
    assert!(last.descriptors <= early.descriptors + 2, "{held:#?}");
    assert!(last.threads <= early.threads + 2, "{held:#?}");
    assert!(last.memory <= early.memory + 48, "{held:#?}");
}
