//! Tests of hashes: every algorithm in every encoding, and what is no hash.

use proptest::prelude::*;

use super::*;

const ALGOS: [HashAlgo; 4] = [HashAlgo::Md5, HashAlgo::Sha1, HashAlgo::Sha256, HashAlgo::Sha512];

/// sha256 of `abc` in each spelling.
const ABC: [&str; 5] = [
    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
    "sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s",
    "sha256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
    "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
];

#[test]
fn every_spelling_is_the_same_hash() {
    for text in ABC {
        let hash = NixHash::from_nix_str(text).unwrap();
        assert_eq!(hash.algo(), HashAlgo::Sha256);
        assert_eq!(hash.to_nix_nixbase32_string(), ABC[2], "{text}");
        assert_eq!(hash.to_sri_string(), ABC[4]);
        assert_eq!(hash.to_plain_hex_string(), ABC[0]["sha256:".len()..]);
        let nar_hash = NarHash::from_nix_str(text).unwrap();
        assert_eq!(nar_hash.to_string(), ABC[2]);
        assert_eq!(nar_hash.digest(), hash.digest_as_bytes());
        assert_eq!(format!("{nar_hash:?}"), format!("NarHash({})", ABC[2]));
    }
}

#[test]
fn digest_lengths() {
    for algo in ALGOS {
        let digest = vec![7; algo.digest_len()];
        let hash = NixHash::from_digest(algo, &digest).unwrap();
        assert_eq!((hash.algo(), hash.digest_as_bytes()), (algo, digest.as_slice()));
        for length in (0..70).filter(|&length| length != algo.digest_len()) {
            let expected = HashError::Digest { algo, found: length };
            assert_eq!(NixHash::from_digest(algo, &vec![7; length]), Err(expected));
        }
    }
}

#[test]
fn no_two_encodings_of_a_digest_are_equally_long() {
    for algo in ALGOS {
        let bytes = algo.digest_len();
        let lengths = [base32::encode_len(bytes), HEXLOWER.encode_len(bytes), base64::encode_len(bytes)];
        assert!(lengths[0] != lengths[1] && lengths[0] != lengths[2] && lengths[1] != lengths[2]);
    }
}

#[test]
fn the_algorithm_must_be_named_and_known() {
    let digest = &ABC[0]["sha256:".len()..];
    assert_eq!(NixHash::from_nix_str(digest), Err(HashError::NoAlgorithm));
    assert_eq!(NixHash::from_nix_str(""), Err(HashError::NoAlgorithm));
    for name in ["blake3", "SHA256", "sha-256", " sha256", ""] {
        assert_eq!(NixHash::from_nix_str(&format!("{name}:{digest}")), Err(HashError::UnknownAlgorithm));
        assert_eq!(name.parse::<HashAlgo>(), Err(HashError::UnknownAlgorithm));
    }
    assert_eq!(NixHash::from_str(digest, HashAlgo::Sha256), NixHash::from_nix_str(ABC[0]));
    let length = HashError::Length { algo: HashAlgo::Sha512, found: 64 };
    assert_eq!(NixHash::from_str(digest, HashAlgo::Sha512), Err(length));
}

#[test]
fn base64_is_canonical() {
    let refused = [
        "sha256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0",
        "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0",
        "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa1=",
        "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=junk",
        "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=?option",
        "sha256-ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0=",
        "sha256-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    ];
    for text in refused {
        assert!(NixHash::from_nix_str(text).is_err(), "{text}");
    }
}

#[test]
fn junk_digests_are_refused_with_the_place() {
    let text = format!("sha256:{}g{}", "a".repeat(10), "a".repeat(53));
    assert_eq!(NixHash::from_nix_str(&text), Err(HashError::Base16 { offset: 10 }));
    let text = format!("sha256:{}", "z".repeat(52));
    assert_eq!(NixHash::from_nix_str(&text), Err(HashError::Base32(base32::DecodeError::SurplusBits)));
    assert!(NixHash::from_nix_str(&format!("{} ", ABC[0])).is_err());
    assert!(NixHash::from_nix_str(&ABC[0].replacen(':', "::", 1)).is_err());
}

#[test]
fn the_hash_of_a_nar_is_sha256() {
    for algo in [HashAlgo::Md5, HashAlgo::Sha1, HashAlgo::Sha512] {
        let hash = NixHash::from_digest(algo, &vec![1; algo.digest_len()]).unwrap();
        for text in [hash.to_nix_nixbase32_string(), hash.to_sri_string()] {
            assert_eq!(NarHash::from_nix_str(&text), Err(HashError::NotSha256 { found: algo }));
        }
    }
}

#[test]
fn the_bare_form_of_a_nar_hash() {
    let bare = &ABC[2]["sha256:".len()..];
    let hash = NarHash::parse_nixbase32(bare).unwrap();
    assert_eq!(hash.nixbase32(), bare);
    for text in [ABC[2], "", &bare[1..], &bare.to_uppercase()] {
        assert!(NarHash::parse_nixbase32(text).is_err(), "{text}");
    }
}

fn any_hash() -> impl Strategy<Value = NixHash> {
    (0usize..4, any::<[u8; 64]>()).prop_map(|(algo, bytes)| {
        NixHash::from_digest(ALGOS[algo], &bytes[..ALGOS[algo].digest_len()]).unwrap()
    })
}

proptest! {
    #[test]
    fn round_trips(hash in any_hash()) {
        let hex = hash.to_plain_hex_string();
        prop_assert_eq!(NixHash::from_nix_str(&hash.to_nix_nixbase32_string()), Ok(hash));
        prop_assert_eq!(NixHash::from_nix_str(&hash.to_sri_string()), Ok(hash));
        prop_assert_eq!(NixHash::from_sri_str(&hash.to_sri_string()), Ok(hash));
        prop_assert_eq!(NixHash::from_nix_str(&hash.to_sri_string().replacen('-', ":", 1)), Ok(hash));
        prop_assert_eq!(NixHash::from_str(&hex, hash.algo()), Ok(hash));
        prop_assert_eq!(NixHash::from_str(&hex.to_uppercase(), hash.algo()), Ok(hash));
    }

    #[test]
    fn arbitrary_text_is_refused_or_keeps_its_digits(text in ".{0,120}", algo in "(md5|sha1|sha256|sha512)[:-]") {
        for text in [text.clone(), format!("{algo}{text}")] {
            if let Ok(hash) = NixHash::from_nix_str(&text) {
                let spellings = [
                    hash.to_nix_nixbase32_string(),
                    hash.to_sri_string(),
                    hash.to_sri_string().replacen('-', ":", 1),
                    format!("{}:{}", hash.algo(), hash.to_plain_hex_string()),
                    format!("{}:{}", hash.algo(), hash.to_plain_hex_string().to_uppercase()),
                ];
                prop_assert!(spellings.contains(&text));
            }
        }
    }
}
