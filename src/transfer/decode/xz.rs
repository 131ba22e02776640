//! xz through liblzma, which handles concatenated streams and the padding between them itself.

use liblzma::stream::{Action, CONCATENATED, Error, Status, Stream};

use super::{Codec, DecodeError, Engine, Progress};

/// One body of xz streams.
pub(super) struct Xz {
    stream: Stream,
    limit: u64,
}

impl Xz {
    pub(super) fn new(limit: u64) -> Result<Self, DecodeError> {
        match Stream::new_stream_decoder(limit, CONCATENATED) {
            Ok(stream) => Ok(Self { stream, limit }),
            Err(error) => Err(fault(&error, limit)),
        }
    }

    fn counters(&self) -> (u64, u64) {
        (self.stream.total_in(), self.stream.total_out())
    }
}

impl Engine for Xz {
    fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, DecodeError> {
        let before = self.counters();
        self.stream.process(input, output, Action::Run).map_err(|error| fault(&error, self.limit))?;
        Ok(Progress::between(before, self.counters()))
    }

    fn finish(&mut self) -> Result<(), DecodeError> {
        // The library cannot know that no stream follows until it is told.
        match self.stream.process(&[], &mut [], Action::Finish) {
            Ok(Status::StreamEnd) => Ok(()),
            Ok(_) => Err(DecodeError::Truncated { codec: Codec::Xz }),
            Err(error) => Err(fault(&error, self.limit)),
        }
    }
}

fn fault(error: &Error, limit: u64) -> DecodeError {
    let detail = match error {
        Error::Mem | Error::MemLimit => return DecodeError::Memory { codec: Codec::Xz, limit },
        Error::Data => "checksum or structure",
        Error::Format => "not an xz stream",
        Error::NoCheck | Error::Options | Error::UnsupportedCheck => "unsupported options",
        Error::Program => "decoder misused",
    };
    DecodeError::Corrupt { codec: Codec::Xz, detail }
}
