//! Which rows: the filters on the command line, and which of them apply to which table.

use crate::cli::moment::Moment;
use crate::evidence::{EventKind, Filter, Outcome};
use crate::format::{HashPart, StoreDir, StorePath};
use crate::trust::Glob;
use clap::Args;

/// Filters.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Choice {
    /// Not before this: 7d or 12h ago, a day (2026-11-02, in UTC) or a moment (2026-11-02T10:00:00Z).
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    since: Option<Moment>,
    /// Before this.
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    until: Option<Moment>,
    /// About this path: a store path, its base name, or its hash.
    #[arg(long, value_name = "PATH|HASH")]
    path: Option<String>,
    /// About packages with such a name: `*` and `?` as in `packages`.
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    package: Option<String>,
    /// In which this cache said something.
    #[arg(long, value_name = "NAME")]
    cache: Option<String>,
    /// In which this signer vouches; events that are about it.
    #[arg(long, value_name = "NAME")]
    signer: Option<String>,
    /// Verdicts with this label of a reason, such as dissent.
    #[arg(long, value_name = "LABEL")]
    reason: Option<String>,
    /// Verdicts with this outcome: endorse, refuse, defer, absent or clock-reset.
    #[arg(long, value_name = "OUTCOME", value_parser = outcome)]
    outcome: Option<Outcome>,
    /// Events of this kind, such as dissent, changed-word or build-differs.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<EventKind>,
}

/// The tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Verdicts,
    Claims,
    Events,
    Builds,
    Bytes,
}

impl Table {
    pub(super) const ALL: [Self; 5] = [Self::Verdicts, Self::Claims, Self::Events, Self::Builds, Self::Bytes];

    /// The filters that it knows.
    fn filters(self) -> &'static [&'static str] {
        match self {
            Self::Verdicts => &["since", "until", "path", "package", "cache", "signer", "reason", "outcome"],
            Self::Claims => &["since", "until", "path", "package", "cache", "signer"],
            Self::Events => &["since", "until", "path", "package", "cache", "signer", "kind"],
            Self::Builds => &["since", "until", "path", "package"],
            Self::Bytes => &["since", "until", "cache"],
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Verdicts => "verdicts",
            Self::Claims => "claims",
            Self::Events => "events",
            Self::Builds => "builds",
            Self::Bytes => "bytes",
        }
    }
}

impl Choice {
    /// Whether nothing is left out.
    pub(super) fn is_everything(&self) -> bool {
        self.given().next().is_none()
    }

    /// Whether a table knows every filter that was given; else which it does not know.
    pub(super) fn misfit(&self, table: Table) -> Option<String> {
        let unknown = self.given().find(|name| !table.filters().contains(name))?;
        let table_has = table.filters().iter().map(|name| format!("--{name}")).collect::<Vec<_>>().join(" ");
        Some(format!("--{unknown} does not apply to {}, which can be chosen by {table_has}", table.label()))
    }

    /// What the ledger is asked; `Err` says what is no path.
    pub(super) fn filter(&self, dir: &StoreDir) -> Result<Filter, String> {
        let text = |text: &Option<String>| text.as_deref().map(Box::from);
        let path = self.path.as_deref().map(|path| hash_part(dir, path)).transpose()?;
        Ok(Filter {
            since: self.since.map(Moment::resolve),
            until: self.until.map(Moment::resolve),
            path,
            package: text(&self.package),
            cache: text(&self.cache),
            signer: text(&self.signer),
            reason: text(&self.reason),
            outcome: self.outcome,
            event: self.kind,
        })
    }

    fn given(&self) -> impl Iterator<Item = &'static str> {
        let Self { since, until, path, package, cache, signer, reason, outcome, kind } = self;
        [
            (since.is_some(), "since"),
            (until.is_some(), "until"),
            (path.is_some(), "path"),
            (package.is_some(), "package"),
            (cache.is_some(), "cache"),
            (signer.is_some(), "signer"),
            (reason.is_some(), "reason"),
            (outcome.is_some(), "outcome"),
            (kind.is_some(), "kind"),
        ]
        .into_iter()
        .filter_map(|(is_given, name)| is_given.then_some(name))
    }
}

/// The hash part of a store path, of its base name, or alone.
pub(super) fn hash_part(dir: &StoreDir, text: &str) -> Result<HashPart, String> {
    let whole = StorePath::from_absolute_path(dir, text).or_else(|_| StorePath::from_base_name(text));
    let part = whole.map(|path| path.hash_part()).ok().or_else(|| HashPart::parse(text).ok());
    part.ok_or_else(|| {
        format!("{text:?} is neither a store path below {} nor a 32-character hash", dir.as_str())
    })
}

fn glob(text: &str) -> Result<String, String> {
    Glob::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn outcome(text: &str) -> Result<Outcome, String> {
    Outcome::parse(text).ok_or_else(|| "one of endorse, refuse, defer, absent, clock-reset".to_owned())
}

fn kind(text: &str) -> Result<EventKind, String> {
    let all = || EventKind::ALL.map(EventKind::label).join(", ");
    EventKind::parse(text).ok_or_else(|| format!("one of {}", all()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_a_table_does_not_know_is_named() {
        let choice = Choice { outcome: Some(Outcome::Refuse), ..Choice::default() };
        assert_eq!(choice.misfit(Table::Verdicts), None);
        for table in [Table::Claims, Table::Events, Table::Builds, Table::Bytes] {
            assert!(choice.misfit(table).unwrap().starts_with("--outcome does not apply to"), "{table:?}");
        }
        let package = Choice { package: Some("a*".into()), ..Choice::default() };
        assert!(package.misfit(Table::Bytes).unwrap().contains("--since --until --cache"));
        assert!(!package.is_everything() && Choice::default().is_everything());
    }
}
