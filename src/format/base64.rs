//! Base64 in its one canonical spelling, for keys, signatures and hashes.
//!
//! The standard alphabet of RFC 4648 with padding, decoded into a buffer of known length. Nix stops reading at
//! the first `=` and takes whatever follows; here the text must be exactly what encoding the bytes would give,
//! because two spellings of one signature would look like two signatures.
//!
//! Rule kept: length, padding and trailing bits are all checked. The padding is compared by hand, since
//! `data-encoding` reads several padded texts in a row as one (`Qg==aXQ=`). Errors carry no byte of the text:
//! it may be a secret key.

use data_encoding::{BASE64, BASE64_NOPAD, DecodeKind};
use thiserror::Error;

/// Reads exactly `out.len()` bytes. On an error `out` may hold part of them.
pub(crate) fn decode_into(text: &[u8], out: &mut [u8]) -> Result<(), Base64Error> {
    let expected = BASE64.encode_len(out.len());
    let wrong_length = Base64Error::Length { expected, found: text.len() };
    if text.len() != expected {
        return Err(wrong_length);
    }
    let (body, padding) = text.split_at_checked(BASE64_NOPAD.encode_len(out.len())).ok_or(wrong_length)?;
    if padding.iter().any(|&byte| byte != b'=') {
        return Err(Base64Error::Padding);
    }
    // `decode_mut` panics on a buffer of another length.
    if BASE64_NOPAD.decode_len(body.len()) != Ok(out.len()) {
        return Err(wrong_length);
    }
    match BASE64_NOPAD.decode_mut(body, out) {
        Ok(_) => Ok(()),
        Err(partial) => Err(match partial.error.kind {
            DecodeKind::Length => wrong_length,
            DecodeKind::Symbol => Base64Error::Symbol { offset: partial.error.position },
            DecodeKind::Trailing => Base64Error::TrailingBits,
            DecodeKind::Padding => Base64Error::Padding,
        }),
    }
}

/// As [`decode_into`], for an array that is no secret.
pub(crate) fn decode_fixed<const K: usize>(text: &[u8]) -> Result<[u8; K], Base64Error> {
    let mut bytes = [0u8; K];
    decode_into(text, &mut bytes)?;
    Ok(bytes)
}

/// The number of characters that spell so many bytes, padding included.
pub(crate) fn encode_len(bytes: usize) -> usize {
    BASE64.encode_len(bytes)
}

/// The canonical text of some bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Appends the canonical text of some bytes, without another buffer.
pub(crate) fn encode_into(bytes: &[u8], out: &mut String) {
    BASE64.encode_append(bytes, out);
}

/// Why a text is not the canonical base64 of so many bytes.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Base64Error {
    /// Another number of characters than the bytes need.
    #[error("{expected} base64 characters expected, {found} found")]
    Length {
        /// The characters that the wanted number of bytes takes.
        expected: usize,
        /// The bytes of text that were given.
        found: usize,
    },
    /// A byte outside the alphabet.
    #[error("no base64 character at offset {offset}")]
    Symbol {
        /// Its offset in the text.
        offset: usize,
    },
    /// Something other than `=` where the padding belongs.
    #[error("base64 padding is missing or damaged")]
    Padding,
    /// The last character has bits set that belong to no byte.
    #[error("surplus bits of the base64 text are not zero")]
    TrailingBits,
}

#[cfg(test)]
mod tests;
