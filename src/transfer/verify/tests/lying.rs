//! Transfers that break their promise: which fault, and how little came out.

use proptest::prelude::*;

use super::*;
use crate::format::hash::NixHash;
use crate::format::nar::content::{ContentFault, ContentKind};
use crate::format::nar::writer::{noise, tokens};
use crate::format::nar::{NarError, NarErrorKind};
use crate::transfer::decode::DecodeError;

#[test]
fn another_hash() {
    let nar = large();
    for codec in ALL {
        let outcome = transfer(check(codec, [0; 32], nar.len()), large_body(codec), 65_536);
        assert_eq!(outcome.fault(), &TransferFault::HashMismatch { got: sha256(&nar) });
        assert_eq!(outcome.passed().len(), nar.len() - TAIL as usize);
    }
}

#[test]
fn one_changed_byte_of_contents() {
    let nar = large();
    let mut lie = nar.clone();
    lie[1_000_000] ^= 1;
    for codec in ALL {
        let outcome = transfer(check(codec, sha256(&nar), nar.len()), &encode(codec, &lie), 65_536);
        assert_eq!(outcome.fault(), &TransferFault::HashMismatch { got: sha256(&lie) });
    }
}

#[test]
fn more_than_promised() {
    let nar = large();
    let promised = nar.len() - 1;
    for codec in ALL {
        for size in [1000, usize::MAX] {
            let outcome =
                transfer(check(codec, sha256(&nar), promised), large_body(codec), size.min(1 << 22));
            // The last token already says that it will not fit.
            assert!(
                matches!(outcome.fault(), TransferFault::Nar(_) | TransferFault::TooLong { .. }),
                "{codec}"
            );
            assert!(outcome.passed().len() < promised);
        }
    }
}

#[test]
fn bytes_after_the_nar() {
    let nar = large();
    for codec in ALL {
        let long = [&nar[..], b"\0"].concat();
        let outcome = transfer(check(codec, sha256(&nar), nar.len()), &encode(codec, &long), 65_536);
        assert_eq!(outcome.fault(), &TransferFault::TooLong { nar_size: nar.len() as u64 }, "{codec}");
        assert!(outcome.passed().len() < nar.len());
    }
}

#[test]
fn a_member_after_the_nar() {
    let nar = large();
    for codec in [Codec::Bzip2, Codec::Gzip, Codec::Xz, Codec::Zstd] {
        let body = [large_body(codec), &encode(codec, b"x")].concat();
        let outcome = transfer(check(codec, sha256(&nar), nar.len()), &body, 65_536);
        assert_eq!(outcome.fault(), &TransferFault::TooLong { nar_size: nar.len() as u64 }, "{codec}");
    }
}

#[test]
fn less_than_promised() {
    let nar = large();
    for codec in ALL {
        for missing in [1, 8, 100_000, nar.len()] {
            let got = nar.len() - missing;
            let outcome =
                transfer(check(codec, sha256(&nar), nar.len()), &encode(codec, &nar[..got]), 65_536);
            let short = TransferFault::TooShort { got: got as u64, nar_size: nar.len() as u64 };
            assert_eq!(outcome.fault(), &short, "{codec}");
        }
    }
}

#[test]
fn compressed_data_that_is_cut_off() {
    let nar = large();
    for codec in COMPRESSED {
        let body = large_body(codec);
        let outcome = transfer(check(codec, sha256(&nar), nar.len()), &body[..body.len() - 1], 65_536);
        assert_eq!(outcome.fault(), &TransferFault::Decode(DecodeError::Truncated { codec }));
        assert!(outcome.passed().len() < nar.len());
    }
}

#[test]
fn compressed_data_with_garbage_behind() {
    let nar = large();
    for codec in COMPRESSED {
        let body = [large_body(codec), b"garbage behind the data"].concat();
        let outcome = transfer(check(codec, sha256(&nar), nar.len()), &body, 65_536);
        let fault = outcome.fault();
        assert!(matches!(fault, TransferFault::Decode(_) | TransferFault::TrailingInput), "{codec}: {fault}");
        assert_eq!(fault == &TransferFault::TrailingInput, codec == Codec::Br);
    }
}

