//! Store directories and store paths.
//!
//! A store path is `DIR/HASH-NAME`: the store directory, 32 characters of base32 and a name. What narinfos call
//! a base name is `HASH-NAME`. Neither is looked up in a file system here, and nothing is normalised: a path
//! that is not spelled exactly so is refused, where Nix would clean up `/nix/store/./x` first.
//!
//! Rules kept: names are 1 to 211 characters of `0-9A-Za-z+-._?=`, and not `.`, `..` or begun with `.-` or
//! `..-` (which newer Nix refuses and 2.8 takes); the `-` after the hash part is checked, which 2.8 does not;
//! paths are ordered by the bytes of their base names, as the signed text orders references. Source: NixOS/nix
//! `src/libstore/path.cc`.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::base32;

/// The directory that all store paths lie in; `/nix/store` nearly everywhere. Cheap to clone.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StoreDir(Arc<str>);

impl StoreDir {
    /// An absolute path of printable ASCII, without trailing slash, empty, `.` or `..` components.
    pub fn new(path: &str) -> Result<Self, StoreDirError> {
        let components = path.strip_prefix('/').ok_or(StoreDirError::NotAbsolute)?;
        if let Some(offset) = path.bytes().position(|byte| !byte.is_ascii_graphic()) {
            return Err(StoreDirError::Symbol { offset });
        }
        if components.split('/').any(|component| matches!(component, "" | "." | "..")) {
            return Err(StoreDirError::Component);
        }
        Ok(Self(Arc::from(path)))
    }

    /// The path, without trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for StoreDir {
    /// `/nix/store`
    fn default() -> Self {
        Self(Arc::from("/nix/store"))
    }
}

impl fmt::Display for StoreDir {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The hash part of a store path: 20 bytes, 32 characters. Narinfos are asked for by it alone.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct HashPart([u8; Self::DIGEST_LEN]);

impl HashPart {
    /// Length in bytes.
    pub const DIGEST_LEN: usize = 20;
    /// Length in characters.
    pub const TEXT_LEN: usize = base32::encode_len(Self::DIGEST_LEN);

    /// From the 20 bytes.
    pub const fn from_digest(digest: [u8; Self::DIGEST_LEN]) -> Self {
        Self(digest)
    }

    /// Reads the 32 characters.
    pub fn parse(text: &str) -> Result<Self, StorePathError> {
        Ok(Self(base32::decode_fixed(text.as_bytes())?))
    }

    /// The 20 bytes.
    pub const fn digest(&self) -> &[u8; Self::DIGEST_LEN] {
        &self.0
    }
}

impl Ord for HashPart {
    /// By the text. Its first character is the top of the last byte, and the digits ascend like their bytes.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

impl PartialOrd for HashPart {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for HashPart {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&base32::encode(&self.0))
    }
}

impl fmt::Debug for HashPart {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "HashPart({self})")
    }
}

/// A store path without its directory: hash part and name, ordered by the bytes of `HASH-NAME`.
// The derived order is that of the text because all hash parts are equally long.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StorePath {
    hash_part: HashPart,
    name: Box<str>,
}

impl StorePath {
    /// From its two parts.
    pub fn from_parts(hash_part: HashPart, name: &str) -> Result<Self, StorePathError> {
        validate_name(name)?;
        Ok(Self { hash_part, name: Box::from(name) })
    }

    /// Reads `HASH-NAME`.
    pub fn from_base_name(text: &str) -> Result<Self, StorePathError> {
        let (hash_part, rest) = text
            .as_bytes()
            .split_first_chunk::<{ HashPart::TEXT_LEN }>()
            .ok_or(StorePathError::TooShort { found: text.len() })?;
        let hash_part = HashPart(base32::decode_fixed(hash_part)?);
        if rest.first() != Some(&b'-') {
            return Err(StorePathError::Separator);
        }
        // Past 32 digits and a dash, all ASCII.
        Self::from_parts(hash_part, text.get(HashPart::TEXT_LEN.saturating_add(1)..).unwrap_or_default())
    }

