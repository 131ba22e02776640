use super::*;
use proptest::prelude::*;

const DRV: &str = "s66mzxpvicwk07gjbjfw9izjfa797vsw-hello-2.12.1.drv";
const OUT: &str = "1b9p07z77phvv2hf6gm9f28syp39f1ag-hello-2.12.1";
const DEV: &str = "0c7c96gikmzv87i7lv3vq5s1cmfjd6zf-hello-2.12.1-dev";

fn path(base: &str) -> StorePath {
    StorePath::from_base_name(base).unwrap()
}

fn text() -> String {
    format!("countersign-spool 1\nbuilt 1767225600\nstore /nix/store\ndrv {DRV}\nout {OUT}\nout {DEV}\nend\n")
}

#[test]
fn a_record_prints_and_reads_as_the_same() {
    let record =
        Record::new(1_767_225_600, StoreDir::default(), Some(path(DRV)), [path(OUT), path(DEV)]).unwrap();
    assert_eq!(record.encode(), text());
    assert_eq!(Record::parse(text().as_bytes()), Ok(record.clone()));
    assert_eq!(record.built(), 1_767_225_600);
    assert_eq!(record.drv(), Some(&path(DRV)));
    assert_eq!(record.outputs(), [path(OUT), path(DEV)]);
    assert_eq!(record.store().as_str(), "/nix/store");
}

#[test]
fn half_a_record_is_none() {
    let text = text();
    for length in 0..text.len() {
        assert!(Record::parse(&text.as_bytes()[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn what_no_hook_writes_is_refused() {
    let text = text();
    let changed = |from: &str, to: &str| Record::parse(text.replacen(from, to, 1).as_bytes()).unwrap_err();
    assert_eq!(changed("spool 1", "spool 2"), RecordError::Version);
    assert_eq!(changed("countersign", "other"), RecordError::Format);
    assert_eq!(changed("end\n", "end\nmore\n"), RecordError::Unfinished);
    assert_eq!(changed("end\n", "end"), RecordError::Unfinished);
    assert_eq!(changed("built 1767225600", "built -1"), RecordError::Built);
    assert_eq!(changed("built 1767225600", "built 01767225600"), RecordError::Spelling);
    assert_eq!(changed("built 1767225600\n", ""), RecordError::Built);
    assert_eq!(changed("built 1767225600", "built 1767225600\nbuilt 1767225600"), RecordError::Spelling);
    assert_eq!(changed("store /nix/store\n", ""), RecordError::NoStore);
    assert!(matches!(changed("/nix/store", "nix/store"), RecordError::Store(_)));
    assert!(matches!(changed("/nix/store", "/nix/../store"), RecordError::Store(_)));
    assert!(matches!(changed("out 1b9", "out ../1b9"), RecordError::Path(_)));
    assert_eq!(changed(".drv\n", "\n"), RecordError::NotADerivation);
    assert_eq!(changed("out 1b9", "sig 1b9"), RecordError::Line { number: 5 });
    assert_eq!(changed("out 1b9", "\nout 1b9"), RecordError::Line { number: 5 });
    assert_eq!(changed(DEV, OUT), RecordError::Spelling);
    assert_eq!(changed("store /nix/store\n", "store /nix/store\r\n"), RecordError::Spelling);
    let swapped = format!("drv {DRV}\nstore /nix/store\n");
    assert_eq!(changed(&format!("store /nix/store\ndrv {DRV}\n"), &swapped), RecordError::Spelling);
    let long = format!("{}{}", "x".repeat(Record::TEXT_MAX), text);
    assert_eq!(Record::parse(long.as_bytes()), Err(RecordError::TooLong));
    assert_eq!(Record::parse(b"countersign-spool 1\n\xff\nend\n"), Err(RecordError::Format));
}

#[test]
fn a_record_names_something_and_not_too_much() {
    let store = StoreDir::default;
    assert_eq!(Record::new(0, store(), None, []), Err(RecordError::Empty));
    assert_eq!(Record::new(0, store(), Some(path(OUT)), []), Err(RecordError::NotADerivation));
    let long = StoreDir::new(&format!("/{}", "s".repeat(Record::STORE_MAX))).unwrap();
    assert_eq!(Record::new(0, long, Some(path(DRV)), []), Err(RecordError::StoreTooLong { found: 1025 }));

    let longest = |n: usize| {
        let name = format!("{n:03}{}", "n".repeat(208));
        StorePath::from_parts(path(OUT).hash_part(), &name).unwrap()
    };
    let store = StoreDir::new(&format!("/{}", "s".repeat(Record::STORE_MAX - 1))).unwrap();
    let full = Record::new(u64::MAX, store, Some(path(DRV)), (0..100).map(longest)).unwrap();
    assert_eq!(full.outputs().len(), Record::OUTPUTS_MAX);
    assert!(full.encode().len() <= Record::TEXT_MAX);
    assert_eq!(Record::parse(full.encode().as_bytes()), Ok(full));

    let twice = Record::new(0, StoreDir::default(), None, [path(OUT), path(OUT)]).unwrap();
    assert_eq!(twice.outputs(), [path(OUT)]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_read_has_one_spelling(at in 0_usize..200, byte: u8, length in 0_usize..220) {
        let mut bytes = text().into_bytes();
        if let Some(there) = bytes.get_mut(at) {
            *there = byte;
        }
        bytes.truncate(length);
        if let Ok(record) = Record::parse(&bytes) {
            prop_assert_eq!(record.encode().into_bytes(), bytes);
        }
    }

    #[test]
    fn no_bytes_are_too_odd(bytes: Vec<u8>) {
        let mut framed = b"countersign-spool 1\n".to_vec();
        framed.extend(bytes);
        framed.extend(b"\nend\n");
        prop_assert!(Record::parse(&framed).is_err());
    }
}
