//! `[[rules]]` and `[[exceptions]]` as read: patterns parsed, names of signers and caches not yet looked up.

use crate::config::fault::{At, Complaint, Located};
use crate::config::item::{Item, Listed, quoted};
use crate::config::read::Table;
use crate::config::signers::signer_name;
use crate::format::{NarHash, StoreDir, StorePath};
use crate::trust::{Glob, Subject, Timestamp};
use std::num::NonZeroU8;

/// A rule as read.
#[derive(Debug)]
pub(super) struct RawRule {
    pub(super) at: At,
    pub(super) name: Option<Located<Box<str>>>,
    pub(super) packages: RawPackages,
    pub(super) clauses: Vec<RawClause>,
    /// False if a clause could not be read, or there is none.
    pub(super) sure: bool,
    /// Where it stands, if it is written.
    pub(super) operators: Option<Located<NonZeroU8>>,
    pub(super) dissent: RawDissent,
    pub(super) must_answer: Vec<Located<Box<str>>>,
    pub(super) verify_content_addressed: bool,
}

/// The packages of a rule as read.
#[derive(Debug)]
pub(super) enum RawPackages {
    /// None are written: the rest.
    Rest,
    /// These.
    Globs(Vec<Glob>, At),
    /// Something is written, and not all of it could be read.
    Unreadable(At),
}

/// One threshold as read.
#[derive(Debug)]
pub(super) struct RawClause {
    pub(super) at_least: Located<NonZeroU8>,
    pub(super) of: Vec<Located<Box<str>>>,
    /// False if an element of `of` could not be read.
    pub(super) sure: bool,
}

/// What happens on dissent, as read.
#[derive(Debug)]
pub(super) enum RawDissent {
    Refuse,
    Outvote(At),
    Prefer(Vec<Located<Box<str>>>),
}

/// An exception as read.
#[derive(Debug)]
pub(super) struct RawException {
    pub(super) subject: Option<Subject>,
    pub(super) rule: Option<Located<Box<str>>>,
    pub(super) ends: Option<Located<Timestamp>>,
    pub(super) why: Option<Box<str>>,
}

/// Reads every rule.
pub(super) fn read_rules(root: &Table<'_>) -> Vec<RawRule> {
    let Some(item) = root.take("rules") else { return Vec::new() };
    item.list("tables, each under [[rules]]", |item| Some(read_rule(&item.table()?)))
        .map_or_else(Vec::new, |l| l.items)
}

fn read_rule(table: &Table<'_>) -> RawRule {
    let name =
        table.need("name", "`name = \"…\"`: exceptions and refusals refer to it").and_then(|i| i.words());
    let packages = match table.take("packages") {
        None => RawPackages::Rest,
        Some(item) => match item.some("the packages that it is for", Item::glob) {
            Some(list) if list.sure => {
                RawPackages::Globs(list.items.into_iter().map(|g| g.value).collect(), item.at().clone())
            }
            _ => RawPackages::Unreadable(item.at().clone()),
        },
    };
    let hint = "`signatures = [{ at-least = 1, of = [\"SIGNER\"] }]`";
    let clauses = table.need("signatures", hint).and_then(|item| {
        let list = item.list("tables { at-least = 1, of = [SIGNERS] }", read_clause)?;
        if list.items.is_empty() && list.sure {
            table.desk().put(item.at().error("the list is empty: anything would be endorsed", hint));
        }
        Some(list)
    });
    let must_answer = table.take("must-answer").and_then(|item| {
        let hint = "the name of a [caches.NAME] in quotes";
        item.set("caches", |i| i.text("a cache's name", hint, |text| Ok(Box::<str>::from(text))))
    });
    let addressed = [("verify", true), ("ignore", false)];
    RawRule {
        at: table.at().clone(),
        name,
        packages,
        sure: clauses.as_ref().is_some_and(|l| l.sure && !l.items.is_empty()),
        clauses: clauses.map_or_else(Vec::new, |l| l.items),
        operators: table.take("operators").and_then(|item| threshold(&item)),
        dissent: table.take("dissent").and_then(|item| read_dissent(&item)).unwrap_or(RawDissent::Refuse),
        must_answer: must_answer.map_or_else(Vec::new, |l| l.items),
        verify_content_addressed: table
            .take("content-addressed")
            .and_then(|item| item.choice(&addressed))
            .is_none_or(|verify| verify.value),
    }
}

