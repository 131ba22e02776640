//! Names and public keys of signers; signatures and signing keys are in the files beside this one.
//!
//! All three are written `name:base64` and split at the first colon. The name is a label that anyone may write:
//! nothing here trusts it, signatures are checked against a key's bytes, and two keys are the same when their
//! bytes are. Nix looks keys up by name; that is for the caller, who may not want to.
//!
//! Rules kept: Ed25519 checked strictly (canonical S and R, no small-order points), as libsodium does it for
//! Nix; a weak key, or a second spelling of a key's point, is refused when it is read, so that one key can never
//! be counted as two; base64 is canonical. Source: NixOS/nix `src/libutil/signature/local-keys.cc`.

use std::fmt;

use thiserror::Error;

use super::base64::{self, Base64Error};

mod signature;
mod signing;

pub use signature::Signature;
pub use signing::SigningKey;

/// A public key and the name its signatures bear.
///
/// There is no `==`: whether the name matters is the caller's question. See [`VerifyingKey::same_key`].
#[derive(Clone)]
pub struct VerifyingKey {
    name: KeyName,
    key: ed25519_dalek::VerifyingKey,
}

impl VerifyingKey {
    /// From a name and the 32 bytes, if they are the one spelling of a point that is no weak key.
    pub fn from_bytes(name: KeyName, bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        // Decoding takes y coordinates above the field's prime; encoding never gives them.
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::NotCanonical);
        }
        Ok(Self { name, key })
    }

    /// Reads `name:base64`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, bytes) = split(text.as_bytes())?;
        Self::from_bytes(name, &base64::decode_fixed(bytes)?)
    }

    /// The name.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The 32 bytes. They are the key's identity.
    pub fn bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether two keys have the same bytes, whatever they are called.
    pub fn same_key(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }

    /// Whether this key made the signature over these bytes. The signature's name plays no part.
    #[must_use]
    pub fn verify(&self, fingerprint: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature.bytes());
        self.key.verify_strict(fingerprint, &signature).is_ok()
    }
}

impl fmt::Display for VerifyingKey {
    /// `name:base64`
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.name, base64::encode(self.bytes()))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "VerifyingKey({self})")
    }
}

/// The name of a key: 1 to 128 characters of `0-9A-Za-z._+=@-`.
///
/// Nix takes any name without a colon, but its own disk cache cannot read back one with a space.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyName(Box<str>);

impl KeyName {
    /// Longest name. A guess: published names stay below 40.
    pub const MAX_LEN: usize = 128;

    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Self::parse_bytes(text.as_bytes())
    }

    /// Reads a name, checking its bytes before they are taken for text.
    fn parse_bytes(text: &[u8]) -> Result<Self, KeyError> {
        if text.is_empty() {
            return Err(KeyError::NameEmpty);
        }
        if text.len() > Self::MAX_LEN {
            return Err(KeyError::NameTooLong { found: text.len() });
        }
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._+=@-".contains(byte);
        let plain = text.iter().take_while(|byte| allowed(byte)).count();
        match std::str::from_utf8(text) {
            Ok(name) if plain == text.len() => Ok(Self(Box::from(name))),
            Ok(_) | Err(_) => Err(KeyError::NameSymbol { offset: plain }),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "KeyName({self})")
    }
}

/// Why a text is not a key or a signature. Carries none of the text, which may be secret.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum KeyError {
    /// No colon between name and base64.
    #[error("not of the form name:base64")]
    NoColon,
    /// Nothing in front of the colon.
    #[error("the key's name is empty")]
    NameEmpty,
    /// More than [`KeyName::MAX_LEN`] characters in front of the colon.
    #[error("the key's name has {found} characters, more than {}", KeyName::MAX_LEN)]
    NameTooLong {
        /// The bytes found.
        found: usize,
    },
    /// A byte that a name may not have.
    #[error("the key's name may have only 0-9 A-Z a-z . _ + = @ - (offset {offset})")]
    NameSymbol {
        /// Its offset.
        offset: usize,
    },
    /// What follows the colon is not canonical base64 of the right length.
    #[error(transparent)]
    Base64(#[from] Base64Error),
    /// 32 bytes that are no point of the curve.
    #[error("the public key is no point of the curve")]
    NotAPoint,
    /// A second spelling of a point: its y is not below the field's prime. Counted by bytes it would be another key.
    #[error("the public key is not in canonical form")]
    NotCanonical,
    /// A point of small order: signatures could be made for it by anyone.
    #[error("the public key is weak: anyone could sign for it")]
    Weak,
    /// The second half of a secret key is not the public key of the first.
    #[error("the secret key's two halves do not belong together")]
    Halves,
}

/// Splits at the first colon and checks the name.
fn split(text: &[u8]) -> Result<(KeyName, &[u8]), KeyError> {
    let colon = text.iter().position(|&byte| byte == b':').ok_or(KeyError::NoColon)?;
    let (name, rest) = text.split_at_checked(colon).ok_or(KeyError::NoColon)?;
    let encoded = rest.strip_prefix(b":").ok_or(KeyError::NoColon)?;
    Ok((KeyName::parse_bytes(name)?, encoded))
}

#[cfg(test)]
mod tests;
