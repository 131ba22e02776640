//! The keys that sign what is built here.
//!
//! Between two signatures no secret is in memory: the files are read for each path that is signed, and what was
//! read is wiped. What stays is the public halves, by which a file that was exchanged is found out.

use crate::format::{Core, Signature, StoreDir, VerifyingKey, fingerprint};
use crate::state::{StateError, read_secret_key};
use crate::trust::Policy;
use std::path::{Path, PathBuf};

/// The keys that sign what is built here.
#[derive(Debug)]
pub struct Keys(Vec<(PathBuf, VerifyingKey)>);

/// Why a key may not sign.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Its file.
    #[error(transparent)]
    File(#[from] StateError),
    /// The configuration revokes it.
    #[error(
        "{path} holds {key}, which is revoked under [signers.{signer}] ({why}): it signs nothing; take it out of \
         `upload.signing-key-files`"
    )]
    Revoked {
        /// The file.
        path: PathBuf,
        /// The key's name.
        key: String,
        /// The signer that it is listed under.
        signer: Box<str>,
        /// Why it is revoked.
        why: Box<str>,
    },
    /// It is the machine key.
    #[error(
        "{path} holds the machine key, which countersigns and never signs uploads: make another with `countersign key generate`"
    )]
    Machine {
        /// The file.
        path: PathBuf,
    },
    /// Two files hold keys of one name, of which a reader can trust only one.
    #[error(
        "{path} and {other} both hold a key named {name}: a reader that trusts one of them takes the other's signatures \
         for forged; take one out of `upload.signing-key-files`, or make a successor with `countersign key rotate FILE`"
    )]
    SameName {
        /// The file.
        path: PathBuf,
        /// The one before it.
        other: PathBuf,
        /// The name.
        name: String,
    },
    /// Two files hold one key under two names.
    #[error(
        "{path} and {other} hold the same key, named {name} and {other_name}: it would sign everything twice, and count \
         once; take one out of `upload.signing-key-files`"
    )]
    SameKey {
        /// The file.
        path: PathBuf,
        /// The one before it.
        other: PathBuf,
        /// Its name there.
        name: String,
        /// Its name in the one before.
        other_name: String,
    },
    /// Its file holds another key than when we started.
    #[error("{path} holds another key than it did: restart the uploader to sign with it")]
    Exchanged {
        /// The file.
        path: PathBuf,
    },
}

impl Keys {
    /// Reads the files once, and keeps the public halves.
    ///
    /// # Errors
    /// [`KeysError`] if a file cannot be read, is open to others, holds no key, or holds one that may not sign, alone or
    /// beside the others.
    pub fn load(files: &[PathBuf], policy: &Policy, machine: &[VerifyingKey]) -> Result<Self, KeysError> {
        let mut keys: Vec<(PathBuf, VerifyingKey)> = Vec::new();
        for path in files {
            let key = with_secret(|| read_secret_key(path).map(|key| key.verifying_key()))?;
            if machine.iter().any(|own| own.same_key(&key)) {
                return Err(KeysError::Machine { path: path.clone() });
            }
            for signer in policy.signers() {
                if let Some(why) =
                    signer.keys.iter().find_map(|k| k.revoked.clone().filter(|_| k.key.same_key(&key)))
                {
                    let (path, key) = (path.clone(), key.name().to_string());
                    return Err(KeysError::Revoked { path, key, signer: signer.name.clone(), why });
                }
            }
            for (other, known) in &keys {
                let (path, other, name) = (path.clone(), other.clone(), key.name().to_string());
                if known.name() == key.name() {
                    return Err(KeysError::SameName { path, other, name });
                }
                if known.same_key(&key) {
                    let other_name = known.name().to_string();
                    return Err(KeysError::SameKey { path, other, name, other_name });
                }
            }
            keys.push((path.clone(), key));
        }
        Ok(Self(keys))
    }

    /// Whether the files can be used as they are, for somebody who looks from elsewhere: those that are not here, or not
    /// for this user to read, are left out.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn check(files: &[PathBuf], policy: &Policy, machine: &[VerifyingKey]) -> Result<(), KeysError> {
        let is_out_of_reach = |error: &StateError| match error {
            StateError::Io { source, .. } => {
                matches!(source.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied)
            }
            _ => false,
        };
        let is_here = |path: &&PathBuf| {
            !with_secret(|| read_secret_key(path).is_err_and(|error| is_out_of_reach(&error)))
        };
        let here: Vec<PathBuf> = files.iter().filter(is_here).cloned().collect();
        Self::load(&here, policy, machine).map(|_| ())
    }

    /// The public halves.
    pub fn public(&self) -> Vec<VerifyingKey> {
        self.0.iter().map(|(_, key)| key.clone()).collect()
    }

    /// Every key's signature of a core.
    ///
    /// # Errors
    /// [`KeysError`] if a file cannot be read any more, or holds another key.
    pub fn sign(&self, store_dir: &StoreDir, core: &Core) -> Result<Vec<Signature>, KeysError> {
        let text = fingerprint(store_dir, core);
        self.0.iter().map(|(path, public)| with_secret(|| sign_one(path, public, text.as_bytes()))).collect()
    }
}

fn sign_one(path: &Path, public: &VerifyingKey, text: &[u8]) -> Result<Signature, KeysError> {
    let key = read_secret_key(path)?;
    if !key.verifying_key().same_key(public) || key.name() != public.name() {
        return Err(KeysError::Exchanged { path: path.to_owned() });
    }
    Ok(key.sign(text))
}

/// Runs what handles a secret, then overwrites the part of the stack that it used: what is moved there is copied,
/// and a copy is wiped by nobody.
fn with_secret<T>(work: impl FnOnce() -> T) -> T {
    #[inline(never)]
    fn handle<T>(work: impl FnOnce() -> T) -> T {
        work()
    }
    #[inline(never)]
    fn overwrite() {
        std::hint::black_box(&mut [0_u8; DEEPEST]);
    }
    let value = handle(work);
    overwrite();
    value
}

/// More stack than reading a key and signing with it use, in bytes.
const DEEPEST: usize = 256 * 1024;

#[cfg(test)]
mod tests;
