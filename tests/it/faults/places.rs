//! Where a file may break off so that something could go wrong: around the edges of every buffer and frame.

use crate::support::party::compress;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A compressed NAR and the edges of its frames.
#[derive(Clone, Debug)]
pub struct Framed {
    pub bytes: Arc<[u8]>,
    pub edges: Vec<usize>,
}

impl Framed {
    /// Compresses a NAR in several frames (of zstd), streams (of xz, bzip2) or members (of gzip). What has no such
    /// thing is one piece; the edges of a plain NAR are those of its header.
    pub fn of(nar: &[u8], compression: &str) -> Self {
        let pieces: Vec<Vec<u8>> = match compression {
            "none" | "br" => vec![compress(nar, compression)],
            _ => nar.chunks(nar.len().div_ceil(FRAMES)).map(|piece| compress(piece, compression)).collect(),
        };
        let ends = pieces.iter().scan(0, |end, piece| {
            *end += piece.len();
            Some(*end)
        });
        let mut edges: Vec<usize> = ends.collect();
        if compression == "none" {
            edges = vec![HEADER, nar.len() - 16];
        }
        Self { bytes: pieces.concat().into(), edges }
    }

    /// Every byte before which a source may break off and leave a client without the rest: 0 and 1, the first bytes of
    /// the header, one before and one after every edge, and the last.
    pub fn places(&self) -> Vec<usize> {
        let length = self.bytes.len();
        let mut places = BTreeSet::from([0, 1, 2, 5, 12, 18, length - 2, length - 1]);
        let from_the_end = length.saturating_sub(TAIL);
        for edge in BUFFERS.iter().chain(&self.edges).copied().chain([from_the_end]) {
            places.extend([edge.saturating_sub(1), edge, edge + 1]);
        }
        places.into_iter().filter(|place| *place < length).collect()
    }

    /// So many of them, spread over all.
    pub fn some_places(&self, count: usize) -> Vec<usize> {
        let all = self.places();
        (0..count).map(|n| all[n * (all.len() - 1) / (count - 1)]).collect()
    }
}

const FRAMES: usize = 4;

/// Where the contents of a NAR of one file begin.
const HEADER: usize = 96;

/// What is withheld until everything agrees.
const TAIL: usize = 64 << 10;

/// The tail; what is read and handed on at once; a batch; what is checked whole (`serving.buffer`); and sums of them.
const BUFFERS: [usize; 8] =
    [16 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 768 << 10, 1 << 20, 1536 << 10];

#[test]
fn there_are_more_than_forty() {
    use crate::support::party::{file_nar, noise};
    for compression in ["none", "zstd", "xz"] {
        let places = Framed::of(&file_nar(&noise(1, 2_300_000)), compression).places();
        assert!(places.len() >= 40, "{compression}: {}", places.len());
    }
}
