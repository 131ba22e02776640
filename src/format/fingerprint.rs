//! The text that signatures cover.
//!
//! `1;PATH;sha256:HASH;SIZE;REF,REF…` and no newline: the full store path, the NAR's hash in base32, its size in
//! decimal, and the full paths of the references in ascending order of their base names, none of them twice.
//! The reference list may be empty, and holds the path itself if it refers to itself.
//!
//! Rule kept: the text is made from a [`Core`] alone, so nothing unsigned can get into it; and a [`Core`] holds
//! its references sorted, which is what the Nix client verifies, in whatever order a narinfo listed them.
//! Source: NixOS/nix `src/libstore/path-info.cc`.

use super::narinfo::Core;
use super::store_path::StoreDir;

/// The signed text of a core in a store directory.
pub fn fingerprint(dir: &StoreDir, core: &Core) -> String {
    let mut text = String::from("1;");
    core.store_path.push_absolute_path(dir, &mut text);
    text.push_str(&format!(";{};{};", core.nar_hash, core.nar_size));
    for (place, reference) in core.references.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        reference.push_absolute_path(dir, &mut text);
    }
    text
}

#[cfg(test)]
mod tests;
