//! What a running service says of itself: one screen for people, JSON for programs.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The state of a running service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// `enforce` or `observe`.
    pub mode: String,
    /// The file of the configuration; none is the built-in policy.
    pub configuration: Option<String>,
    /// Where it listens.
    pub listening: Vec<String>,
    /// The key that it countersigns with: what nix.conf must trust.
    pub key: String,
    /// Seconds since it started.
    pub up_for: u64,
    /// What is wrong with the system's clock.
    pub clock: Option<String>,
    /// Seconds for which no cache at all could be reached from this machine.
    #[serde(default)]
    pub offline_for: Option<u64>,
    /// The caches, in the order of the configuration.
    pub caches: Vec<CacheStatus>,
    /// Verdicts given since the start or the last reload.
    pub verdicts: VerdictCounts,
    /// Paths of which a verdict, or what it would rest on, is remembered now.
    pub remembered: u64,
    /// How evidence is kept.
    #[serde(default)]
    pub evidence: EvidenceStatus,
}

/// The state of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceStatus {
    /// Verdicts that are kept.
    pub verdicts: u64,
    /// Claims that are kept.
    pub claims: u64,
    /// Bytes that all of it takes.
    pub bytes: u64,
    /// Rows that were lost since the start.
    pub lost: u64,
    /// What is wrong; none while all is written.
    pub trouble: Option<String>,
}

/// The state of one cache.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CacheStatus {
    /// Its name.
    pub name: String,
    /// `up`: asked and waited for; else why it is not waited for: `down`, `slow`, `busy` (it asked to be left
    /// alone), `offline`.
    #[serde(default)]
    pub state: String,
    /// Whether it is known to be down.
    pub down: bool,
    /// Seconds for which it has not been waited for.
    #[serde(default)]
    pub open_for: Option<u64>,
    /// How long it takes to answer, in milliseconds: a moving mean.
    #[serde(default)]
    pub latency_ms: Option<u64>,
    /// How far from that its answers are, in milliseconds: a moving mean.
    #[serde(default)]
    pub deviation_ms: Option<u64>,
    /// Seconds for which its NARs have not been counted on, because they did not come.
    #[serde(default)]
    pub undelivering_for: Option<u64>,
    /// Whether it ever delivered bytes that did not match.
    pub lied: bool,
    /// Claims it made.
    pub claims: u64,
    /// Times that it had not what was asked for.
    pub not_found: u64,
    /// Times that it gave no answer.
    pub silences: u64,
    /// Why it gave none when it was last asked.
    pub fault: Option<String>,
}