    /// Reads `DIR/HASH-NAME`, spelled exactly so.
    pub fn from_absolute_path(dir: &StoreDir, path: &str) -> Result<Self, StorePathError> {
        path.strip_prefix(dir.as_str())
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or(StorePathError::OutsideStore)
            .and_then(Self::from_base_name)
    }

    /// The hash part.
    pub const fn hash_part(&self) -> HashPart {
        self.hash_part
    }

    /// The name, with version and output, without the hash part.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `DIR/HASH-NAME`.
    pub fn to_absolute_path(&self, dir: &StoreDir) -> String {
        let mut path = String::with_capacity(self.absolute_len(dir));
        self.push_absolute_path(dir, &mut path);
        path
    }

    /// Appends `DIR/HASH-NAME`.
    pub(super) fn push_absolute_path(&self, dir: &StoreDir, out: &mut String) {
        out.push_str(dir.as_str());
        out.push('/');
        base32::encode_into(&self.hash_part.0, out);
        out.push('-');
        out.push_str(&self.name);
    }

    /// The length of `DIR/HASH-NAME`.
    fn absolute_len(&self, dir: &StoreDir) -> usize {
        dir.as_str()
            .len()
            .saturating_add(self.name.len())
            .saturating_add(HashPart::TEXT_LEN)
            .saturating_add(2)
    }
}

impl fmt::Display for StorePath {
    /// The base name, `HASH-NAME`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.hash_part, self.name)
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "StorePath({self})")
    }
}

/// Longest name that a store path may have.
pub const NAME_MAX: usize = 211;

/// Whether a text may follow the hash part's dash.
pub fn validate_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > NAME_MAX {
        return Err(NameError::TooLong { found: name.len() });
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte);
    if let Some((offset, byte)) = name.bytes().enumerate().find(|&(_, byte)| !allowed(byte)) {
        return Err(NameError::Symbol { offset, byte });
    }
    if matches!(name, "." | "..") || name.starts_with(".-") || name.starts_with("..-") {
        return Err(NameError::Dots);
    }
    Ok(())
}

/// Why a text is not a store directory.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum StoreDirError {
    /// No slash in front.
    #[error("the store directory must begin with /")]
    NotAbsolute,
    /// An empty, `.` or `..` component; a trailing slash leaves an empty one.
    #[error("the store directory must have no trailing slash and no empty, `.` or `..` component")]
    Component,
    /// A byte that is no printable ASCII, or a space. Narinfos could not name such a directory.
    #[error("the store directory has a byte other than printable ASCII at offset {offset}")]
    Symbol {
        /// Its offset.
        offset: usize,
    },
}

/// Why a text is not a store path.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum StorePathError {
    /// Not the store directory, one slash and the rest.
    #[error("the path does not lie in the store directory")]
    OutsideStore,
    /// No room for a hash part.
    #[error("{found} characters are too few for a store path's hash part")]
    TooShort {
        /// The bytes of text found.
        found: usize,
    },
    /// The first 32 characters are no hash part.
    #[error("store path's hash part: {0}")]
    HashPart(#[from] base32::DecodeError),
    /// The hash part is not followed by a dash.
    #[error("no dash after the store path's hash part")]
    Separator,
    /// What follows the dash is no name.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// Why a text cannot be the name of a store path.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NameError {
    /// Nothing there.
    #[error("the store path's name is empty")]
    Empty,
    /// More than [`NAME_MAX`] characters.
    #[error("the store path's name has {found} characters, more than {NAME_MAX}")]
    TooLong {
        /// The bytes found.
        found: usize,
    },
    /// A byte outside the allowed set.
    #[error("byte {byte:#04x} at offset {offset} of the store path's name")]
    Symbol {
        /// Its offset in the name.
        offset: usize,
        /// The byte.
        byte: u8,
    },
    /// `.`, `..`, or one of these and a dash in front.
    #[error("the store path's name is, or begins like, a directory's own entries")]
    Dots,
}

#[cfg(test)]
// Named, because the hook compiles this file from elsewhere.
#[path = "store_path/tests.rs"]
mod tests;