#[test]
fn nothing_from_a_broken_archive_passes_behind_the_break() {
    let contents = text(400_000);
    let mut nar = tokens(&["nix-archive-1", "(", "type", "directory"]);
    let file = |name: &'static str| {
        [&["entry", "(", "name", name, "node"][..], &["(", "type", "regular", "contents"]].concat()
    };
    nar.extend(tokens(&file("b")));
    nar.extend(tokens(&[&contents]));
    nar.extend(tokens(&[")", ")"]));
    // Behind `entry`, `(` and `name`.
    let fault_at = nar.len() + 48;
    nar.extend(tokens(&file("../../evil")));
    nar.extend(tokens(&[&contents]));
    nar.extend(tokens(&[")", ")", ")"]));
    for codec in ALL {
        for size in [100, 40_000, usize::MAX] {
            let outcome =
                transfer(check(codec, sha256(&nar), nar.len()), &encode(codec, &nar), size.min(1 << 20));
            let error = NarError { offset: fault_at as u64, kind: NarErrorKind::NameSlash };
            assert_eq!(outcome.fault(), &TransferFault::Nar(error), "{codec}");
            let passed = outcome.passed();
            assert!(passed.len() <= fault_at && nar.starts_with(&passed));
        }
    }
}

#[test]
fn a_content_address_that_does_not_hold() {
    let nar = Node::script(b"#!/bin/sh\n").nar();
    let content = |kind| ContentCheck::new(kind, NixHash::Sha256([0; 32]));
    for (kind, fault) in [
        (ContentKind::Nar, ContentFault::Digest { got: sha256(&nar).to_vec() }),
        (ContentKind::File, ContentFault::Executable),
    ] {
        let mut check = check(Codec::None, sha256(&nar), nar.len());
        check.content = Some(content(kind));
        assert_eq!(transfer(check, &nar, 50).fault(), &TransferFault::ContentMismatch(fault));
    }
}

#[test]
fn a_bomb_stops_at_the_promised_size() {
    let contents = 64 << 20;
    let mut opening = tokens(&["nix-archive-1", "(", "type", "regular", "contents"]);
    opening.extend_from_slice(&(contents as u64).to_le_bytes());
    for codec in [Codec::Bzip2, Codec::Gzip, Codec::Xz, Codec::Zstd] {
        let zeros = encode(codec, &vec![0; contents / 16]);
        let body = [encode(codec, &opening), zeros.repeat(200)].concat();
        // Honest about its size, but without end: each step gives little, and it is over at the size.
        let nar_size = opening.len() + contents + 16;
        let outcome = transfer(check(codec, [0; 32], nar_size), &body, FEED);
        assert_eq!(outcome.fault(), &TransferFault::TooLong { nar_size: nar_size as u64 }, "{codec}");
        assert!(outcome.passed().len() <= nar_size - TAIL as usize);
        // Promised small: the contents do not fit, so nothing is decoded but the first buffer.
        let outcome = transfer(check(codec, [0; 32], 1 << 20), &body, FEED);
        assert!(matches!(outcome.fault(), TransferFault::Nar(_)), "{codec}");
        assert!(outcome.passed.is_empty());
    }
}

#[test]
fn a_size_above_the_limit_is_refused_at_the_first_byte() {
    let nar = Node::file(b"").nar();
    let limits = Limits { nar_size: 100, ..Limits::default() };
    let decoder = Decoder::new(Codec::None, 0).unwrap();
    let check = NarCheck::new(decoder, sha256(&nar), nar.len() as u64, &limits, None, Mark::start());
    let too_large = NarError { offset: 0, kind: NarErrorKind::TooLarge { limit: 100 } };
    assert_eq!(transfer(check, &nar, 10).fault(), &TransferFault::Nar(too_large));
}

#[test]
fn an_end_before_all_was_checked() {
    let nar = large();
    let body = Bytes::from_static(large_body(Codec::Zstd));
    let fresh = || {
        let mut check = check(Codec::Zstd, sha256(&nar), nar.len());
        check.feed(body.clone());
        check
    };
    assert_eq!(fresh().finish().unwrap_err(), TransferFault::Unfinished);
    let mut check = fresh();
    let step = check.step().unwrap();
    assert!(!step.wants_input);
    assert_eq!(check.finish().unwrap_err(), TransferFault::Unfinished);
}

#[test]
fn noise_gives_nothing() {
    for codec in ALL {
        let outcome = transfer(check(codec, [0; 32], 1 << 20), &noise(10_000), 1000);
        assert!(outcome.end.is_err() && outcome.passed.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_changed_transfer_never_comes_out_whole(
        which in 0..ALL.len(),
        len in 0_usize..100_000,
        at in any::<prop::sample::Index>(),
        change in 1_u8..,
        size in 1_usize..100_000,
    ) {
        let nar = Node::file(&text(len)).nar();
        let mut body = encode(ALL[which], &nar);
        let at = at.index(body.len());
        body[at] ^= change;
        let outcome = transfer(check(ALL[which], sha256(&nar), nar.len()), &body, size);
        match outcome.end {
            // A byte that means nothing was changed: what came out is what was promised.
            Ok(ref tail) => prop_assert_eq!([outcome.passed(), tail.bytes.to_vec()].concat(), nar),
            Err(_) => prop_assert!(outcome.passed().len() <= nar.len().saturating_sub(TAIL as usize)),
        }
    }
}