/// How often each outcome was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictCounts {
    /// Endorsed.
    pub endorse: u64,
    /// Refused.
    pub refuse: u64,
    /// Deferred.
    pub defer: u64,
    /// Absent.
    pub absent: u64,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let observing = if self.mode == "observe" { ": nothing is enforced" } else { "" };
        writeln!(f, "countersign {}, up for {}", self.version, duration(self.up_for))?;
        writeln!(f, "mode      {}{observing}", self.mode)?;
        writeln!(f, "config    {}", self.configuration.as_deref().unwrap_or("none: the built-in policy"))?;
        writeln!(f, "listening {}", self.listening.join(", "))?;
        writeln!(f, "key       {}", self.key)?;
        if let Some(clock) = &self.clock {
            writeln!(f, "clock     {clock}")?;
        }
        if let Some(seconds) = self.offline_for {
            writeln!(f, "offline   no cache can be reached, for {}", duration(seconds))?;
        }
        let VerdictCounts { endorse, refuse, defer, absent } = self.verdicts;
        writeln!(
            f,
            "verdicts  {endorse} endorsed, {refuse} refused, {defer} deferred, {absent} absent; {} remembered",
            self.remembered
        )?;
        let EvidenceStatus { verdicts, claims, bytes, lost, trouble } = &self.evidence;
        let lost = if *lost > 0 { format!("; {lost} rows lost since the start") } else { String::new() };
        writeln!(f, "evidence  {verdicts} verdicts, {claims} claims, {} MiB{lost}", bytes >> 20)?;
        if let Some(trouble) = trouble {
            writeln!(f, "          NOT KEPT: {trouble}")?;
        }
        let width = self.caches.iter().map(|c| c.name.len()).chain([5]).max().unwrap_or_default();
        writeln!(f, "\n{:width$}  STATE             LATENCY  CLAIMS  NOT FOUND  SILENCES", "CACHE")?;
        for cache in &self.caches {
            let state = if cache.lied { format!("{}, lied", cache.state) } else { cache.state.clone() };
            let latency = match (cache.latency_ms, cache.deviation_ms) {
                (Some(mean), Some(deviation)) => format!("{mean} ± {deviation} ms"),
                _ => "-".to_owned(),
            };
            let CacheStatus { name, claims, not_found, silences, .. } = cache;
            writeln!(f, "{name:width$}  {state:13}  {latency:>10}  {claims:6}  {not_found:9}  {silences:8}")?;
            if let Some(seconds) = cache.open_for {
                writeln!(f, "{:width$}  has not been waited for during {}", "", duration(seconds))?;
            }
            if let Some(seconds) = cache.undelivering_for {
                writeln!(f, "{:width$}  has delivered no NARs for {}", "", duration(seconds))?;
            }
            if let Some(fault) = &cache.fault {
                writeln!(f, "{:width$}  {fault}", "")?;
            }
        }
        Ok(())
    }
}

/// Whole units, the two largest.
fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_screen_says_everything() {
        let status = Status {
            version: "0.1.0".to_owned(),
            mode: "observe".to_owned(),
            configuration: None,
            listening: vec!["http://127.0.0.1:8419".to_owned()],
            key: "countersign-observe-1:AAAA".to_owned(),
            up_for: 3720,
            clock: Some("the system clock is behind".to_owned()),
            offline_for: Some(3),
            caches: vec![CacheStatus {
                name: "nixos".to_owned(),
                state: "down".to_owned(),
                down: true,
                open_for: Some(65),
                latency_ms: Some(38),
                deviation_ms: Some(4),
                undelivering_for: Some(7),
                lied: false,
                claims: 12,
                not_found: 3,
                silences: 5,
                fault: Some("the name nixos cannot be resolved".to_owned()),
            }],
            verdicts: VerdictCounts { endorse: 10, refuse: 1, defer: 2, absent: 3 },
            remembered: 11,
            evidence: EvidenceStatus {
                verdicts: 7,
                claims: 20,
                bytes: 3 << 20,
                lost: 2,
                trouble: Some("the disk is full".to_owned()),
            },
        };
        let expected = "\
countersign 0.1.0, up for 1 h 2 min
mode      observe: nothing is enforced
config    none: the built-in policy
listening http://127.0.0.1:8419
key       countersign-observe-1:AAAA
clock     the system clock is behind
offline   no cache can be reached, for 3 s
verdicts  10 endorsed, 1 refused, 2 deferred, 3 absent; 11 remembered
evidence  7 verdicts, 20 claims, 3 MiB; 2 rows lost since the start
          NOT KEPT: the disk is full

CACHE  STATE             LATENCY  CLAIMS  NOT FOUND  SILENCES
nixos  down            38 ± 4 ms      12          3         5
       has not been waited for during 1 min 5 s
       has delivered no NARs for 7 s
       the name nixos cannot be resolved
";
        assert_eq!(status.to_string(), expected);
    }

    #[test]
    fn times_are_said_in_two_units() {
        for (seconds, said) in [(5, "5 s"), (65, "1 min 5 s"), (3600, "1 h 0 min"), (90_000, "1 d 1 h")] {
            assert_eq!(duration(seconds), said);
        }
    }
}
