//! Content addresses, checked against the bytes of a NAR while they pass.
//!
//! A content address names either the bytes of a single file (`text:…`, `fixed:ALGO:…`) or the whole NAR
//! (`fixed:r:ALGO:…`). This says whether the bytes have the digest that the address claims. It does not
//! know store paths: that address, name and references make the path is checked elsewhere, and so is
//! whether an algorithm is strong enough to be believed. Self-references are not modelled; an address that
//! needs them must not be brought here.
//!
//! Source: NixOS/nix `src/libstore/store-dir-config.cc`. A flat address needs a root that is a regular file
//! without the executable bit: Nix refuses any other output of a flat fixed-output derivation, and flat
//! hashing could not tell the bit apart.

use md5::Md5;
use sha1::Sha1;
use sha2::digest::Digest;
use sha2::{Sha256, Sha512};
use thiserror::Error;

use super::Sink;
use crate::format::content_address::ContentAddress;
use crate::format::hash::{HashAlgo, NixHash};

/// What a content address hashes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ContentKind {
    /// The bytes of the one file that the NAR holds: `text:` and flat `fixed:`.
    File,
    /// The NAR itself: `fixed:r:`.
    Nar,
}

/// Compares a NAR with the digest in its content address.
///
/// Give every byte to [`observe`](Self::observe) and let a [`Verifier`](super::Verifier) report to it as a
/// [`Sink`]; of the two, the one that the kind does not need costs nothing. The result means something only
/// if the verifier accepted the whole NAR.
#[derive(Debug)]
pub struct ContentCheck {
    kind: ContentKind,
    expected: NixHash,
    hasher: Hasher,
    root: Root,
}

impl ContentCheck {
    /// The check that a content address demands.
    pub fn of(address: &ContentAddress) -> Self {
        match address {
            ContentAddress::Text(digest) => Self::new(ContentKind::File, NixHash::Sha256(*digest)),
            ContentAddress::Flat(hash) => Self::new(ContentKind::File, *hash),
            ContentAddress::Recursive(hash) => Self::new(ContentKind::Nar, *hash),
        }
    }

    /// Prepares to compare with `expected`.
    pub fn new(kind: ContentKind, expected: NixHash) -> Self {
        Self { kind, expected, hasher: Hasher::new(expected.algo()), root: Root::Unseen }
    }

    /// Takes the next bytes of the NAR.
    pub fn observe(&mut self, nar: &[u8]) {
        match self.kind {
            ContentKind::File => {}
            ContentKind::Nar => self.hasher.update(nar),
        }
    }

    /// Says whether the address tells the truth.
    pub fn finish(self) -> Result<(), ContentFault> {
        match (self.kind, self.root) {
            (ContentKind::File, Root::Executable) => return Err(ContentFault::Executable),
            (ContentKind::File, Root::Other | Root::Unseen) => return Err(ContentFault::NotAFile),
            (ContentKind::File, Root::Plain) | (ContentKind::Nar, _) => {}
        }
        let got = self.hasher.finalize();
        if got == self.expected.digest_as_bytes() { Ok(()) } else { Err(ContentFault::Digest { got }) }
    }
}

impl Sink for ContentCheck {
    fn directory_start(&mut self) {
        self.root.see(Root::Other);
    }

    fn file_start(&mut self, executable: bool, _size: u64, _offset: u64) {
        self.root.see(if executable { Root::Executable } else { Root::Plain });
    }

    fn file_bytes(&mut self, bytes: &[u8]) {
        if self.kind == ContentKind::File && self.root == Root::Plain {
            self.hasher.update(bytes);
        }
    }

    fn symlink(&mut self, _target: &[u8]) {
        self.root.see(Root::Other);
    }
}

/// How a NAR contradicts its content address.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ContentFault {
    /// The digest is another one.
    #[error("the content hashes to something else than its address says")]
    Digest {
        /// The digest of the bytes that came.
        got: Vec<u8>,
    },
    /// The address names a plain file, but the file is executable.
    #[error("the address is of a plain file, but the file is executable")]
    Executable,
    /// The address names a plain file, but the NAR holds a directory or a symlink.
    #[error("the address is of a plain file, but the NAR holds something else")]
    NotAFile,
}

/// What the root turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Root {
    Executable,
    Other,
    Plain,
    Unseen,
}

impl Root {
    /// Only the first node is the root.
    fn see(&mut self, node: Self) {
        if *self == Self::Unseen {
            *self = node;
        }
    }
}

/// A hash in progress.
#[derive(Debug)]
enum Hasher {
    Md5(Md5),
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    fn new(algo: HashAlgo) -> Self {
        match algo {
            HashAlgo::Md5 => Self::Md5(Md5::new()),
            HashAlgo::Sha1 => Self::Sha1(Sha1::new()),
            HashAlgo::Sha256 => Self::Sha256(Sha256::new()),
            HashAlgo::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(hash) => hash.update(bytes),
            Self::Sha1(hash) => hash.update(bytes),
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    fn finalize(self) -> Vec<u8> {
        match self {
            Self::Md5(hash) => hash.finalize().to_vec(),
            Self::Sha1(hash) => hash.finalize().to_vec(),
            Self::Sha256(hash) => hash.finalize().to_vec(),
            Self::Sha512(hash) => hash.finalize().to_vec(),
        }
    }
}
