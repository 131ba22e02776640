//! Why a NAR was refused, and where. Values only: nothing here quotes the archive's own bytes.

use thiserror::Error;

/// The first thing found wrong with a NAR.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("NAR refused at byte {offset}: {kind}")]
pub struct NarError {
    /// For padding, the byte itself. For a NAR that ends too early, its end. For everything else, the
    /// length field of the token at fault.
    pub offset: u64,
    /// The rule that was broken.
    pub kind: NarErrorKind,
}

/// The rules a NAR can break.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum NarErrorKind {
    /// A node lies under too many directories.
    #[error("more than {limit} levels of nodes")]
    Depth {
        /// The levels allowed.
        limit: usize,
    },
    /// The marker `executable` is followed by something other than the empty string.
    #[error("the executable marker has a value of {length} bytes")]
    ExecutableValue {
        /// The length found.
        length: u64,
    },
    /// An entry is called `.` or `..`.
    #[error("an entry is called `.` or `..`")]
    NameDots,
    /// An entry has no name.
    #[error("an entry has an empty name")]
    NameEmpty,
    /// An entry's name is longer than a file system can hold.
    #[error("an entry's name has {length} bytes")]
    NameLength {
        /// The length found.
        length: u64,
    },
    /// An entry's name holds a NUL byte.
    #[error("an entry's name holds a NUL byte")]
    NameNul,
    /// An entry is not strictly above the one before it in the same directory.
    #[error("an entry is out of order or repeated")]
    NameOrder,
    /// An entry's name holds a slash.
    #[error("an entry's name holds a slash")]
    NameSlash,
    /// A byte that only fills a token up is not zero.
    #[error("padding is not zero")]
    Padding,
    /// The archive is complete, but smaller than was promised.
    #[error("the archive ends here, but {nar_size} bytes were promised")]
    Short {
        /// The size promised.
        nar_size: u64,
    },
    /// A token reaches beyond the promised size.
    #[error("a token of {length} bytes does not fit into what is left of the promised size")]
    Size {
        /// The length found, or zero if not even a length fits.
        length: u64,
    },
    /// Another token was due.
    #[error("expected {expected}")]
    Tag {
        /// What was due.
        expected: &'static str,
    },
    /// A token that must be a tag is longer than any tag.
    #[error("a tag of {length} bytes")]
    TagLength {
        /// The length found.
        length: u64,
    },
    /// A symlink points nowhere.
    #[error("a symlink has an empty target")]
    TargetEmpty,
    /// A symlink's target is longer than a file system can hold.
    #[error("a symlink's target has {length} bytes")]
    TargetLength {
        /// The length found.
        length: u64,
    },
    /// A symlink's target holds a NUL byte.
    #[error("a symlink's target holds a NUL byte")]
    TargetNul,
    /// The promised size is above the limit; nothing was read.
    #[error("the promised size is above the limit of {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// Bytes follow the end of the archive.
    #[error("bytes follow the end of the archive")]
    Trailing,
    /// The bytes ended inside the archive.
    #[error("the archive is cut off")]
    Truncated,
}
