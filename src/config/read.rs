//! Walking the tables of a file: which keys there are, which are unknown, which are missing.
//!
//! A [`Table`] knows its shape (`caches.*`), and through [`crate::config::keys()`] every key it may have; the
//! unknown ones are reported when it is opened. What is read from it is an [`Item`] that knows its own path.
//! Faults go to the [`Desk`] and reading goes on.

use crate::config::fault::{At, Fault, Located, Severity};
use crate::config::item::Item;
use crate::config::keys::{children, homes};
use crate::config::near::nearest;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where faults are handed in while a file is read.
#[derive(Debug)]
pub(super) struct Desk {
    faults: RefCell<Vec<Fault>>,
    /// Which keys were asked for, by shape; for the test that none is forgotten.
    #[cfg(test)]
    taken: RefCell<BTreeSet<String>>,
    /// False for the built-in policy, whose places are in no file.
    pub(super) placed: bool,
    /// False if the file is no proper TOML: then nothing may be called missing.
    pub(super) complete: bool,
}

impl Desk {
    pub(super) fn new(placed: bool, complete: bool) -> Self {
        Self {
            faults: RefCell::default(),
            #[cfg(test)]
            taken: RefCell::default(),
            placed,
            complete,
        }
    }

    /// Hands in a fault.
    pub(super) fn put(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// Whether a fault was handed in that keeps the configuration from being used.
    pub(super) fn has_errors(&self) -> bool {
        self.faults.borrow().iter().any(|f| f.severity == Severity::Error)
    }

    /// All that was handed in.
    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }

    /// The shapes of all keys that were asked for.
    #[cfg(test)]
    pub(super) fn taken(&self) -> BTreeSet<String> {
        self.taken.borrow().clone()
    }
}

/// A table of the file.
#[derive(Debug)]
pub(super) struct Table<'a> {
    entries: &'a DeTable<'a>,
    at: At,
    shape: String,
    desk: &'a Desk,
}

impl<'a> Table<'a> {
    /// The top of the file.
    pub(super) fn root(entries: &'a DeTable<'a>, desk: &'a Desk) -> Self {
        Self::open(entries, At::nowhere(""), String::new(), desk)
    }

    /// A table, whose unknown keys are reported.
    pub(super) fn open(entries: &'a DeTable<'a>, at: At, shape: String, desk: &'a Desk) -> Self {
        let table = Self { entries, at, shape, desk };
        let known: BTreeSet<&str> = children(&table.shape).collect();
        if !known.is_empty() {
            for name in entries.keys().filter(|name| !known.contains(name.get_ref().as_ref())) {
                table.report_unknown(name, &known);
            }
        }
        table
    }

    /// Where the table is: its header.
    pub(super) fn at(&self) -> &At {
        &self.at
    }

    /// Where faults go.
    pub(super) fn desk(&self) -> &'a Desk {
        self.desk
    }

    /// Whether the key is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The value of a key, if it is there.
    pub(super) fn take(&self, name: &'static str) -> Option<Item<'a>> {
        let shape = self.child_shape(name);
        #[cfg(test)]
        self.desk.taken.borrow_mut().insert(shape.clone());
        self.entries.get(name).map(|value| self.item(name, value, shape))
    }

    /// The value of a key that must be there; it is reported missing otherwise.
    pub(super) fn need(&self, name: &'static str, would_do: &str) -> Option<Item<'a>> {
        let item = self.take(name);
        if item.is_none() && self.desk.complete {
            self.desk.put(self.at.error(format!("`{name}` is missing"), would_do));
        }
        item
    }

    /// Every entry of a table that takes any name, in the order of the file.
    pub(super) fn named(&self) -> Vec<(Located<Box<str>>, Item<'a>)> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        entries
            .into_iter()
            .map(|(name, value)| {
                let item = self.item(name.get_ref(), value, self.child_shape("*"));
                let at = At { key: item.at().key.clone(), span: self.desk.placed.then(|| name.span()) };
                (Located::new(name.get_ref().as_ref().into(), at), item)
            })
            .collect()
    }

    fn item(&self, name: &str, value: &'a Spanned<DeValue<'a>>, shape: String) -> Item<'a> {
        let at = At { key: self.child_key(name).into(), span: self.desk.placed.then(|| value.span()) };
        Item::new(value.get_ref(), at, shape, self.desk)
    }

    fn child_shape(&self, name: &str) -> String {
        if self.shape.is_empty() { name.to_owned() } else { format!("{}.{name}", self.shape) }
    }

    /// The path of a key, quoted where TOML would want it quoted.
    fn child_key(&self, name: &str) -> String {
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let name =
            if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { format!("{name:?}") };
        if self.at.key.is_empty() { name } else { format!("{}.{name}", self.at.key) }
    }

    fn report_unknown(&self, name: &Spanned<Cow<'_, str>>, known: &BTreeSet<&str>) {
        let text = name.get_ref().as_ref();
        let at = At { key: self.child_key(text).into(), span: self.desk.placed.then(|| name.span()) };
        let mut would_do = nearest(text, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        // A key of the top level written below a table's header belongs to that table, which surprises.
        would_do = would_do.or_else(|| {
            let home = homes(text).next()?;
            Some(match home.rsplit_once('.') {
                Some((table, _)) => format!("`{text}` belongs into a table of the form `{table}`"),
                None => format!("`{text}` belongs above the first table's header"),
            })
        });
        let all = || format!("known here: {}", known.iter().copied().collect::<Vec<_>>().join(", "));
        self.desk.put(at.error("unknown key", would_do.unwrap_or_else(all)));
    }
}
