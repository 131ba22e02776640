//! Mixed load at the machine's limit under faults, for `tests/bench/soak`: four caches, of which one is honest, several
//! clients, real `nix copy` beside them, and every answer held against the truth. Prints a report in Markdown.
//!
//! `soak MINUTES COUNTERSIGN FOLDER NIX-COMMAND` works in FOLDER, ends what it started, and ends with status 1 if
//! an answer was wrong. What comes when follows from the clock of the run, so no two runs are the same.

#![allow(
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    dead_code,
    reason = "nobody reads its API"
)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a tool of the benchmarks: what fails ends it")]

#[allow(unused_imports, reason = "the load takes some of it")]
#[path = "../it/support/soak.rs"]
mod support;

#[path = "load/catalogue.rs"]
mod catalogue;
#[path = "load/clients.rs"]
mod clients;
#[path = "load/counts.rs"]
mod counts;
#[path = "load/process.rs"]
mod process;
#[path = "load/weather.rs"]
mod weather;

use catalogue::Catalogue;
use clients::{Target, copy_with_nix, narinfos, nars};
use counts::Counts;
use process::{Sample, Service};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use weather::Weather;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("usage: soak MINUTES COUNTERSIGN FOLDER NIX-COMMAND");
    let (minutes, program, folder): (u64, String, PathBuf) = (next().parse().unwrap(), next(), next().into());
    let nix = next();
    eprintln!("soak: making the packages");
    let catalogue = Catalogue::new();
    let weather = Weather::over(&catalogue);
    let service = Service::start(&program, &folder, &weather.configuration());
    let target = Target { port: service.port, key: service.key.clone(), catalogue: &catalogue };
    let (counts, samples) = (Counts::default(), Mutex::new(Vec::new()));
    let (is_over, since, length) =
        (AtomicBool::new(false), Instant::now(), Duration::from_secs(60 * minutes));
    eprintln!("soak: {minutes} minutes from now");
    thread::scope(|scope| {
        let (target, counts, is_over) = (&target, &counts, &is_over);
        for seed in 0..NARINFO_CLIENTS {
            scope.spawn(move || narinfos(target, counts, is_over, seed));
        }
        for seed in 0..NAR_CLIENTS {
            scope.spawn(move || nars(target, counts, is_over, 100 + seed));
        }
        scope.spawn(|| copy_with_nix(target, counts, is_over, &nix, &folder));
        scope.spawn(|| weather.pass(is_over, since));
        while since.elapsed() < length {
            thread::sleep(Duration::from_secs(10).min(length.saturating_sub(since.elapsed())));
            let sample = service.sample(since.elapsed());
            eprintln!("soak: {sample}");
            samples.lock().unwrap().push(sample);
            let is_ending = since.elapsed() + RELOAD_NO_MORE > length;
            if samples.lock().unwrap().len().is_multiple_of(RELOAD_EVERY) && !is_ending {
                service.reload();
            }
        }
        is_over.store(true, Ordering::Release);
    });
    let samples: Vec<Sample> = samples.into_inner().unwrap();
    let status = service.status();
    let ended = service.stop();
    print!("{}", counts.report(minutes, &samples, &status, &weather.fired(), ended));
    if counts.is_clean() && ended == Some(0) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

const NARINFO_CLIENTS: u64 = 6;

const NAR_CLIENTS: u64 = 6;

/// Samples, so that every minute the caches are asked for everything anew.
const RELOAD_EVERY: usize = 6;

/// Before the end, so that the counters shown there are of more than a moment.
const RELOAD_NO_MORE: Duration = Duration::from_secs(45);
