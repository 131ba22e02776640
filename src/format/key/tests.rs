//! Tests of names, keys and signatures: published vectors, strictness, and that secrets stay inside.

#![expect(clippy::arithmetic_side_effects, reason = "sums of numbers below 2²⁵³ in 256 bits")]

use proptest::prelude::*;

use super::*;
use crate::format::samples::{CURL, PUBLIC_CACHE_KEY, core, narinfo, public_cache_key};
use crate::format::{StoreDir, fingerprint};

fn hex<const K: usize>(text: &str) -> [u8; K] {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
}

fn name(text: &str) -> KeyName {
    KeyName::parse(text).unwrap()
}

/// The first test vector of RFC 8032.
fn rfc_key() -> SigningKey {
    SigningKey::from_seed(
        name("rfc-1"),
        &hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"),
    )
}

#[test]
fn rfc_8032_vector() {
    let key = rfc_key();
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert_eq!(key.verifying_key().bytes(), &hex::<32>(public));
    let signature = key.sign(b"");
    let expected = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
    assert_eq!(signature.bytes(), &hex::<64>(expected));
    assert!(key.verifying_key().verify(b"", &signature));
    assert!(!key.verifying_key().verify(b"x", &signature));
}

#[test]
fn published_signature_verifies_under_any_name() {
    let text = fingerprint(&StoreDir::default(), &core(CURL));
    let signature = narinfo(CURL).signatures.remove(0);
    let key = public_cache_key();
    assert!(key.verify(text.as_bytes(), &signature));
    let renamed = Signature::from_parts(name("someone-else"), *signature.bytes());
    assert!(key.verify(text.as_bytes(), &renamed), "names are labels");
    assert!(!rfc_key().verifying_key().verify(text.as_bytes(), &signature));
}

#[test]
fn keys_print_as_they_are_read() {
    let key = public_cache_key();
    assert_eq!(key.to_string(), PUBLIC_CACHE_KEY);
    assert_eq!(key.name().as_str(), "cache.nixos.org-1");
    assert_eq!(format!("{key:?}"), format!("VerifyingKey({PUBLIC_CACHE_KEY})"));
    let renamed = VerifyingKey::from_bytes(name("other"), key.bytes()).unwrap();
    assert!(key.same_key(&renamed));
    assert!(!key.same_key(&rfc_key().verifying_key()));
}

#[test]
fn texts_that_are_no_key() {
    let encoded = PUBLIC_CACHE_KEY.split_once(':').unwrap().1;
    let length = |found| KeyError::Base64(Base64Error::Length { expected: 44, found });
    let cases = [
        (String::new(), KeyError::NoColon),
        (encoded.to_owned(), KeyError::NoColon),
        (format!(":{encoded}"), KeyError::NameEmpty),
        (format!("a:b:{encoded}"), length(46)),
        (format!("a:{encoded}\n"), length(45)),
        (format!("a: {encoded}"), length(45)),
        (format!("a:{}", &encoded[..43]), length(43)),
        (format!("a b:{encoded}"), KeyError::NameSymbol { offset: 1 }),
        (format!("é:{encoded}"), KeyError::NameSymbol { offset: 0 }),
        (format!("{}:{encoded}", "a".repeat(129)), KeyError::NameTooLong { found: 129 }),
        (format!("a:{}Z=", &encoded[..42]), KeyError::Base64(Base64Error::TrailingBits)),
    ];
    for (text, error) in cases {
        assert_eq!(VerifyingKey::parse(&text).err(), Some(error), "{text:?}");
    }
}

#[test]
fn names() {
    let longest = "n".repeat(KeyName::MAX_LEN);
    for text in ["a", "cache.nixos.org-1", "a+b=c@d_e", &longest] {
        assert_eq!(name(text).as_str(), text);
    }
    for byte in 0..=u8::MAX {
        let allowed = byte.is_ascii_alphanumeric() || "._+=@-".contains(char::from(byte));
        assert_eq!(KeyName::parse_bytes(&[b'a', byte]).is_ok(), allowed, "{byte:#04x}");
    }
}

/// Every encoding of every point whose order divides 8, second spellings included.
const SMALL_ORDER: [&str; 14] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

#[test]
fn weak_keys_are_refused() {
    for text in SMALL_ORDER {
        let key = VerifyingKey::from_bytes(name("weak"), &hex(text));
        assert_eq!(key.err(), Some(KeyError::Weak), "{text}");
    }
}

