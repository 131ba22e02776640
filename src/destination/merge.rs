//! Our claim beside what is there under the same core: which text says both.
//!
//! Pure. Their signatures stay, all and in their order, also those that we cannot verify; ours come after them.
//! Their URL and what belongs to it stay as long as their NAR is there.

use crate::destination::publish::OurClaim;
use crate::format::narinfo::{Hints, Limits, NarInfo, Printed, Quirks};
use crate::format::{Compression, ContentAddress, NixHash, Signature, StoreDir};

/// What has to be done about a narinfo that is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// Nothing: it says all that we say.
    Same,
    /// This text takes its place.
    Text {
        /// The narinfo.
        text: String,
        /// It has signatures that were not there.
        adds_signatures: bool,
    },
    /// It has something that our text could not keep.
    Lossy,
}

/// The text for our claim alone.
pub(super) fn alone(ours: &OurClaim, dir: &StoreDir) -> String {
    Printed {
        store_dir: dir,
        core: &ours.core,
        url: &ours.nar.url,
        compression: &ours.nar.compression,
        file_hash: Some(ours.nar.file_hash),
        file_size: Some(ours.nar.file_size),
        deriver: ours.deriver.as_ref(),
        system: None,
        signatures: &ours.signatures,
        content_address: ours.content_address.as_ref(),
    }
    .to_string()
}

/// Our claim and theirs of the same core. `theirs_is_there` says whether the NAR that they point to is.
pub(super) fn merge(ours: &OurClaim, theirs: &NarInfo, theirs_is_there: bool, dir: &StoreDir) -> Merged {
    let keeps_nar = theirs_is_there || !ours.nar.is_there;
    let mut signatures = theirs.signatures.clone();
    signatures.extend(ours.signatures.iter().filter(|ours| !theirs.signatures.contains(ours)).cloned());
    let adds_signatures = signatures.len() > theirs.signatures.len();
    if keeps_nar && !adds_signatures {
        return Merged::Same;
    }
    let Quirks { unknown_fields, ignored_signatures, unusable_content_address, .. } = theirs.quirks;
    if unknown_fields > 0 || ignored_signatures > 0 || unusable_content_address {
        return Merged::Lossy;
    }
    let Hints { url, compression, file_hash, file_size, deriver, content_address, system } = &theirs.hints;
    let nar = if keeps_nar {
        (url.as_str(), compression, *file_hash, *file_size)
    } else {
        (ours.nar.url.as_str(), &ours.nar.compression, Some(ours.nar.file_hash), Some(ours.nar.file_size))
    };
    let (url, compression, file_hash, file_size): (&str, &Compression, Option<NixHash>, Option<u64>) = nar;
    let certifies = |address: &&ContentAddress| address.certifies(dir, &ours.core);
    let address = content_address.as_ref().filter(certifies).or(ours.content_address.as_ref());
    let text = Printed {
        store_dir: dir,
        core: &ours.core,
        url,
        compression,
        file_hash,
        file_size,
        deriver: deriver.as_ref().or(ours.deriver.as_ref()),
        system: system.as_deref(),
        signatures: &signatures,
        content_address: address,
    }
    .to_string();
    Merged::Text { text, adds_signatures }
}

/// Whether a narinfo says all that ours says, signatures that came since apart.
pub(super) fn holds(found: &NarInfo, signatures: &[Signature]) -> bool {
    signatures.iter().all(|signature| found.signatures.contains(signature))
}

/// The name below the place that a URL of a narinfo leads to, if it is plainly one.
pub(super) fn plain_name(url: &str) -> Option<&str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/+=-".contains(&byte);
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    (url.bytes().all(is_plain) && url.split('/').all(is_part)).then_some(url)
}

/// What is read of narinfos that are there. Every signature is kept, so every one is read.
pub(super) const LIMITS: Limits =
    Limits { bytes: 1 << 20, signatures: usize::MAX, references: usize::MAX, nar_size: u64::MAX };
