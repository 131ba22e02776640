//! Why a narinfo is refused: the line, the field, and what is wrong with it.

use std::fmt;

use thiserror::Error;

use crate::format::hash::HashError;
use crate::format::store_path::StorePathError;

/// The fault for which a narinfo is refused; the first one found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParseError {
    /// The line, from 1; 0 where the fault is the whole text's: it is too long, or a field is missing.
    pub line: usize,
    /// The field, where the fault is a known field's.
    pub field: Option<Field>,
    /// What is wrong.
    pub kind: ErrorKind,
}

impl fmt::Display for ParseError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.field) {
            (0, None) => write!(out, "narinfo: {}", self.kind),
            (0, Some(field)) => write!(out, "narinfo, {field}: {}", self.kind),
            (line, None) => write!(out, "narinfo line {line}: {}", self.kind),
            (line, Some(field)) => write!(out, "narinfo line {line}, {field}: {}", self.kind),
        }
    }
}

impl std::error::Error for ParseError {}

/// What is wrong with a narinfo, a line or a value.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ErrorKind {
    /// A blank line. Nix refuses it too.
    #[error("blank line")]
    BlankLine,
    /// A byte that is neither printable ASCII nor the line's end: a carriage return, a tab, UTF-8.
    #[error("byte {byte:#04x} is not printable ASCII")]
    Byte {
        /// The byte.
        byte: u8,
    },
    /// Nothing at all.
    #[error("empty text")]
    Empty,
    /// A value that must not be empty.
    #[error("empty value")]
    EmptyValue,
    /// A known field's name in other case.
    #[error("written in other case")]
    FieldCase,
    /// Something other than letters in front of the colon.
    #[error("the field's name is not of letters alone")]
    FieldName,
    /// A value that is no hash, or no sha256 where only that can stand.
    #[error(transparent)]
    Hash(HashError),
    /// A field that must be there is not.
    #[error("missing")]
    Missing,
    /// A line without a colon.
    #[error("no colon")]
    NoColon,
    /// The last line does not end. The text may be cut off.
    #[error("the last line does not end in a newline")]
    NoFinalNewline,
    /// No space after the colon. Nix would skip the byte that is there instead, unseen.
    #[error("no space after the colon")]
    NoSpace,
    /// A number that is not plain decimal: a sign, a leading zero, another base, nothing.
    #[error("not a plain decimal number")]
    Number,
    /// A number above its limit.
    #[error("larger than {limit}")]
    NumberTooLarge {
        /// The limit.
        limit: u64,
    },
    /// A reference that is no base name; two spaces in a row make an empty one.
    #[error("reference {number}: {source}")]
    Reference {
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        source: StorePathError,
    },
    /// A field that was there before.
    #[error("given twice")]
    Repeated,
    /// A space where none can be.
    #[error("contains a space")]
    Space,
    /// A value that is no store path, or no base name of one.
    #[error(transparent)]
    StorePath(StorePathError),
    /// A text above its limit.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// More references than the limit.
    #[error("more than {limit} references")]
    TooManyReferences {
        /// The limit.
        limit: usize,
    },
    /// A size of zero. No NAR is empty.
    #[error("zero")]
    Zero,
}

/// The fields that a narinfo may have.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Field {
    /// `CA`, the content address.
    ContentAddress,
    /// `Compression`
    Compression,
    /// `Deriver`
    Deriver,
    /// `FileHash`
    FileHash,
    /// `FileSize`
    FileSize,
    /// `NarHash`
    NarHash,
    /// `NarSize`
    NarSize,
    /// `References`
    References,
    /// `Sig`, the only one that may be repeated.
    Sig,
    /// `StorePath`
    StorePath,
    /// `System`, obsolete.
    System,
    /// `URL`
    Url,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::ContentAddress,
        Self::Compression,
        Self::Deriver,
        Self::FileHash,
        Self::FileSize,
        Self::NarHash,
        Self::NarSize,
        Self::References,
        Self::Sig,
        Self::StorePath,
        Self::System,
        Self::Url,
    ];

    /// The name in front of the colon.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ContentAddress => "CA",
            Self::Compression => "Compression",
            Self::Deriver => "Deriver",
            Self::FileHash => "FileHash",
            Self::FileSize => "FileSize",
            Self::NarHash => "NarHash",
            Self::NarSize => "NarSize",
            Self::References => "References",
            Self::Sig => "Sig",
            Self::StorePath => "StorePath",
            Self::System => "System",
            Self::Url => "URL",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}
