//! The narinfo that Nix is given: printed from an [`Endorsed`] and nothing else (design §4).
//!
//! Never upstream text: every field is written from a checked value, in the order that published narinfos
//! have. The URL is our own and carries what is needed to judge the NAR again after a restart: the path's
//! hash part and the NarHash.

use crate::format::fingerprint::fingerprint;
use crate::format::narinfo::Printed;
use crate::format::{Compression, HashPart, NarHash, NixHash, SigningKey, StoreDir};
use crate::trust::{Basis, Endorsed};

/// The narinfo of an endorsed path, with the countersignature last.
///
/// A path that is endorsed by its content address alone gets none, whatever key is given: Nix checks the
/// address itself, and our signature would say more than we know.
pub fn render(endorsed: &Endorsed, store_dir: &StoreDir, key: Option<&SigningKey>) -> String {
    let core = endorsed.core();
    let mut signatures = endorsed.signatures().to_vec();
    if let (Some(key), Basis::Rule | Basis::Observed) = (key, endorsed.basis()) {
        signatures.push(key.sign(fingerprint(store_dir, core).as_bytes()));
    }
    Printed {
        store_dir,
        core,
        url: &nar_url(core.store_path.hash_part(), &core.nar_hash),
        compression: &Compression::None,
        // The file that we serve is the NAR itself. Up to 2.34 `nix store sign` dies of an assertion without these
        // (libstore/nar-info.cc, `NarInfo::to_string`), and a dry run tells of a download of 0 bytes.
        file_hash: Some(NixHash::Sha256(*core.nar_hash.digest())),
        file_size: Some(core.nar_size),
        deriver: endorsed.deriver(),
        system: None,
        signatures: &signatures,
        content_address: endorsed.content_address(),
    }
    .to_string()
}

/// The URL under which we serve a NAR, relative to the root of the cache.
pub fn nar_url(path: HashPart, nar_hash: &NarHash) -> String {
    format!("nar/{path}-{}.nar", nar_hash.nixbase32())
}
