//! Push decoders for the compressions a narinfo may declare: bytes in, bounded bytes out, never waiting.
//!
//! All six behave alike. A body is one or more members (xz streams, zstd frames, gzip members, bzip2
//! streams) back to back, because Nix and common tools write them that way and readers that stop after the
//! first lose data without a word. Brotli has no such form: exactly one stream. Whatever follows the last
//! member is an error, and so is a body that ends before a member does.
//!
//! Output is bounded by the slice the caller offers, so a bomb costs only the slices it is given. Memory is
//! bounded by the limit given at the start: a window or dictionary above it is refused when its header is
//! read. This is not a check of what was decoded: that is [`verify`](super::verify)'s work.
//!
//! The libraries are called through their stream interfaces. They are C for zstd and xz, and a panic in one
//! of the others unwinds: run this where a panic costs one transfer.

mod br;
mod bzip2;
mod gzip;
mod memory;
#[cfg(test)]
pub(crate) mod tests;
mod xz;
mod zstd;

use std::fmt;

use crate::format::Compression;
use thiserror::Error;

pub use memory::memory_needed;

/// A compression that is decoded here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Codec {
    /// Brotli, without the large-window extension.
    Br,
    /// bzip2.
    Bzip2,
    /// gzip, with its checks.
    Gzip,
    /// Not compressed.
    None,
    /// The .xz container; not the older .lzma.
    Xz,
    /// Zstandard, windows up to 128 MiB.
    Zstd,
}

impl Codec {
    /// The codec of a narinfo's `Compression`; `None` for one that is not decoded here.
    pub fn of(compression: &Compression) -> Option<Self> {
        match compression {
            Compression::Br => Some(Self::Br),
            Compression::Bzip2 => Some(Self::Bzip2),
            Compression::Gzip => Some(Self::Gzip),
            Compression::None => Some(Self::None),
            Compression::Xz => Some(Self::Xz),
            Compression::Zstd => Some(Self::Zstd),
            Compression::Other(_) => None,
        }
    }
}

/// What one step moved.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Bytes taken from the front of the input.
    pub consumed: usize,
    /// Bytes put at the front of the output.
    pub produced: usize,
}

impl Progress {
    /// The difference between two readings of a library's (input, output) counters.
    fn between(before: (u64, u64), after: (u64, u64)) -> Self {
        let moved =
            |before: u64, after: u64| usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX);
        Self { consumed: moved(before.0, after.0), produced: moved(before.1, after.1) }
    }
}

/// Why a body could not be decoded.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum DecodeError {
    /// The bytes are not what the codec writes.
    #[error("{codec} data is corrupt: {detail}")]
    Corrupt {
        /// The codec.
        codec: Codec,
        /// The decoder's own word for it.
        detail: &'static str,
    },
    /// Decoding needs more memory than was allowed, or than there is.
    #[error("{codec} data needs more than the {limit} bytes of memory allowed for it")]
    Memory {
        /// The codec.
        codec: Codec,
        /// The bytes allowed.
        limit: u64,
    },
    /// The decoder neither takes input nor gives output.
    #[error("the {codec} decoder is stuck")]
    Stalled {
        /// The codec.
        codec: Codec,
    },
    /// Bytes follow the end of the data.
    #[error("bytes follow the end of the {codec} data")]
    Trailing {
        /// The codec.
        codec: Codec,
    },
    /// The body ended inside the data.
    #[error("{codec} data is cut off")]
    Truncated {
        /// The codec.
        codec: Codec,
    },
}

/// Decodes one body.
pub struct Decoder {
    codec: Codec,
    engine: Box<dyn Engine>,
    /// Nothing more can come out before something goes in.
    drained: bool,
    fault: Option<DecodeError>,
}

impl Decoder {
    /// Starts on a body. `memory_limit` bounds the codec's window or dictionary; what decoders need besides
    /// that is below 4 MiB. Refused at once if the codec always needs more than the limit.
    pub fn new(codec: Codec, memory_limit: u64) -> Result<Self, DecodeError> {
        let engine: Box<dyn Engine> = match codec {
            Codec::Br => Box::new(br::Br::new(memory_limit)),
            Codec::Bzip2 => Box::new(bzip2::Bzip2::new(memory_limit)?),
            Codec::Gzip => Box::new(gzip::Gzip::new(memory_limit)?),
            Codec::None => Box::new(Plain),
            Codec::Xz => Box::new(xz::Xz::new(memory_limit)?),
            Codec::Zstd => Box::new(zstd::Zstd::new(memory_limit)?),
        };
        Ok(Self { codec, engine, drained: true, fault: None })
    }

    /// The codec this was made for.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Moves as much as it can: it returns when the output is full, or when all of the input was taken and
    /// all that follows from it was put out. So `produced < output.len()` means that the input is used up
    /// and the decoder is empty; if the output was filled, there may be more, and another step with the
    /// input that is left, or none, tells. An empty output moves nothing.
    ///
    /// The work is bounded by the two lengths. The first error is final.
    pub fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, DecodeError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if output.is_empty() || (input.is_empty() && self.drained) {
            return Ok(Progress::default());
        }
        let moved = self.run(input, output);
        self.fault = moved.err();
        moved
    }

    /// Says whether the body may end here. Call it when a step has left output unused and no input is left.
    pub fn finish(&mut self) -> Result<(), DecodeError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let ended = if self.drained {
            self.engine.finish()
        } else {
            Err(DecodeError::Truncated { codec: self.codec })
        };
        self.fault = ended.err();
        ended
    }

    fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, DecodeError> {
        let mut total = Progress::default();
        let mut idle_runs = 0;
        loop {
            let left = input.get(total.consumed..).unwrap_or_default();
            let space = output.get_mut(total.produced..).unwrap_or_default();
            let moved = self.engine.run(left, space)?;
            total.consumed += moved.consumed;
            total.produced += moved.produced;
            let full = total.produced == output.len();
            let empty = total.consumed == input.len();
            if full || empty {
                self.drained = !full;
                return Ok(total);
            }
            // The end of a member may take a run without moving anything; never many in a row.
            idle_runs = if moved == Progress::default() { idle_runs + 1 } else { 0 };
            if idle_runs == IDLE_LIMIT {
                return Err(DecodeError::Stalled { codec: self.codec });
            }
        }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { codec, engine: _, drained, fault } = self;
        f.debug_struct("Decoder")
            .field("codec", codec)
            .field("drained", drained)
            .field("fault", fault)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Codec {
    /// The name as a narinfo spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Br => "br",
            Self::Bzip2 => "bzip2",
            Self::Gzip => "gzip",
            Self::None => "none",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        })
    }
}

/// One codec's library behind a common face. Knows members; the rest of the contract is the [`Decoder`]'s.
trait Engine: Send {
    /// Moves what one call moves. If it leaves both input and output, it is called again.
    fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, DecodeError>;

    /// Says whether the body may end after what was taken. Nothing is left to put out.
    fn finish(&mut self) -> Result<(), DecodeError>;
}

/// The engine of [`Codec::None`]. Callers that own their input have no need to copy it.
struct Plain;

impl Engine for Plain {
    fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, DecodeError> {
        let length = input.len().min(output.len());
        if let (Some(from), Some(to)) = (input.get(..length), output.get_mut(..length)) {
            to.copy_from_slice(from);
        }
        Ok(Progress { consumed: length, produced: length })
    }

    fn finish(&mut self) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Runs in a row that move nothing before the decoder counts as stuck. A guess: none is known to need two.
const IDLE_LIMIT: u32 = 16;