fn read_clause(item: &Item<'_>) -> Option<RawClause> {
    let table = item.table()?;
    let at_least = table.need("at-least", "`at-least = 1`").and_then(|item| threshold(&item));
    let of = table
        .need("of", "`of = [\"SIGNER\"]`")
        .and_then(|i| i.some("the signers that are asked", signer_name));
    let Listed { items, sure } = of?;
    Some(RawClause { at_least: at_least?, of: items, sure })
}

/// A number of voices or operators: one at least, for zero would be met by nobody's word.
fn threshold(item: &Item<'_>) -> Option<Located<NonZeroU8>> {
    let number = item.number(1..=u64::from(u8::MAX))?;
    Some(Located::new(NonZeroU8::new(u8::try_from(number.value).ok()?)?, number.at))
}

fn read_dissent(item: &Item<'_>) -> Option<RawDissent> {
    if item.is_table() {
        let table = item.table()?;
        let list = table.need("prefer", "`{ prefer = [\"SIGNER\"] }`")?;
        return list.some("the signers that are preferred", signer_name).map(|l| RawDissent::Prefer(l.items));
    }
    let outvote = item.choice(&[("refuse", false), ("outvote", true)])?;
    Some(if outvote.value { RawDissent::Outvote(outvote.at) } else { RawDissent::Refuse })
}

/// Reads every exception.
pub(super) fn read_exceptions(root: &Table<'_>, store_dir: &StoreDir) -> Vec<RawException> {
    let Some(item) = root.take("exceptions") else { return Vec::new() };
    item.list("tables, each under [[exceptions]]", |item| Some(read_exception(&item.table()?, store_dir)))
        .map_or_else(Vec::new, |l| l.items)
}

fn read_exception(table: &Table<'_>, store_dir: &StoreDir) -> RawException {
    let packages = table.take("packages");
    let core = table.take("core");
    let subject = match (packages, core) {
        (Some(packages), None) => packages
            .some("the packages that it is for", Item::glob)
            .filter(|list| list.sure)
            .map(|list| Subject::Packages(list.items.into_iter().map(|g| g.value).collect())),
        (None, Some(core)) => core.table().and_then(|table| read_core(&table, store_dir)),
        (Some(packages), Some(core)) => {
            let fault =
                core.at().error("found both packages and core", "only one of the two; or two exceptions");
            table.desk().put(fault.aside(packages.at(), "packages are here"));
            None
        }
        (None, None) => {
            if table.desk().complete {
                let hint =
                    "`packages = [\"…\"]`, or `core = { path = \"…\", nar-hash = \"…\" }` for one build";
                table.desk().put(table.at().error("neither `packages` nor `core` is there", hint));
            }
            None
        }
    };
    RawException {
        subject,
        rule: table.need("rule", "the name of the rule that holds instead").and_then(|i| i.words()),
        ends: table
            .need("until", "the last day on which it holds: an exception must end")
            .and_then(|i| i.day()),
        why: table.need("why", "a reason, for those who find it later").and_then(|i| Some(i.words()?.value)),
    }
}

fn read_core(table: &Table<'_>, store_dir: &StoreDir) -> Option<Subject> {
    let path_hint = format!("\"{store_dir}/HASH-NAME\"");
    let path = table.need("path", &path_hint).and_then(|item| {
        item.text("a store path", &path_hint, |text| {
            StorePath::from_absolute_path(store_dir, text).map_err(|e| {
                Complaint::new(format!("{} is no store path: {e}", quoted(text)), path_hint.clone())
            })
        })
    });
    let hash_hint = "\"sha256:…\" or \"sha256-…\", as `nix path-info --json` prints it";
    let nar_hash = table.need("nar-hash", hash_hint).and_then(|item| {
        item.text("a hash", hash_hint, |text| {
            NarHash::from_nix_str(text)
                .map_err(|e| Complaint::new(format!("{} is no hash of a NAR: {e}", quoted(text)), hash_hint))
        })
    });
    Some(Subject::Pinned { path: path?.value, nar_hash: nar_hash?.value })
}
