//! What may be done with a path: whether our key may sign it, and with whose word it may go otherwise.
//!
//! Pure. Rules (design §7): our key signs only what the store's own record calls `ultimate`, built here; an output that
//! a remote builder made only if the configuration says so and the hook reported its build. Everything else goes with
//! the signatures that it has and that count for a signer of the policy.
//! What is bound to its own content needs no signature and gets none of ours, `ultimate` or not: a derivation that
//! fetches is built here in the store's eyes, and what it fetched is a download all the same.
//! The machine key is no signer, so its countersignature never leaves.

use crate::format::{Signature, StoreDir, VerifyingKey, fingerprint};
use crate::store::PathInfo;
use crate::trust::{Policy, Timestamp};

/// What may be done with a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Licence {
    /// Our key may sign it, once its bytes were hashed; these signatures go with ours.
    Sign(Vec<Signature>),
    /// It goes with these signatures, never ours; none if its content address certifies it.
    Forward(Vec<Signature>),
    /// It may not go.
    Withheld(&'static str),
}

/// What is known of a path beside the store's record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances<'a> {
    /// Where store paths lie.
    pub(super) store_dir: &'a StoreDir,
    /// Whose signatures count.
    pub(super) policy: &'a Policy,
    /// The public halves of our signing keys.
    pub(super) own: &'a [VerifyingKey],
    /// The public halves of our machine keys, old ones among them.
    pub(super) machine: &'a [VerifyingKey],
    /// Whether the hook reported the build that made it.
    pub(super) reported: bool,
    /// Whether what a remote builder made is signed.
    pub(super) sign_remote_builds: bool,
    /// The time.
    pub(super) now: Timestamp,
}

/// What may be done with a path.
pub(super) fn licence(info: &PathInfo, of: &Circumstances<'_>) -> Licence {
    let accepted = accepted(info, of);
    let certified = info.content_address.is_some_and(|a| a.certifies(of.store_dir, &info.core));
    let addressed = info.content_address.is_some() || info.unusable_content_address;
    if addressed && !certified {
        return match accepted.is_empty() {
            true => Licence::Withheld(
                "its content address does not recompute, and no accepted signature vouches for it",
            ),
            false => Licence::Forward(accepted),
        };
    }
    if certified {
        return Licence::Forward(accepted);
    }
    let remote =
        || of.sign_remote_builds && of.reported && accepted.is_empty() && !is_signed_by(info, of, of.machine);
    if info.ultimate || remote() {
        return match of.own.is_empty() {
            false => Licence::Sign(accepted),
            true if !accepted.is_empty() => Licence::Forward(accepted),
            true => Licence::Withheld("`upload.signing-key-files` names no key to sign it with"),
        };
    }
    if !accepted.is_empty() {
        return Licence::Forward(accepted);
    }
    Licence::Withheld("it was not built here, and carries no signature that an accepted signer made")
}

/// The signatures that count now for a signer of the policy, or that one of our own keys made.
fn accepted(info: &PathInfo, of: &Circumstances<'_>) -> Vec<Signature> {
    let text = fingerprint(of.store_dir, &info.core);
    let name = info.core.store_path.name();
    let signers = of.policy.signer_ids().filter(|&id| of.policy.may_vouch(id, name, of.now));
    let keys = signers.filter_map(|id| of.policy.signer(id)).flat_map(|signer| &signer.keys);
    let keys = keys.filter(|key| key.is_valid(of.now)).map(|key| &key.key).chain(of.own);
    let keys: Vec<&VerifyingKey> = keys.collect();
    let counts =
        |s: &&Signature| keys.iter().any(|key| key.name() == s.key_name() && key.verify(text.as_bytes(), s));
    info.signatures.iter().filter(counts).cloned().collect()
}

/// Whether one of these keys signed it.
pub(super) fn is_signed_by(info: &PathInfo, of: &Circumstances<'_>, keys: &[VerifyingKey]) -> bool {
    let text = fingerprint(of.store_dir, &info.core);
    let by = |s: &Signature| keys.iter().any(|k| k.name() == s.key_name() && k.verify(text.as_bytes(), s));
    info.signatures.iter().any(by)
}

#[cfg(test)]
mod tests;
