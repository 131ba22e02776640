//! What was asked and answered, and the report of it.

use crate::process::Sample;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

/// What all clients saw.
#[derive(Debug, Default)]
pub struct Counts(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    seen: BTreeMap<&'static str, usize>,
    bytes: usize,
    /// By what was asked for, and by the logarithm of the time.
    times: BTreeMap<&'static str, BTreeMap<u32, usize>>,
    wrong: Vec<String>,
    withheld: Vec<String>,
}

impl Counts {
    pub fn saw(&self, what: &'static str) {
        *self.0.lock().unwrap().seen.entry(what).or_default() += 1;
    }

    pub fn got(&self, bytes: usize) {
        self.0.lock().unwrap().bytes += bytes;
    }

    pub fn took(&self, what: &'static str, time: Duration) {
        let bucket = ((time.as_secs_f64() * 1e6).max(1.0).log2() * 8.0) as u32;
        *self.0.lock().unwrap().times.entry(what).or_default().entry(bucket).or_default() += 1;
    }

    /// Something was served that may not be.
    pub fn wrong(&self, what: String) {
        eprintln!("soak: WRONG: {what}");
        self.0.lock().unwrap().wrong.push(what);
    }

    /// Something was not served that must be.
    pub fn withheld(&self, what: String) {
        eprintln!("soak: withheld: {what}");
        self.0.lock().unwrap().withheld.push(what);
    }

    pub fn is_clean(&self) -> bool {
        let inner = self.0.lock().unwrap();
        inner.wrong.is_empty() && inner.withheld.is_empty()
    }

    pub fn report(
        &self,
        minutes: u64,
        samples: &[Sample],
        status: &str,
        fired: &BTreeMap<&str, usize>,
        ended: Option<i32>,
    ) -> String {
        let inner = self.0.lock().unwrap();
        let seconds = (minutes * 60) as f64;
        let mut text = format!("# {minutes} minutes of mixed load under faults\n\n");
        text += "Printed by `tests/bench/soak`, which says what is done; `tests/bench/load` is how.\n\n";
        text += "| | |\n|---|---|\n";
        let mut row = |what: &str, value: String| writeln!(text, "| {what} | {value} |").unwrap();
        row("answers that were wrong", inner.wrong.len().to_string());
        row("answers withheld that were due", inner.withheld.len().to_string());
        for (what, times) in &inner.seen {
            row(what, format!("{times} ({:.1} a second)", *times as f64 / seconds));
        }
        row("bytes of NARs, checked by the client", format!("{} MB", inner.bytes / 1_000_000));
        let processor = samples.last().map_or(0, |sample| sample.ticks) as f64 / 100.0;
        row("processor time of Countersign", format!("{processor:.0} s, {:.2} cores", processor / seconds));
        row("its exit status", ended.map_or_else(|| "none".to_owned(), |code| code.to_string()));
        text += "\n| Time to the last byte | median | 90 % | 99 % | longest |\n|---|---|---|---|---|\n";
        for (what, buckets) in &inner.times {
            let total: usize = buckets.values().sum();
            let at = |part: f64| {
                let mut left = (total as f64 * part).ceil() as usize;
                let found = buckets.iter().find(|(_, n)| {
                    left = left.saturating_sub(**n);
                    left == 0
                });
                found.map_or(0.0, |(bucket, _)| 2_f64.powf(f64::from(bucket + 1) / 8.0) / 1000.0)
            };
            let (half, most, nearly, all) = (at(0.5), at(0.9), at(0.99), at(1.0));
            writeln!(text, "| {what} | {half:.1} ms | {most:.1} ms | {nearly:.1} ms | {all:.0} ms |")
                .unwrap();
        }
        text += "\n| Minute | memory, MiB | descriptors | threads |\n|---|---|---|---|\n";
        for minute in [1, 5, 10, 15, 20, 25, 30, 45, 60, 90, 120] {
            if let Some(s) = samples.iter().find(|s| s.at.as_secs() + 1 >= minute * 60) {
                let memory = s.memory as f64 / 1024.0;
                writeln!(text, "| {minute} | {memory:.1} | {} | {} |", s.descriptors, s.threads).unwrap();
            }
        }
        let most = |of: fn(&Sample) -> usize| samples.iter().map(of).max().unwrap_or(0);
        let memory = most(|s| s.memory) as f64 / 1024.0;
        let (descriptors, threads) = (most(|s| s.descriptors), most(|s| s.threads));
        writeln!(text, "| most | {memory:.1} | {descriptors} | {threads} |").unwrap();
        text += "\nFaults that came true:";
        for (name, times) in fired {
            write!(text, " {name} {times},").unwrap();
        }
        text = text.trim_end_matches(',').to_owned();
        writeln!(text, ".\n\n`countersign status` at the end:\n\n```text\n{}\n```", status.trim_end())
            .unwrap();
        for what in inner.wrong.iter().chain(&inner.withheld).take(50) {
            writeln!(text, "- {what}").unwrap();
        }
        text
    }
}