#[test]
fn second_spellings_of_a_key_are_refused() {
    // y from p to p + 18, either sign: all encodings that are not below the prime.
    let mut not_canonical = 0usize;
    for (low, high) in (0xed..=0xff).flat_map(|low| [(low, 0x7f), (low, 0xff)]) {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (low, high);
        let error = VerifyingKey::from_bytes(name("other"), &bytes).unwrap_err();
        assert!(matches!(error, KeyError::NotCanonical | KeyError::Weak | KeyError::NotAPoint));
        not_canonical += usize::from(error == KeyError::NotCanonical);
    }
    assert!(not_canonical > 0, "or the check would be for nothing");
}

#[test]
fn bytes_that_are_no_point_are_refused() {
    let bytes = hex("0200000000000000000000000000000000000000000000000000000000000000");
    assert_eq!(VerifyingKey::from_bytes(name("none"), &bytes).err(), Some(KeyError::NotAPoint));
}

#[test]
fn a_second_s_for_the_same_signature_is_refused() {
    let key = rfc_key();
    let mut bytes = *key.sign(b"text").bytes();
    let order = data_encoding::HEXLOWER.decode(scalar::ORDER.as_bytes()).unwrap();
    let mut carry = 0u16;
    for (byte, add) in bytes[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    assert_eq!(carry, 0);
    let signature = Signature::from_parts(name("rfc-1"), bytes);
    assert!(!key.verifying_key().verify(b"text", &signature));
}

#[test]
fn a_signature_with_small_order_r_is_refused() {
    use ed25519_dalek::Verifier;
    let lax = ed25519_dalek::SigningKey::from_bytes(&hex(
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    ));
    // R is the neutral point, so S = k·a satisfies the equation.
    let r: [u8; 32] = hex(SMALL_ORDER[2]);
    let s = scalar::challenge_times_secret(&r, &lax, b"text");
    let bytes: [u8; 64] = [r, s].concat().try_into().unwrap();
    let plain = ed25519_dalek::Signature::from_bytes(&bytes);
    assert!(lax.verifying_key().verify(b"text", &plain).is_ok(), "the equation holds");
    let signature = Signature::from_parts(name("rfc-1"), bytes);
    assert!(!rfc_key().verifying_key().verify(b"text", &signature));
}

#[test]
fn signatures_have_one_spelling() {
    let signature = narinfo(CURL).signatures.remove(0);
    let text = signature.to_string();
    assert_eq!(Signature::parse(&text).as_ref(), Ok(&signature));
    assert_eq!(format!("{signature:?}"), format!("Signature({text})"));
    let spellings = [
        text.replace("==", ""),
        format!("{text}junk"),
        format!("{text}\n"),
        text.replace("BQ==", "BR=="),
        text.replacen(':', "::", 1),
        text.replacen(':', ": ", 1),
        text.replacen(':', "", 1),
        text.replacen("cache.", "cache ", 1),
    ];
    for text in spellings {
        assert!(Signature::parse(&text).is_err(), "{text}");
    }
}

#[test]
fn secret_keys_print_as_they_are_read() {
    let key = rfc_key();
    let text = key.to_secret_text();
    let expected =
        "rfc-1:nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";
    assert_eq!(text.as_str(), expected);
    assert_eq!(text.capacity(), expected.len(), "no growth, so no copy");
    let read = SigningKey::parse(text.as_bytes()).unwrap();
    assert_eq!(read.name(), key.name());
    assert_eq!(read.sign(b"text"), key.sign(b"text"));
}

#[test]
fn newlines_in_a_secret_key_are_ignored() {
    let text = rfc_key().to_secret_text();
    let (head, tail) = text.split_at(40);
    for text in [format!("{}\n", &*text), format!("{head}\n{tail}\n\n"), text.replacen(':', ":\n", 1)] {
        let read = SigningKey::parse(text.as_bytes()).unwrap();
        assert!(read.verifying_key().same_key(&rfc_key().verifying_key()));
    }
    for text in [format!("{head}\r\n{tail}"), format!("{} ", &*text), format!("\n{}", &*text)] {
        assert!(SigningKey::parse(text.as_bytes()).is_err(), "{text:?}");
    }
}

#[test]
fn texts_that_are_no_secret_key() {
    let good = rfc_key().to_secret_text();
    let length = |found| Some(KeyError::Base64(Base64Error::Length { expected: 88, found }));
    let cases: [(&[u8], Option<KeyError>); 6] = [
        (b"", Some(KeyError::NoColon)),
        (b"\xff\xfe:", Some(KeyError::NameSymbol { offset: 0 })),
        (b"name:", length(0)),
        (b":", Some(KeyError::NameEmpty)),
        (PUBLIC_CACHE_KEY.as_bytes(), length(44)),
        (&good.as_bytes()[..good.len() - 1], length(87)),
    ];
    for (text, error) in cases {
        assert_eq!(SigningKey::parse(text).err(), error, "{text:?}");
    }
    let foreign = SigningKey::from_seed(name("rfc-1"), &[7; 32]).to_secret_text();
    let mixed =
        [&good.as_bytes()[.."rfc-1:".len() + 40], &foreign.as_bytes()["rfc-1:".len() + 40..]].concat();
    assert_eq!(SigningKey::parse(&mixed).err(), Some(KeyError::Halves));
}

#[test]
fn secrets_do_not_show() {
    assert_eq!(format!("{:?}", rfc_key()), "SigningKey(rfc-1, redacted)");
    // A secret key in the wrong place: the message must not repeat it.
    let text = rfc_key().to_secret_text();
    for error in [VerifyingKey::parse(&text).unwrap_err(), Signature::parse(&text[..50]).unwrap_err()] {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("nWGx") && !shown.contains("rfc-1"), "{shown}");
    }
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_nothing_near_it(
        seed: [u8; 32],
        text in proptest::collection::vec(any::<u8>(), 1..64),
        bit in 0usize..512,
    ) {
        let key = SigningKey::from_seed(name("k"), &seed);
        let public = key.verifying_key();
        let signature = key.sign(&text);
        prop_assert!(public.verify(&text, &signature));
        let reread = VerifyingKey::parse(&public.to_string()).unwrap();
        prop_assert!(reread.verify(&text, &Signature::parse(&signature.to_string()).unwrap()));
        let mut bytes = *signature.bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!public.verify(&text, &Signature::from_parts(name("k"), bytes)));
        prop_assert!(!public.verify(&text[1..], &signature));
    }

    #[test]
    fn what_parses_has_one_spelling(
        text in prop_oneof![".{0,100}", "[a-c.:]{1,3}:[A-Za-z0-9+/]{43}=", "[a-c.:]{1,3}:[A-Za-z0-9+/]{86}=="],
    ) {
        if let Ok(key) = VerifyingKey::parse(&text) {
            prop_assert_eq!(key.to_string(), &*text);
        }
        if let Ok(signature) = Signature::parse(&text) {
            prop_assert_eq!(signature.to_string(), &*text);
        }
        prop_assert!(SigningKey::parse(text.as_bytes()).is_err(), "the halves of random text never match");
    }

    #[test]
    fn arbitrary_bytes_are_no_secret_key(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(SigningKey::parse(&text).is_err());
    }
}

