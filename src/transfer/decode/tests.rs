//! Every codec against its own encoder, and against bodies made to hurt.

mod hostile;
mod limits;
mod members;

use std::io::Write;

use super::*;

/// The codecs that compress.
pub(crate) const COMPRESSED: [Codec; 5] = [Codec::Br, Codec::Bzip2, Codec::Gzip, Codec::Xz, Codec::Zstd];

/// The limit that the program uses.
pub(crate) const LIMIT: u64 = 128 << 20;

/// One member holding `bytes`.
pub(crate) fn encode(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    match codec {
        Codec::Br => {
            let mut out = Vec::new();
            let mut encoder = brotli::CompressorWriter::new(&mut out, 1 << 16, 2, 20);
            encoder.write_all(bytes).unwrap();
            drop(encoder);
            out
        }
        Codec::Bzip2 => {
            let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Codec::None => bytes.to_vec(),
        Codec::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Zstd => ::zstd::bulk::compress(bytes, 3).unwrap(),
    }
}

/// Decodes `body` through slices of the given sizes, holding every step to the contract.
fn decode(codec: Codec, body: &[u8], input_size: usize, output_size: usize) -> Result<Vec<u8>, DecodeError> {
    decode_upto(codec, body, input_size, output_size, usize::MAX)
}

/// The same, but stops like a caller that knows the size: when more than `most` bytes have come.
fn decode_upto(
    codec: Codec,
    body: &[u8],
    input_size: usize,
    output_size: usize,
    most: usize,
) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new(codec, LIMIT)?;
    let mut out = Vec::new();
    let mut buffer = vec![0; output_size];
    for chunk in body.chunks(input_size) {
        let mut chunk = chunk;
        loop {
            let moved = decoder.step(chunk, &mut buffer)?;
            assert!(chunk.is_empty() || moved != Progress::default(), "{codec}: no progress");
            assert!(
                moved.produced == output_size || moved.consumed == chunk.len(),
                "{codec}: stopped half way"
            );
            chunk = &chunk[moved.consumed..];
            out.extend_from_slice(&buffer[..moved.produced]);
            if out.len() > most {
                return Ok(out);
            }
            if moved.produced < output_size {
                break;
            }
        }
        assert_eq!(decoder.step(&[], &mut buffer), Ok(Progress::default()), "{codec}: not drained");
    }
    decoder.finish()?;
    Ok(out)
}
