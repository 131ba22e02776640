//! Zstandard through its C library. Frames may follow each other, skippable ones among them.

use ::zstd::zstd_safe::zstd_sys::ZSTD_ErrorCode as Code;
use ::zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

use super::{Codec, DecodeError, Engine, Progress};

/// One body of zstd frames.
pub(super) struct Zstd {
    context: DCtx<'static>,
    limit: u64,
    /// The last byte taken was the last of a frame.
    between_frames: bool,
}

impl Zstd {
    pub(super) fn new(limit: u64) -> Result<Self, DecodeError> {
        let Some(context) = DCtx::try_create() else {
            return Err(DecodeError::Memory { codec: Codec::Zstd, limit });
        };
        let mut zstd = Self { context, limit, between_frames: false };
        let log = limit.max(1).ilog2().clamp(WINDOW_LOG_MIN, WINDOW_LOG_MAX);
        let parameter = DParameter::WindowLogMax(log);
        zstd.context.set_parameter(parameter).map_err(|code| zstd.fault(code))?;
        Ok(zstd)
    }

    fn fault(&self, code: usize) -> DecodeError {
        let number = 0_usize.wrapping_sub(code);
        let memory = [Code::ZSTD_error_frameParameter_windowTooLarge, Code::ZSTD_error_memory_allocation];
        if memory.iter().any(|kind| *kind as usize == number) {
            return DecodeError::Memory { codec: Codec::Zstd, limit: self.limit };
        }
        DecodeError::Corrupt { codec: Codec::Zstd, detail: get_error_name(code) }
    }
}

impl Engine for Zstd {
    fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, DecodeError> {
        let mut from = InBuffer::around(input);
        let mut to = OutBuffer::around(output);
        let hint = self.context.decompress_stream(&mut to, &mut from).map_err(|code| self.fault(code))?;
        let moved = Progress { consumed: from.pos(), produced: to.pos() };
        // Zero says that a frame ended and all of it was put out. Without input, the answer is about a
        // frame that has not begun.
        if moved.consumed > 0 {
            self.between_frames = hint == 0;
        }
        Ok(moved)
    }

    fn finish(&mut self) -> Result<(), DecodeError> {
        if self.between_frames { Ok(()) } else { Err(DecodeError::Truncated { codec: Codec::Zstd }) }
    }
}

/// 128 MiB: the most that the `zstd` program itself accepts unasked, at any level up to 22.
const WINDOW_LOG_MAX: u32 = 27;

/// The least that the library can be set to.
const WINDOW_LOG_MIN: u32 = 10;
