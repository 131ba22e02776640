//! gzip through zlib-rs, which checks each member's header, checksum and length.

use flate2::{Decompress, FlushDecompress, Status};

use super::{Codec, DecodeError, Engine, Progress, memory};

/// One body of gzip members.
pub(super) struct Gzip {
    inflate: Decompress,
    between_members: bool,
}

impl Gzip {
    pub(super) fn new(limit: u64) -> Result<Self, DecodeError> {
        if limit < memory::GZIP {
            return Err(DecodeError::Memory { codec: Codec::Gzip, limit });
        }
        Ok(Self { inflate: Decompress::new_gzip(WINDOW_BITS), between_members: false })
    }

    fn counters(&self) -> (u64, u64) {
        (self.inflate.total_in(), self.inflate.total_out())
    }
}

impl Engine for Gzip {
    fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, DecodeError> {
        if self.between_members {
            if input.is_empty() {
                return Ok(Progress::default());
            }
            self.inflate.reset(true);
            self.between_members = false;
        }
        let before = self.counters();
        let Ok(status) = self.inflate.decompress(input, output, FlushDecompress::None) else {
            return Err(DecodeError::Corrupt { codec: Codec::Gzip, detail: "header, data or checksum" });
        };
        self.between_members = status == Status::StreamEnd;
        Ok(Progress::between(before, self.counters()))
    }

    fn finish(&mut self) -> Result<(), DecodeError> {
        if self.between_members { Ok(()) } else { Err(DecodeError::Truncated { codec: Codec::Gzip }) }
    }
}

/// The largest window of the format, and what every writer uses.
const WINDOW_BITS: u8 = 15;
