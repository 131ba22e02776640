//! How fields are put into bytes, for the hash of a row and for the columns that hold several values.
//!
//! Numbers are big-endian; a text or a list has its length in front, as 4 bytes; what may be missing has one byte in
//! front, 0 or 1. So no two rows have the same bytes. Reading takes back exactly what writing makes. Pure.

use crate::evidence::{Carried, Heard, VerdictRow, Word};
use crate::format::{HashPart, KeyName, NarHash, References, Signature, StorePath};

/// The bytes of a verdict that its hash covers, in the order of the fields.
pub(super) fn put_verdict(out: &mut Vec<u8>, number: u64, carried: Option<Carried>, row: &VerdictRow) {
    let VerdictRow { at, asked, name, outcome, observing, rule, nar_hash, label, reason, heard } = row;
    out.extend_from_slice(&number.to_be_bytes());
    put_optional(out, carried, |out, Carried { from, at }| {
        out.extend_from_slice(&from.to_be_bytes());
        out.extend_from_slice(&at.seconds().to_be_bytes());
    });
    out.extend_from_slice(&at.seconds().to_be_bytes());
    put_optional(out, asked.as_ref(), |out, asked| out.extend_from_slice(asked.digest()));
    put_optional(out, name.as_ref(), |out, name| put_text(out, name));
    put_text(out, outcome.label());
    out.push(u8::from(*observing));
    put_optional(out, rule.as_ref(), |out, rule| put_text(out, rule));
    put_optional(out, nar_hash.as_ref(), |out, hash| out.extend_from_slice(hash.digest()));
    put_text(out, label);
    put_text(out, reason);
    put_heard(out, heard);
}

/// What was heard; also the column of that name.
pub(super) fn put_heard(out: &mut Vec<u8>, heard: &[Heard]) {
    put_length(out, heard.len());
    for Heard { cache, word } in heard {
        put_text(out, cache);
        match word {
            Word::Claim { nar_hash, signers } => {
                out.push(CLAIM);
                out.extend_from_slice(nar_hash.digest());
                put_length(out, signers.len());
                signers.iter().for_each(|signer| put_text(out, signer));
            }
            Word::NotFound => out.push(NOT_FOUND),
            Word::Nothing => out.push(NOTHING),
        }
    }
}

/// Reads what [`put_heard`] wrote.
pub(super) fn heard(bytes: &[u8]) -> Option<Vec<Heard>> {
    let mut from = Reader(bytes);
    let mut heard = Vec::new();
    for _ in 0..from.length()? {
        let cache = from.text()?.into();
        let word = match from.byte()? {
            CLAIM => {
                let nar_hash = NarHash::from_digest(from.array()?);
                let count = from.length()?;
                let signers = (0..count).map(|_| from.text().map(Box::from)).collect::<Option<_>>()?;
                Word::Claim { nar_hash, signers }
            }
            NOT_FOUND => Word::NotFound,
            NOTHING => Word::Nothing,
            _ => return None,
        };
        heard.push(Heard { cache, word });
    }
    from.0.is_empty().then_some(heard)
}

/// References: of each the hash part, the length of the name in a byte, and the name.
pub(super) fn put_references(out: &mut Vec<u8>, references: &References) {
    references.iter().for_each(|path| put_path(out, path));
}

/// Reads what [`put_references`] wrote.
pub(super) fn references(bytes: &[u8]) -> Option<References> {
    let mut from = Reader(bytes);
    let mut paths = Vec::new();
    while !from.0.is_empty() {
        paths.push(from.path()?);
    }
    Some(References::from_unsorted(paths))
}

/// One path, in the same form.
pub(super) fn put_path(out: &mut Vec<u8>, path: &StorePath) {
    out.extend_from_slice(path.hash_part().digest());
    // A name has at most 211 bytes.
    out.push(u8::try_from(path.name().len()).unwrap_or(u8::MAX));
    out.extend_from_slice(path.name().as_bytes());
}

/// Reads what [`put_path`] wrote.
pub(super) fn path(bytes: &[u8]) -> Option<StorePath> {
    let mut from = Reader(bytes);
    let path = from.path()?;
    from.0.is_empty().then_some(path)
}

/// Signatures: of each the length of the key's name in a byte, the name, and 64 bytes.
pub(super) fn put_signatures(out: &mut Vec<u8>, signatures: &[Signature]) {
    for signature in signatures {
        let name = signature.key_name().as_str();
        // A key's name has at most 128 bytes.
        out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(signature.bytes());
    }
}

/// Reads what [`put_signatures`] wrote.
pub(super) fn signatures(bytes: &[u8]) -> Option<Vec<Signature>> {
    let mut from = Reader(bytes);
    let mut signatures = Vec::new();
    while !from.0.is_empty() {
        let length = usize::from(from.byte()?);
        let name = KeyName::parse(from.str(length)?).ok()?;
        signatures.push(Signature::from_parts(name, from.array()?));
    }
    Some(signatures)
}

fn put_optional<T>(out: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    // What is longer than 4 GiB is no field of ours.
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(u32::from_be_bytes(self.array()?)).ok()
    }

    fn str(&mut self, length: usize) -> Option<&'a str> {
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.length()?;
        self.str(length)
    }

    fn path(&mut self) -> Option<StorePath> {
        let hash_part = HashPart::from_digest(self.array()?);
        let length = usize::from(self.byte()?);
        StorePath::from_parts(hash_part, self.str(length)?).ok()
    }
}

const CLAIM: u8 = 1;
const NOT_FOUND: u8 = 2;
const NOTHING: u8 = 3;

#[cfg(test)]
mod tests;
