//! Honest and lying transfers, through every codec and any chunking.

mod continued;
mod honest;
mod lying;

use std::sync::LazyLock;

use super::*;
use crate::format::nar::writer::{Node, text};
use crate::transfer::decode::tests::{COMPRESSED, LIMIT, encode};
use sha2::{Digest, Sha256};

const ALL: [Codec; 6] = {
    let [a, b, c, d, e] = COMPRESSED;
    [a, b, c, d, e, Codec::None]
};

/// What came out of a transfer, in the order in which it came.
#[derive(Debug)]
struct Outcome {
    /// Passed before the end was known to be right. Kept as handed out, never copied.
    passed: Vec<Bytes>,
    end: Result<Tail, TransferFault>,
}

impl Outcome {
    fn passed(&self) -> Vec<u8> {
        self.passed.concat()
    }

    fn fault(&self) -> &TransferFault {
        self.end.as_ref().expect_err("must fail")
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn check(codec: Codec, hash: [u8; 32], nar_size: usize) -> NarCheck {
    let decoder = Decoder::new(codec, LIMIT).unwrap();
    NarCheck::new(decoder, hash, nar_size as u64, &Limits::default(), None, Mark::start())
}

/// Feeds `body` in chunks of `size`, holding every step to its bounds.
fn transfer(mut check: NarCheck, body: &[u8], size: usize) -> Outcome {
    let mut passed = Vec::new();
    for chunk in Bytes::copy_from_slice(body).chunks(size) {
        check.feed(Bytes::copy_from_slice(chunk));
        loop {
            let step = match check.step() {
                Ok(step) => step,
                Err(fault) => {
                    assert_eq!(check.step().unwrap_err(), fault);
                    assert_eq!(check.finish().unwrap_err(), fault);
                    return Outcome { passed, end: Err(fault) };
                }
            };
            let bytes: usize = step.output.iter().map(|passed| passed.bytes.len()).sum();
            assert!(bytes as u64 <= STEP_OUTPUT + (BUFFER as u64).max(size as u64));
            passed.extend(step.output.into_iter().map(|passed| passed.bytes));
            if step.wants_input {
                break;
            }
        }
    }
    assert_eq!(check.received(), body.len() as u64);
    Outcome { passed, end: check.finish() }
}

/// A NAR of a few megabytes that holds a bit of everything.
fn large() -> Vec<u8> {
    static NAR: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let script = Node::script(&text(70_001));
        let inner = Node::directory([(b"data", Node::file(&text(1_500_000))), (b"run", script)]);
        let zeros = Node::file(&[0; 300_000]);
        let link = Node::symlink(b"b/data");
        Node::directory([(b"a", Node::directory([])), (b"b", inner), (b"c", link), (b"d", zeros)]).nar()
    });
    NAR.clone()
}

/// The same, compressed.
fn large_body(codec: Codec) -> &'static [u8] {
    static BODIES: LazyLock<[Vec<u8>; 6]> = LazyLock::new(|| ALL.map(|codec| encode(codec, &large())));
    &BODIES[ALL.iter().position(|other| *other == codec).unwrap()]
}
