//! What the store records of one valid path.
//!
//! A record is the daemon's word, and the daemon stored most of it from what others said. Of it, the core and
//! `ultimate` are what matters; signatures and the content address are hints that are verified elsewhere, so a
//! malformed one is dropped and noted rather than making the path unusable.

use super::error::Fault;
use super::wire::Wire;
use crate::format::{
    ContentAddress, Core, HashAlgo, NarHash, NixHash, References, Signature, StoreDir, StorePath,
};

/// A valid path's record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PathInfo {
    /// What signatures cover.
    pub core: Core,
    /// The derivation that it was built from, if that is known.
    pub deriver: Option<StorePath>,
    /// When it was registered, in seconds since 1970.
    pub registered: i64,
    /// Whether it was built here, rather than copied from elsewhere or added as a file.
    pub ultimate: bool,
    /// The well-formed signatures. None is verified.
    pub signatures: Vec<Signature>,
    /// How many more there are that are no signature.
    pub malformed_signatures: u32,
    /// The content address, if there is one. Whether the path follows from it is not checked.
    pub content_address: Option<ContentAddress>,
    /// Whether there is a content address of a kind that is not known here, dropped.
    pub unusable_content_address: bool,
}

/// A record as it came: every text within its bounds, nothing understood.
#[derive(Debug)]
pub(super) struct RawInfo {
    deriver: String,
    nar_hash: String,
    references: Vec<String>,
    registered: u64,
    nar_size: u64,
    ultimate: bool,
    signatures: Vec<Vec<u8>>,
    content_address: String,
}

impl RawInfo {
    /// Reads the answer of `QueryPathInfo`; `None` for a path that is not valid.
    pub(super) fn read(wire: &mut Wire) -> Result<Option<Self>, Fault> {
        if !wire.flag()? {
            return Ok(None);
        }
        Ok(Some(Self {
            deriver: wire.text(PATH_MAX)?,
            nar_hash: wire.text(HASH_MAX)?,
            references: wire.texts(REFERENCES_MAX, PATH_MAX)?,
            registered: wire.number()?,
            nar_size: wire.number()?,
            ultimate: wire.flag()?,
            signatures: signatures(wire)?,
            content_address: wire.text(HASH_MAX)?,
        }))
    }

    /// What it means for `path`, or what is wrong with it.
    pub(super) fn parse(self, path: &StorePath, dir: &StoreDir) -> Result<PathInfo, String> {
        let store_path = |text: &str| {
            StorePath::from_absolute_path(dir, text)
                .map_err(|fault| format!("{}: {fault}", text.escape_debug()))
        };
        let digest =
            NixHash::from_str(&self.nar_hash, HashAlgo::Sha256).map_err(|fault| fault.to_string())?;
        let NixHash::Sha256(digest) = digest else { return Err("the NAR hash is not sha256".to_owned()) };
        if self.nar_size == 0 {
            return Err("the NAR's size is not known; `nix-store --verify` records it".to_owned());
        }
        let references: Vec<_> =
            self.references.iter().map(|text| store_path(text)).collect::<Result<_, _>>()?;
        let told = self.signatures.len();
        let signatures: Vec<_> = (self.signatures.iter())
            .filter_map(|bytes| Signature::parse(std::str::from_utf8(bytes).ok()?).ok())
            .collect();
        let content_address = ContentAddress::from_nix_str(&self.content_address).ok();
        Ok(PathInfo {
            core: Core {
                store_path: path.clone(),
                nar_hash: NarHash::from_digest(digest),
                nar_size: self.nar_size,
                references: References::from_unsorted(references),
            },
            deriver: Some(self.deriver)
                .filter(|text| !text.is_empty())
                .map(|text| store_path(&text))
                .transpose()?,
            registered: i64::try_from(self.registered)
                .map_err(|_| format!("{} is no time", self.registered))?,
            ultimate: self.ultimate,
            malformed_signatures: u32::try_from(told - signatures.len()).unwrap_or(u32::MAX),
            signatures,
            unusable_content_address: content_address.is_none() && !self.content_address.is_empty(),
            content_address,
        })
    }
}

/// The texts that are said to be signatures; no daemon before 2.34 has checked that they are.
fn signatures(wire: &mut Wire) -> Result<Vec<Vec<u8>>, Fault> {
    let count = wire.count(SIGNATURES_MAX)?;
    let mut signatures = Vec::new();
    for _ in 0..count {
        signatures.push(wire.bytes(SIGNATURE_MAX)?);
    }
    Ok(signatures)
}

/// Bytes of one path in full: a store directory of any likely length, and the 244 of a base name.
pub(super) const PATH_MAX: usize = 4096;
/// Bytes of a hash or a content address: 128 digits of sha512, and what stands in front.
const HASH_MAX: usize = 256;
/// References of one path. A guess, five times what a narinfo may have by default.
const REFERENCES_MAX: usize = 100_000;
/// Signatures of one path: what fits into an answer. From Nix 2.17 on any local user may add some, and whoever
/// adds a great many must not make the path unreadable.
const SIGNATURES_MAX: usize = 1_000_000;
/// Bytes of one signature, which a user of an older daemon may have made as long as he liked.
const SIGNATURE_MAX: usize = 1 << 20;
