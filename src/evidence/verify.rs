//! Whether the chain of verdicts is as it was written: what was changed, moved, put in or taken out is named.
//!
//! Without the machine key nobody can make a chain that leads to another signed head. Who has the file and the key can
//! write another history, but not one that holds the heads that were exported before or are in a journal elsewhere. Rows
//! behind the last signed head are bound to each other alone, and counted. Pure but for the storage that it reads;
//! what it holds at a time is the heads.

use crate::evidence::{ChainHash, Chained, Piece, SealKind, SignedHead, Storage, StorageError};
use crate::format::{HashPart, VerifyingKey};
use crate::trust::Timestamp;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Verdicts that were looked at.
    pub rows: u64,
    /// The number of the last verdict that is kept.
    pub last: Option<u64>,
    /// Verdicts up to this one were pruned, and a signed checkpoint says so.
    pub pruned: Option<u64>,
    /// The last verdict that a signed head covers.
    pub covered: Option<u64>,
    /// Verdicts behind it, which are bound to each other alone.
    pub uncovered: u64,
    /// Exported heads whose verdict was found as it was.
    pub confirmed: u64,
    /// Exported heads whose verdict has been pruned since.
    pub pruned_since: u64,
    /// What is wrong: the first of it, at most [`Report::MOST`].
    pub flaws: Vec<Flaw>,
    /// What is wrong besides.
    pub more: u64,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A verdict is not the one that its hash is of: it or its place was changed.
    Changed(Named),
    /// A verdict does not read back.
    Unreadable {
        /// Its number.
        number: u64,
        /// What is wrong with it.
        why: Box<str>,
    },
    /// Verdicts are not there.
    Missing {
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// A verdict and its hash fit together, but the hash is not the one that was signed: between the last head that holds
    /// and this one, verdicts were rewritten together with their hashes.
    Rewritten {
        /// The first verdict that no head that holds covers.
        from: u64,
        /// The verdict of the head.
        to: Named,
        /// When that head was signed.
        signed: Timestamp,
        /// Whether the head is an exported one.
        exported: bool,
    },
    /// A head is of a verdict behind the last one that is there: the end was cut off.
    Gone {
        /// The verdict of the head.
        number: u64,
        /// When that head was signed.
        signed: Timestamp,
        /// Whether the head is an exported one.
        exported: bool,
    },
    /// There are verdicts and not one signed head.
    NoHead,
    /// Heads are not there.
    HeadsMissing {
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// A head was exported and is not kept any more, or not as it was.
    HeadNotKept {
        /// Which head.
        serial: u64,
    },
    /// What is kept as a head or a checkpoint is none, or was signed by none of the keys of this machine.
    NotSigned {
        /// Which head; `None` for the checkpoint.
        serial: Option<u64>,
        /// What is wrong with it.
        why: Box<str>,
    },
    /// An exported head was signed by none of the keys of this machine.
    ForeignExport {
        /// Which head.
        serial: u64,
    },
}

/// A verdict by what people know it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its number.
    pub number: u64,
    /// The path that it is about.
    pub path: Option<HashPart>,
    /// The package's name. It is as stored, so it may hold anything.
    pub name: Option<Box<str>>,
    /// When it was reached.
    pub at: Timestamp,
}

impl Report {
    /// How many flaws are told one by one.
    pub const MOST: usize = 1000;

    /// Whether all is as it was written.
    pub fn is_sound(&self) -> bool {
        self.flaws.is_empty()
    }
}

/// Looks at the whole chain, with the public keys of this machine and heads that were exported earlier.
///
/// # Errors
/// [`StorageError`] if it cannot be read.
pub fn verify(
    storage: &mut dyn Storage,
    keys: &[VerifyingKey],
    exported: &[SignedHead],
) -> Result<Report, StorageError> {
    let mut check = Check { keys, exported, ..Check::default() };
    storage.chain(&mut |piece| {
        check.look(piece);
        ControlFlow::Continue(())
    })?;
    Ok(check.end())
}

