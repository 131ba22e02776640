//! The end of a NAR, kept back until the whole is known to be right.

use bytes::{Bytes, BytesMut};

/// Bytes at the end of every NAR that are given out last. A NAR that is not longer is withheld wholly.
pub const TAIL: u64 = 64 << 10;

/// What was kept back so far.
#[derive(Debug)]
pub(super) struct Withheld {
    /// Bytes that may still pass.
    free: u64,
    /// Bytes that will be withheld in all.
    size: usize,
    held: Held,
}

/// The pieces. One piece is kept as it came; several are joined, so that small ones do not keep large
/// buffers alive.
#[derive(Debug)]
enum Held {
    Joined(BytesMut),
    One(Bytes),
}

impl Withheld {
    pub(super) fn new(nar_size: u64) -> Self {
        let size = nar_size.min(TAIL);
        Self {
            free: nar_size.saturating_sub(size),
            size: usize::try_from(size).unwrap_or_default(),
            held: Held::One(Bytes::new()),
        }
    }

    /// Takes the next bytes of the NAR; returns the part that may pass, if any.
    pub(super) fn withhold(&mut self, mut piece: Bytes) -> Option<Bytes> {
        let passing = usize::try_from(self.free).unwrap_or(usize::MAX).min(piece.len());
        let passed = piece.split_to(passing);
        self.free = self.free.saturating_sub(passing as u64);
        if !piece.is_empty() {
            self.hold(piece);
        }
        (!passed.is_empty()).then_some(passed)
    }

    /// Gives up everything.
    pub(super) fn release(self) -> Bytes {
        match self.held {
            Held::Joined(bytes) => bytes.freeze(),
            Held::One(bytes) => bytes,
        }
    }

    fn hold(&mut self, piece: Bytes) {
        match &mut self.held {
            Held::Joined(bytes) => bytes.extend_from_slice(&piece),
            Held::One(first) if first.is_empty() => *first = piece,
            Held::One(first) => {
                let mut bytes = BytesMut::with_capacity(self.size);
                bytes.extend_from_slice(first);
                bytes.extend_from_slice(&piece);
                self.held = Held::Joined(bytes);
            }
        }
    }
}
