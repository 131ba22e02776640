//! `evidence export`: rows as JSON lines, and the signed head of the chain, to be kept elsewhere.
//!
//! ```text
//! {"type":"countersign-evidence","version":1}      first
//! {"type":"verdict",…}                             every row, one each
//! {"type":"head","head":"countersign-head;1;…"}    last, where a verdict was ever reached
//! ```

use crate::cli::evidence::choice::{Choice, Table};
use crate::cli::evidence::list::is_vouched;
use crate::cli::evidence::rows::Row;
use crate::cli::evidence::{ledger, plain, say_none};
use crate::cli::say::{self, say};
use crate::cli::{Exit, fail, state};
use crate::clock;
use crate::config::Config;
use crate::evidence::{Filter, Piece, SignedHead, Sqlite, Storage, StorageError};
use clap::Args;
use serde::Serialize;
use std::io::{self, Write};
use std::ops::ControlFlow;

/// What `export` is told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Nothing but the head, one bare line.
    #[arg(long)]
    head: bool,
    #[command(flatten)]
    choice: Choice,
}

/// What the first line says.
#[derive(Debug, Serialize)]
struct Format {
    r#type: &'static str,
    version: u32,
}

/// Why an export ended early.
enum Broken {
    Ledger(StorageError),
    Output(io::Error),
}

/// Exports rows or the head.
pub(super) fn export(config: &Config, options: &Options) -> Exit {
    let filter = match options.choice.filter(&config.store_dir) {
        Ok(filter) => filter,
        Err(wrong) => {
            eprintln!("countersign: {wrong}");
            return Exit::Config;
        }
    };
    if options.head && !options.choice.is_everything() {
        eprintln!("countersign: the head is of the whole chain: leave the filters out");
        return Exit::Config;
    }
    let mut storage = match ledger(config) {
        Ok(Some(storage)) => storage,
        Ok(None) => {
            say_none(config);
            return Exit::Io;
        }
        Err(exit) => return exit,
    };
    let head = match head(config, &mut storage) {
        Ok(head) => head,
        Err(error) => return fail(Exit::Io, &error),
    };
    if options.head {
        return match head {
            Some(head) => {
                say!("{head}");
                Exit::Ok
            }
            None => {
                eprintln!(
                    "countersign: no head has been signed yet: no verdict was reached, or the machine key cannot be read"
                );
                Exit::Io
            }
        };
    }
    let mut out = Out { out: io::BufWriter::new(io::stdout().lock()), broken: None };
    match out.all(config, &mut storage, &options.choice, &filter, head.as_ref()) {
        Ok(()) => Exit::Ok,
        Err(Broken::Ledger(error)) => fail(Exit::Io, &error),
        Err(Broken::Output(error)) => say::failed(&error),
    }
}

/// The head: signed now where the key can be read and the ledger written, else the last one.
fn head(config: &Config, storage: &mut Sqlite) -> Result<Option<SignedHead>, StorageError> {
    let last = |storage: &mut Sqlite| {
        let text = storage.last_head()?;
        Ok(text.and_then(|text| SignedHead::parse(&text).ok()))
    };
    let Ok(key) = state(config).existing_key(config.mode) else { return last(storage) };
    match storage.seal(clock::now(), &|head| head.sign(&key)) {
        Ok(Some(sealed)) => Ok(Some(sealed)),
        Ok(None) => last(storage),
        Err(error) => {
            eprintln!("countersign: no head was signed now, the last one is shown: {error}");
            last(storage)
        }
    }
}

/// Where rows go, and what went wrong with that.
struct Out<W: Write> {
    out: W,
    broken: Option<io::Error>,
}

impl<W: Write> Out<W> {
    fn all(
        &mut self,
        config: &Config,
        storage: &mut Sqlite,
        choice: &Choice,
        filter: &Filter,
        head: Option<&SignedHead>,
    ) -> Result<(), Broken> {
        let format = Format { r#type: "countersign-evidence", version: VERSION };
        self.line(&format)?;
        let fits = |table: Table| choice.misfit(table).is_none();
        for table in Table::ALL.into_iter().filter(|table| fits(*table)) {
            let read = match table {
                // Without a filter in the order of the chain, up to the head.
                Table::Verdicts if choice.is_everything() => {
                    let last = head.map_or(u64::MAX, |head| head.head.number);
                    storage.chain(&mut |piece| match piece {
                        Piece::Row(row) if row.number > last => ControlFlow::Break(()),
                        Piece::Row(row) => self.put(&Row::from(&row)),
                        Piece::Checkpoint(text) | Piece::Head { text, .. } => {
                            self.put(&Row::Head { head: text.into() })
                        }
                        Piece::Unreadable { .. } => ControlFlow::Continue(()),
                    })
                }
                Table::Verdicts => storage.verdicts(filter, &mut |row| self.put(&Row::from(&row))),
                Table::Claims => storage.claims(filter, &mut |row| {
                    if is_vouched(config, filter, &row) {
                        self.put(&Row::from(&row))
                    } else {
                        ControlFlow::Continue(())
                    }
                }),
                Table::Events => storage.events(filter, &mut |row| self.put(&Row::from(&row))),
                Table::Builds => storage.builds(filter, &mut |row| self.put(&Row::from(&row))),
                Table::Bytes => storage.fates(filter, &mut |row| self.put(&Row::from(&row))),
            };
            read.map_err(Broken::Ledger)?;
            if let Some(error) = self.broken.take() {
                return Err(Broken::Output(error));
            }
        }
        if let Some(head) = head {
            self.line(&Row::Head { head: head.to_string() })?;
        }
        self.out.flush().map_err(Broken::Output)
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), Broken> {
        let text = plain::json(value).map_err(|error| Broken::Output(error.into()))?;
        writeln!(self.out, "{text}").map_err(Broken::Output)
    }

    /// The same for a storage that hands rows one by one.
    fn put(&mut self, row: &Row) -> ControlFlow<()> {
        match self.line(row) {
            Ok(()) => ControlFlow::Continue(()),
            Err(Broken::Output(error)) => {
                self.broken = Some(error);
                ControlFlow::Break(())
            }
            Err(Broken::Ledger(_)) => ControlFlow::Break(()),
        }
    }
}

/// The version of the lines. It counts up when one of them means something else, or is gone.
const VERSION: u32 = 1;