/// What is known so far.
#[derive(Default)]
struct Check<'a> {
    keys: &'a [VerifyingKey],
    exported: &'a [SignedHead],
    report: Report,
    /// The heads that are signed, by the verdict they are of.
    heads: BTreeMap<u64, Vec<(SignedHead, bool)>>,
    /// The signed heads that are kept, by their serial.
    kept: BTreeMap<u64, SignedHead>,
    checkpoint: Option<SignedHead>,
    next_serial: u64,
    has_begun: bool,
    /// The number that comes next, and the hash that it is chained to.
    next: u64,
    before: Option<ChainHash>,
    /// The last verdict of a head that holds.
    held: u64,
}

impl Check<'_> {
    fn look(&mut self, piece: Piece) {
        match piece {
            Piece::Checkpoint(text) => match self.read(&text, SealKind::Checkpoint) {
                Ok(seal) => self.checkpoint = Some(seal),
                Err(why) => self.flaw(Flaw::NotSigned { serial: None, why }),
            },
            Piece::Head { serial, text } => self.head(serial, &text),
            Piece::Row(row) => self.row(&row),
            Piece::Unreadable { number, why } => {
                self.begin();
                self.place(number);
                self.flaw(Flaw::Unreadable { number, why });
                self.before = None;
            }
        }
    }

    fn read(&self, text: &str, kind: SealKind) -> Result<SignedHead, Box<str>> {
        let seal = SignedHead::parse(text).map_err(|error| error.to_string())?;
        if seal.head.kind != kind {
            return Err("it is of another kind".into());
        }
        if !seal.is_signed_by(self.keys) {
            return Err("no key of this machine signed it".into());
        }
        Ok(seal)
    }

    fn head(&mut self, serial: u64, text: &str) {
        let expected = self.next_serial.saturating_add(1);
        if serial > expected {
            self.flaw(Flaw::HeadsMissing { from: expected, to: serial.saturating_sub(1) });
        }
        self.next_serial = serial;
        match self.read(text, SealKind::Head) {
            Ok(seal) if seal.head.serial == serial => {
                self.heads.entry(seal.head.number).or_default().push((seal.clone(), false));
                self.kept.insert(serial, seal);
            }
            Ok(_) => self.flaw(Flaw::NotSigned { serial: Some(serial), why: "it is another head".into() }),
            Err(why) => self.flaw(Flaw::NotSigned { serial: Some(serial), why }),
        }
    }

    /// Between the heads and the rows: what was exported is looked at like what is kept.
    fn begin(&mut self) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        for seal in self.exported {
            let serial = seal.head.serial;
            if seal.head.kind != SealKind::Head || !seal.is_signed_by(self.keys) {
                self.flaw(Flaw::ForeignExport { serial });
                continue;
            }
            if self.kept.get(&serial).is_none_or(|kept| kept.head != seal.head) {
                self.flaw(Flaw::HeadNotKept { serial });
            }
            self.heads.entry(seal.head.number).or_default().push((seal.clone(), true));
        }
        self.before = Some(ChainHash::START);
        if let Some(SignedHead { head, .. }) = &self.checkpoint {
            (self.next, self.before) = (head.number, Some(head.hash));
            self.report.pruned = Some(head.number);
        }
        self.next = self.next.saturating_add(1);
        let behind = self.heads.split_off(&self.next);
        let pruned = std::mem::replace(&mut self.heads, behind);
        for (seal, _) in pruned.into_values().flatten().filter(|(_, exported)| *exported) {
            // A head of the number 0 is of an empty ledger, and holds wherever it is kept.
            let of =
                if seal.head.number > 0 { &mut self.report.pruned_since } else { &mut self.report.confirmed };
            *of = of.saturating_add(1);
        }
        self.held = self.next.saturating_sub(1);
        self.report.covered = self.report.pruned;
    }

    /// Notes what is missing in front of a number.
    fn place(&mut self, number: u64) {
        if number > self.next {
            self.flaw(Flaw::Missing { from: self.next, to: number.saturating_sub(1) });
            self.before = None;
        }
        self.next = number.saturating_add(1);
        self.report.rows = self.report.rows.saturating_add(1);
        self.report.last = Some(number);
    }

    fn row(&mut self, row: &Chained) {
        self.begin();
        self.place(row.number);
        if self.before.is_some_and(|before| before.next(row.number, row.carried, &row.row) != row.hash) {
            self.flaw(Flaw::Changed(Named::of(row)));
        }
        self.before = Some(row.hash);
        let heads = self.heads.remove(&row.number).unwrap_or_default();
        let holds = |seal: &SignedHead| seal.head.hash == row.hash;
        if let Some((seal, exported)) = heads.iter().find(|(seal, _)| !holds(seal)) {
            let (from, signed) = (self.held.saturating_add(1), seal.head.at);
            self.flaw(Flaw::Rewritten { from, to: Named::of(row), signed, exported: *exported });
        }
        self.report.confirmed = self
            .report
            .confirmed
            .saturating_add(count(heads.iter().filter(|(seal, exported)| *exported && holds(seal))));
        if heads.iter().any(|(seal, _)| holds(seal)) {
            self.held = row.number;
            self.report.covered = Some(row.number);
        }
    }

    fn end(mut self) -> Report {
        self.begin();
        for (number, heads) in std::mem::take(&mut self.heads) {
            for (seal, exported) in heads.into_iter().take(1) {
                self.flaw(Flaw::Gone { number, signed: seal.head.at, exported });
            }
        }
        let last = self.report.last.or(self.report.pruned);
        if last.is_some() && self.kept.is_empty() {
            self.flaw(Flaw::NoHead);
        }
        let covered = self.report.covered.unwrap_or_default();
        self.report.uncovered = last.map_or(0, |last| last.saturating_sub(covered));
        self.report
    }

    fn flaw(&mut self, flaw: Flaw) {
        if self.report.flaws.len() < Report::MOST {
            self.report.flaws.push(flaw);
        } else {
            self.report.more = self.report.more.saturating_add(1);
        }
    }
}

