use super::*;
use crate::evidence::Outcome;
use crate::evidence::tests::samples::{path, signature, verdict};
use crate::format::KeyName;
use proptest::prelude::*;

#[test]
fn what_was_written_is_read_back() {
    let mut bytes = Vec::new();
    let row = verdict(1, Outcome::Refuse, 0);
    put_heard(&mut bytes, &row.heard);
    assert_eq!(heard(&bytes), Some(row.heard));
    for end in 0..bytes.len() {
        assert_eq!(heard(&bytes[..end]), None, "cut off at {end}");
    }
    bytes.push(0);
    assert_eq!(heard(&bytes), None, "more than was written");

    let set = References::from_unsorted(vec![path(1), path(2)]);
    let mut bytes = Vec::new();
    put_references(&mut bytes, &set);
    assert_eq!(references(&bytes), Some(set));
    assert_eq!(references(&bytes[1..]), None);
    assert_eq!(references(&[]), Some(References::default()));

    let two = vec![signature("a", 1), signature(&"b".repeat(KeyName::MAX_LEN), 2)];
    let mut bytes = Vec::new();
    put_signatures(&mut bytes, &two);
    assert_eq!(signatures(&bytes), Some(two));
    assert_eq!(signatures(&bytes[..bytes.len() - 1]), None);

    let longest = StorePath::from_parts(path(1).hash_part(), &"x".repeat(211)).unwrap();
    let mut bytes = Vec::new();
    put_path(&mut bytes, &longest);
    assert_eq!(super::path(&bytes), Some(longest));
}

#[test]
fn two_texts_do_not_run_into_each_other() {
    let bytes = |first: &str, second: &str| {
        let mut bytes = Vec::new();
        let row = VerdictRow { label: first.into(), reason: second.into(), ..verdict(1, Outcome::Refuse, 0) };
        put_verdict(&mut bytes, 1, None, &row);
        bytes
    };
    assert_ne!(bytes("ab", "c"), bytes("a", "bc"));
}

proptest! {
    /// What is in the file may be anything; it is refused, and takes no more memory than it has bytes.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some(found) = heard(&bytes) {
            let mut again = Vec::new();
            put_heard(&mut again, &found);
            prop_assert_eq!(&again, &bytes);
        }
        if let Some(found) = signatures(&bytes) {
            let mut again = Vec::new();
            put_signatures(&mut again, &found);
            prop_assert_eq!(&again, &bytes);
        }
        if let Some(found) = super::path(&bytes) {
            let mut again = Vec::new();
            put_path(&mut again, &found);
            prop_assert_eq!(&again, &bytes);
        }
    }
}
