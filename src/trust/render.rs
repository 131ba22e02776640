//! The narinfo that Nix is given: printed from an [`Endorsed`] and nothing else (design §4).
//!
//! Never upstream text: every field is written from a checked value, in the order that published narinfos
//! have. The URL is our own and carries what is needed to judge the NAR again after a restart: the path's
//! hash part and the NarHash.

use crate::format::fingerprint::fingerprint;
use crate::format::{HashPart, NarHash, SigningKey, StoreDir};
use crate::trust::{Basis, Endorsed};
use std::fmt::Write;

/// The narinfo of an endorsed path, with the countersignature last.
///
/// A path that is endorsed by its content address alone gets none, whatever key is given: Nix checks the
/// address itself, and our signature would say more than we know.
pub fn render(endorsed: &Endorsed, store_dir: &StoreDir, key: Option<&SigningKey>) -> String {
    let core = endorsed.core();
    let mut text = String::with_capacity(1024);
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        // Writing to a String cannot fail.
        writeln!(text, "{name}: {value}").unwrap_or_default();
    };
    line("StorePath", &core.store_path.to_absolute_path(store_dir));
    line("URL", &nar_url(core.store_path.hash_part(), &core.nar_hash));
    line("Compression", &"none");
    line("NarHash", &core.nar_hash);
    line("NarSize", &core.nar_size);
    let references: Vec<String> = core.references.iter().map(ToString::to_string).collect();
    line("References", &references.join(" "));
    if let Some(deriver) = endorsed.deriver() {
        line("Deriver", deriver);
    }
    for signature in endorsed.signatures() {
        line("Sig", signature);
    }
    if let (Some(key), Basis::Rule | Basis::Observed) = (key, endorsed.basis()) {
        line("Sig", &key.sign(fingerprint(store_dir, core).as_bytes()));
    }
    if let Some(address) = endorsed.content_address() {
        line("CA", address);
    }
    text
}

/// The URL under which we serve a NAR, relative to the root of the cache.
pub fn nar_url(path: HashPart, nar_hash: &NarHash) -> String {
    format!("nar/{path}-{}.nar", nar_hash.nixbase32())
}
