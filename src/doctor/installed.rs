//! The paths of the store, counted by the way that they came.
//!
//! A countersignature counts only if it verifies over what the store records; a name proves nothing. `ultimate` is
//! Nix's own word for what was built here. A content address counts if the path follows from it: Nix has checked
//! the contents against it. Whatever is left came by another way.

use crate::doctor::facts::is_observe_key;
use crate::doctor::{Finding, Label, Severity};
use crate::format::fingerprint::fingerprint;
use crate::format::{ContentAddress, Core, Signature, StoreDir, VerifyingKey};
use crate::init::shown;
use std::collections::BTreeMap;

/// What the store records of one path.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What signatures cover.
    pub core: &'a Core,
    /// Whether it was built here.
    pub ultimate: bool,
    /// Its signatures; none is verified.
    pub signatures: &'a [Signature],
    /// Its content address.
    pub content_address: Option<&'a ContentAddress>,
    /// When it was registered, in seconds since 1970.
    pub registered: i64,
}

/// The count.
#[derive(Clone, Debug)]
pub struct Installed {
    dir: StoreDir,
    keys: Vec<VerifyingKey>,
    /// When the machine key was made, in seconds since 1970, if that is known.
    pub since: Option<i64>,
    /// How many paths there are.
    pub total: u64,
    /// Countersigned by a machine key, this one or one that was rotated out.
    pub countersigned: u64,
    /// Countersigned while observing alone.
    pub observed: u64,
    /// Built here.
    pub built: u64,
    /// Certified by their own names.
    pub content_addressed: u64,
    /// By another way, before the machine key was made.
    pub other_before: u64,
    /// By another way, since then, or at a time that is not known.
    pub other_since: u64,
    /// Paths of which no record could be read.
    pub unreadable: u64,
    /// Paths that were not looked at, for want of time.
    pub left: u64,
    /// On how many of the others a key's name stands. Nothing of it is verified.
    pub by_key: BTreeMap<String, u64>,
    /// Some of the others, those since then first.
    pub others: Vec<Other>,
}

/// A path that came by another way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// The path, in full.
    pub path: String,
    /// The names of the keys on it.
    pub keys: Vec<String>,
    /// When it was registered, in seconds since 1970.
    pub registered: i64,
    /// Whether that was after the machine key was made.
    pub is_since: bool,
}

impl Installed {
    /// None counted yet, of so many. `keys` are all that ever countersigned here.
    pub fn new(dir: StoreDir, keys: Vec<VerifyingKey>, since: Option<i64>, total: u64) -> Self {
        Self {
            dir,
            keys,
            since,
            total,
            countersigned: 0,
            observed: 0,
            built: 0,
            content_addressed: 0,
            other_before: 0,
            other_since: 0,
            unreadable: 0,
            left: 0,
            by_key: BTreeMap::new(),
            others: Vec::new(),
        }
    }

    /// Counts one path.
    pub fn count(&mut self, record: Record<'_>) {
        let Record { core, ultimate, signatures, content_address, registered } = record;
        let signers = self.countersigners(core, signatures);
        let count = if signers.iter().any(|is_observe| !is_observe) {
            &mut self.countersigned
        } else if ultimate {
            &mut self.built
        } else if content_address.is_some_and(|address| address.certifies(&self.dir, core)) {
            &mut self.content_addressed
        } else if !signers.is_empty() {
            &mut self.observed
        } else {
            return self.count_other(core, signatures, registered);
        };
        *count = count.saturating_add(1);
    }

    /// Of each of our signatures that verifies, whether an observe key made it.
    fn countersigners(&self, core: &Core, signatures: &[Signature]) -> Vec<bool> {
        let mut text = None;
        let mut ours = Vec::new();
        for signature in signatures {
            for key in self.keys.iter().filter(|key| key.name() == signature.key_name()) {
                let text = text.get_or_insert_with(|| fingerprint(&self.dir, core));
                if key.verify(text.as_bytes(), signature) {
                    ours.push(is_observe_key(key));
                }
            }
        }
        ours
    }

