//! Tests of store directories and paths: spelling, names, order.

use proptest::prelude::*;

use super::*;

const HASH: &str = "syd87l2rxw8cbsxmxl853h0r6pdwhwjr";
const BASE: &str = "syd87l2rxw8cbsxmxl853h0r6pdwhwjr-curl-7.82.0-bin";

#[test]
fn a_path_and_its_parts() {
    let dir = StoreDir::default();
    let path = StorePath::from_base_name(BASE).unwrap();
    assert_eq!(path.name(), "curl-7.82.0-bin");
    assert_eq!(path.hash_part(), HashPart::parse(HASH).unwrap());
    assert_eq!(path.to_string(), BASE);
    assert_eq!(format!("{path:?}"), format!("StorePath({BASE})"));
    assert_eq!(path.to_absolute_path(&dir), format!("/nix/store/{BASE}"));
    assert_eq!(StorePath::from_absolute_path(&dir, &format!("/nix/store/{BASE}")).as_ref(), Ok(&path));
    assert_eq!(StorePath::from_parts(path.hash_part(), path.name()).as_ref(), Ok(&path));
    assert_eq!(path.to_absolute_path(&dir).len(), path.absolute_len(&dir));
}

#[test]
fn a_hash_part_and_its_text() {
    let part = HashPart::parse("2c91240g1q6hq2qa1440f1h50h1h4080").unwrap();
    let bytes: Vec<u8> = (0..20).collect();
    assert_eq!(part.digest().as_slice(), bytes);
    assert_eq!(HashPart::from_digest(*part.digest()), part);
    assert_eq!(part.to_string(), "2c91240g1q6hq2qa1440f1h50h1h4080");
    assert_eq!(format!("{part:?}"), "HashPart(2c91240g1q6hq2qa1440f1h50h1h4080)");
    for text in ["", &HASH[1..], &HASH.to_uppercase(), "0123456789abcdefghijklmnopqrstuv", BASE] {
        assert!(HashPart::parse(text).is_err(), "{text}");
    }
}

#[test]
fn only_the_exact_absolute_spelling() {
    let dir = StoreDir::default();
    let spellings = [
        BASE.to_owned(),
        format!("/nix/store//{BASE}"),
        format!("/nix//store/{BASE}"),
        format!("/nix/store/./{BASE}"),
        format!("/nix/store/x/../{BASE}"),
        format!("/nix/store/{BASE}/"),
        format!("/nix/store/{BASE}/bin"),
        format!("/nix/stores/{BASE}"),
        format!("/gnu/store/{BASE}"),
        format!(" /nix/store/{BASE}"),
        format!("/nix/store{BASE}"),
        "/nix/store".to_owned(),
        "/nix/store/".to_owned(),
        String::new(),
    ];
    for text in spellings {
        assert!(StorePath::from_absolute_path(&dir, &text).is_err(), "{text}");
    }
    let other = StoreDir::new("/gnu/store").unwrap();
    assert!(StorePath::from_absolute_path(&other, &format!("/gnu/store/{BASE}")).is_ok());
    assert!(StorePath::from_absolute_path(&other, &format!("/nix/store/{BASE}")).is_err());
}

#[test]
fn the_separator_is_a_dash() {
    for separator in [".", "_", "0", "/", " "] {
        let text = BASE.replacen('-', separator, 1);
        assert_eq!(StorePath::from_base_name(&text), Err(StorePathError::Separator), "{text}");
    }
    assert_eq!(StorePath::from_base_name(HASH), Err(StorePathError::Separator));
    assert_eq!(StorePath::from_base_name(&HASH[1..]), Err(StorePathError::TooShort { found: 31 }));
    let empty = StorePathError::Name(NameError::Empty);
    assert_eq!(StorePath::from_base_name(&format!("{HASH}-")), Err(empty));
}

#[test]
fn text_that_is_not_ascii_is_refused_anywhere() {
    for place in 0..=BASE.len() {
        let mut text = BASE.to_owned();
        text.insert(place, 'é');
        assert!(StorePath::from_base_name(&text).is_err(), "{text}");
    }
}

