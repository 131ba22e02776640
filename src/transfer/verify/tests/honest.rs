//! Transfers that keep their promise come through whole, the end last.

use proptest::prelude::*;

use super::*;
use crate::format::hash::NixHash;
use crate::format::nar::content::ContentKind;
use crate::format::nar::writer::any_tree;

#[test]
fn a_transfer_may_move_between_threads() {
    fn movable<T: Send + 'static>() {}
    movable::<NarCheck>();
    movable::<Step>();
    movable::<Tail>();
}

#[test]
fn every_byte_comes_through_and_the_last_ones_last() {
    let nar = large();
    for codec in ALL {
        let body = large_body(codec);
        for size in [8191, 65_536, FEED, body.len()] {
            let outcome = transfer(check(codec, sha256(&nar), nar.len()), body, size);
            assert_eq!(outcome.passed(), nar[..nar.len() - TAIL as usize], "{codec}");
            let tail = outcome.end.unwrap();
            assert_eq!(tail.bytes, nar[nar.len() - TAIL as usize..], "{codec}");
            assert_eq!(tail.summary.nar_size, nar.len() as u64);
            assert_eq!((tail.summary.files, tail.summary.directories, tail.summary.symlinks), (3, 3, 1));
            assert_eq!(tail.received, body.len() as u64);
        }
    }
}

#[test]
fn a_small_nar_is_withheld_wholly() {
    for contents in [0, 1, 65_000, TAIL as usize - 112] {
        let nar = Node::file(&text(contents)).nar();
        for codec in ALL {
            let outcome = transfer(check(codec, sha256(&nar), nar.len()), &encode(codec, &nar), 1000);
            assert!(outcome.passed.is_empty());
            assert_eq!(outcome.end.unwrap().bytes, nar);
        }
    }
}

#[test]
fn uncompressed_bytes_are_not_copied() {
    let nar = Bytes::from(large());
    let inside = |bytes: &Bytes| nar.as_ptr_range().contains(&bytes.as_ptr());
    let mut check = check(Codec::None, sha256(&nar), nar.len());
    for at in (0..nar.len()).step_by(FEED) {
        check.feed(nar.slice(at..nar.len().min(at + FEED)));
        let step = check.step().unwrap();
        assert!(step.wants_input);
        assert!(step.output.iter().map(|passed| &passed.bytes).all(inside));
    }
    assert!(inside(&check.finish().unwrap().bytes));
}

#[test]
fn a_buffer_is_used_again_only_when_its_readers_are_done() {
    let nar = Node::file(&text(8 << 20)).nar();
    let body = Bytes::from(encode(Codec::Zstd, &nar));
    let run = |keep: bool| {
        let mut check = check(Codec::Zstd, sha256(&nar), nar.len());
        check.feed(body.clone());
        let (mut kept, mut places) = (Vec::new(), std::collections::BTreeSet::new());
        loop {
            let step = check.step().unwrap();
            places.extend(step.output.iter().map(|passed| passed.bytes.as_ptr() as usize));
            kept.extend(step.output.into_iter().map(|passed| passed.bytes));
            if step.wants_input {
                break;
            }
            if !keep {
                kept.clear();
            }
        }
        (kept, places.len())
    };
    let (kept, places) = run(true);
    assert_eq!(kept.concat(), nar[..nar.len() - TAIL as usize]);
    assert_eq!(places, kept.len());
    assert!(run(false).1 * BUFFER <= OUTPUT_MEMORY);
}

#[test]
fn several_members_and_empty_ones_at_the_end() {
    let nar = large();
    let (front, back) = nar.split_at(nar.len() / 3);
    for codec in [Codec::Bzip2, Codec::Gzip, Codec::Xz, Codec::Zstd] {
        let body = [front, back, b""].map(|part| encode(codec, part)).concat();
        let outcome = transfer(check(codec, sha256(&nar), nar.len()), &body, 30_000);
        assert_eq!(outcome.end.unwrap().bytes, nar[nar.len() - TAIL as usize..]);
    }
}

#[test]
fn a_content_address_that_holds() {
    let contents = text(200_000);
    let nar = Node::file(&contents).nar();
    for (kind, digest) in [(ContentKind::File, sha256(&contents)), (ContentKind::Nar, sha256(&nar))] {
        for codec in [Codec::None, Codec::Zstd] {
            let mut check = check(codec, sha256(&nar), nar.len());
            check.content = Some(ContentCheck::new(kind, NixHash::Sha256(digest)));
            assert!(transfer(check, &encode(codec, &nar), 10_000).end.is_ok());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_tree_through_any_codec(tree in any_tree(), which in 0..ALL.len(), size in 1_usize..2000) {
        let nar = tree.nar();
        let outcome = transfer(check(ALL[which], sha256(&nar), nar.len()), &encode(ALL[which], &nar), size);
        prop_assert_eq!(outcome.end.unwrap().bytes, nar);
    }
}
