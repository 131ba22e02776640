//! One value of a file, read as what its key takes; whatever it is not is a fault at its place.

use crate::config::fault::{At, Complaint, Located};
use crate::config::near::nearest;
use crate::config::read::{Desk, Table};
use crate::config::source::mask;
use crate::config::units::{
    self, ByteRate, ByteSize, DAY_HINT, DURATION_HINT, MOMENT_HINT, RATE_HINT, SIZE_HINT, Spelled,
};
use crate::trust::{Glob, Timestamp};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::DeValue;

/// A value, its path and its place.
#[derive(Debug)]
pub(super) struct Item<'a> {
    value: &'a DeValue<'a>,
    at: At,
    shape: String,
    desk: &'a Desk,
}

/// The readable elements of a list, and whether that was all of them.
#[derive(Debug)]
pub(super) struct Listed<T> {
    pub(super) items: Vec<T>,
    /// False if an element was faulty: then nothing may be concluded from what is not in the list.
    pub(super) sure: bool,
}

impl<'a> Item<'a> {
    pub(super) fn new(value: &'a DeValue<'a>, at: At, shape: String, desk: &'a Desk) -> Self {
        Self { value, at, shape, desk }
    }

    /// Where it is.
    pub(super) fn at(&self) -> &At {
        &self.at
    }

    /// Whether it is a table rather than a plain value.
    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// Reads a text by a parser of its own.
    pub(super) fn text<T>(
        &self,
        noun: &str,
        would_do: &str,
        parse: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Option<Located<T>> {
        let Some(text) = self.value.as_str() else { return self.wrong_kind(noun, would_do) };
        self.accept(parse(text))
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, options: &[(&str, T)]) -> Option<Located<T>> {
        let words = || options.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(" or ");
        self.text("one of a few words", &words(), |text| {
            options.iter().find(|(word, _)| *word == text).map(|&(_, value)| value).ok_or_else(|| {
                let near = nearest(text, options.iter().map(|(word, _)| *word));
                let hint =
                    near.map_or_else(words, |near| format!("did you mean {near:?}? known: {}", words()));
                Complaint::new(format!("{} is none of the known words", quoted(text)), hint)
            })
        })
    }

    /// A text that says something, such as a reason.
    pub(super) fn words(&self) -> Option<Located<Box<str>>> {
        self.text("a text", "a few words in quotes", |text| match text.trim() {
            "" => Err(Complaint::new("the text is empty", "a few words in quotes")),
            text if text.contains(char::is_control) => {
                Err(Complaint::new("the text contains control characters", "words on one line"))
            }
            text => Ok(text.into()),
        })
    }

    /// True or false.
    pub(super) fn flag(&self) -> Option<Located<bool>> {
        match self.value.as_bool() {
            Some(flag) => Some(Located::new(flag, self.at.clone())),
            None => self.wrong_kind("true or false", "true or false, without quotes"),
        }
    }

    /// A whole number inside `bounds`.
    pub(super) fn number(&self, bounds: RangeInclusive<u64>) -> Option<Located<u64>> {
        let hint = || format!("a whole number from {} to {}", bounds.start(), bounds.end());
        let Some(integer) = self.value.as_integer() else {
            return self.wrong_kind("a whole number", &hint());
        };
        let number =
            u64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|n| bounds.contains(n));
        self.accept(number.ok_or_else(|| Complaint::new(format!("found {integer}"), hint())))
    }

    /// A length of time inside `bounds`.
    pub(super) fn duration(&self, bounds: RangeInclusive<Duration>) -> Option<Located<Duration>> {
        let duration = self.text("a length of time", DURATION_HINT, units::parse_duration)?;
        self.bounded(duration, &bounds, |duration| Spelled(*duration))
    }

    /// A number of bytes inside `bounds`.
    pub(super) fn size(&self, bounds: RangeInclusive<ByteSize>) -> Option<Located<ByteSize>> {
        let size = self.text("a size", SIZE_HINT, ByteSize::parse)?;
        self.bounded(size, &bounds, |size| *size)
    }

    /// A number of bytes per second inside `bounds`.
    pub(super) fn rate(&self, bounds: RangeInclusive<ByteRate>) -> Option<Located<ByteRate>> {
        let rate = self.text("a rate", RATE_HINT, ByteRate::parse)?;
        self.bounded(rate, &bounds, |rate| *rate)
    }

    /// A moment. A text will do as well, for programs that write TOML from formats without moments.
    pub(super) fn moment(&self) -> Option<Located<Timestamp>> {
        self.calendar("a moment", MOMENT_HINT, units::parse_moment)
    }

    /// A day, as the moment at which it is over in UTC. A text will do as well.
    pub(super) fn day(&self) -> Option<Located<Timestamp>> {
        self.calendar("a day", DAY_HINT, units::parse_end_of_day)
    }

