//! Windows and dictionaries: what is refused, and how well the need is guessed.

use liblzma::stream::{Check, Stream};

use super::*;
use crate::format::nar::writer::text;

/// A zstd frame of one raw byte with this window descriptor.
fn zstd_frame(window: u8) -> Vec<u8> {
    [&0xFD2F_B528_u32.to_le_bytes()[..], &[0x00, window, 0x09, 0, 0, b'x']].concat()
}

/// An xz stream whose first block asks for this dictionary.
fn xz_with_dictionary(bits: u8) -> Vec<u8> {
    let mut body = encode(Codec::Xz, b"content");
    let header = 12..12 + 4 * (usize::from(body[12]) + 1);
    let at = header.start + body[header.clone()].windows(2).position(|pair| pair == [0x21, 1]).unwrap() + 2;
    body[at] = bits;
    let crc = crc32(&body[header.start..header.end - 4]).to_le_bytes();
    body[header.end - 4..header.end].copy_from_slice(&crc);
    body
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn xz_preset(preset: u32) -> Vec<u8> {
    let stream = Stream::new_easy_encoder(preset, Check::Crc64).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(b"content").unwrap();
    encoder.finish().unwrap()
}

fn with_limit(codec: Codec, body: &[u8], limit: u64) -> Result<usize, DecodeError> {
    let mut decoder = Decoder::new(codec, limit)?;
    Ok(decoder.step(body, &mut [0; 4096])?.produced)
}

#[test]
fn an_xz_dictionary_of_a_gigabyte_is_refused() {
    // 64 MiB is what `xz -9` asks for, and the most that any preset does.
    assert_eq!(decode(Codec::Xz, &xz_with_dictionary(28), 5, 100), Ok(b"content".to_vec()));
    for bits in [36, 38, 40] {
        let refused = DecodeError::Memory { codec: Codec::Xz, limit: LIMIT };
        assert_eq!(decode(Codec::Xz, &xz_with_dictionary(bits), 5, 100), Err(refused), "{bits}");
    }
}

#[test]
fn a_later_xz_stream_is_held_to_the_same_limit() {
    let body = [xz_with_dictionary(0), xz_with_dictionary(36)].concat();
    assert_eq!(decode(Codec::Xz, &body, 5, 100), Err(DecodeError::Memory { codec: Codec::Xz, limit: LIMIT }));
}

#[test]
fn a_zstd_window_of_two_gigabytes_is_refused() {
    let window = |log: u8, eighths: u8| zstd_frame(((log - 10) << 3) | eighths);
    assert_eq!(decode(Codec::Zstd, &window(27, 0), 5, 100), Ok(b"x".to_vec()));
    for (log, eighths) in [(27, 1), (28, 0), (31, 0), (41, 7)] {
        let refused = DecodeError::Memory { codec: Codec::Zstd, limit: LIMIT };
        assert_eq!(decode(Codec::Zstd, &window(log, eighths), 5, 100), Err(refused), "{log}");
    }
    let later = [window(20, 0), window(31, 0)].concat();
    assert!(decode(Codec::Zstd, &later, usize::MAX, 100).is_err());
}

#[test]
fn brotli_with_a_large_window_is_refused() {
    // RFC 7932 §9.1: 1000100 is not a window; the large-window extension begins with it.
    assert!(decode(Codec::Br, &[0x11, 0x1e, 0x03], usize::MAX, 100).is_err());
    let mut parameters =
        brotli::enc::BrotliEncoderParams { lgwin: 26, large_window: true, ..Default::default() };
    parameters.quality = 2;
    let mut body = Vec::new();
    brotli::BrotliCompress(&mut &text(5000)[..], &mut body, &parameters).unwrap();
    assert_eq!(body[0] & 0x7f, 0x11);
    assert!(decode(Codec::Br, &body, usize::MAX, 100).is_err());
}

#[test]
fn a_smaller_limit_is_kept() {
    let mib = 1_u64 << 20;
    for (codec, body, enough, too_little) in [
        (Codec::Xz, xz_preset(6), 9 * mib, 7 * mib),
        (Codec::Zstd, zstd_frame(13 << 3), 8 * mib, 8 * mib - 1),
        (Codec::Br, encode(Codec::Br, &text(100_000)), mib, mib - 1),
        (Codec::Bzip2, encode(Codec::Bzip2, b"x"), 4 * mib, 4 * mib - 1),
        (Codec::Gzip, encode(Codec::Gzip, b"x"), 64 << 10, 32 << 10),
    ] {
        assert!(with_limit(codec, &body, enough).is_ok(), "{codec}");
        assert_eq!(
            with_limit(codec, &body, too_little),
            Err(DecodeError::Memory { codec, limit: too_little })
        );
    }
    assert!(Decoder::new(Codec::Xz, 0).and_then(|mut xz| xz.step(&xz_preset(0), &mut [0; 9])).is_err());
    assert!(Decoder::new(Codec::Zstd, 0).is_ok());
}

#[test]
fn the_need_is_read_from_the_first_bytes() {
    let mib = 1_u64 << 20;
    let near = |codec, body: &[u8], window: u64| {
        let needed = memory_needed(codec, body);
        assert_eq!(needed, window + mib, "{codec}");
        assert_eq!(memory_needed(codec, &body[..body.len().min(64)]), needed, "{codec}");
    };
    for (preset, window) in [(0, 256 << 10), (1, mib), (6, 8 * mib), (9, 64 * mib)] {
        near(Codec::Xz, &xz_preset(preset), window);
    }
    near(Codec::Xz, &xz_with_dictionary(37), 3 << 29);
    near(Codec::Xz, &xz_with_dictionary(40), u64::from(u32::MAX));
    near(Codec::Zstd, &zstd_frame(13 << 3), 8 * mib);
    near(Codec::Zstd, &zstd_frame(13 << 3 | 3), 11 * mib);
    near(Codec::Zstd, &encode(Codec::Zstd, b"seven b"), 7);
    near(Codec::Zstd, &encode(Codec::Zstd, &text(1000)), 1000);
    near(Codec::Zstd, &encode(Codec::Zstd, &text(100_000)), 100_000);
    let brotli = encode(Codec::Br, &text(100_000));
    assert_eq!(memory_needed(Codec::Br, &brotli), 11 * mib / 2);
    assert_eq!(memory_needed(Codec::Bzip2, b"BZh9"), 4 * mib);
    assert_eq!(memory_needed(Codec::Gzip, b"\x1f\x8b"), 64 << 10);
    assert_eq!(memory_needed(Codec::None, b""), 0);
}

#[test]
fn a_head_that_says_nothing_needs_the_most() {
    let mib = 1_u64 << 20;
    for (codec, most) in [(Codec::Xz, 129 * mib), (Codec::Zstd, 129 * mib), (Codec::Br, 28 * mib)] {
        assert_eq!(memory_needed(codec, b""), most);
    }
    for garbage in [
        &[0xff; 64][..],
        &[0; 64],
        b"\xfd7zXZ\0",
        b"\xfd7zXZ\0\0\x04\0\0\0\0\x02\xff\xff\xff\xff",
        &[0x28, 0xb5, 0x2f, 0xfd],
    ] {
        assert_eq!(memory_needed(Codec::Xz, garbage), 129 * mib);
        assert_eq!(memory_needed(Codec::Zstd, garbage), 129 * mib);
    }
}

#[test]
fn brotli_windows_are_those_of_the_specification() {
    let bits = |first| memory::brotli_window(first).map(u64::ilog2);
    assert_eq!(bits(0b0), Some(16));
    assert_eq!(bits(0b000_0001), Some(17));
    assert_eq!([0x03, 0x05, 0x07, 0x09, 0x0b, 0x0d, 0x0f].map(bits), [18, 19, 20, 21, 22, 23, 24].map(Some));
    assert_eq!([0x21, 0x31, 0x41, 0x51, 0x61, 0x71].map(bits), [10, 11, 12, 13, 14, 15].map(Some));
    assert_eq!(bits(0x11), None);
}
