//! Against an independent parser: whatever is accepted here, `nix-narinfo` reads the same way.
//!
//! The reverse need not hold, since that parser is lenient. Texts are built from plausible and implausible values
//! and then damaged, so that both accepted and refused ones are common.

#![expect(clippy::arithmetic_side_effects, reason = "lengths of texts that are in memory")]

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::format::samples::{CURL, PERL, PUBLIC_CACHE_KEY, public_cache_key};
use crate::format::{KeyName, NarHash, SigningKey, fingerprint};

/// Both readings of one text agree, as far as this parser accepts it.
fn compare(text: &[u8]) -> Result<(), TestCaseError> {
    let Ok(ours) = NarInfo::parse(text, &StoreDir::default(), &Limits::default()) else {
        return Ok(());
    };
    let text = std::str::from_utf8(text).unwrap();
    // That parser refuses a CA line that is empty or unusable; here it is as if absent, and so it is for Nix.
    let usable: String = text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("CA: ") || ours.hints.content_address.is_some())
        .collect();
    let theirs: nix_narinfo::NarInfo = usable
        .parse()
        .map_err(|error| TestCaseError::fail(format!("accepted here, refused there: {error}\n{text}")))?;
    core_agrees(&ours.core, &theirs)?;
    hints_agree(&ours.hints, &theirs)?;
    signatures_agree(&ours, &theirs)
}

fn core_agrees(ours: &Core, theirs: &nix_narinfo::NarInfo) -> Result<(), TestCaseError> {
    let signed = fingerprint(&StoreDir::default(), ours);
    prop_assert_eq!(signed, theirs.fingerprint(theirs.store_dir()));
    prop_assert_eq!(ours.store_path.to_string(), theirs.store_path().to_basename());
    prop_assert_eq!(ours.nar_hash.to_string(), theirs.nar_hash().to_nix_nixbase32_string());
    prop_assert_eq!(ours.nar_size, theirs.nar_size());
    let references: Vec<String> = ours.references.iter().map(ToString::to_string).collect();
    prop_assert_eq!(
        references,
        theirs.references().iter().map(|path| path.to_basename()).collect::<Vec<_>>()
    );
    Ok(())
}

fn hints_agree(ours: &Hints, theirs: &nix_narinfo::NarInfo) -> Result<(), TestCaseError> {
    prop_assert_eq!(ours.url.as_str(), theirs.url());
    prop_assert_eq!(ours.compression.as_str(), theirs.compression().as_str());
    let file_hash = theirs.file_hash().map(|hash| hash.to_nix_nixbase32_string());
    prop_assert_eq!(ours.file_hash.map(|hash| hash.to_nix_nixbase32_string()), file_hash);
    prop_assert_eq!(ours.file_size, theirs.file_size());
    let deriver = theirs.deriver().map(|path| path.to_basename());
    prop_assert_eq!(ours.deriver.as_ref().map(ToString::to_string), deriver);
    let address = theirs.content_address().map(|address| address.to_nix_string());
    prop_assert_eq!(ours.content_address.map(|address| address.to_string()), address);
    Ok(())
}

fn signatures_agree(ours: &NarInfo, theirs: &nix_narinfo::NarInfo) -> Result<(), TestCaseError> {
    let theirs_printed: Vec<String> = theirs.signatures().iter().map(ToString::to_string).collect();
    for signature in &ours.signatures {
        prop_assert!(theirs_printed.contains(&signature.to_string()));
    }
    let looked_at = ours.signatures.len() + usize::try_from(ours.quirks.malformed_signatures).unwrap();
    prop_assert_eq!(looked_at, theirs_printed.len());
    // That parser looks keys up by name, this one leaves it to the caller.
    let dir = StoreDir::default();
    let (key, signed) = (public_cache_key(), fingerprint(&dir, &ours.core));
    let verifies = ours
        .signatures
        .iter()
        .any(|signature| signature.key_name() == key.name() && key.verify(signed.as_bytes(), signature));
    let trusted = [nix_narinfo::TrustedPublicKey::parse(PUBLIC_CACHE_KEY).unwrap()];
    let verifies_there = theirs.has_valid_signature(theirs.store_dir(), &trusted);
    // That parser trims what it reads, so it may see a signature in a line that is dropped here.
    prop_assert!(verifies_there || !verifies);
    prop_assert!(verifies || !verifies_there || ours.quirks.malformed_signatures > 0);
    if !ours.core.references.contains(&ours.core.store_path) {
        let certified = ours.hints.content_address.is_some_and(|address| address.certifies(&dir, &ours.core));
        prop_assert_eq!(certified, theirs.is_content_addressed(theirs.store_dir()));
    }
    Ok(())
}

#[test]
fn samples_agree() {
    compare(CURL.as_bytes()).unwrap();
    compare(PERL.as_bytes()).unwrap();
    let certified = "StorePath: /nix/store/vlapfq163ddwdcn2smfk31x6fs0c9jh6-source
URL: nar/x
NarHash: sha256:0gkkhap0ljzw750z2ypjr87n4mhinv07flvcshvi9l4jlqs2w1bc
NarSize: 1
CA: fixed:r:sha256:0gkkhap0ljzw750z2ypjr87n4mhinv07flvcshvi9l4jlqs2w1bc
";
    compare(certified.as_bytes()).unwrap();
    // Once found by the tests below: a signature that only the other parser sees.
    compare(CURL.replace("Sig: ", "Sig:  ").as_bytes()).unwrap();
}

