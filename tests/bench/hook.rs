//! Times the post-build hook beside what it cannot do without: starting a process, and one durable write.
//!
//! Usage: hook HOOK SPOOL RUNS. Compiled by `run` with rustc alone. Prints, in milliseconds: the median of the hook
//! from start to exit, those of `/bin/true` and of the write, the median of the ratios hook / (true + write) of each
//! round, and the 5th and 95th percentile of the hook. The three take turns; the first tenth does not count.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const DRV: &str = "/nix/store/s66mzxpvicwk07gjbjfw9izjfa797vsw-hello-2.12.1.drv";
const OUT: &str = "/nix/store/1b9p07z77phvv2hf6gm9f28syp39f1ag-hello-2.12.1";

fn main() {
    let [hook, spool, runs] = &std::env::args().skip(1).collect::<Vec<_>>()[..] else {
        panic!("usage: hook HOOK SPOOL RUNS")
    };
    let (spool, runs): (&Path, usize) = (spool.as_ref(), runs.parse().expect("RUNS is a number"));
    let (mut hooks, mut trues, mut writes, mut ratios) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..runs + runs / 10 {
        let (mut hooked, mut trued, mut written) = (0.0, 0.0, 0.0);
        for turn in 0..3 {
            match (round + turn) % 3 {
                0 => hooked = timed(|| start(hook, spool)),
                1 => trued = timed(|| start("/bin/true", spool)),
                _ => written = timed(|| write(spool, round)),
            }
        }
        if round >= runs / 10 {
            hooks.push(hooked);
            trues.push(trued);
            writes.push(written);
            ratios.push(hooked / (trued + written));
        }
    }
    let records = fs::read_dir(spool).unwrap().filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|e| e == "build"));
    assert_eq!(records.count(), runs + runs / 10, "the hook did not write what it should");
    let [hook, true_, write, ratio] = [&mut hooks, &mut trues, &mut writes, &mut ratios].map(|of| part(of, 50));
    println!("{hook:.3} {true_:.3} {write:.3} {ratio:.2} {:.3} {:.3}", part(&mut hooks, 5), part(&mut hooks, 95));
}

fn timed(work: impl FnOnce()) -> f64 {
    let from = Instant::now();
    work();
    from.elapsed().as_secs_f64() * 1e3
}

fn start(program: &str, spool: &Path) {
    let mut command = Command::new(program);
    command.env_clear().env("COUNTERSIGN_SPOOL", spool).env("DRV_PATH", DRV).env("OUT_PATHS", OUT).stdin(Stdio::null());
    assert!(command.status().unwrap().success());
}

/// What a spool needs: the file to the disk, its name, and the name to the disk.
fn write(spool: &Path, round: usize) {
    let (new, done) = (spool.join(format!("{round}.tmp")), spool.join(format!("{round}.done")));
    let mut file = File::create_new(&new).unwrap();
    file.write_all(&[b'x'; 200]).unwrap();
    file.sync_all().unwrap();
    fs::rename(new, done).unwrap();
    File::open(spool).unwrap().sync_all().unwrap();
}

fn part(of: &mut [f64], hundredth: usize) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() * hundredth / 100]
}
