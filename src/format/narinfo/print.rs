//! The text of a narinfo, printed from typed fields.
//!
//! The one place that knows the order of the fields; which values may stand in them is decided by whoever fills
//! [`Printed`]. Source of the order: NixOS/nix `src/libstore/nar-info.cc` (`NarInfo::to_string`).

use std::fmt::{self, Display};

use super::{Compression, Core};
use crate::format::content_address::ContentAddress;
use crate::format::hash::NixHash;
use crate::format::key::Signature;
use crate::format::store_path::{StoreDir, StorePath};

/// What one narinfo shall say. Its `Display` is the whole text.
#[derive(Clone, Copy, Debug)]
pub struct Printed<'a> {
    /// The store directory of all its paths.
    pub store_dir: &'a StoreDir,
    /// The signed part.
    pub core: &'a Core,
    /// Where the NAR is.
    pub url: &'a str,
    /// How the file at the URL is compressed.
    pub compression: &'a Compression,
    /// The hash of that file.
    pub file_hash: Option<NixHash>,
    /// The size of that file, in bytes.
    pub file_size: Option<u64>,
    /// The derivation that made the path.
    pub deriver: Option<&'a StorePath>,
    /// The platform; obsolete, printed only to keep what others wrote.
    pub system: Option<&'a str>,
    /// The signatures, in this order.
    pub signatures: &'a [Signature],
    /// What the path is bound to.
    pub content_address: Option<&'a ContentAddress>,
}

impl Display for Printed<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Core { store_path, nar_hash, nar_size, references } = self.core;
        writeln!(out, "StorePath: {}", store_path.to_absolute_path(self.store_dir))?;
        writeln!(out, "URL: {}", self.url)?;
        writeln!(out, "Compression: {}", self.compression.as_str())?;
        if let Some(hash) = self.file_hash {
            writeln!(out, "FileHash: {}", hash.to_nix_nixbase32_string())?;
        }
        if let Some(size) = self.file_size {
            writeln!(out, "FileSize: {size}")?;
        }
        writeln!(out, "NarHash: {nar_hash}")?;
        writeln!(out, "NarSize: {nar_size}")?;
        // The space stays where there is no reference: the parser skips one byte after the colon unseen.
        write!(out, "References: ")?;
        for (position, reference) in references.iter().enumerate() {
            let space = if position == 0 { "" } else { " " };
            write!(out, "{space}{reference}")?;
        }
        writeln!(out)?;
        if let Some(deriver) = self.deriver {
            writeln!(out, "Deriver: {deriver}")?;
        }
        if let Some(system) = self.system {
            writeln!(out, "System: {system}")?;
        }
        for signature in self.signatures {
            writeln!(out, "Sig: {signature}")?;
        }
        if let Some(address) = self.content_address {
            writeln!(out, "CA: {address}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::narinfo::{Limits, NarInfo};
    use crate::format::samples;

    fn reprint(text: &str) -> String {
        let dir = StoreDir::default();
        let NarInfo { core, hints, signatures, .. } =
            NarInfo::parse(text.as_bytes(), &dir, &Limits::default()).unwrap();
        Printed {
            store_dir: &dir,
            core: &core,
            url: &hints.url,
            compression: &hints.compression,
            file_hash: hints.file_hash,
            file_size: hints.file_size,
            deriver: hints.deriver.as_ref(),
            system: hints.system.as_deref(),
            signatures: &signatures,
            content_address: hints.content_address.as_ref(),
        }
        .to_string()
    }

    #[test]
    fn a_published_narinfo_is_printed_byte_for_byte() {
        for text in [samples::CURL, &format!("{}CA: text:sha256:{}\n", samples::CURL, "0".repeat(52))] {
            assert_eq!(reprint(text), text);
        }
    }

    #[test]
    fn every_field_has_its_place_in_nix_order() {
        let [before, after] = ["Deriver: ", "Sig: "].map(|name| samples::CURL.find(name).unwrap());
        assert!(before < after);
        let (head, tail) = samples::CURL.split_at(after);
        let text = format!("{head}System: x86_64-linux\n{tail}");
        assert_eq!(reprint(&text), text);
        let shuffled: String = text.lines().rev().map(|line| format!("{line}\n")).collect();
        assert_eq!(reprint(&shuffled), text);
    }

    #[test]
    fn no_references_are_an_empty_value_and_no_missing_space() {
        let text: String =
            samples::CURL
                .lines()
                .map(|line| {
                    if line.starts_with("References") { "References: \n".into() } else { format!("{line}\n") }
                })
                .collect();
        assert_eq!(reprint(&text), text);
    }
}
