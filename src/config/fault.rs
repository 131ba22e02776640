//! One fault of a configuration: which key, where, what was found, what would do.
//!
//! Faults are text for people. Reading goes on after each, so that all are told at once; nothing in the
//! program decides by what a fault says.

use std::ops::Range;
use std::rc::Rc;

/// Something wrong, or worth a warning, in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whether the configuration can be used all the same.
    pub severity: Severity,
    /// The key as a path, such as `caches.nixos.url` or `rules[0].signatures[1].at-least`; empty if the fault
    /// is not one key's.
    pub key: Box<str>,
    /// The bytes of the file that it is about; `None` for what is missing from the whole file, and for
    /// anything in the built-in policy.
    pub span: Option<Range<usize>>,
    /// What was found.
    pub found: String,
    /// What would do instead.
    pub would_do: String,
    /// Other places of the file that have to do with it.
    pub asides: Vec<Aside>,
}

/// Whether a fault keeps the configuration from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It does.
    Error,
    /// It is only to be known.
    Warning,
}

/// A second place that a fault mentions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Its bytes.
    pub span: Range<usize>,
    /// What is there.
    pub text: String,
}

/// What is wrong with one value, said by its parser, which knows neither key nor place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) found: String,
    pub(super) would_do: String,
}

impl Complaint {
    pub(super) fn new(found: impl Into<String>, would_do: impl Into<String>) -> Self {
        Self { found: found.into(), would_do: would_do.into() }
    }
}

/// Where a value came from: its key and its bytes, kept with it for the checks that come later.
#[derive(Clone, Debug)]
pub(super) struct At {
    pub(super) key: Rc<str>,
    /// `None` in the built-in policy, which no file holds.
    pub(super) span: Option<Range<usize>>,
}

impl At {
    /// The whole file.
    pub(super) fn nowhere(key: &str) -> Self {
        Self { key: key.into(), span: None }
    }

    /// An error here.
    pub(super) fn error(&self, found: impl Into<String>, would_do: impl Into<String>) -> Fault {
        self.fault(Severity::Error, found.into(), would_do.into())
    }

    /// A warning here.
    pub(super) fn warning(&self, found: impl Into<String>, would_do: impl Into<String>) -> Fault {
        self.fault(Severity::Warning, found.into(), would_do.into())
    }

    fn fault(&self, severity: Severity, found: String, would_do: String) -> Fault {
        let (key, span) = (Box::from(&*self.key), self.span.clone());
        Fault { severity, key, span, found, would_do, asides: Vec::new() }
    }
}

impl Fault {
    /// The same fault, mentioning another place; nothing changes if that place is not in the file.
    pub(super) fn aside(mut self, at: &At, text: impl Into<String>) -> Self {
        self.asides.extend(at.span.clone().map(|span| Aside { span, text: text.into() }));
        self
    }
}

/// A value and where it came from.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) at: At,
}

impl<T> Located<T> {
    pub(super) fn new(value: T, at: At) -> Self {
        Self { value, at }
    }
}
