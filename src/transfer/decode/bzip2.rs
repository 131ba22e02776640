//! bzip2 through libbz2-rs. The library decodes one stream; the next needs a decoder of its own.
//!
//! That decoder clears 3.6 MB before it reads its first block, so half a megabyte of empty streams would
//! cost 3 s (measured). Nobody compresses a NAR like that: a body of very many very small streams is refused.

use ::bzip2::{Decompress, Error, Status};

use super::{Codec, DecodeError, Engine, Progress, memory};

/// One body of bzip2 streams.
pub(super) struct Bzip2 {
    stream: Decompress,
    between_streams: bool,
    limit: u64,
    streams: u64,
    produced: u64,
}

impl Bzip2 {
    pub(super) fn new(limit: u64) -> Result<Self, DecodeError> {
        if limit < memory::BZIP2 {
            return Err(DecodeError::Memory { codec: Codec::Bzip2, limit });
        }
        Ok(Self { stream: Decompress::new(false), between_streams: false, limit, streams: 1, produced: 0 })
    }

    fn next_stream(&mut self) -> Result<(), DecodeError> {
        if self.streams > STREAMS_FREE && self.produced / self.streams < STREAM_MEAN {
            return Err(DecodeError::Corrupt { codec: Codec::Bzip2, detail: "too many small streams" });
        }
        self.stream = Decompress::new(false);
        self.streams += 1;
        self.between_streams = false;
        Ok(())
    }

    fn counters(&self) -> (u64, u64) {
        (self.stream.total_in(), self.stream.total_out())
    }
}

impl Engine for Bzip2 {
    fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, DecodeError> {
        if self.between_streams {
            if input.is_empty() {
                return Ok(Progress::default());
            }
            self.next_stream()?;
        }
        let before = self.counters();
        match self.stream.decompress(input, output) {
            Ok(Status::StreamEnd) => self.between_streams = true,
            Ok(Status::MemNeeded) => {
                return Err(DecodeError::Memory { codec: Codec::Bzip2, limit: self.limit });
            }
            Ok(_) => {}
            Err(error) => return Err(fault(error)),
        }
        let moved = Progress::between(before, self.counters());
        self.produced = self.produced.saturating_add(moved.produced as u64);
        Ok(moved)
    }

    fn finish(&mut self) -> Result<(), DecodeError> {
        if self.between_streams { Ok(()) } else { Err(DecodeError::Truncated { codec: Codec::Bzip2 }) }
    }
}

fn fault(error: Error) -> DecodeError {
    let detail = match error {
        Error::Data => "checksum or structure",
        Error::DataMagic => "not a bzip2 stream",
        Error::Param | Error::Sequence => "decoder misused",
    };
    DecodeError::Corrupt { codec: Codec::Bzip2, detail }
}

/// Streams that may be as small as they like: 80 ms of work.
const STREAMS_FREE: u64 = 1000;

/// Bytes that the streams must hold on average beyond that; then they decode at about the usual speed.
/// Parallel compressors make streams of 100 KB and more.
const STREAM_MEAN: u64 = 4096;
