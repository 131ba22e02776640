//! An explanation as text: a table of the caches, then the verdict.

use super::{Explanation, Row, Source, called};
use std::fmt;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().map(|n| format!("-{n}")).unwrap_or_default();
        writeln!(f, "{}{name}", self.path)?;
        if self.source == Source::Ledger {
            writeln!(f, "(what the evidence has; no service runs here, and nobody was asked: --ask does)")?;
        }
        let width = |of: fn(&Row) -> &str, head: &str| {
            self.caches.iter().map(|r| of(r).chars().count()).chain([head.len()]).max().unwrap_or_default()
        };
        let (cache, operator) = (width(|r| &r.cache, "CACHE"), width(|r| &r.operator, "OPERATOR"));
        let has_build = self.here.as_ref().is_some_and(|here| here.nar_hash.is_some());
        let column = |text: &str| if has_build { format!("{text:10}  ") } else { String::new() };
        writeln!(f, "\n{:cache$}  {:operator$}  {}ANSWER", "CACHE", "OPERATOR", column("BUILT HERE"))?;
        for row in &self.caches {
            let built = match row.is_built_here {
                Some(true) => "the same",
                Some(false) => "other",
                None => "-",
            };
            write!(f, "{:cache$}  {:operator$}  {}{}", row.cache, row.operator, column(built), row.answer)?;
            row.print_claim(f)?;
        }
        if let Some(here) = &self.here {
            write!(f, "\nthis machine: {} on {}", called(&here.kind), here.at)?;
            if let Some(hash) = &here.nar_hash {
                write!(f, ": {hash}")?;
            }
            writeln!(f)?;
        }
        writeln!(f, "\nverdict    {}", self.verdict)?;
        let settles = self.here.as_ref().and_then(|here| here.settles.as_deref());
        for (label, value) in [
            ("rule", self.rule.as_deref()),
            ("rests on", self.basis.as_deref()),
            ("reason", self.reason.as_deref()),
            ("lifted by", self.lift.as_deref()),
            ("built here", settles),
        ] {
            if let Some(value) = value {
                writeln!(f, "{label:9}  {value}")?;
            }
        }
        Ok(())
    }
}

impl Row {
    fn print_claim(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(hash), Some(size), Some(references)) = (&self.nar_hash, self.nar_size, self.references) {
            write!(f, " {hash}, {size} bytes, {references} references; ")?;
            match self.signers.as_slice() {
                [] => write!(f, "no counting signature")?,
                signers => write!(f, "signed by {}", signers.join(", "))?,
            }
        }
        if let Some(address) = &self.content_address {
            write!(f, "; CA {address}")?;
        }
        if let Some((first, last)) = &self.heard {
            write!(f, "; heard since {first}, last {last}")?;
        }
        writeln!(f)
    }
}