impl Named {
    fn of(row: &Chained) -> Self {
        let Chained { number, row, .. } = row;
        Self { number: *number, path: row.asked, name: row.name.clone(), at: row.at }
    }
}

fn count<T>(of: impl Iterator<Item = T>) -> u64 {
    u64::try_from(of.count()).unwrap_or(u64::MAX)
}

impl fmt::Display for Named {
    /// Without what could not stand in a store path's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "verdict {}", self.number)?;
        match (&self.path, &self.name) {
            (Some(path), Some(name)) => write!(f, " on {path}-{}", name.escape_debug())?,
            (Some(path), None) => write!(f, " on {path}")?,
            (None, _) => {}
        }
        write!(f, " of {}", date(self.at))
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = |exported: &bool| if *exported { "exported head" } else { "head" };
        match self {
            Self::Changed(row) => write!(f, "{row} was changed or moved: its hash is of another one"),
            Self::Unreadable { number, why } => {
                write!(f, "verdict {number} does not read back: {}", why.escape_debug())
            }
            Self::Missing { from, to } if from == to => write!(f, "verdict {from} is gone"),
            Self::Missing { from, to } => write!(f, "verdicts {from} to {to} are gone"),
            Self::Rewritten { from, to, signed, exported } => {
                let (head, signed) = (head(exported), date(*signed));
                write!(f, "{to} is not the one that the {head} of {signed} was signed for: ")?;
                write!(f, "something from verdict {from} on was rewritten")
            }
            Self::Gone { number, signed, exported } => {
                let (head, signed) = (head(exported), date(*signed));
                write!(f, "verdict {number}, for which the {head} of {signed} was signed, is gone")
            }
            Self::NoHead => f.write_str("there are verdicts and no signed head: every head was removed"),
            Self::HeadsMissing { from, to } if from == to => write!(f, "head {from} is gone"),
            Self::HeadsMissing { from, to } => write!(f, "heads {from} to {to} are gone"),
            Self::HeadNotKept { serial } => {
                write!(f, "head {serial} was exported, and is not kept here as it was")
            }
            Self::NotSigned { serial: Some(serial), why } => write!(f, "head {serial} does not hold: {why}"),
            Self::NotSigned { serial: None, why } => write!(f, "the checkpoint does not hold: {why}"),
            Self::ForeignExport { serial } => {
                write!(f, "the exported head {serial} was signed by no key of this machine")
            }
        }
    }
}

fn date(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.seconds()).map_or_else(|_| at.to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests;
