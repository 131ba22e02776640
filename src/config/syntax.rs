//! Faults of a file that is no proper TOML.
//!
//! The parser goes on after each, and what it could make out is read as well. What is said of that is kept
//! where it can be relied on: not on a line that has a syntax error, and never that something is missing.

use crate::config::fault::{At, Fault};
use crate::config::source::Source;
use std::collections::BTreeSet;
use std::ops::Range;

/// The faults of the syntax, and of `others` those that do not merely follow from them.
pub(super) fn syntax_faults(source: &Source, errors: &[toml::de::Error], others: Vec<Fault>) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    for fault in without_cascade(errors).into_iter().map(|error| syntax_fault(source, error)) {
        // Of several at one place the last is about the innermost thing that is wrong there.
        faults.retain(|earlier| earlier.span.is_none() || earlier.span != fault.span);
        faults.push(fault);
    }
    let line = |span: &Range<usize>| source.place(span.start).line;
    let broken: BTreeSet<usize> = errors.iter().filter_map(|error| Some(line(&error.span()?))).collect();
    let apart = |fault: &Fault| fault.span.as_ref().is_some_and(|span| !broken.contains(&line(span)));
    faults.extend(others.into_iter().filter(apart));
    faults
}

/// Behind a bracket that is never closed every line lacks a comma. One such line is enough, and the bracket.
fn without_cascade(errors: &[toml::de::Error]) -> Vec<&toml::de::Error> {
    let says = |error: &toml::de::Error, words: &[&str]| words.iter().any(|w| error.message().starts_with(w));
    let mut errors: Vec<_> = errors.iter().collect();
    errors.sort_by_key(|error| error.span().map(|span| span.start));
    if errors.iter().any(|error| says(error, &["unclosed array", "unclosed inline table"])) {
        let mut consequences = 0_usize;
        errors.retain(|error| {
            let follows = says(error, &["missing ", "duplicate "]);
            consequences = consequences.saturating_add(usize::from(follows));
            !follows || consequences == 1
        });
    }
    errors
}

fn syntax_fault(source: &Source, error: &toml::de::Error) -> Fault {
    let span = error.span();
    let (found, expected) = match error.message().split_once(", expected ") {
        Some((found, expected)) => (found, format!("expected {expected}")),
        None => (error.message(), String::new()),
    };
    if found == "duplicate key"
        && let Some(span) = &span
    {
        let name = source.text().get(span.clone()).unwrap_or_default();
        let header = header_before(source.text(), span.start);
        let key = if header.is_empty() { name.to_owned() } else { format!("{header}.{name}") };
        let at = At { key: key.into(), span: Some(span.clone()) };
        return at.error("the key is written twice", "once is enough");
    }
    let would_do =
        if expected.is_empty() { "TOML: `KEY = VALUE` below `[SECTION]`".to_owned() } else { expected };
    At { key: "".into(), span }.error(format!("this is no TOML: {found}"), would_do)
}

/// The table that a place belongs to, by the last header before it; empty at the top, and on a header itself.
fn header_before(text: &str, offset: usize) -> &str {
    let before = text.get(..offset).unwrap_or_default();
    let (lines, this_line) = before.rsplit_once('\n').unwrap_or(("", before));
    if this_line.trim_start().starts_with('[') {
        return this_line.trim_start().trim_start_matches('[').trim_end().trim_end_matches('.');
    }
    let header = lines.lines().rev().map(str::trim).find(|line| line.starts_with('['));
    let header = header.and_then(|line| line.trim_start_matches('[').split(']').next());
    header.map_or("", str::trim)
}