    fn count_other(&mut self, core: &Core, signatures: &[Signature], registered: i64) {
        let is_since = self.since.is_none_or(|since| registered > since);
        let count = if is_since { &mut self.other_since } else { &mut self.other_before };
        *count = count.saturating_add(1);
        let mut keys: Vec<String> =
            signatures.iter().take(MOST_KEYS).map(|signature| signature.key_name().to_string()).collect();
        keys.sort();
        keys.dedup();
        for key in keys.iter().map(String::as_str).chain(keys.is_empty().then_some(UNSIGNED)) {
            if let Some(count) = self.by_key.get_mut(key) {
                *count = count.saturating_add(1);
            } else if self.by_key.len() < MOST_KEYS {
                self.by_key.insert(key.to_owned(), 1);
            }
        }
        if self.others.len() >= MOST_OTHERS {
            // What came since is what matters: it takes the place of what came before.
            let replaced = self.others.iter().position(|other| is_since && !other.is_since);
            let Some(at) = replaced else { return };
            self.others.remove(at);
        }
        let path = core.store_path.to_absolute_path(&self.dir);
        self.others.push(Other { path, keys, registered, is_since });
    }

    /// What follows from the count.
    pub(super) fn findings(&self, found: &mut Vec<Finding>) {
        let mend = "close what is found above, then delete them (`nix-store --delete PATH`, once nothing uses them) and \
                    install them again; `countersign explain PATH` says what the caches claim";
        if self.other_since > 0 {
            let when = match self.since {
                Some(since) => format!("since the machine key was made ({})", day(since)),
                None => "at a time that cannot be told, for lack of a machine key".to_owned(),
            };
            let severity = if self.since.is_some() { Severity::Weakness } else { Severity::Note };
            found.push(Finding::new(
                Label::CameAnotherWay,
                severity,
                format!("{} came by another way {when}: {}", paths(self.other_since), self.named(true)),
                "nobody here judged them, so one of the ways around was taken",
                mend,
            ));
        }
        if self.other_before > 0 {
            found.push(Finding::new(
                Label::CameAnotherWay,
                Severity::Note,
                format!(
                    "{} came before the machine key was made: {}",
                    paths(self.other_before),
                    self.named(false)
                ),
                "what was in the store already is not judged again",
                mend,
            ));
        }
        for (number, why) in [
            (self.left, "there was no time to look at all"),
            (self.unreadable, "the store gave no record of them that can be read"),
        ] {
            if number > 0 {
                found.push(Finding::unknown(
                    format!("how {} came", paths(number)),
                    why,
                    "run this again when the machine is less busy; `nix-store --verify` mends records",
                ));
            }
        }
    }

    /// A few of the others, with the keys that they name.
    fn named(&self, is_since: bool) -> String {
        let all = self.others.iter().filter(|other| other.is_since == is_since);
        let some: Vec<String> = all.take(MOST_NAMED).map(Other::to_string).collect();
        let count = if is_since { self.other_since } else { self.other_before };
        let more = count.saturating_sub(u64::try_from(some.len()).unwrap_or(u64::MAX));
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", some.join(", "))
    }
}

impl std::fmt::Display for Other {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys = if self.keys.is_empty() { UNSIGNED.to_owned() } else { self.keys.join(", ") };
        write!(f, "{} ({})", shown(&self.path), shown(&keys))
    }
}

/// A number of paths, in words.
pub(super) fn paths(number: u64) -> String {
    if number == 1 { "1 path".to_owned() } else { format!("{number} paths") }
}

/// The day of a moment, in UTC.
fn day(seconds: i64) -> String {
    let moment = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    moment.to_string().chars().take("2026-01-31".len()).collect()
}

/// What stands for the keys of a path that has no signature.
const UNSIGNED: &str = "unsigned";
/// How many of the others a line names.
const MOST_NAMED: usize = 3;
/// How many of the others are kept, for programs.
const MOST_OTHERS: usize = 1000;
/// Key names of one path that are looked at, and key names that are counted. A guess: paths have one to three.
const MOST_KEYS: usize = 64;
