//! How long it takes until a NAR from some source is there, decompression included. **Pure.**

use crate::transfer::Codec;
use crate::upstream::Pace;
use std::time::{Duration, Instant};

/// What is still to be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remaining {
    /// Bytes to be fetched.
    pub(super) file_size: u64,
    /// Bytes to be decoded to.
    pub(super) nar_size: u64,
    pub(super) codec: Codec,
    /// Other decoders keep every core busy.
    pub(super) is_busy: bool,
}

/// How long it is expected to take. Fetching and decoding go on at the same time, so the slower of them counts; on a
/// busy machine decoding gets half of a core.
pub(super) fn expected(pace: Pace, work: Remaining, now: Instant) -> Duration {
    let decoding = Duration::from_micros(work.nar_size / megabytes_a_second(work.codec));
    let decoding = if work.is_busy { decoding.saturating_mul(2) } else { decoding };
    pace.expected(work.file_size, now).max(decoding.saturating_add(pace.expected_first_byte(now)))
}

/// The NAR that one core decodes and hashes in a second, as an order of magnitude: the differences between the codecs
/// are far larger than those between machines.
fn megabytes_a_second(codec: Codec) -> u64 {
    match codec {
        Codec::Br | Codec::Gzip => 200,
        Codec::Bzip2 => 30,
        Codec::None => 1500,
        Codec::Xz => 80,
        Codec::Zstd => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    fn line(megabytes_a_second: u64) -> Pace {
        Pace::default().delivered(megabytes_a_second * MB, Duration::from_secs(1), Instant::now())
    }

    fn work(codec: Codec, file_size: u64) -> Remaining {
        Remaining { file_size, nar_size: 400 * MB, codec, is_busy: false }
    }

    /// xz makes 400 MB 80 MB, zstd 100 MB.
    fn prefers_zstd(pace: Pace, is_busy: bool) -> bool {
        let now = Instant::now();
        let of = |codec, size| expected(pace, Remaining { is_busy, ..work(codec, size) }, now);
        of(Codec::Zstd, 100 * MB) < of(Codec::Xz, 80 * MB)
    }

    #[test]
    fn on_a_slow_line_the_smaller_file_wins_and_on_a_fast_one_the_cheaper_codec() {
        assert!(!prefers_zstd(line(2), false));
        assert!(prefers_zstd(line(100), false));
    }

    #[test]
    fn a_busy_machine_decodes_less() {
        assert!(!prefers_zstd(line(12), false));
        assert!(prefers_zstd(line(12), true));
    }
}