    /// An absolute path without `.` and `..`.
    pub(super) fn path(&self) -> Option<Located<PathBuf>> {
        let hint = "an absolute path in quotes";
        self.text("a path", hint, |text| {
            let path = Path::new(text);
            let plain = text.split('/').all(|part| part != "." && part != "..") && !text.contains('\0');
            match path.is_absolute() && plain {
                true => Ok(path.to_owned()),
                false => Err(Complaint::new(format!("{} is no absolute path", quoted(text)), hint)),
            }
        })
    }

    /// A package pattern.
    pub(super) fn glob(&self) -> Option<Located<Glob>> {
        let hint = "a package name in quotes, with * and ? as wildcards";
        self.text("a pattern", hint, |text| {
            Glob::parse(text).map_err(|e| Complaint::new(e.to_string(), hint))
        })
    }

    /// A list, each element read by `read`.
    pub(super) fn list<T>(&self, of: &str, read: impl Fn(&Self) -> Option<T>) -> Option<Listed<T>> {
        let Some(array) = self.value.as_array() else {
            return self.wrong_kind("a list", &format!("a list of {of}"));
        };
        let element = |(index, value): (usize, &'a toml::Spanned<DeValue<'a>>)| {
            let key = format!("{}[{index}]", self.at.key).into();
            let at = At { key, span: self.desk.placed.then(|| value.span()) };
            Self::new(value.get_ref(), at, format!("{}[]", self.shape), self.desk)
        };
        let read: Vec<Option<T>> = array.iter().enumerate().map(|e| read(&element(e))).collect();
        let sure = read.iter().all(Option::is_some);
        Some(Listed { items: read.into_iter().flatten().collect(), sure })
    }

    /// A list that must have an element, and none twice.
    pub(super) fn some<T: Display>(
        &self,
        of: &str,
        read: impl Fn(&Self) -> Option<Located<T>>,
    ) -> Option<Listed<Located<T>>> {
        let listed = self.set(of, read)?;
        if listed.items.is_empty() && listed.sure {
            self.desk.put(self.at.error("the list is empty", format!("at least one of {of}")));
            return None;
        }
        Some(listed)
    }

    /// A list in which nothing stands twice.
    pub(super) fn set<T: Display>(
        &self,
        of: &str,
        read: impl Fn(&Self) -> Option<Located<T>>,
    ) -> Option<Listed<Located<T>>> {
        let listed = self.list(of, read)?;
        let mut seen = BTreeSet::new();
        for item in &listed.items {
            if !seen.insert(item.value.to_string()) {
                let found = format!("{} stands in the list twice", quoted(&item.value.to_string()));
                self.desk.put(item.at.error(found, "once is enough"));
            }
        }
        Some(listed)
    }

    /// A table.
    pub(super) fn table(&self) -> Option<Table<'a>> {
        match self.value.as_table() {
            Some(entries) => Some(Table::open(entries, self.at.clone(), self.shape.clone(), self.desk)),
            None => self.wrong_kind(
                "a table",
                "a table: a header in brackets with keys below it, or { KEY = VALUE }",
            ),
        }
    }

    /// A value whose kind is none that the key takes.
    pub(super) fn wrong_kind<T>(&self, noun: &str, would_do: &str) -> Option<T> {
        let found = format!("found {} where {noun} should stand", describe(self.value));
        self.desk.put(self.at.error(found, would_do));
        None
    }

    fn accept<T>(&self, result: Result<T, Complaint>) -> Option<Located<T>> {
        match result {
            Ok(value) => Some(Located::new(value, self.at.clone())),
            Err(complaint) => {
                self.desk.put(self.at.error(complaint.found, complaint.would_do));
                None
            }
        }
    }

    fn calendar(
        &self,
        noun: &str,
        would_do: &str,
        parse: impl FnOnce(&str) -> Result<Timestamp, Complaint>,
    ) -> Option<Located<Timestamp>> {
        match self.value {
            DeValue::Datetime(moment) => self.accept(parse(&moment.to_string())),
            _ => self.text(noun, would_do, parse),
        }
    }

    fn bounded<T: PartialOrd, S: Display>(
        &self,
        value: Located<T>,
        bounds: &RangeInclusive<T>,
        spell: impl Fn(&T) -> S,
    ) -> Option<Located<T>> {
        let wrong = match &value.value {
            v if v < bounds.start() => "too little",
            v if v > bounds.end() => "too much",
            _ => return Some(value),
        };
        let found = format!("{} is {wrong}", spell(&value.value));
        self.desk
            .put(self.at.error(found, format!("from {} to {}", spell(bounds.start()), spell(bounds.end()))));
        None
    }
}

/// What a value is, for one who expected something else.
fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {}", quoted(text)),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(moment) => format!("the date {moment}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A text in quotes, its control characters escaped, cut off where it gets long.
pub(super) fn quoted(text: &str) -> String {
    // Before cutting: half a URL no longer shows where its password ends.
    let text = &mask(text);
    match text.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// Enough for a URL or a public key.
const LONGEST_QUOTE: usize = 120;
