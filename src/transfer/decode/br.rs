//! Brotli in safe Rust. One stream, nothing after it, and only the windows of RFC 7932.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::{Codec, DecodeError, Engine, Progress, memory};

/// One brotli stream.
pub(super) struct Br {
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    limit: u64,
    begun: bool,
    ended: bool,
}

impl Br {
    pub(super) fn new(limit: u64) -> Self {
        let allocator = StandardAlloc::default;
        let state = Box::new(BrotliState::new_strict(allocator(), allocator(), allocator()));
        Self { state, limit, begun: false, ended: false }
    }

    /// The window is in the first byte.
    fn judge_window(&mut self, input: &[u8]) -> Result<(), DecodeError> {
        let Some(first) = input.first().filter(|_| !self.begun) else { return Ok(()) };
        self.begun = true;
        if memory::brotli_window(*first).is_some_and(|window| window > self.limit) {
            return Err(DecodeError::Memory { codec: Codec::Br, limit: self.limit });
        }
        Ok(())
    }
}

impl Engine for Br {
    fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, DecodeError> {
        if self.ended {
            let trailing = DecodeError::Trailing { codec: Codec::Br };
            return if input.is_empty() { Ok(Progress::default()) } else { Err(trailing) };
        }
        self.judge_window(input)?;
        let input = input.get(..RUN_LIMIT).unwrap_or(input);
        let (mut input_left, mut consumed) = (input.len(), 0);
        let (mut output_left, mut produced) = (output.len(), 0);
        let mut ignored_total = 0;
        let result = BrotliDecompressStream(
            &mut input_left,
            &mut consumed,
            input,
            &mut output_left,
            &mut produced,
            output,
            &mut ignored_total,
            &mut self.state,
        );
        match result {
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
            BrotliResult::ResultFailure => {
                return Err(DecodeError::Corrupt { codec: Codec::Br, detail: "not a brotli stream" });
            }
            BrotliResult::ResultSuccess => self.ended = true,
        }
        Ok(Progress { consumed, produced })
    }

    fn finish(&mut self) -> Result<(), DecodeError> {
        if self.ended { Ok(()) } else { Err(DecodeError::Truncated { codec: Codec::Br }) }
    }
}

/// Bytes for one call; the library counts them in 32 bits.
const RUN_LIMIT: usize = 1 << 30;
