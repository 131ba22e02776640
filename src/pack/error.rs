//! Why nothing was packed.

use std::io;

/// Why nothing was packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The NAR could not be had.
    #[error("cannot dump the path: {0}")]
    Dump(Box<dyn std::error::Error + Send + Sync>),
    /// The file could not be written: the disk may be full.
    #[error("cannot write the packed file: {0}")]
    File(io::Error),
    /// The compressor failed; in practice, for want of memory.
    #[error("cannot compress: {0}")]
    Compress(&'static str),
    /// It was told to stop.
    #[error("packing was cancelled")]
    Cancelled,
}

impl PackError {
    /// Whether the disk that is packed on is full, or its quota.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::File(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}
