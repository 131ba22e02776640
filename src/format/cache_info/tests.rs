//! Tests of `nix-cache-info`: as lenient as the client, but bounded.

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> NixCacheInfo {
    NixCacheInfo::parse(text.as_bytes()).unwrap()
}

#[test]
fn what_we_serve() {
    let info = NixCacheInfo { store_dir: StoreDir::default(), want_mass_query: true, priority: Some(30) };
    assert_eq!(info.to_text(), "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n");
    assert_eq!(parse(&info.to_text()), info);
    let info = NixCacheInfo { want_mass_query: false, priority: None, ..info };
    assert_eq!(info.to_text(), "StoreDir: /nix/store\nWantMassQuery: 0\n");
}

#[test]
fn every_key_may_be_missing() {
    let nothing = NixCacheInfo { store_dir: StoreDir::default(), want_mass_query: false, priority: None };
    assert_eq!(parse(""), nothing);
    assert_eq!(parse("<html><body>\n<a href=\"http://x/\">moved</a>\n</html>\n"), nothing);
}

#[test]
fn spaces_line_ends_and_strangers_are_tolerated() {
    let info =
        parse("StoreDir:/gnu/store\r\nno colon here\r\nLater: x:y\r\nWantMassQuery:  1 \r\nPriority: 40");
    assert_eq!(info.store_dir.as_str(), "/gnu/store");
    assert!(info.want_mass_query);
    assert_eq!(info.priority, Some(40));
}

#[test]
fn the_last_of_repeats_holds_and_names_are_exact() {
    assert_eq!(parse("Priority: 1\nPriority: 2\n").priority, Some(2));
    assert_eq!(parse("priority: 1\n Priority: 2\nPriority : 3\n").priority, None);
    assert!(!parse("WantMassQuery: yes\n").want_mass_query);
}

#[test]
fn a_priority_that_is_no_number_is_an_error() {
    for value in ["", "high", "40x", "4.0", "-1", "4294967296"] {
        let text = format!("StoreDir: /nix/store\nPriority: {value}\n");
        assert_eq!(
            NixCacheInfo::parse(text.as_bytes()),
            Err(CacheInfoError::Priority { line: 2 }),
            "{value}"
        );
    }
}

#[test]
fn a_store_directory_that_is_none_is_an_error() {
    for value in ["", "nix/store", "/nix/store/", "/nix/../store", "/nix/st\u{f6}re"] {
        let parsed = NixCacheInfo::parse(format!("StoreDir: {value}\n").as_bytes());
        assert!(matches!(parsed, Err(CacheInfoError::StoreDir { line: 1, .. })), "{value}");
    }
    assert!(NixCacheInfo::parse(b"StoreDir: /nix/\xff\n").is_err());
}

#[test]
fn an_endless_text_is_an_error() {
    let text = "x\n".repeat(CACHE_INFO_MAX / 2);
    assert!(NixCacheInfo::parse(text.as_bytes()).is_ok());
    assert_eq!(NixCacheInfo::parse(format!("{text}x").as_bytes()), Err(CacheInfoError::TooLong));
}

proptest! {
    #[test]
    fn round_trip(priority in any::<Option<u32>>(), want_mass_query: bool, dir in "(/[a-z]{1,5}){1,3}") {
        let info = NixCacheInfo { store_dir: StoreDir::new(&dir).unwrap(), want_mass_query, priority };
        prop_assert_eq!(NixCacheInfo::parse(info.to_text().as_bytes()), Ok(info));
    }

    #[test]
    fn what_is_read_can_be_written(
        text in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "((StoreDir|Priority|WantMassQuery|Other)[: ]{1,2}[0-9a-z/]{0,5}\r?\n){0,6}".prop_map(String::into_bytes),
        ],
    ) {
        if let Ok(info) = NixCacheInfo::parse(&text) {
            prop_assert_eq!(NixCacheInfo::parse(info.to_text().as_bytes()), Ok(info));
        }
    }
}
