//! Bodies that are cut, changed, lengthened or blown up.

use super::*;
use crate::format::nar::writer::{noise, text};

#[test]
fn a_cut_at_every_97th_byte_never_succeeds() {
    let bytes = [text(40_000), noise(10_000)].concat();
    for codec in COMPRESSED {
        let body = encode(codec, &bytes);
        for end in (0..body.len()).rev().step_by(97).chain([1, 2, 3, 4, 5]) {
            assert!(decode(codec, &body[..end], 1000, 1 << 16).is_err(), "{codec} cut at {end}");
        }
    }
}

#[test]
fn a_cut_in_a_later_member_never_succeeds() {
    for codec in [Codec::Bzip2, Codec::Gzip, Codec::Xz, Codec::Zstd] {
        let member = encode(codec, b"some content");
        for cut in 1..member.len() {
            let body = [&member, &member[..cut]].concat();
            assert!(decode(codec, &body, usize::MAX, 100).is_err(), "{codec} cut at {cut}");
            assert!(decode(codec, &body, 1, 1).is_err(), "{codec} cut at {cut}");
        }
    }
}

#[test]
fn a_changed_byte_never_panics_or_overruns() {
    let bytes = text(8_000);
    for codec in COMPRESSED {
        let body = encode(codec, &bytes);
        for at in (0..body.len()).step_by(13).chain(0..40) {
            for change in [0x01, 0x80] {
                let mut bad = body.clone();
                bad[at] ^= change;
                // A header has fields that mean nothing to us, and the last byte of data may have unused bits.
                let spare = at < 40 || at + 10 > body.len();
                let unnoticed = decode_upto(codec, &bad, 999, 4096, 1 << 20) == Ok(bytes.clone());
                // Brotli has no checksum, and zstd none unless asked: there the NAR's own hash has to notice.
                let unchecked = matches!(codec, Codec::Br | Codec::Zstd);
                assert!(!unnoticed || spare || unchecked, "{codec} changed at {at} of {}", body.len());
            }
        }
    }
}

#[test]
fn noise_is_not_a_body() {
    for codec in COMPRESSED {
        for skip in 0..100 {
            drop(decode_upto(codec, &noise(5000)[skip..], 777, 4096, 1 << 20));
        }
        assert!(decode(codec, b"<html>Service unavailable</html>", 5, 100).is_err(), "{codec}");
        assert!(decode(codec, &[0; 64], 5, 100).is_err(), "{codec}");
    }
}

#[test]
fn trailing_garbage_is_refused() {
    for codec in COMPRESSED {
        let body = encode(codec, &text(3000));
        for garbage in [
            &b"x"[..],
            b"xx",
            b"garbage that is longer than a header of any kind",
            &[0xff; 4],
            &[0; 1],
            &[0; 6],
        ] {
            let long = [&body, garbage].concat();
            for (input_size, output_size) in [(1, 100), (body.len(), 1 << 16), (usize::MAX, 1 << 16)] {
                assert!(decode(codec, &long, input_size, output_size).is_err(), "{codec} {garbage:?}");
            }
        }
    }
}

#[test]
fn the_first_error_is_final() {
    for codec in COMPRESSED {
        let mut decoder = Decoder::new(codec, LIMIT).unwrap();
        let body = encode(codec, b"content");
        let error = decoder.step(b"<html>Not what you asked for</html>", &mut [0; 100]).unwrap_err();
        assert_eq!(decoder.step(&body, &mut [0; 100]), Err(error));
        assert_eq!(decoder.finish(), Err(error));
    }
}

/// A gigabyte of zeros (of brotli, which has no members to repeat, 64 MiB) from a few kilobytes or megabytes: nothing is produced but what is asked for, and the caller may
/// stop at any time. (The peak memory of this is printed by the example `nar_speed`.)
#[test]
fn a_bomb_gives_only_what_is_asked_for() {
    for codec in COMPRESSED {
        let body = match codec {
            Codec::Br => encode(codec, &vec![0; 64 << 20]),
            _ => encode(codec, &vec![0; 4 << 20]).repeat(256),
        };
        assert!(body.len() < 12 << 20, "{codec}: {}", body.len());
        let most = 1_000_000;
        let out = decode_upto(codec, &body, usize::MAX, 4096, most).unwrap();
        assert!(out.len() > most && out.len() <= most + 4096, "{codec}");
        let mut decoder = Decoder::new(codec, LIMIT).unwrap();
        let mut one = [0; 1];
        assert_eq!(decoder.step(&body, &mut one).unwrap().produced, 1, "{codec}");
    }
}

#[test]
fn bzip2_streams_that_hold_next_to_nothing() {
    let small = DecodeError::Corrupt { codec: Codec::Bzip2, detail: "too many small streams" };
    for content in [&b""[..], b"x", &[b'x'; 4095]] {
        let body = encode(Codec::Bzip2, content).repeat(1002);
        assert_eq!(decode(Codec::Bzip2, &body, 1 << 16, 1 << 16), Err(small), "{}", content.len());
    }
    let enough = encode(Codec::Bzip2, &[b'x'; 4096]).repeat(1200);
    assert_eq!(decode(Codec::Bzip2, &enough, 1 << 16, 1 << 16), Ok(vec![b'x'; 4096 * 1200]));
}
