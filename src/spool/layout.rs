//! What the files of a spool are called. Pure, and shared with the hook's own program.
//!
//! ```text
//! SPOOL/SECONDS-NANOS-PID-TRY.build     one record; their names sort by time
//! SPOOL/SECONDS-NANOS-PID-TRY.new       one being written, or left by a hook that was killed
//! SPOOL/SECONDS-NANOS-PID-TRY.held      one that was taken and waits for the ledger alone
//! SPOOL/roots/HASH-NAME                 → STORE/HASH-NAME, for the garbage collector
//! SPOOL/refused/                        what had a record's name and was none
//! STATE/gcroots/auto/NAME               → SPOOL/roots/HASH-NAME, made by the hook where it may, else by the daemon
//! ```

use crate::format::base32;
use sha1::{Digest, Sha1};
use std::fmt;

/// Where the hook writes when `$COUNTERSIGN_SPOOL` names no other place.
pub const DEFAULT_SPOOL: &str = "/var/spool/countersign";
/// The folder of links that keep outputs from the garbage collector.
pub const ROOTS: &str = "roots";
/// The folder of what was no record.
pub const REFUSED: &str = "refused";

/// The name of one record, while it is written and afterwards.
#[derive(Clone, Copy, Debug)]
pub struct Stem {
    /// Whole seconds since 1970.
    pub seconds: u64,
    /// And nanoseconds.
    pub nanos: u32,
    /// The process that writes.
    pub pid: u32,
    /// Counts up where a name is taken, as by a process of another namespace with the same number.
    pub attempt: u32,
}

impl Stem {
    /// The name of the finished record.
    pub fn record(self) -> String {
        format!("{self}.build")
    }

    /// The name while it is written.
    pub fn unfinished(self) -> String {
        format!("{self}.new")
    }
}

impl fmt::Display for Stem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:012}-{:09}-{}-{}", self.seconds, self.nanos, self.pid, self.attempt)
    }
}

/// Whether a file is called like a finished record.
pub fn is_record(name: &[u8]) -> bool {
    name.strip_suffix(b".build").is_some_and(is_stem)
}

/// Whether a file is called like a record that is being written.
pub fn is_unfinished(name: &[u8]) -> bool {
    name.strip_suffix(b".new").is_some_and(is_stem)
}

/// Whether a file is called like a record that was taken and is held.
pub fn is_held(name: &[u8]) -> bool {
    name.strip_suffix(b".held").is_some_and(is_stem)
}

/// The name of a finished record once it is held; any other name stays.
pub fn held(name: &[u8]) -> Vec<u8> {
    match name.strip_suffix(b".build") {
        Some(stem) => [stem, b".held"].concat(),
        None => name.to_vec(),
    }
}

/// The longest stem: 20, 10, 10 and 10 digits, with dashes.
const STEM_MAX: usize = 53;

fn is_stem(stem: &[u8]) -> bool {
    stem.len() <= STEM_MAX
        && stem.first().is_some_and(u8::is_ascii_digit)
        && stem.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-')
}

/// What Nix calls the indirect root that points to the link at this absolute path, so that the daemon and the
/// hook make the same one. Source: NixOS/nix `src/libstore/gc.cc`, `addIndirectRoot`.
pub fn indirect_root_name(link: &[u8]) -> String {
    base32::encode(&Sha1::digest(link))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time_and_are_told_apart() {
        let stem = |seconds, nanos| Stem { seconds, nanos, pid: 7, attempt: 0 };
        assert_eq!(stem(1_767_225_600, 5).record(), "001767225600-000000005-7-0.build");
        assert!(stem(999, 999_999_999).record() < stem(1000, 0).record());
        assert!(stem(1000, 9).record() < stem(1000, 10).record());
        let largest = Stem { seconds: u64::MAX, nanos: u32::MAX, pid: u32::MAX, attempt: u32::MAX };
        for stem in [stem(0, 0), largest] {
            assert!(is_record(stem.record().as_bytes()) && !is_unfinished(stem.record().as_bytes()));
            assert!(is_unfinished(stem.unfinished().as_bytes()) && !is_record(stem.unfinished().as_bytes()));
        }
        let taken = held(stem(1, 2).record().as_bytes());
        assert_eq!(taken, b"000000000001-000000002-7-0.held");
        assert!(is_held(&taken) && !is_record(&taken) && !is_unfinished(&taken));
        assert!(!is_held(stem(1, 2).record().as_bytes()) && !is_held(b"x.held"));
        for other in [".build", "-1.build", "roots", "a.build", "1.build~", "1/2.build", "1\n.build"] {
            assert!(!is_record(other.as_bytes()), "{other}");
        }
    }

    /// The name under `gcroots/auto` that Nix 2.34 gives to `--add-root /tmp/root`.
    #[test]
    fn an_indirect_root_is_called_as_nix_calls_it() {
        assert_eq!(indirect_root_name(b"/tmp/root"), "3dwd5lj1qr72fd9x9jf3b91hri8rzny7");
    }
}
