//! `evidence list`: one table, filtered, the newest last.

use crate::cli::evidence::choice::{Choice, Table};
use crate::cli::evidence::rows::Row;
use crate::cli::evidence::{ledger, lines, plain, say_none};
use crate::cli::say;
use crate::cli::{Exit, fail};
use crate::clock;
use crate::config::Config;
use crate::evidence::{Claimed, Filter, Storage, StorageError, counted};
use clap::Args;
use std::io::{self, Write};
use std::ops::ControlFlow;

/// What `list` is told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// What each cache claimed, instead of verdicts.
    #[arg(long, group = "table")]
    claims: bool,
    /// What does not happen every day: dissent, changed words, false bytes, builds that differ.
    #[arg(long, group = "table")]
    events: bool,
    /// What was built here.
    #[arg(long, group = "table")]
    builds: bool,
    /// What became of bytes, for each NAR and cache.
    #[arg(long, group = "table")]
    bytes: bool,
    #[command(flatten)]
    choice: Choice,
    /// At most so many rows, the newest; 0 for all that there are.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
    /// For programs: a JSON object on each line.
    #[arg(long)]
    json: bool,
}

/// A row as a line, or as JSON.
type Shown = Result<String, serde_json::Error>;

/// Lists a table.
pub(super) fn list(config: &Config, options: &Options) -> Exit {
    let table = options.table();
    if let Some(misfit) = options.choice.misfit(table) {
        eprintln!("countersign: {misfit}");
        return Exit::Config;
    }
    let filter = match options.choice.filter(&config.store_dir) {
        Ok(filter) => filter,
        Err(wrong) => {
            eprintln!("countersign: {wrong}");
            return Exit::Config;
        }
    };
    let mut storage = match ledger(config) {
        Ok(Some(storage)) => storage,
        Ok(None) => {
            say_none(config);
            return Exit::Ok;
        }
        Err(exit) => return exit,
    };
    let (rows, are_more) = match options.rows(config, &mut storage, table, &filter) {
        Ok(rows) => rows,
        Err(error) => return fail(Exit::Io, &error),
    };
    match print(rows) {
        Ok(()) if are_more => {
            eprintln!("countersign: these are the newest {}; for more: --limit", options.limit);
            Exit::Ok
        }
        Ok(()) => Exit::Ok,
        Err(error) => say::failed(&error),
    }
}

fn print(rows: Vec<Shown>) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for row in rows.into_iter().rev() {
        writeln!(out, "{}", row.map_err(io::Error::other)?)?;
    }
    out.flush()
}

impl Options {
    fn table(&self) -> Table {
        match self {
            Self { claims: true, .. } => Table::Claims,
            Self { events: true, .. } => Table::Events,
            Self { builds: true, .. } => Table::Builds,
            Self { bytes: true, .. } => Table::Bytes,
            _ => Table::Verdicts,
        }
    }

    /// The rows, the newest first, and whether there are more.
    fn rows(
        &self,
        config: &Config,
        storage: &mut impl Storage,
        table: Table,
        filter: &Filter,
    ) -> Result<(Vec<Shown>, bool), StorageError> {
        let limit = if self.limit == 0 { usize::MAX } else { self.limit };
        let mut rows: Vec<Shown> = Vec::new();
        let mut are_more = false;
        let json = self.json;
        let mut take = |row: Row, line: &dyn Fn() -> String| {
            if rows.len() >= limit {
                are_more = true;
                return ControlFlow::Break(());
            }
            rows.push(if json { plain::json(&row) } else { Ok(line()) });
            ControlFlow::Continue(())
        };
        match table {
            Table::Verdicts => {
                storage.verdicts(filter, &mut |row| take(Row::from(&row), &|| lines::verdict(&row)))?;
            }
            Table::Events => {
                storage.events(filter, &mut |row| take(Row::from(&row), &|| lines::event(&row)))?;
            }
            Table::Builds => {
                storage.builds(filter, &mut |row| take(Row::from(&row), &|| lines::build(&row)))?;
            }
            Table::Bytes => {
                storage.fates(filter, &mut |row| take(Row::from(&row), &|| lines::fate(&row)))?;
            }
            Table::Claims => {
                // They come path by path, so the newest are found among all.
                let mut newest = Newest::new(limit);
                storage.claims(filter, &mut |row| {
                    if is_vouched(config, filter, &row) {
                        newest.put(row);
                    }
                    ControlFlow::Continue(())
                })?;
                are_more = newest.are_more;
                rows = newest.rows().iter().map(|row| shown(json, row)).collect();
            }
        }
        Ok((rows, are_more))
    }
}

fn shown(json: bool, row: &crate::evidence::ClaimRow) -> Shown {
    if json { plain::json(&Row::from(row)) } else { Ok(lines::claim(row)) }
}

/// Whether the signer that is asked for vouches for a claim now.
pub(super) fn is_vouched(config: &Config, filter: &Filter, row: &crate::evidence::ClaimRow) -> bool {
    let Some(signer) = &filter.signer else { return true };
    let limits = config.limits.of_narinfo();
    let claimed: Option<Claimed> = counted(row, &config.policy, &limits, clock::now());
    claimed.is_some_and(|claimed| claimed.signers.contains(signer))
}

/// The claims that were heard last, of any number.
struct Newest {
    limit: usize,
    rows: Vec<crate::evidence::ClaimRow>,
    are_more: bool,
}

impl Newest {
    fn new(limit: usize) -> Self {
        Self { limit, rows: Vec::new(), are_more: false }
    }

    fn put(&mut self, row: crate::evidence::ClaimRow) {
        self.rows.push(row);
        if self.rows.len() >= self.limit.saturating_mul(2).saturating_add(64) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.rows.sort_by_key(|row| std::cmp::Reverse(row.last_seen));
        self.are_more |= self.rows.len() > self.limit;
        self.rows.truncate(self.limit);
    }

    /// The newest first.
    fn rows(&mut self) -> &[crate::evidence::ClaimRow] {
        self.cut();
        &self.rows
    }
}
