//! How much memory a body will need, judged from its first bytes, so that a shared budget can be asked
//! before the decoder is made.
//!
//! An estimate, not a bound: later members may ask for more than the first. The bound is the limit given to
//! the decoder, which refuses what is above it. Sources: RFC 8878 §3.1.1 (zstd frame header), the .xz format
//! 1.2.1 §2.1 and §3.1 (stream and block header), RFC 7932 §9.1 (brotli WBITS).

use super::Codec;

/// Bytes of a body that [`memory_needed`] can make use of.
const HEAD: usize = 64;

/// Bytes that decoding a body beginning with `first_bytes` will take, the caller's buffers not counted.
///
/// The first 64 bytes are enough. With fewer, or if they are not what the codec writes, the answer is the
/// most that this codec is ever allowed.
pub fn memory_needed(codec: Codec, first_bytes: &[u8]) -> u64 {
    let head = first_bytes.get(..HEAD).unwrap_or(first_bytes);
    let with_state = |window: Option<u64>| window.unwrap_or(128 << 20).saturating_add(STATE);
    match codec {
        Codec::Br => {
            let window = head.first().and_then(|first| brotli_window(*first)).unwrap_or(16 << 20);
            window + window / 2 + BROTLI_TABLES
        }
        Codec::Bzip2 => BZIP2,
        Codec::Gzip => GZIP,
        Codec::None => 0,
        Codec::Xz => with_state(xz_dictionary(head)),
        Codec::Zstd => with_state(zstd_window(head)),
    }
}

/// bzip2 blocks of 900,000 bytes take four bytes each, and the tables 64 KiB.
pub(super) const BZIP2: u64 = 4 << 20;

/// A window of 32 KiB and the tables.
pub(super) const GZIP: u64 = 64 << 10;

/// What zstd and xz need besides their window: tables, and block buffers of 128 KiB.
const STATE: u64 = 1 << 20;

/// Three times 256 code tables of 4.3 KB at worst. The window itself is grown by doubling, so that for a
/// moment it takes half as much again.
const BROTLI_TABLES: u64 = 4 << 20;

/// The window in a brotli stream's first byte; none for the large-window extension.
pub(super) fn brotli_window(first: u8) -> Option<u64> {
    let bits = match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, _, _) => 16,
        (_, 0, 0) => 17,
        (_, 0, 1) => return None,
        (_, 0, n) => 8 + u32::from(n),
        (_, n, _) => 17 + u32::from(n),
    };
    Some(1 << bits)
}

/// The window of the first frame, or its content where that is smaller.
fn zstd_window(head: &[u8]) -> Option<u64> {
    let (magic, rest) = head.split_first_chunk::<4>()?;
    let (descriptor, rest) = rest.split_first()?;
    if u32::from_le_bytes(*magic) != 0xFD2F_B528 {
        return None;
    }
    let single_segment = descriptor & 0x20 != 0;
    if !single_segment {
        let window = rest.first()?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + (base >> 3) * u64::from(window & 7));
    }
    // The content size stands in for the window; it follows the dictionary number.
    let skip = match descriptor & 3 {
        3 => 4,
        other => usize::from(other),
    };
    let field = rest.get(skip..)?;
    match descriptor >> 6 {
        0 => field.first().map(|size| u64::from(*size)),
        1 => field.first_chunk().map(|size| u64::from(u16::from_le_bytes(*size)) + 256),
        2 => field.first_chunk().map(|size| u64::from(u32::from_le_bytes(*size))),
        _ => field.first_chunk().map(|size| u64::from_le_bytes(*size)),
    }
}

/// The dictionary of the first block's LZMA2 filter.
fn xz_dictionary(head: &[u8]) -> Option<u64> {
    let (magic, rest) = head.split_first_chunk::<6>()?;
    let block = rest.get(6..)?;
    let (size, block) = block.split_first()?;
    if magic != b"\xfd7zXZ\0" || *size == 0 {
        return None;
    }
    let (flags, mut rest) = block.split_first()?;
    for present in [0x40, 0x80] {
        if flags & present != 0 {
            (_, rest) = varint(rest)?;
        }
    }
    for _ in 0..=(flags & 3) {
        let (id, after) = varint(rest)?;
        let (length, after) = varint(after)?;
        let (properties, after) = after.split_at_checked(usize::try_from(length).ok()?)?;
        if let (LZMA2, [bits]) = (id, properties) {
            return dictionary_size(*bits);
        }
        rest = after;
    }
    None
}

/// The identifier of the LZMA2 filter.
const LZMA2: u64 = 0x21;

/// 4 KiB · 1, 1.5, 2, 3, 4, 6 … up to 4 GiB less one byte.
fn dictionary_size(bits: u8) -> Option<u64> {
    match bits {
        0..=39 => Some((2 | u64::from(bits & 1)) << (bits / 2 + 11)),
        40 => Some(u64::from(u32::MAX)),
        _ => None,
    }
}

/// A number of the .xz format: seven bits a byte, lowest first.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(9).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at + 1..)?));
        }
    }
    None
}
