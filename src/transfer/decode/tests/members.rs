//! Whole bodies: one member, several, none, and any way of cutting them.

use proptest::prelude::*;

use super::*;
use crate::format::nar::writer::{noise, text};

#[test]
fn megabytes_through_odd_slices() {
    let bytes = [text(2_000_003), noise(500_009), vec![0; 700_001]].concat();
    for codec in COMPRESSED.into_iter().chain([Codec::None]) {
        let body = encode(codec, &bytes);
        for (input_size, output_size) in
            [(7919, 4099), (1 << 18, 1 << 18), (101, 1 << 20), (usize::MAX, 65537)]
        {
            assert_eq!(decode(codec, &body, input_size, output_size).as_ref(), Ok(&bytes), "{codec}");
        }
    }
}

#[test]
fn byte_by_byte() {
    let bytes = text(5000);
    for codec in COMPRESSED {
        let body = encode(codec, &bytes);
        assert_eq!(decode(codec, &body, 1, 1).as_ref(), Ok(&bytes), "{codec}");
        assert_eq!(decode(codec, &body, usize::MAX, 1).as_ref(), Ok(&bytes), "{codec}");
        assert_eq!(decode(codec, &body, 1, 1 << 16).as_ref(), Ok(&bytes), "{codec}");
    }
}

#[test]
fn members_back_to_back_are_one_body() {
    let parts = [text(70_000), Vec::new(), noise(30_000), vec![7; 100_000], Vec::new()];
    for codec in [Codec::Bzip2, Codec::Gzip, Codec::Xz, Codec::Zstd] {
        let body: Vec<u8> = parts.iter().flat_map(|part| encode(codec, part)).collect();
        for (input_size, output_size) in [(1, 4096), (13, 1 << 18), (usize::MAX, 1000), (usize::MAX, 1 << 20)]
        {
            assert_eq!(decode(codec, &body, input_size, output_size), Ok(parts.concat()), "{codec}");
        }
    }
}

#[test]
fn many_small_members() {
    for codec in [Codec::Bzip2, Codec::Gzip, Codec::Xz, Codec::Zstd] {
        let member = encode(codec, b"x");
        let body = member.repeat(500);
        assert_eq!(decode(codec, &body, usize::MAX, 1 << 18), Ok(vec![b'x'; 500]), "{codec}");
        assert_eq!(decode(codec, &encode(codec, b"").repeat(500), 100, 10), Ok(Vec::new()), "{codec}");
    }
}

#[test]
fn a_second_brotli_stream_is_trailing() {
    let body = encode(Codec::Br, b"one").repeat(2);
    for input_size in [1, 5, usize::MAX] {
        assert_eq!(
            decode(Codec::Br, &body, input_size, 100),
            Err(DecodeError::Trailing { codec: Codec::Br })
        );
    }
}

#[test]
fn skippable_zstd_frames_are_skipped() {
    let skippable = [&0x184D_2A53_u32.to_le_bytes()[..], &5_u32.to_le_bytes(), b"notes"].concat();
    let frame = encode(Codec::Zstd, b"content");
    for parts in [[&skippable, &frame, &frame], [&frame, &skippable, &frame], [&frame, &frame, &skippable]] {
        let body = parts.map(Vec::as_slice).concat();
        for input_size in [1, 9, usize::MAX] {
            assert_eq!(decode(Codec::Zstd, &body, input_size, 5), Ok(b"contentcontent".to_vec()));
        }
        assert!(decode(Codec::Zstd, &body[..body.len() - 1], usize::MAX, 100).is_err());
    }
}

#[test]
fn xz_padding_comes_in_fours() {
    let stream = encode(Codec::Xz, b"content");
    for zeros in 0..13 {
        let between = [&stream, &vec![0; zeros][..], &stream].concat();
        let after = [&stream, &vec![0; zeros][..]].concat();
        for input_size in [1, usize::MAX] {
            assert_eq!(decode(Codec::Xz, &between, input_size, 100).is_ok(), zeros % 4 == 0, "{zeros}");
            assert_eq!(decode(Codec::Xz, &after, input_size, 100).is_ok(), zeros % 4 == 0, "{zeros}");
        }
    }
}

#[test]
fn an_empty_body_is_cut_off() {
    for codec in COMPRESSED {
        assert_eq!(decode(codec, b"", 1, 1), Err(DecodeError::Truncated { codec }));
    }
    assert_eq!(decode(Codec::None, b"", 1, 1), Ok(Vec::new()));
}

#[test]
fn nothing_moves_without_output_and_nothing_breaks() {
    for codec in COMPRESSED {
        let body = encode(codec, b"content");
        let mut decoder = Decoder::new(codec, LIMIT).unwrap();
        let mut buffer = [0; 100];
        for _ in 0..100 {
            assert_eq!(decoder.step(&body, &mut []), Ok(Progress::default()));
            assert_eq!(decoder.step(&[], &mut buffer), Ok(Progress::default()));
        }
        assert_eq!(decoder.step(&body, &mut buffer), Ok(Progress { consumed: body.len(), produced: 7 }));
        assert_eq!(decoder.finish(), Ok(()), "{codec}");
    }
}

#[test]
fn output_that_was_not_fetched_is_not_an_end() {
    for codec in COMPRESSED {
        let body = encode(codec, &[b'x'; 1000]);
        let mut decoder = Decoder::new(codec, LIMIT).unwrap();
        let moved = decoder.step(&body, &mut [0; 10]).unwrap();
        assert_eq!(moved.produced, 10);
        assert_eq!(decoder.finish(), Err(DecodeError::Truncated { codec }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn slices_do_not_matter(
        which in 0..COMPRESSED.len(),
        len in 0_usize..20_000,
        flip in proptest::option::of((any::<prop::sample::Index>(), 1_u8..)),
        input_size in 1_usize..3000,
        output_size in 1_usize..5000,
    ) {
        let codec = COMPRESSED[which];
        let mut body = encode(codec, &text(len));
        if let Some((at, change)) = flip {
            let at = at.index(body.len());
            body[at] ^= change;
        }
        let whole = decode_upto(codec, &body, usize::MAX, 1 << 16, 1 << 20);
        let sliced = decode_upto(codec, &body, input_size, output_size, 1 << 20);
        match (whole, sliced) {
            (Ok(whole), Ok(sliced)) if whole.len() <= 1 << 20 => prop_assert_eq!(whole, sliced),
            (whole, sliced) => prop_assert_eq!(whole.is_ok(), sliced.is_ok()),
        }
    }
}
