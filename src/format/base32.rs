//! Nix's base32: the spelling of hashes in store paths and narinfos.
//!
//! Not RFC 4648: the alphabet leaves out `e o u t`, there is no padding, and the text is the input read as one
//! little-endian number, most significant digit first. The length for n bytes is ceil(8n/5); where 5 does not
//! divide 8n, the surplus top bits are zero.
//!
//! Rule kept: one text per value. Upper case, other lengths and non-zero surplus bits are refused. The rule is
//! that of NixOS/nix `src/libutil/hash.cc`, `printHash32` and its inverse.

use thiserror::Error;

/// The 32 digits, in ascending order of value and of byte.
pub const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// The number of characters that spell so many bytes. Saturates far above any hash.
pub const fn encode_len(bytes: usize) -> usize {
    bytes.saturating_mul(8).div_ceil(5)
}

/// The number of whole bytes that so many characters hold.
///
/// Not every length is one that [`encode_len`] gives: 1 and 3 characters, for instance, spell nothing.
pub const fn decode_len(chars: usize) -> usize {
    chars.saturating_mul(5) / 8
}

/// The base32 text of some bytes.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(encode_len(bytes.len()));
    encode_into(bytes, &mut text);
    text
}

/// Appends the base32 text of some bytes.
pub fn encode_into(bytes: &[u8], out: &mut String) {
    out.extend((0..encode_len(bytes.len())).rev().map(|place| symbol_at(bytes, place)));
}

/// Reads exactly `K` bytes from their base32 text.
///
/// ```
/// # use countersign::format::base32::{decode_fixed, encode};
/// let folded: [u8; 20] = decode_fixed(b"syd87l2rxw8cbsxmxl853h0r6pdwhwjr")?;
/// assert_eq!(encode(&folded), "syd87l2rxw8cbsxmxl853h0r6pdwhwjr");
/// # Ok::<(), countersign::format::base32::DecodeError>(())
/// ```
pub fn decode_fixed<const K: usize>(text: &[u8]) -> Result<[u8; K], DecodeError> {
    if text.len() != encode_len(K) {
        return Err(DecodeError::Length { expected: encode_len(K), found: text.len() });
    }
    let mut bytes = [0u8; K];
    let mut places = bytes.iter_mut();
    // The last character is the least significant digit. Bits gather here until they are a byte.
    let (mut gathered, mut count) = (0u16, 0u32);
    for (offset, &symbol) in text.iter().enumerate().rev() {
        let digit = digit_of(symbol).ok_or(DecodeError::Symbol { offset, byte: symbol })?;
        gathered |= u16::from(digit).wrapping_shl(count);
        count = count.wrapping_add(5);
        if count >= 8 {
            let [low, high] = gathered.to_le_bytes();
            (gathered, count) = (u16::from(high), count.wrapping_sub(8));
            if let Some(place) = places.next() {
                *place = low;
            }
        }
    }
    if gathered != 0 { Err(DecodeError::SurplusBits) } else { Ok(bytes) }
}

/// Why a text is not the base32 of so many bytes.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum DecodeError {
    /// Another number of characters than the bytes need.
    #[error("{expected} base32 characters expected, {found} found")]
    Length {
        /// The characters that the wanted number of bytes takes.
        expected: usize,
        /// The bytes of text that were given.
        found: usize,
    },
    /// A byte outside the alphabet.
    #[error("byte {byte:#04x} at offset {offset} is not a base32 digit")]
    Symbol {
        /// Its offset in the text.
        offset: usize,
        /// The byte.
        byte: u8,
    },
    /// The first character is too large: its top bits belong to no byte.
    #[error("surplus bits of the base32 text are not zero")]
    SurplusBits,
}

/// The digit at a place, counted from the least significant: bits 5·place to 5·place+4 of the number.
fn symbol_at(bytes: &[u8], place: usize) -> char {
    let bit = place.saturating_mul(5);
    let byte = |index: usize| bytes.get(index).copied().unwrap_or(0);
    let window = u16::from_le_bytes([byte(bit / 8), byte((bit / 8).saturating_add(1))]);
    let digit = window.wrapping_shr(bit_in_byte(bit)) & 0x1f;
    // Five bits and 32 digits: the default stands in for nothing.
    ALPHABET.get(usize::from(digit)).map_or('0', |&symbol| char::from(symbol))
}

/// The value of a digit; the inverse of [`ALPHABET`], by its five runs of letters.
fn digit_of(symbol: u8) -> Option<u8> {
    let digit = DIGITS.get(usize::from(symbol)).copied();
    digit.filter(|digit| *digit != NO_DIGIT)
}

/// What each byte stands for.
#[expect(clippy::indexing_slicing, reason = "a constant that indexes outside does not compile")]
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        digits[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

const NO_DIGIT: u8 = u8::MAX;

/// A bit's place in its byte, always below eight.
const fn bit_in_byte(bit: usize) -> u32 {
    (bit % 8) as u32
}

#[cfg(test)]
// Named, because the hook compiles this file from elsewhere.
#[path = "base32/tests.rs"]
mod tests;
