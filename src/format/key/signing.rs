//! Secret keys: read once, kept in one place, wiped when dropped.
//!
//! A secret key is written `name:base64`, the base64 being of 64 bytes: the seed, then the public key made from
//! it. Nix ignores newlines inside the base64, and so does this. Files are read and written elsewhere, and their
//! mode is checked there.
//!
//! Rule kept: the seed is in one allocation that is wiped on drop, and what it passes through on the way is
//! wiped too, as far as moves on the stack allow. No `Clone`, no `Display`, a `Debug` that shows the name only,
//! and errors without any of the text.

use std::fmt;

use ed25519_dalek::Signer;
use zeroize::Zeroizing;

use super::{KeyError, KeyName, Signature, VerifyingKey, split};
use crate::format::base64::{self, Base64Error};

/// A secret key and the name that its signatures bear.
pub struct SigningKey {
    name: KeyName,
    // Boxed so that moving the value leaves no copy of the seed behind.
    key: Box<ed25519_dalek::SigningKey>,
}

impl SigningKey {
    /// From 32 secret random bytes.
    pub fn from_seed(name: KeyName, seed: &[u8; 32]) -> Self {
        Self { name, key: Box::new(ed25519_dalek::SigningKey::from_bytes(seed)) }
    }

    /// Reads `name:base64`, ignoring newlines in and after the base64.
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let (name, encoded) = split(text)?;
        let mut pair = Zeroizing::new([0u8; PAIR_LEN]);
        base64::decode_into(&*without_newlines(encoded)?, &mut *pair)?;
        let (seed, public) = pair.split_first_chunk::<32>().ok_or(KeyError::Halves)?;
        let key = Self::from_seed(name, seed);
        if key.key.verifying_key().as_bytes() != public {
            return Err(KeyError::Halves);
        }
        Ok(key)
    }

    /// The name.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The public half under the same name.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// Signs these bytes.
    pub fn sign(&self, fingerprint: &[u8]) -> Signature {
        Signature::from_parts(self.name.clone(), self.key.sign(fingerprint).to_bytes())
    }

    /// `name:base64`, to be written to a file of mode 0600. Without a newline, as Nix writes it.
    pub fn to_secret_text(&self) -> Zeroizing<String> {
        let mut pair = Zeroizing::new([0u8; PAIR_LEN]);
        let public = self.key.verifying_key();
        for (byte, source) in pair.iter_mut().zip(self.key.as_bytes().iter().chain(public.as_bytes())) {
            *byte = *source;
        }
        // Room for everything: growing would leave a copy behind.
        let length = self.name.as_str().len().saturating_add(1).saturating_add(TEXT_LEN);
        let mut text = Zeroizing::new(String::with_capacity(length));
        text.push_str(self.name.as_str());
        text.push(':');
        base64::encode_into(&*pair, &mut text);
        text
    }
}

impl fmt::Debug for SigningKey {
    /// The name alone.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SigningKey({}, redacted)", self.name)
    }
}

/// Bytes of seed and public key.
const PAIR_LEN: usize = 64;

/// Characters of base64 that spell them.
const TEXT_LEN: usize = 88;

/// The base64 without its newlines, in a buffer of its only possible length.
fn without_newlines(encoded: &[u8]) -> Result<Zeroizing<[u8; TEXT_LEN]>, Base64Error> {
    let found = encoded.iter().filter(|&&byte| byte != b'\n').count();
    if found != TEXT_LEN {
        return Err(Base64Error::Length { expected: TEXT_LEN, found });
    }
    let mut text = Zeroizing::new([0u8; TEXT_LEN]);
    for (slot, byte) in text.iter_mut().zip(encoded.iter().filter(|&&byte| byte != b'\n')) {
        *slot = *byte;
    }
    Ok(text)
}
