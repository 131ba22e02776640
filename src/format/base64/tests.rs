//! Tests of canonical base64: one spelling in, the same spelling out.

use proptest::prelude::*;

use super::*;

#[test]
fn known_texts() {
    assert_eq!(decode_fixed::<0>(b""), Ok([]));
    assert_eq!(decode_fixed::<1>(b"Qg=="), Ok(*b"B"));
    assert_eq!(decode_fixed::<2>(b"aXQ="), Ok(*b"it"));
    assert_eq!(decode_fixed::<3>(b"Qml0"), Ok(*b"Bit"));
    assert_eq!(encode(b"B"), "Qg==");
}

#[test]
fn padding_is_checked() {
    let length = |expected, found| Err(Base64Error::Length { expected, found });
    assert_eq!(decode_fixed::<1>(b"Qg"), length(4, 2));
    assert_eq!(decode_fixed::<1>(b"Qg="), length(4, 3));
    assert_eq!(decode_fixed::<1>(b"Qg==junk"), length(4, 8));
    assert_eq!(decode_fixed::<1>(b"QgAA"), Err(Base64Error::Padding));
    assert_eq!(decode_fixed::<1>(b"Qg=A"), Err(Base64Error::Padding));
}

#[test]
fn two_padded_texts_in_a_row_are_not_one() {
    // The bytes of `Bit`, and the length of four bytes.
    assert_eq!(BASE64.decode(b"Qg==aXQ=").unwrap(), b"Bit");
    assert!(decode_fixed::<3>(b"Qg==aXQ=").is_err());
    // 44 characters for 32 bytes, with the padding in the middle.
    let text = format!("{}AAA={}", "A".repeat(20), "A".repeat(20));
    assert_eq!(BASE64.decode(text.as_bytes()).unwrap().len(), 32);
    assert_eq!(decode_fixed::<32>(text.as_bytes()), Err(Base64Error::Padding));
    // The same with padding at the right place as well.
    let text = format!("{}AA=={}A=", "A".repeat(20), "A".repeat(18));
    assert_eq!(decode_fixed::<32>(text.as_bytes()), Err(Base64Error::Symbol { offset: 22 }));
}

#[test]
fn trailing_bits_and_foreign_bytes_are_refused() {
    assert_eq!(decode_fixed::<1>(b"Qh=="), Err(Base64Error::TrailingBits));
    for byte in ["-", "_", " ", "\n", "=", "\u{1}"] {
        let text = format!("Q{byte}==");
        assert_eq!(decode_fixed::<1>(text.as_bytes()), Err(Base64Error::Symbol { offset: 1 }), "{text:?}");
    }
}

proptest! {
    #[test]
    fn round_trip_at_any_length(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let text = encode(&bytes);
        prop_assert_eq!(text.len(), encode_len(bytes.len()));
        let mut appended = String::new();
        encode_into(&bytes, &mut appended);
        prop_assert_eq!(&appended, &text);
        let mut decoded = vec![0; bytes.len()];
        prop_assert_eq!(decode_into(text.as_bytes(), &mut decoded), Ok(()));
        prop_assert_eq!(decoded, bytes);
    }

    #[test]
    fn what_decodes_has_one_spelling(
        text in prop_oneof![
            "[A-Za-z0-9+/=]{0,24}".prop_map(String::into_bytes),
            "[A-Za-z0-9+/]{22}==".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..30),
        ],
        length in 0usize..20,
    ) {
        let mut out = vec![0; length];
        if decode_into(&text, &mut out).is_ok() {
            prop_assert_eq!(encode(&out).into_bytes(), text);
        }
    }
}
