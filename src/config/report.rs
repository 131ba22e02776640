//! All faults of one configuration, and how they are shown.
//!
//! On a terminal and in `check`'s output they are drawn as rustc draws its own, with file, line and column
//! and the line marked; for the journal each is one line.

use crate::config::fault::{Fault, Severity};
use crate::config::source::{Place, Source, mask};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str};

/// The faults found in a configuration, in the order of the file.
#[derive(Clone, Debug)]
pub struct Report {
    source: Option<Source>,
    faults: Vec<Fault>,
}

/// How a report is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Characters only: for files, pipes and the journal.
    Plain,
    /// With colours; the words say everything all the same.
    Coloured,
}

impl Report {
    /// The faults of a file, or of what is used where there is no file; those without a place come last.
    pub(super) fn new(source: Option<Source>, mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(|f| (f.span.is_none(), f.span.as_ref().map(|s| (s.start, s.end)), f.severity));
        faults.dedup();
        Self { source, faults }
    }

    /// Every fault.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// How many faults keep the configuration from being used.
    pub fn errors(&self) -> usize {
        self.faults.iter().filter(|f| f.severity == Severity::Error).count()
    }

    /// How many faults are only to be known.
    pub fn warnings(&self) -> usize {
        self.faults.len().saturating_sub(self.errors())
    }

    /// Line and column of a fault, if it has a place.
    pub fn place(&self, fault: &Fault) -> Option<Place> {
        Some(self.source.as_ref()?.place(fault.span.as_ref()?.start))
    }

    /// Everything, drawn; an empty text if there is nothing to say. Ends with a line break otherwise.
    pub fn render(&self, style: Style) -> String {
        let renderer = match style {
            Style::Plain => Renderer::plain(),
            Style::Coloured => Renderer::styled(),
        };
        let shown = self.source.as_ref().map(Source::shown);
        let mut out = String::new();
        for fault in self.faults.iter().take(MOST_DRAWN) {
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(&renderer.render(&[self.draw(fault, shown.as_deref())]));
            out.push('\n');
        }
        if let Some(more) = self.faults.len().checked_sub(MOST_DRAWN).filter(|&n| n > 0) {
            out.push_str(&format!("\nand {more} more\n"));
        }
        out
    }

    /// Every fault as one line without line breaks, for the journal.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.faults.iter().map(|fault| {
            let mut line = self.source.as_ref().map(|s| s.name().to_owned()).unwrap_or_default();
            if let Some(place) = self.place(fault) {
                line.push_str(&format!(":{place}"));
            }
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(&format!("{}: {}; {}", word(fault.severity), title(fault), mask(&fault.would_do)));
            line.replace(char::is_control, " ")
        })
    }

    fn draw<'a>(&'a self, fault: &'a Fault, shown: Option<&'a str>) -> Group<'a> {
        let level = match fault.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = level.primary_title(title(fault)).elements(std::iter::empty::<Origin<'_>>());
        match (&self.source, shown, &fault.span) {
            (Some(source), Some(text), Some(span)) => {
                let mark = AnnotationKind::Primary.span(source.first_line(span));
                let asides = fault.asides.iter().map(|aside| {
                    let text = normalize_untrusted_str(&mask(&aside.text));
                    AnnotationKind::Context.span(source.first_line(&aside.span)).label(text)
                });
                let snippet = Snippet::source(text).path(source.name()).annotation(mark).annotations(asides);
                group = group.element(snippet);
            }
            (Some(source), _, _) => group = group.element(Origin::path(source.name())),
            (None, _, _) => {}
        }
        match fault.would_do.is_empty() {
            true => group,
            false => group.element(Level::HELP.message(normalize_untrusted_str(&mask(&fault.would_do)))),
        }
    }
}

/// A fault in one sentence.
fn title(fault: &Fault) -> String {
    let mut title = String::new();
    if !fault.key.is_empty() {
        title.push_str(&format!("`{}`: ", fault.key));
    }
    title.push_str(&mask(&fault.found));
    title
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// Where drawing stops: a file that is not TOML at all has a fault on every line. A guess.
const MOST_DRAWN: usize = 100;
