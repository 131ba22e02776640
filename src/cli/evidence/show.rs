//! `evidence show`: everything about one path, or one verdict with its place in the chain.

use crate::cli::evidence::choice::hash_part;
use crate::cli::evidence::lines::{self, when};
use crate::cli::evidence::rows::Row;
use crate::cli::evidence::{ledger, plain, say_none};
use crate::cli::say;
use crate::cli::{Exit, fail};
use crate::clock;
use crate::config::Config;
use crate::evidence::{
    BuildRow, Chained, ClaimRow, EventRow, FateRow, Filter, Piece, Storage, StorageError, counted,
};
use crate::format::HashPart;
use crate::format::narinfo::Core;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

/// All that is known of one path.
#[derive(Default)]
struct Known {
    claims: Vec<ClaimRow>,
    builds: Vec<BuildRow>,
    /// The oldest first, as the events.
    verdicts: Vec<Chained>,
    events: Vec<EventRow>,
    fates: Vec<FateRow>,
}

/// Shows a path or a verdict.
pub(super) fn show(config: &Config, what: &str, json: bool) -> Exit {
    let number = what.parse::<u64>().ok();
    let path = match hash_part(&config.store_dir, what) {
        Ok(path) => Some(path),
        Err(_) if number.is_some() => None,
        Err(wrong) => {
            eprintln!("countersign: {wrong}, nor the number of a verdict");
            return Exit::Config;
        }
    };
    let mut storage = match ledger(config) {
        Ok(Some(storage)) => storage,
        Ok(None) => {
            say_none(config);
            return Exit::Refused;
        }
        Err(exit) => return exit,
    };
    let shown = match (path, number) {
        (Some(path), _) => Known::of(&mut storage, path).map(|known| known.print(config, path, json)),
        (None, number) => find(&mut storage, number.unwrap_or_default()).map(|row| match row {
            Some(row) => print_verdict(&row, json).map(|()| true),
            None => Ok(false),
        }),
    };
    match shown {
        Ok(Ok(true)) => Exit::Ok,
        Ok(Ok(false)) => {
            eprintln!("countersign: nothing is known of {}", plain(what));
            Exit::Refused
        }
        Ok(Err(error)) => say::failed(&error),
        Err(error) => fail(Exit::Io, &error),
    }
}

/// The verdict of a number.
fn find(storage: &mut impl Storage, number: u64) -> Result<Option<Chained>, StorageError> {
    let mut found = None;
    storage.chain(&mut |piece| match piece {
        Piece::Row(row) if row.number == number => {
            found = Some(row);
            ControlFlow::Break(())
        }
        Piece::Row(row) if row.number > number => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })?;
    Ok(found)
}

fn print_verdict(row: &Chained, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        return writeln!(out, "{}", plain::json(&Row::from(row)).map_err(io::Error::other)?);
    }
    writeln!(out, "{}", lines::verdict(row))?;
    write!(out, "{}", lines::heard(&row.row.heard))?;
    if let Some(carried) = row.carried {
        let (from, at) = (carried.from, when(carried.at));
        writeln!(out, "{:31}written again on {at}, when verdict {from}, which it was, was pruned", "")?;
    }
    writeln!(out, "{:31}hash {}", "", row.hash)
}

impl Known {
    fn of(storage: &mut impl Storage, path: HashPart) -> Result<Self, StorageError> {
        let mut known = Self::default();
        let earlier = storage.earlier(path)?;
        (known.claims, known.builds) = (earlier.claims, earlier.builds);
        let filter = Filter { path: Some(path), ..Filter::default() };
        storage.verdicts(&filter, &mut |row| {
            known.verdicts.push(row);
            ControlFlow::Continue(())
        })?;
        storage.events(&filter, &mut |row| {
            known.events.push(row);
            ControlFlow::Continue(())
        })?;
        known.verdicts.reverse();
        known.events.reverse();
        let hashes: Vec<_> = known.claims.iter().map(|claim| claim.core.nar_hash).collect();
        if !hashes.is_empty() {
            storage.fates(&Filter::default(), &mut |row| {
                if hashes.contains(&row.nar_hash) {
                    known.fates.push(row);
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(known)
    }

    /// Prints it, and says whether there was anything.
    fn print(&self, config: &Config, path: HashPart, json: bool) -> io::Result<bool> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        if json {
            for row in self.rows() {
                writeln!(out, "{}", plain::json(&row).map_err(io::Error::other)?)?;
            }
        } else {
            self.write(config, path, &mut out)?;
        }
        out.flush()?;
        Ok(!self.is_empty())
    }

    fn is_empty(&self) -> bool {
        self.claims.is_empty() && self.builds.is_empty() && self.verdicts.is_empty() && self.events.is_empty()
    }

    fn rows(&self) -> Vec<Row> {
        let claims = self.claims.iter().map(Row::from);
        let builds = self.builds.iter().map(Row::from);
        let verdicts = self.verdicts.iter().map(Row::from);
        let events = self.events.iter().map(Row::from);
        claims.chain(builds).chain(verdicts).chain(events).chain(self.fates.iter().map(Row::from)).collect()
    }

    fn write(&self, config: &Config, path: HashPart, out: &mut impl Write) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let named = self.claims.first().map(|claim| claim.core.store_path.to_string());
        let named = named.or_else(|| self.builds.first().map(|build| build.path.to_string()));
        writeln!(out, "{}", named.unwrap_or_else(|| path.to_string()))?;
        self.write_claims(config, out)?;
        if !self.builds.is_empty() {
            writeln!(out, "\nbuilt here")?;
        }
        for build in self.builds.iter().rev() {
            writeln!(out, "  {}  {}{}", when(build.at), build.kind.label(), lines::result(build))?;
        }
        for (title, rows) in [
            ("verdicts", self.verdicts.iter().map(lines::verdict).collect::<Vec<_>>()),
            ("events", self.events.iter().map(lines::event).collect()),
            ("bytes", self.fates.iter().rev().map(lines::fate).collect()),
        ] {
            if !rows.is_empty() {
                writeln!(out, "\n{title}")?;
            }
            for row in rows {
                writeln!(out, "  {row}")?;
            }
        }
        Ok(())
    }

    /// What is claimed, core by core, so that who says the same stands together.
    fn write_claims(&self, config: &Config, out: &mut impl Write) -> io::Result<()> {
        let mut cores: Vec<&Arc<Core>> = Vec::new();
        for claim in &self.claims {
            if cores.iter().all(|core| **core != claim.core) {
                cores.push(&claim.core);
            }
        }
        let limits = config.limits.of_narinfo();
        for core in cores {
            writeln!(out, "\nclaimed: {}, {} bytes", core.nar_hash, core.nar_size)?;
            let references: Vec<String> = core.references.iter().map(ToString::to_string).collect();
            if !references.is_empty() {
                writeln!(out, "  references  {}", references.join(" "))?;
            }
            for claim in self.claims.iter().filter(|claim| claim.core == *core) {
                writeln!(out, "  {}", lines::word(claim))?;
                let counted = counted(claim, &config.policy, &limits, clock::now());
                let counts = match counted {
                    Some(counted) => format!("vouched for by {}", counted.signers.join(", ")),
                    None => "no signature of it counts now".to_owned(),
                };
                writeln!(out, "{:22}{}", "", plain(&counts))?;
            }
        }
        Ok(())
    }
}
