//! What a transfer can get wrong. All of these are the sender's doing but [`TransferFault::Unfinished`].

use thiserror::Error;

use crate::format::nar::NarError;
use crate::format::nar::content::ContentFault;
use crate::transfer::decode::DecodeError;

/// Why a transfer was stopped.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum TransferFault {
    /// The NAR is not what its content address says.
    #[error("the content address is wrong")]
    ContentMismatch(#[source] ContentFault),
    /// The compressed data is broken, cut off, or asks for too much memory.
    #[error("the transfer does not decode")]
    Decode(#[source] DecodeError),
    /// The NAR begins with other bytes than those that have gone out from another source. Which of the two lies is not
    /// known.
    #[error("the first {position} bytes are not those that another source sent")]
    Diverged {
        /// How many bytes had gone out.
        position: u64,
    },
    /// The NAR has another hash.
    #[error("the NAR has another hash than agreed")]
    HashMismatch {
        /// The SHA-256 of the bytes that came.
        got: [u8; 32],
    },
    /// The NAR breaks the format.
    #[error("the NAR breaks the format")]
    Nar(#[source] NarError),
    /// There are more bytes than promised.
    #[error("the NAR is longer than the {nar_size} bytes promised")]
    TooLong {
        /// The size promised.
        nar_size: u64,
    },
    /// The transfer ended early.
    #[error("the NAR ends after {got} of the {nar_size} bytes promised")]
    TooShort {
        /// The bytes that came.
        got: u64,
        /// The size promised.
        nar_size: u64,
    },
    /// Bytes follow the end of the compressed data.
    #[error("bytes follow the end of the compressed data")]
    TrailingInput,
    /// The caller ended the transfer while input was still waiting for a step.
    #[error("the transfer was ended before all of its input was checked")]
    Unfinished,
}

impl From<DecodeError> for TransferFault {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Trailing { .. } => Self::TrailingInput,
            DecodeError::Corrupt { .. }
            | DecodeError::Memory { .. }
            | DecodeError::Stalled { .. }
            | DecodeError::Truncated { .. } => Self::Decode(error),
        }
    }
}

impl From<NarError> for TransferFault {
    fn from(error: NarError) -> Self {
        Self::Nar(error)
    }
}

impl From<ContentFault> for TransferFault {
    fn from(error: ContentFault) -> Self {
        Self::ContentMismatch(error)
    }
}
