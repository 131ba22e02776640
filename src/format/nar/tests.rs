//! The parser against published vectors, every rule it keeps, and another implementation.

mod content;
mod differential;
mod encode;
mod rules;
mod vectors;

use data_encoding::{BitOrder, Encoding, Specification};

use super::*;

/// The base 32 of Nix: its own alphabet, lowest bits first. Its digits are written back to front.
pub(super) fn base32() -> Encoding {
    let mut specification = Specification::new();
    specification.symbols.push_str("0123456789abcdfghijklmnpqrsvwxyz");
    specification.bit_order = BitOrder::LeastSignificantFirst;
    specification.encoding().unwrap()
}

/// The same digits in the other direction.
pub(super) fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}

/// One push of everything, with the size that the bytes really have.
pub(super) fn verify(nar: &[u8]) -> Result<NarSummary, NarError> {
    verify_in_chunks(nar, nar.len() as u64, std::iter::repeat(nar.len()))
}

/// Pushes chunks of the given sizes, of which zeros count as one.
pub(super) fn verify_in_chunks(
    nar: &[u8],
    nar_size: u64,
    sizes: impl IntoIterator<Item = usize>,
) -> Result<NarSummary, NarError> {
    let mut verifier = Verifier::new(nar_size, &Limits::default());
    let mut rest = nar;
    for size in sizes {
        if rest.is_empty() {
            break;
        }
        let (chunk, tail) = rest.split_at(size.clamp(1, rest.len()));
        verifier.push(chunk)?;
        rest = tail;
    }
    assert!(rest.is_empty(), "the test gave too few chunks");
    verifier.finish()
}
