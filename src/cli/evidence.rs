//! `countersign evidence list|show|verify|export|clock`: what was said and what was decided, out of the ledger.
//!
//! These read the state directory, and need neither a service nor the network. Whatever stands in a row came from
//! outside at some time, so nothing of it reaches a terminal but through [`plain`] or as JSON in ASCII.

mod choice;
mod clock;
mod export;
mod lines;
mod list;
mod plain;
mod rows;
mod show;
mod verify;

use crate::cli::{Exit, fail};
use crate::config::Config;
use crate::evidence::{Sqlite, StorageError, Terms};
use clap::Subcommand;
pub(in crate::cli) use plain::plain;
use std::path::PathBuf;

/// What to do with the evidence.
#[derive(Debug, Subcommand)]
pub(super) enum EvidenceCommand {
    /// List verdicts, or another table; the newest last.
    ///
    /// As JSON each row is one line, an object whose `type` is verdict, claim, event, build or bytes; what is there
    /// today keeps its name and meaning. Without a ledger there is nothing to list, and the exit status is 0.
    List(list::Options),
    /// Show all about one path, or one verdict by its number.
    ///
    /// Claims side by side, with their signers and dates; what was built here; verdicts, events, and what became of
    /// the bytes. Exit status: 0 shown, 1 nothing is known of it.
    Show {
        /// A store path, its base name, its 32-character hash, or the number of a verdict.
        #[arg(value_name = "PATH|HASH|NUMBER")]
        what: String,
        /// For programs: JSON lines, as those of `list`.
        #[arg(long)]
        json: bool,
    },
    /// Check that no verdict was changed, moved, put in or taken out.
    ///
    /// Every verdict carries the hash of the one before, and heads of that chain are signed with the machine key. Heads
    /// that were exported, or that stand in a journal, are held against it too: they betray a tail that was cut off.
    /// Verdicts behind the last signed head are not covered yet, which is told and is no fault.
    ///
    /// Exit status: 0 all is as it was written, 1 something is not, 3 it could not be found out, as where there is no
    /// ledger.
    Verify {
        /// A file with heads that were exported before: what `export --head` or `export` wrote, or lines of a journal.
        /// May be given several times.
        #[arg(long, value_name = "FILE")]
        against: Vec<PathBuf>,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Write evidence to standard output as JSON lines.
    ///
    /// The first line names the format and its version, the last one is the signed head of the chain; keep it where
    /// this machine cannot write, and give it to `verify --against` later. Without filters: every table, the verdicts in
    /// the order of the chain. With filters: what they admit of each table that they apply to, the newest first.
    ///
    /// The head is signed now where the machine key can be read, else it is the last one that was signed.
    Export(export::Options),
    /// Look at the clock as the ledger has it, and set it back.
    ///
    /// A clock that was once far ahead leaves rows and files from the future behind, and "now" is never earlier than
    /// those. `--reset` takes the time of the system for right: it is recorded as a row of its own, and files of the
    /// state directory that are from the future are dated now. Stop the service and the uploader first.
    Clock(clock::Options),
}

/// Runs a command on the evidence.
pub(super) fn evidence(config: &Config, command: &EvidenceCommand) -> Exit {
    match command {
        EvidenceCommand::List(options) => list::list(config, options),
        EvidenceCommand::Show { what, json } => show::show(config, what, *json),
        EvidenceCommand::Verify { against, json } => verify::verify(config, against, *json),
        EvidenceCommand::Export(options) => export::export(config, options),
        EvidenceCommand::Clock(options) => clock::clock(config, options),
    }
}

/// The ledger, if there is one yet.
fn ledger(config: &Config) -> Result<Option<Sqlite>, Exit> {
    let terms = Terms { limit: config.limits.evidence.bytes(), ..Terms::default() };
    let opened = Sqlite::open_existing(&config.state_directory, &terms);
    opened.map_err(|error| {
        // As with the state directory: a newer program's is a matter of which one is named.
        let exit = if matches!(error, StorageError::Newer { .. }) { Exit::Config } else { Exit::Io };
        fail(exit, &error)
    })
}

/// Says that there is no ledger.
fn say_none(config: &Config) {
    eprintln!(
        "countersign: there is no evidence yet in {}: it is written while `countersign serve` runs",
        plain(&config.state_directory.display().to_string())
    );
}
