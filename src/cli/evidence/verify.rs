//! `evidence verify`: whether the chain is as it was written, and as heads that left this machine say.

use crate::cli::evidence::rows::date;
use crate::cli::evidence::{ledger, plain, say_none};
use crate::cli::say::{self, say};
use crate::cli::{Exit, fail, state};
use crate::config::Config;
use crate::evidence::{Report, SignedHead, Storage, StorageError};
use crate::format::VerifyingKey;
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// What was found, for programs.
#[derive(Debug, Serialize)]
struct Findings {
    /// Verdicts that were looked at.
    verdicts: u64,
    /// The number of the last one.
    last: Option<u64>,
    /// Verdicts up to this one were pruned, as a signed checkpoint says.
    pruned: Option<u64>,
    /// The last verdict that a signed head covers, and those behind it.
    covered: Option<u64>,
    uncovered: u64,
    /// The last head that is kept, as it is.
    head: Option<String>,
    /// Exported heads: whose verdict was found as it was, and whose verdict has been pruned since.
    confirmed: u64,
    pruned_since: u64,
    /// What is wrong, one sentence each, and how many more there are.
    flaws: Vec<String>,
    more: u64,
}

/// Looks at the whole chain.
pub(super) fn verify(config: &Config, against: &[PathBuf], json: bool) -> Exit {
    let mut exported = Vec::new();
    for file in against {
        match heads(file) {
            Ok(heads) if heads.is_empty() => {
                eprintln!(
                    "countersign: {} holds no signed head; `countersign evidence export --head` writes one",
                    file.display()
                );
                return Exit::Config;
            }
            Ok(heads) => exported.extend(heads),
            Err(error) => {
                eprintln!("countersign: cannot read heads from {}: {error}", file.display());
                return Exit::Io;
            }
        }
    }
    let keys = match state(config).public_keys() {
        Ok(keys) => keys.all,
        Err(error) => return fail(Exit::Io, &error),
    };
    let mut storage = match ledger(config) {
        Ok(Some(storage)) => storage,
        Ok(None) => return without_ledger(config, &exported),
        Err(exit) => return exit,
    };
    match Findings::of(&mut storage, &keys, &exported) {
        Ok(findings) => findings.print(json),
        Err(error) => fail(Exit::Io, &error),
    }
}

/// Nothing is there to be checked. Where a head says that there was something, that is the finding.
fn without_ledger(config: &Config, exported: &[SignedHead]) -> Exit {
    say_none(config);
    match exported.iter().max_by_key(|seal| seal.head.number) {
        Some(seal) => {
            let (number, signed) = (seal.head.number, date(seal.head.at));
            say!("the whole ledger is gone: a head of {signed} was signed for verdict {number}");
            Exit::Refused
        }
        None => Exit::Io,
    }
}

impl Findings {
    fn of(
        storage: &mut dyn Storage,
        keys: &[VerifyingKey],
        exported: &[SignedHead],
    ) -> Result<Self, StorageError> {
        let head = storage.last_head()?.map(String::from);
        let Report { rows, last, pruned, covered, uncovered, confirmed, pruned_since, flaws, more } =
            crate::evidence::verify(storage, keys, exported)?;
        let flaws = flaws.iter().map(ToString::to_string).collect();
        Ok(Self {
            verdicts: rows,
            last,
            pruned,
            covered,
            uncovered,
            head,
            confirmed,
            pruned_since,
            flaws,
            more,
        })
    }

    fn print(&self, json: bool) -> Exit {
        let printed = if json {
            plain::json(self)
                .map_err(io::Error::other)
                .and_then(|text| writeln!(io::stdout().lock(), "{text}"))
        } else {
            self.write(&mut io::stdout().lock())
        };
        match printed {
            Err(error) => say::failed(&error),
            Ok(()) if self.flaws.is_empty() => Exit::Ok,
            Ok(()) => Exit::Refused,
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for flaw in &self.flaws {
            writeln!(out, "{}", plain(flaw))?;
        }
        if self.more > 0 {
            writeln!(out, "and {} more", self.more)?;
        }
        let last = self.last.map(|last| format!(", the last one number {last}")).unwrap_or_default();
        writeln!(out, "{} verdicts{last}", self.verdicts)?;
        if let Some(pruned) = self.pruned {
            writeln!(out, "verdicts up to {pruned} were pruned, as a signed checkpoint says")?;
        }
        let head = self.head.as_deref().and_then(|text| SignedHead::parse(text).ok()).map(|seal| seal.head);
        match (head, self.covered) {
            (Some(head), Some(covered)) => {
                writeln!(
                    out,
                    "verdicts up to {covered} are covered; the last head is {}, of {}",
                    head.serial,
                    date(head.at)
                )?;
            }
            (_, Some(covered)) => writeln!(out, "verdicts up to {covered} are covered by a signed head")?,
            (_, None) => writeln!(out, "no verdict is covered by a signed head")?,
        }
        if self.uncovered > 0 {
            writeln!(
                out,
                "{} behind that are not covered yet: they are bound to each other alone",
                self.uncovered
            )?;
        }
        if self.confirmed > 0 {
            writeln!(out, "exported heads that hold: {}", self.confirmed)?;
        }
        if self.pruned_since > 0 {
            writeln!(out, "exported heads whose verdict has been pruned since: {}", self.pruned_since)?;
        }
        let verdict =
            if self.flaws.is_empty() { "all is as it was written" } else { "this is not as it was written" };
        writeln!(out, "{verdict}")
    }
}

/// The heads in a file: wherever in a line one stands, as in a journal or in JSON.
fn heads(file: &Path) -> io::Result<Vec<SignedHead>> {
    let mut heads = Vec::new();
    let mut reader = BufReader::new(File::open(file)?);
    for number in 1_u64.. {
        let mut line = Vec::new();
        let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        let line = String::from_utf8_lossy(&line);
        for (at, _) in line.match_indices(MARK) {
            let rest = line.get(at..).unwrap_or_default();
            let end = rest.find(|c: char| c.is_whitespace() || "\"'<>".contains(c) || c.is_control());
            let text = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            let head = SignedHead::parse(text.trim_end_matches(['.', ',', ')', '\\']));
            heads.push(head.map_err(|error| io::Error::other(format!("line {number}: {error}")))?);
        }
    }
    Ok(heads)
}

/// What every head begins with.
const MARK: &str = "countersign-head;";

/// Longer than any line with a head, in bytes: an exported verdict has reasons and names of many caches in it.
const LONGEST_LINE: u64 = 16 << 20;
