//! What came of witnessing, for people and for programs.

use crate::cli::Exit;
use crate::cli::push::Summary;
use crate::cli::say;
use crate::format::StorePath;
use crate::init::shown;
use serde::Serialize;
use std::io::{self, Write};

/// What came of everything that was asked for.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// One for each path.
    pub(super) entries: Vec<Entry>,
    /// What became of the claims, at each destination.
    pub(super) claims: Summary,
    /// How many paths that others refer to match no `packages`.
    pub(super) left_out: usize,
    /// Whether what was rebuilt is in the ledger; `None` if there is nothing to write.
    pub(super) recorded: Option<bool>,
}

/// What came of one path.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) outcome: Fate,
    /// The NarHash as the store had recorded it before.
    pub(super) installed: Option<String>,
    /// The NarHash of a build that differs.
    pub(super) rebuilt: Option<String>,
    /// Where Nix kept that.
    pub(super) kept: Option<String>,
    /// What is wrong, and what would do.
    pub(super) why: Option<String>,
}

/// What came of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Fate {
    /// Nix built it here, or rebuilt it alike, before.
    BuiltHere,
    /// It was rebuilt, and is the same.
    Rebuilt,
    /// It was not installed, and was built from source.
    Built,
    /// Its path follows from its contents, so it needs nobody's word.
    ByContent,
    /// It was rebuilt, and is not the same.
    Differs,
    /// Another output of its derivation differs.
    NotCompared,
    /// It could not be rebuilt here.
    NotBuilt,
    /// It is the same, and may not go anywhere.
    NotClaimed,
}

impl Entry {
    pub(super) fn of(path: &StorePath, outcome: Fate) -> Self {
        Self { path: path.to_string(), outcome, installed: None, rebuilt: None, kept: None, why: None }
    }
}

impl Report {
    pub(super) fn add(&mut self, path: &StorePath, fate: Fate) {
        self.entries.push(Entry::of(path, fate));
    }

    /// Prints it, and says how the command ends: a finding is one even where something else could not be found out.
    pub(super) fn print(&self, json: bool) -> Exit {
        let printed = if json {
            let text = serde_json::to_string_pretty(self).map_err(io::Error::other);
            text.and_then(|text| writeln!(io::stdout().lock(), "{text}"))
        } else {
            self.text()
        };
        printed.map_or_else(|error| say::failed(&error), |()| self.exit())
    }

    fn text(&self) -> io::Result<()> {
        self.claims.print_unsent();
        let mut out = io::stdout().lock();
        for Entry { path, outcome, installed, rebuilt, kept, why } in &self.entries {
            match outcome {
                Fate::Differs => {
                    writeln!(out, "{path}\n  differs     nothing is claimed of it")?;
                    writeln!(out, "  installed   {}", installed.as_deref().unwrap_or("unknown"))?;
                    writeln!(
                        out,
                        "  rebuilt     {}",
                        rebuilt.as_deref().unwrap_or("unknown: Nix did not keep it")
                    )?;
                    if let Some(place) = kept {
                        writeln!(out, "  kept        {} (compare: diff -r, or diffoscope)", shown(place))?;
                    }
                }
                Fate::NotBuilt | Fate::NotCompared | Fate::NotClaimed => {
                    let why = why.as_deref().unwrap_or_default();
                    writeln!(out, "{path}\n  not claimed {why}")?;
                }
                Fate::BuiltHere | Fate::Rebuilt | Fate::Built | Fate::ByContent => {}
            }
        }
        if self.left_out > 0 {
            writeln!(out, "{} that these refer to match no `packages`, and were left out", self.left_out)?;
        }
        let Summary { sent, held_back, given_up, .. } = &self.claims;
        writeln!(
            out,
            "{} built here, {} rebuilt alike, {} built from source, {} certified by their contents; {} differ, {} not \
             rebuilt",
            self.number(Fate::BuiltHere),
            self.number(Fate::Rebuilt),
            self.number(Fate::Built),
            self.number(Fate::ByContent),
            self.number(Fate::Differs) + self.number(Fate::NotCompared),
            self.number(Fate::NotBuilt)
        )?;
        writeln!(out, "{} claimed, {} held back, {} given up", sent.len(), held_back.len(), given_up.len())
    }

    fn number(&self, fate: Fate) -> usize {
        self.entries.iter().filter(|entry| entry.outcome == fate).count()
    }

    fn exit(&self) -> Exit {
        let findings = [Fate::Differs, Fate::NotCompared, Fate::NotClaimed].map(|fate| self.number(fate));
        let Summary { skipped, held_back, given_up, .. } = &self.claims;
        if findings.iter().any(|number| *number > 0)
            || !(skipped.is_empty() && held_back.is_empty() && given_up.is_empty())
        {
            Exit::Refused
        } else if self.number(Fate::NotBuilt) > 0 || self.recorded == Some(false) {
            Exit::Io
        } else {
            Exit::Ok
        }
    }
}
