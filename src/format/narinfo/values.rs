//! The meaning of a narinfo's raw values.
//!
//! Each function reads one field in its one spelling, or says what is wrong with it. What is tolerated instead
//! goes into the quirks, and none of that is in a value of the core.

use super::lines::{Lines, Value};
use super::{Compression, Core, ErrorKind, Field, Hints, Limits, ParseError, Quirks, References};
use crate::format::content_address::ContentAddress;
use crate::format::hash::{NarHash, NixHash};
use crate::format::key::Signature;
use crate::format::store_path::{StoreDir, StorePath};

/// The longest URL. A guess: published ones have under 120 bytes, presigned ones a few hundred.
const URL_MAX: usize = 4096;

/// What Nix writes for a deriver that it does not know.
const UNKNOWN_DERIVER: &str = "unknown-deriver";

/// The signed part.
pub(super) fn core(
    lines: &Lines<'_>,
    dir: &StoreDir,
    limits: &Limits,
    quirks: &mut Quirks,
) -> Result<Core, ParseError> {
    Ok(Core {
        store_path: store_path(&required(lines.store_path, Field::StorePath)?, dir)?,
        nar_hash: nar_hash(&required(lines.nar_hash, Field::NarHash)?, quirks)?,
        nar_size: nar_size(&required(lines.nar_size, Field::NarSize)?, limits)?,
        references: match lines.references {
            Some(value) => references(&value, limits, quirks)?,
            None => References::default(),
        },
    })
}

/// The unsigned part.
pub(super) fn hints(lines: &Lines<'_>, limits: &Limits, quirks: &mut Quirks) -> Result<Hints, ParseError> {
    Ok(Hints {
        url: url(&required(lines.url, Field::Url)?)?,
        compression: compression(lines.compression)?,
        file_hash: lines.file_hash.map(|value| file_hash(&value, quirks)).transpose()?,
        file_size: lines.file_size.map(|value| number(&value, limits.nar_size)).transpose()?,
        deriver: lines.deriver.map_or(Ok(None), |value| deriver(&value, quirks))?,
        content_address: lines.content_address.and_then(|value| content_address(&value, quirks)),
        system: lines.system.filter(|value| !value.text.is_empty()).map(|value| value.text.to_owned()),
    })
}

/// The signatures that are any; one bad line does not spoil the others.
pub(super) fn signatures(lines: &Lines<'_>, quirks: &mut Quirks) -> Vec<Signature> {
    let mut signatures = Vec::with_capacity(lines.signatures.len());
    for text in &lines.signatures {
        match Signature::parse(text) {
            Ok(signature) => signatures.push(signature),
            Err(_) => quirks.malformed_signatures = quirks.malformed_signatures.saturating_add(1),
        }
    }
    signatures
}

/// A value that must be there.
fn required(value: Option<Value<'_>>, field: Field) -> Result<Value<'_>, ParseError> {
    value.ok_or(ParseError { line: 0, field: Some(field), kind: ErrorKind::Missing })
}

fn store_path(value: &Value<'_>, dir: &StoreDir) -> Result<StorePath, ParseError> {
    StorePath::from_absolute_path(dir, value.text).map_err(|source| value.fault(ErrorKind::StorePath(source)))
}

/// Only a sha256 can ever match the NAR, and only a sha256 is ever signed.
fn nar_hash(value: &Value<'_>, quirks: &mut Quirks) -> Result<NarHash, ParseError> {
    let hash = NarHash::from_nix_str(value.text).map_err(|source| value.fault(ErrorKind::Hash(source)))?;
    quirks.hash_not_base32 |= hash.to_string() != value.text;
    Ok(hash)
}

fn nar_size(value: &Value<'_>, limits: &Limits) -> Result<u64, ParseError> {
    match number(value, limits.nar_size)? {
        0 => Err(value.fault(ErrorKind::Zero)),
        size => Ok(size),
    }
}

/// Base names with one space between any two; the empty text is none.
fn references(value: &Value<'_>, limits: &Limits, quirks: &mut Quirks) -> Result<References, ParseError> {
    if value.text.is_empty() {
        return Ok(References::default());
    }
    let mut paths: Vec<StorePath> = Vec::new();
    for (text, number) in value.text.split(' ').zip(1usize..) {
        if number > limits.references {
            return Err(value.fault(ErrorKind::TooManyReferences { limit: limits.references }));
        }
        let path = StorePath::from_base_name(text)
            .map_err(|source| value.fault(ErrorKind::Reference { number, source }))?;
        quirks.unsorted_references |= paths.last().is_some_and(|last| *last > path);
        paths.push(path);
    }
    let told = paths.len();
    let references = References::from_unsorted(paths);
    let repeated = told.saturating_sub(references.len());
    quirks.repeated_references = u32::try_from(repeated).unwrap_or(u32::MAX);
    Ok(references)
}

fn url(value: &Value<'_>) -> Result<String, ParseError> {
    if value.text.is_empty() {
        return Err(value.fault(ErrorKind::EmptyValue));
    }
    if value.text.len() > URL_MAX {
        return Err(value.fault(ErrorKind::TooLong { limit: URL_MAX }));
    }
    if value.text.contains(' ') {
        return Err(value.fault(ErrorKind::Space));
    }
    Ok(value.text.to_owned())
}

fn compression(value: Option<Value<'_>>) -> Result<Compression, ParseError> {
    match value {
        Some(value) if value.text.contains(' ') => Err(value.fault(ErrorKind::Space)),
        Some(value) => Ok(Compression::parse(value.text)),
        None => Ok(Compression::Bzip2),
    }
}

fn file_hash(value: &Value<'_>, quirks: &mut Quirks) -> Result<NixHash, ParseError> {
    let hash = NixHash::from_nix_str(value.text).map_err(|source| value.fault(ErrorKind::Hash(source)))?;
    quirks.hash_not_base32 |= hash.to_nix_nixbase32_string() != value.text;
    Ok(hash)
}

/// A base name, not necessarily of a `.drv`: Nix does not ask for that either.
fn deriver(value: &Value<'_>, quirks: &mut Quirks) -> Result<Option<StorePath>, ParseError> {
    match value.text {
        "" => Err(value.fault(ErrorKind::EmptyValue)),
        UNKNOWN_DERIVER => {
            quirks.unknown_deriver = true;
            Ok(None)
        }
        text => StorePath::from_base_name(text)
            .map(Some)
            .map_err(|source| value.fault(ErrorKind::StorePath(source))),
    }
}

/// Nobody signs this line and the path can do without it, so a bad one is dropped rather than refused.
fn content_address(value: &Value<'_>, quirks: &mut Quirks) -> Option<ContentAddress> {
    if value.text.is_empty() {
        return None;
    }
    let address = ContentAddress::from_nix_str(value.text).ok();
    quirks.unusable_content_address = address.is_none();
    address
}

/// Plain decimal: digits alone, no zero in front of another digit. Nix also takes `+120` and `00120`.
fn number(value: &Value<'_>, limit: u64) -> Result<u64, ParseError> {
    let text = value.text;
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || (text.starts_with('0') && text != "0") {
        return Err(value.fault(ErrorKind::Number));
    }
    // Digits alone: only too many of them can fail.
    text.parse()
        .ok()
        .filter(|&size| size <= limit)
        .ok_or_else(|| value.fault(ErrorKind::NumberTooLarge { limit }))
}
