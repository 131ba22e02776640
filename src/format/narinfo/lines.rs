//! A narinfo's text taken apart into the raw values of its fields.
//!
//! This is the half that knows lines and knows nothing of what a value means. Whatever passes is printable ASCII
//! in well-formed lines, with each known field at most once.

use super::{ErrorKind, Field, Limits, ParseError};

/// The raw values of a narinfo.
#[derive(Debug, Default)]
pub(super) struct Lines<'a> {
    pub(super) content_address: Option<Value<'a>>,
    pub(super) compression: Option<Value<'a>>,
    pub(super) deriver: Option<Value<'a>>,
    pub(super) file_hash: Option<Value<'a>>,
    pub(super) file_size: Option<Value<'a>>,
    pub(super) nar_hash: Option<Value<'a>>,
    pub(super) nar_size: Option<Value<'a>>,
    pub(super) references: Option<Value<'a>>,
    pub(super) store_path: Option<Value<'a>>,
    pub(super) system: Option<Value<'a>>,
    pub(super) url: Option<Value<'a>>,
    /// The values of the first `Sig` lines, up to the limit.
    pub(super) signatures: Vec<&'a str>,
    /// How many more there are.
    pub(super) ignored_signatures: u32,
    /// Lines with a name that is no field's.
    pub(super) unknown_fields: u32,
}

impl<'a> Lines<'a> {
    /// Takes a text apart.
    pub(super) fn read(text: &'a [u8], limits: &Limits) -> Result<Self, ParseError> {
        let whole = |kind| ParseError { line: 0, field: None, kind };
        if text.len() > limits.bytes {
            return Err(whole(ErrorKind::TooLong { limit: limits.bytes }));
        }
        let text = printable(text)?;
        if text.is_empty() {
            return Err(whole(ErrorKind::Empty));
        }
        let Some(body) = text.strip_suffix('\n') else {
            let line = text.split('\n').count();
            return Err(ParseError { line, field: None, kind: ErrorKind::NoFinalNewline });
        };
        let mut lines = Self::default();
        for (line, number) in body.split('\n').zip(1usize..) {
            lines.take(line, number, limits)?;
        }
        Ok(lines)
    }

    /// Sorts one line in.
    fn take(&mut self, line: &'a str, number: usize, limits: &Limits) -> Result<(), ParseError> {
        let fault = |field, kind| ParseError { line: number, field, kind };
        if line.is_empty() {
            return Err(fault(None, ErrorKind::BlankLine));
        }
        let (name, rest) = line.split_once(':').ok_or_else(|| fault(None, ErrorKind::NoColon))?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(fault(None, ErrorKind::FieldName));
        }
        let field = Field::ALL.into_iter().find(|field| field.as_str().eq_ignore_ascii_case(name));
        let text = rest.strip_prefix(' ').ok_or_else(|| fault(field, ErrorKind::NoSpace))?;
        let Some(field) = field else {
            self.unknown_fields = self.unknown_fields.saturating_add(1);
            return Ok(());
        };
        if field.as_str() != name {
            return Err(fault(Some(field), ErrorKind::FieldCase));
        }
        match self.slot(field) {
            Some(Some(_)) => Err(fault(Some(field), ErrorKind::Repeated)),
            Some(slot) => {
                *slot = Some(Value { line: number, field, text });
                Ok(())
            }
            None => {
                self.take_signature(text, limits);
                Ok(())
            }
        }
    }

    /// Keeps a `Sig` line's value, or only counts it: a text of the allowed length has room for thousands.
    fn take_signature(&mut self, text: &'a str, limits: &Limits) {
        if self.signatures.len() < limits.signatures {
            self.signatures.push(text);
        } else {
            self.ignored_signatures = self.ignored_signatures.saturating_add(1);
        }
    }

    /// Where a field's only value goes; `None` for the field that may have many.
    fn slot(&mut self, field: Field) -> Option<&mut Option<Value<'a>>> {
        match field {
            Field::ContentAddress => Some(&mut self.content_address),
            Field::Compression => Some(&mut self.compression),
            Field::Deriver => Some(&mut self.deriver),
            Field::FileHash => Some(&mut self.file_hash),
            Field::FileSize => Some(&mut self.file_size),
            Field::NarHash => Some(&mut self.nar_hash),
            Field::NarSize => Some(&mut self.nar_size),
            Field::References => Some(&mut self.references),
            Field::Sig => None,
            Field::StorePath => Some(&mut self.store_path),
            Field::System => Some(&mut self.system),
            Field::Url => Some(&mut self.url),
        }
    }
}

/// The text of a known field, and where it stood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    pub(super) line: usize,
    pub(super) field: Field,
    pub(super) text: &'a str,
}

impl Value<'_> {
    /// This value is wrong.
    pub(super) const fn fault(&self, kind: ErrorKind) -> ParseError {
        ParseError { line: self.line, field: Some(self.field), kind }
    }
}

/// The text, if all of it is printable ASCII and newlines.
fn printable(text: &[u8]) -> Result<&str, ParseError> {
    let plain = text.iter().take_while(|byte| matches!(byte, b'\n' | b' '..=b'~')).count();
    match (text.get(plain), std::str::from_utf8(text)) {
        (None, Ok(text)) => Ok(text),
        (byte, _) => {
            let before = text.iter().take(plain).filter(|&&byte| byte == b'\n').count();
            let kind = ErrorKind::Byte { byte: byte.copied().unwrap_or_default() };
            Err(ParseError { line: before.saturating_add(1), field: None, kind })
        }
    }
}
