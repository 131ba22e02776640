//! Transfers that go on where another one stopped.

use super::*;

/// The mark after the first bytes of a NAR.
fn mark_at(nar: &[u8], position: usize) -> Mark {
    let mut mark = Mark::start();
    mark.pass(&nar[..position]);
    mark
}

fn continued(codec: Codec, nar: &[u8], sent: Mark) -> NarCheck {
    let decoder = Decoder::new(codec, LIMIT).unwrap();
    NarCheck::new(decoder, sha256(nar), nar.len() as u64, &Limits::default(), None, sent)
}

/// Positions around every edge that a transfer has.
fn positions(nar: &[u8]) -> Vec<usize> {
    let tail = nar.len() - TAIL as usize;
    let mut positions = vec![1, 7, 8, 24, 100, BUFFER - 1, BUFFER, BUFFER + 1, FEED, tail - 1, tail];
    positions.extend((0..40).map(|n| 1 + n * (tail - 1) / 40));
    positions
}

#[test]
fn every_codec_goes_on_at_the_byte() {
    let nar = large();
    for codec in ALL {
        for position in positions(&nar) {
            let check = continued(codec, &nar, mark_at(&nar, position));
            let outcome = transfer(check, large_body(codec), 100_000);
            let mut rest = outcome.passed();
            rest.extend_from_slice(&outcome.end.unwrap().bytes);
            assert!(rest == nar[position..], "{codec} from {position}");
        }
    }
}

#[test]
fn a_start_that_differs_is_found_before_anything_passes() {
    let nar = large();
    for position in positions(&nar) {
        for wrong in [0, position / 2, position - 1] {
            let mut other = nar[..position].to_vec();
            other[wrong] ^= 1;
            let check = continued(Codec::Zstd, &nar, mark_at(&other, position));
            let outcome = transfer(check, large_body(Codec::Zstd), 100_000);
            assert_eq!(*outcome.fault(), TransferFault::Diverged { position: position as u64 });
            assert!(outcome.passed.is_empty(), "{wrong} of {position}");
        }
    }
}

#[test]
fn what_comes_after_the_proof_is_checked_like_everything() {
    let nar = large();
    let mut wrong = nar.clone();
    let place = nar.len() - 400_000;
    wrong[place] ^= 1;
    let check = continued(Codec::None, &nar, mark_at(&nar, 100_000));
    let outcome = transfer(check, &wrong, 65_536);
    assert!(outcome.end.is_err());
    assert!(outcome.passed().len() <= nar.len() - 100_000 - TAIL as usize);
}

#[test]
fn every_piece_carries_the_mark_of_its_end() {
    let nar = large();
    for codec in ALL {
        let mut check = continued(codec, &nar, Mark::start());
        let mut at = 0;
        for chunk in large_body(codec).chunks(70_000) {
            check.feed(Bytes::copy_from_slice(chunk));
            loop {
                let step = check.step().unwrap();
                for Passed { bytes, mark } in &step.output {
                    at += bytes.len();
                    assert_eq!((mark.position(), mark.digest()), (at as u64, sha256(&nar[..at])), "{codec}");
                }
                if step.wants_input {
                    break;
                }
            }
        }
        assert_eq!(at, nar.len() - TAIL as usize);
        assert!(check.finish().is_ok());
    }
}
