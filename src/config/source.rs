//! The text of a configuration file: where a byte stands in it, and how the text may be shown.
//!
//! Faults are drawn with the line they are on, on terminals and in journals that more people may read than
//! the file itself. A password in a URL or a signing key pasted where a public one belongs must not travel
//! there, and neither must codes that move a terminal's cursor. What is shown is the text with such places
//! replaced, letter for letter and byte for byte, so that offsets and columns hold.

use std::fmt;
use std::ops::Range;

/// A configuration file's name and text.
#[derive(Clone)]
pub struct Source {
    name: Box<str>,
    text: Box<str>,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl Source {
    /// A file of this name with this text.
    pub fn new(name: &str, text: &str) -> Self {
        let after_breaks =
            text.bytes().enumerate().filter(|&(_, b)| b == b'\n').map(|(i, _)| i.saturating_add(1));
        Self { name: name.into(), text: text.into(), lines: std::iter::once(0).chain(after_breaks).collect() }
    }

    /// The name it is reported under, usually its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text as it is.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line and column of the byte at `offset`; the end of the text if it lies behind it.
    pub fn place(&self, offset: usize) -> Place {
        let offset = offset.min(self.text.len());
        let line = self.lines.partition_point(|&start| start <= offset);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = self.text.get(start..offset).unwrap_or_default();
        Place { line, column: before.chars().count().saturating_add(1) }
    }

    /// A span cut off where its first line ends, so that a list over many lines is marked at its beginning.
    pub fn first_line(&self, span: &Range<usize>) -> Range<usize> {
        let start = span.start.min(self.text.len());
        let end = span.end.clamp(start, self.text.len());
        let marked = self.text.get(start..end).unwrap_or_default();
        let length = marked.find(['\n', '\r']).unwrap_or(marked.len());
        start..start.saturating_add(length)
    }

    /// The text without control characters and with everything replaced that looks like a secret; as long as the
    /// original, in letters and in bytes.
    pub fn shown(&self) -> String {
        let harmless = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        mask(&self.text).chars().map(|c| if harmless(c) { c } else { stand_in(c) }).collect()
    }
}

impl fmt::Debug for Source {
    /// Without the text, which may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A place in a file, as people and editors count: both from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The text with user and password of URLs, and what is too long to be a public key, made unreadable.
pub(super) fn mask(text: &str) -> String {
    let secret: Vec<Range<usize>> = userinfo(text).chain(long_keys(text)).collect();
    let hidden = |offset: usize| secret.iter().any(|span| span.contains(&offset));
    text.char_indices()
        .map(|(offset, letter)| if hidden(offset) { stand_in(letter) } else { letter })
        .collect()
}

/// A letter that says nothing and takes as many bytes.
fn stand_in(letter: char) -> char {
    match letter.len_utf8() {
        1 => '*',
        2 => '×',
        3 => '•',
        _ => '🞄',
    }
}

/// What stands between `://` and the last `@` before the next space or quote. A password may contain a slash
/// that should have been escaped, so a slash does not end it.
fn userinfo(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.match_indices("://").filter_map(|(at, marker)| {
        let start = at.saturating_add(marker.len());
        let rest = text.get(start..)?;
        let url = rest.split(|c: char| c.is_whitespace() || c == '"' || c == '\'').next()?;
        url.rfind('@').map(|end| start..start.saturating_add(end))
    })
}

/// Runs of base64 after a colon that are longer than a public key's 44 characters; a signing key has 88.
fn long_keys(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.match_indices(':').filter_map(|(at, _)| {
        let start = at.saturating_add(1);
        let rest = text.get(start..)?;
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
        let length = rest.find(|c| !is_base64(c)).unwrap_or(rest.len());
        (length > LONGEST_PUBLIC).then(|| start..start.saturating_add(length))
    })
}

/// A little more than a public key in base64, so that one with a few characters too many is still shown.
const LONGEST_PUBLIC: usize = 52;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters_from_one() {
        let source = Source::new("x", "a = 1\nä = \"ö\" # end\n");
        assert_eq!(source.place(0).to_string(), "1:1");
        assert_eq!(source.place(4).to_string(), "1:5");
        assert_eq!(source.place(6).to_string(), "2:1");
        assert_eq!(source.place("a = 1\nä = ".len()).to_string(), "2:5");
        assert_eq!(source.place(10_000).to_string(), "3:1");
        assert_eq!(Source::new("x", "").place(0).to_string(), "1:1");
    }

    #[test]
    fn a_span_over_lines_is_cut_after_the_first() {
        let source = Source::new("x", "a = [\n 1,\n]\n");
        assert_eq!(source.first_line(&(4..11)), 4..5);
        assert_eq!(source.first_line(&(0..1)), 0..1);
        assert_eq!(source.first_line(&(50..60)), 12..12);
    }

    #[test]
    fn what_stands_in_for_a_letter_is_as_long() {
        for letter in ['a', 'ä', '€', '𝄞'] {
            assert_eq!(stand_in(letter).len_utf8(), letter.len_utf8());
        }
        assert_eq!(Source::new("x", "a\u{1b}b\u{9b}c\n\td").shown(), "a*b×c\n\td");
    }

    #[test]
    fn secrets_are_starred_out_and_nothing_else() {
        let signing = "A".repeat(88);
        for (text, shown) in [
            ("url = \"https://me:pä/ss@h/x\"".to_owned(), "url = \"https://****×***@h/x\"".to_owned()),
            ("keys = [\"a-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=\"]".to_owned(), String::new()),
            (format!("keys = [\"a-1:{signing}\"]"), format!("keys = [\"a-1:{}\"]", "*".repeat(88))),
            ("a = \"https://h\" # mail me@h".to_owned(), String::new()),
            ("url = \"postgres://u@h/db\"".to_owned(), "url = \"postgres://*@h/db\"".to_owned()),
        ] {
            let expected = if shown.is_empty() { &text } else { &shown };
            assert_eq!(&mask(&text), expected);
            assert_eq!(mask(&text).len(), text.len());
        }
    }
}