/// A base name, mostly a good one.
fn base_name() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[0-2][0-9a-df-np-sv-z]{31}-[a-z.]{1,6}", 1 => "[0-9a-z./-]{0,40}"]
}

/// A hash in some encoding, mostly a good one.
fn hash() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => any::<[u8; 32]>().prop_map(|digest| NarHash::from_digest(digest).to_string()),
        2 => "sha256:[0-9a-fA-F]{64}",
        1 => "(sha256|sha1|md5)[:-][0-9a-zA-Z+/]{26,44}=?",
    ]
}

/// A decimal number, mostly a good one.
fn size() -> impl Strategy<Value = String> {
    prop_oneof![8 => (1u64..1 << 36).prop_map(|size| size.to_string()), 1 => "[+-]?[0-9]{0,21}"]
}

/// One line of some field.
fn line() -> impl Strategy<Value = String> {
    let address = prop_oneof![
        hash().prop_map(|hash| format!("fixed:{hash}")),
        hash().prop_map(|hash| format!("fixed:r:{hash}")),
        hash().prop_map(|hash| format!("text:{hash}")),
        Just(String::new()),
        Just("fixed:git:x".to_owned()),
    ];
    prop_oneof![
        proptest::collection::vec(base_name(), 0..4).prop_map(|all| format!("References: {}", all.join(" "))),
        base_name().prop_map(|path| format!("Deriver: {path}")),
        Just("Deriver: unknown-deriver".to_owned()),
        select(vec!["", "xz", "zstd", "br", "lzip", "none"]).prop_map(|name| format!("Compression: {name}")),
        hash().prop_map(|hash| format!("FileHash: {hash}")),
        size().prop_map(|size| format!("FileSize: {size}")),
        address.prop_map(|address| format!("CA: {address}")),
        "Sig: [a-z]{1,3}:[A-Za-z0-9+/]{85}[AQgw]==",
        "Sig: .{0,20}",
        "[A-Z][a-z]{0,6}: [ -~]{0,12}",
    ]
}

/// A narinfo of generated lines.
fn text() -> impl Strategy<Value = String> {
    let head = (base_name(), "[!-~]{1,12}", hash(), size());
    (head, proptest::collection::vec(line(), 0..6)).prop_map(|((path, url, hash, size), lines)| {
        let head = format!("StorePath: /nix/store/{path}\nURL: {url}\nNarHash: {hash}\nNarSize: {size}\n");
        lines.into_iter().fold(head, |text, line| text + &line + "\n")
    })
}

/// A change to a text: what to put in place of how much, where.
fn damage() -> impl Strategy<Value = (usize, usize, Vec<u8>)> {
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..3),
        select(vec!["\n", "\r\n", " ", ": ", ":", "0", "Sig: ", "NarSize: 1\n", "\u{a0}"])
            .prop_map(|piece| piece.as_bytes().to_vec()),
    ];
    (any::<usize>(), 0usize..3, piece)
}

fn damaged(text: &str, damages: Vec<(usize, usize, Vec<u8>)>) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (place, length, piece) in damages {
        let start = place % (bytes.len() + 1);
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, piece);
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn generated_texts_agree(text in text()) {
        compare(text.as_bytes())?;
    }

    #[test]
    fn damaged_texts_agree(
        text in prop_oneof![select(vec![CURL.to_owned(), PERL.to_owned()]), text()],
        damages in proptest::collection::vec(damage(), 1..4),
    ) {
        compare(&damaged(&text, damages))?;
    }

    #[test]
    fn arbitrary_bytes_agree(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        compare(&bytes)?;
    }

    /// Whatever is accepted and signed here verifies there.
    #[test]
    fn our_signatures_verify_there(text in text(), seed: [u8; 32]) {
        let Ok(ours) = NarInfo::parse(text.as_bytes(), &StoreDir::default(), &Limits::default()) else {
            return Ok(());
        };
        let key = SigningKey::from_seed(KeyName::parse("k").unwrap(), &seed);
        let signature = key.sign(fingerprint(&StoreDir::default(), &ours.core).as_bytes());
        let lines = text.split_inclusive('\n').filter(|line| !line.starts_with("CA: "));
        let signed = format!("{}Sig: {signature}\n", lines.collect::<String>());
        let theirs: nix_narinfo::NarInfo = signed.parse().unwrap();
        let trusted = [nix_narinfo::TrustedPublicKey::parse(&key.verifying_key().to_string()).unwrap()];
        prop_assert!(theirs.has_valid_signature(theirs.store_dir(), &trusted));
    }
}

/// The generator must keep reaching texts that are accepted, or the comparison says nothing.
#[test]
fn many_generated_texts_are_accepted() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let accepted = (0..500).filter(|_| {
        let text = text().new_tree(&mut runner).unwrap().current();
        NarInfo::parse(text.as_bytes(), &StoreDir::default(), &Limits::default()).is_ok()
    });
    let accepted = accepted.count();
    assert!((50..450).contains(&accepted), "{accepted} of 500");
}