#[test]
fn names() {
    let longest = "a".repeat(NAME_MAX);
    for name in ["a", "curl-7.82.0-bin", "-", "...", ".a", "..a", "+-._?=", "0", ".ssh", "a.-b", &longest] {
        assert_eq!(validate_name(name), Ok(()), "{name}");
    }
    for name in [".", "..", ".-", ".-a", "..-", "..-a"] {
        assert_eq!(validate_name(name), Err(NameError::Dots), "{name}");
    }
    assert_eq!(validate_name(""), Err(NameError::Empty));
    assert_eq!(validate_name(&"a".repeat(212)), Err(NameError::TooLong { found: 212 }));
}

#[test]
fn name_characters_are_the_published_set() {
    for byte in 0..=127u8 {
        let name = format!("a{}", char::from(byte));
        let allowed = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+-._?=";
        let expected = match allowed.contains(char::from(byte)) {
            true => Ok(()),
            false => Err(NameError::Symbol { offset: 1, byte }),
        };
        assert_eq!(validate_name(&name), expected);
    }
}

#[test]
fn store_directories() {
    for path in ["/nix/store", "/gnu/store", "/s", "/a.b/..c/-d"] {
        assert_eq!(StoreDir::new(path).unwrap().as_str(), path);
    }
    assert_eq!(StoreDir::default(), StoreDir::new("/nix/store").unwrap());
    for path in ["", "nix/store", "./nix"] {
        assert_eq!(StoreDir::new(path), Err(StoreDirError::NotAbsolute), "{path}");
    }
    for path in ["/", "//", "/nix/store/", "/nix//store", "//nix", "/nix/./store", "/nix/..", "/."] {
        assert_eq!(StoreDir::new(path), Err(StoreDirError::Component), "{path}");
    }
    for path in ["/nix store", "/nix\n", "/nix/störe", "/nix\0"] {
        assert!(matches!(StoreDir::new(path), Err(StoreDirError::Symbol { .. })), "{path}");
    }
}

fn any_path() -> impl Strategy<Value = StorePath> {
    // Bytes that often agree, so that the order is decided at every place.
    let digest = proptest::collection::vec(0u8..3, 20);
    (digest, "[a-c+._?=-]{1,3}").prop_filter_map("a name of dots", |(digest, name)| {
        StorePath::from_parts(HashPart::from_digest(digest.try_into().ok()?), &name).ok()
    })
}

proptest! {
    #[test]
    fn the_order_is_that_of_the_text(left in any_path(), right in any_path()) {
        prop_assert_eq!(left.cmp(&right), left.to_string().cmp(&right.to_string()));
        let (left, right) = (left.hash_part(), right.hash_part());
        prop_assert_eq!(left.cmp(&right), left.to_string().cmp(&right.to_string()));
    }

    #[test]
    fn round_trip(digest: [u8; 20], name in "[0-9A-Za-z+_?=][0-9A-Za-z+._?=-]{0,210}") {
        let dir = StoreDir::default();
        let path = StorePath::from_parts(HashPart::from_digest(digest), &name).unwrap();
        prop_assert_eq!(StorePath::from_base_name(&path.to_string()), Ok(path.clone()));
        prop_assert_eq!(StorePath::from_absolute_path(&dir, &path.to_absolute_path(&dir)), Ok(path));
    }

    #[test]
    fn what_parses_has_one_spelling(
        text in prop_oneof![".{0,60}", "[0-9a-df-np-sv-z]{31,33}[-.][ -~]{0,9}", "/nix/store/[0-9a-df-np-sv-z]{32}-.{0,9}"],
    ) {
        if let Ok(path) = StorePath::from_base_name(&text) {
            prop_assert_eq!(path.to_string(), &*text);
        }
        let dir = StoreDir::default();
        if let Ok(path) = StorePath::from_absolute_path(&dir, &text) {
            prop_assert_eq!(path.to_absolute_path(&dir), &*text);
        }
        if let Ok(dir) = StoreDir::new(&text) {
            prop_assert_eq!(dir.as_str(), &*text);
        }
    }
}
