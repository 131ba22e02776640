//! The tokens of a derivation: punctuation, strings in quotation marks, lists.

use super::{DerivationFault, FaultKind};

/// A text, read from the left.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    whole: usize,
    items_max: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(text: &'a [u8], items_max: usize) -> Self {
        Self { rest: text, whole: text.len(), items_max }
    }

    /// Bytes read so far.
    pub(super) const fn offset(&self) -> usize {
        self.whole.saturating_sub(self.rest.len())
    }

    pub(super) const fn fault(&self, kind: FaultKind) -> DerivationFault {
        DerivationFault { offset: self.offset(), kind }
    }

    /// Whether these bytes come; if so they are read.
    pub(super) fn takes(&mut self, bytes: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(bytes);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    pub(super) fn expect(&mut self, expected: &'static [u8]) -> Result<(), DerivationFault> {
        if self.takes(expected) { Ok(()) } else { Err(self.fault(FaultKind::Expected { expected })) }
    }

    /// Nothing may come any more.
    pub(super) fn end(&self) -> Result<(), DerivationFault> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.fault(FaultKind::Trailing)) }
    }

    /// `[`, items with commas in between, `]`.
    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, DerivationFault>,
    ) -> Result<Vec<T>, DerivationFault> {
        self.expect(b"[")?;
        let mut items = Vec::new();
        if self.takes(b"]") {
            return Ok(items);
        }
        loop {
            if items.len() >= self.items_max {
                return Err(self.fault(FaultKind::TooMany { limit: self.items_max }));
            }
            items.push(item(self)?);
            if self.takes(b"]") {
                return Ok(items);
            }
            self.expect(b",")?;
        }
    }

    /// A string that must be UTF-8, and where it begins.
    pub(super) fn text(&mut self) -> Result<(usize, String), DerivationFault> {
        let offset = self.offset();
        let bytes = self.bytes()?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok((offset, text)),
            Err(_) => Err(DerivationFault { offset, kind: FaultKind::Text }),
        }
    }

    /// A string that may hold any bytes.
    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, DerivationFault> {
        let mut bytes = Vec::new();
        self.string(|part| bytes.extend_from_slice(part))?;
        Ok(bytes)
    }

    /// A string that nobody needs; it may hold any bytes.
    pub(super) fn skip_string(&mut self) -> Result<(), DerivationFault> {
        self.string(|_| {})
    }

    /// A string, part by part with its escapes undone.
    fn string(&mut self, mut part: impl FnMut(&[u8])) -> Result<(), DerivationFault> {
        self.expect(b"\"")?;
        loop {
            let plain = self.rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\')).count();
            let (before, rest) = self.rest.split_at_checked(plain).unwrap_or((self.rest, &[]));
            part(before);
            self.rest = rest;
            if !self.takes(b"\\") {
                // Only a quotation mark or the end of everything can stand here.
                return self.expect(b"\"");
            }
            let escaped: &[u8] = match self.rest.first() {
                Some(b'"') => b"\"",
                Some(b'\\') => b"\\",
                Some(b'n') => b"\n",
                Some(b'r') => b"\r",
                Some(b't') => b"\t",
                _ => return Err(self.fault(FaultKind::Escape)),
            };
            part(escaped);
            self.rest = self.rest.split_first().map_or(&[][..], |(_, rest)| rest);
        }
    }
}