/// Just enough arithmetic modulo the group order to make a signature that the plain equation accepts.
mod scalar {
    use sha2::{Digest, Sha512};

    /// The order of the group, little-endian.
    pub(super) const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

    /// Little-endian halves; below 2²⁵³ between operations.
    type Number = (u128, u128);

    fn number(bytes: &[u8; 32]) -> Number {
        let (low, high) = bytes.split_at(16);
        (u128::from_le_bytes(low.try_into().unwrap()), u128::from_le_bytes(high.try_into().unwrap()))
    }

    fn reduced((low, high): Number) -> Number {
        let order = number(&super::hex(ORDER));
        if (high, low) < (order.1, order.0) {
            return (low, high);
        }
        let (difference, borrow) = low.overflowing_sub(order.0);
        (difference, high - order.1 - u128::from(borrow))
    }

    fn sum(left: Number, right: Number) -> Number {
        let (low, carry) = left.0.overflowing_add(right.0);
        reduced((low, left.1 + right.1 + u128::from(carry)))
    }

    /// factor · value by doubling and adding, the factor's bits from the highest.
    fn product(factor: &[u8], value: Number) -> Number {
        let bits = factor.iter().rev().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
        bits.fold((0, 0), |product, bit| {
            let double = sum(product, product);
            if bit == 1 { sum(double, value) } else { double }
        })
    }

    /// SHA-512(R, A, text) · a, as Ed25519 defines the challenge.
    pub(super) fn challenge_times_secret(
        r: &[u8; 32],
        key: &ed25519_dalek::SigningKey,
        text: &[u8],
    ) -> [u8; 32] {
        let challenge = Sha512::new().chain_update(r).chain_update(key.verifying_key()).chain_update(text);
        let mut secret = key.to_scalar_bytes();
        // RFC 8032, 5.1.5, step 2.
        secret[0] &= 0xf8;
        secret[31] = secret[31] & 0x7f | 0x40;
        let secret = product(&secret, (1, 0));
        let (low, high) = product(&challenge.finalize(), secret);
        [low.to_le_bytes(), high.to_le_bytes()].concat().try_into().unwrap()
    }
}
