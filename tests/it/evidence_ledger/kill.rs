//! A process that writes evidence, killed with -9 again and again: between two things that it does, and at any moment.

use super::{check, is_there, open, runtime, verdict};
use crate::support::dirs::Dir;
use countersign::evidence::Outcome;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Names the state directory, in the process that is killed.
const STATE: &str = "COUNTERSIGN_TEST_LEDGER";

/// The number of its first verdict.
const FROM: &str = "COUNTERSIGN_TEST_LEDGER_FROM";

const NAME: &str =
    "evidence_ledger::kill::killed_at_any_moment_the_chain_verifies_and_refusals_that_were_told_are_there";

#[test]
fn killed_at_any_moment_the_chain_verifies_and_refusals_that_were_told_are_there() {
    if let Some(state) = std::env::var_os(STATE) {
        return write_until_killed(state.as_ref());
    }
    let dir = Dir::new();
    let (mut told, mut between) = (Vec::new(), 0);
    for round in 0..104_u64 {
        let from = 1 + round * 1_000_000;
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--nocapture", NAME]).env(STATE, dir.path()).env(FROM, from.to_string());
        // Every other one kills itself between a change and the next, before and after it is committed.
        let is_own = round % 2 == 0;
        if is_own {
            command.env("COUNTERSIGN_CRASH_AFTER", (1 + round / 2 % 26).to_string());
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut left = if is_own { u64::MAX } else { round % 17 };
        let mut fresh = Vec::new();
        // What it told before it was killed counts, and is read to the last line.
        while let Some(Ok(line)) = lines.next() {
            if let Some(n) = line.strip_prefix("told ") {
                fresh.push(n.parse::<u64>().unwrap());
                left = left.saturating_sub(1);
            }
            if left == 0 {
                // Some moment later, another one each time.
                (0..round * 400).for_each(|_| std::hint::spin_loop());
                child.kill().unwrap_or_default();
                left = u64::MAX;
            }
        }
        assert_eq!(child.wait().unwrap().signal(), Some(9), "round {round}");
        between += u32::from(is_own);
        let report = check(dir.path());
        assert!(report.is_sound(), "round {round}: {report:?}");
        for n in &fresh {
            assert!(is_there(dir.path(), *n), "round {round}: refusal {n} was told and is not there");
        }
        told.append(&mut fresh);
    }
    assert!(between == 52 && told.len() > 200, "{between} {}", told.len());
    let lost = told.iter().filter(|n| !is_there(dir.path(), **n)).count();
    assert_eq!(lost, 0, "of {} refusals from every round", told.len());
}

/// Writes as a service does, and tells of each refusal when it may be answered.
fn write_until_killed(state: &Path) {
    let from: u64 = std::env::var(FROM).unwrap().parse().unwrap();
    runtime().block_on(async {
        let ledger = open(state);
        for n in (from..).step_by(20) {
            (1..20).for_each(|k| ledger.note(verdict(n + k, Outcome::Endorse)));
            ledger.record(verdict(n, Outcome::Refuse)).await;
            let status = ledger.status();
            assert_eq!((status.trouble, status.lost), (None, 0));
            let mut out = std::io::stdout().lock();
            writeln!(out, "told {n}").unwrap();
            out.flush().unwrap();
        }
    });
}
