//! Content addresses against digests that Nix 2.8.0 and published tools made.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use sha2::{Digest, Sha256};

use super::super::content::*;
use super::super::writer::Node;
use super::*;
use crate::format::hash::{HashAlgo, NixHash};

fn check(tree: &Node, kind: ContentKind, algo: HashAlgo, hex: &str) -> Result<(), ContentFault> {
    let expected = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).unwrap();
    let mut check = ContentCheck::new(kind, NixHash::from_digest(algo, &expected).unwrap());
    let nar = tree.nar();
    let mut verifier = Verifier::new(nar.len() as u64, &Limits::default());
    for chunk in nar.chunks(13) {
        check.observe(chunk);
        verifier.push_with(chunk, &mut check).unwrap();
    }
    verifier.finish().unwrap();
    check.finish()
}

#[test]
fn flat_digests() {
    // `nix-store --add-fixed sha256` of `flat\n`: the inner text of the protocol notes.
    let file = Node::file(b"flat\n");
    let sha256 = "6bc66a827fe86925af680be5e00da2b7a7f22947c8c0209b22563890258462f6";
    assert_eq!(check(&file, ContentKind::File, HashAlgo::Sha256, sha256), Ok(()));
    // RFC 1321 and FIPS 180 test messages.
    let abc = Node::file(b"abc");
    let digests = [
        (HashAlgo::Md5, "900150983cd24fb0d6963f7d28e17f72"),
        (HashAlgo::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (HashAlgo::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            HashAlgo::Sha512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ];
    for (algo, hex) in digests {
        assert_eq!(check(&abc, ContentKind::File, algo, hex), Ok(()));
        assert!(matches!(check(&file, ContentKind::File, algo, hex), Err(ContentFault::Digest { .. })));
        assert!(matches!(check(&abc, ContentKind::Nar, algo, hex), Err(ContentFault::Digest { .. })));
    }
}

#[test]
fn nar_digests() {
    // `nix-store --add-fixed --recursive sha1` of D: `fixed:r:sha1:dr55afsg2lxjgl18m1y3h00hiyify38h`.
    let sample = vectors::sample();
    let sha1 = base32().decode(reversed("dr55afsg2lxjgl18m1y3h00hiyify38h").as_bytes()).unwrap();
    assert_eq!(check(&sample, ContentKind::Nar, HashAlgo::Sha1, &HEXLOWER.encode(&sha1)), Ok(()));
    let sha256 = HEXLOWER.encode(&Sha256::digest(sample.nar()));
    assert_eq!(check(&sample, ContentKind::Nar, HashAlgo::Sha256, &sha256), Ok(()));
    assert!(check(&sample, ContentKind::Nar, HashAlgo::Sha1, &"00".repeat(20)).is_err());
}

#[test]
fn a_file_address_needs_a_plain_file() {
    let sha256 = HEXLOWER.encode(&Sha256::digest(b"abc"));
    let with = |tree: &Node| check(tree, ContentKind::File, HashAlgo::Sha256, &sha256);
    assert_eq!(with(&Node::file(b"abc")), Ok(()));
    assert_eq!(with(&Node::script(b"abc")), Err(ContentFault::Executable));
    assert_eq!(with(&Node::symlink(b"abc")), Err(ContentFault::NotAFile));
    assert_eq!(with(&Node::directory([(b"abc", Node::file(b"abc"))])), Err(ContentFault::NotAFile));
    assert_eq!(with(&Node::directory([])), Err(ContentFault::NotAFile));
}

#[test]
fn a_nar_address_takes_any_root() {
    for tree in [Node::script(b"abc"), Node::symlink(b"abc"), Node::directory([])] {
        let sha256 = HEXLOWER.encode(&Sha256::digest(tree.nar()));
        assert_eq!(check(&tree, ContentKind::Nar, HashAlgo::Sha256, &sha256), Ok(()));
    }
}

#[test]
fn nothing_seen_is_not_a_file() {
    let empty = ContentCheck::new(ContentKind::File, NixHash::Sha256(Sha256::digest(b"").into()));
    assert_eq!(empty.finish(), Err(ContentFault::NotAFile));
}
