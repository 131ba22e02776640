//! A signature as a narinfo shows it: who is said to have made it, and 64 bytes.
//!
//! Well-formed says nothing of valid. Only [`super::VerifyingKey::verify`] says that, and it does not look at the
//! name. One key can make many valid signatures of one text, so counting signatures counts nothing.
//!
//! Rule kept: one spelling per value, the one that Nix writes.

use std::fmt;

use super::{KeyError, KeyName, split};
use crate::format::base64;

/// The name of a key, and 64 bytes that may be its signature.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Signature {
    key_name: KeyName,
    bytes: [u8; Self::LEN],
}

impl Signature {
    /// Length in bytes.
    pub const LEN: usize = 64;

    /// From its two parts.
    pub const fn from_parts(key_name: KeyName, bytes: [u8; Self::LEN]) -> Self {
        Self { key_name, bytes }
    }

    /// Reads `name:base64`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (key_name, bytes) = split(text.as_bytes())?;
        Ok(Self { key_name, bytes: base64::decode_fixed(bytes)? })
    }

    /// The name of the key that is said to have made it.
    pub const fn key_name(&self) -> &KeyName {
        &self.key_name
    }

    /// The 64 bytes.
    pub const fn bytes(&self) -> &[u8; Self::LEN] {
        &self.bytes
    }
}

impl fmt::Display for Signature {
    /// `name:base64`
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.key_name, base64::encode(&self.bytes))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Signature({self})")
    }
}
