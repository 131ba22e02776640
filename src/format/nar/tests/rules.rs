//! One test for each way of spelling a tree that Nix has accepted at some time and that is refused here,
//! and for each bound, on both of its sides.

use super::super::writer::{Node, tokens};
use super::*;
use NarErrorKind as Kind;

/// The archive made of the magic and these tokens.
fn archive(inside: &[&[u8]]) -> Vec<u8> {
    tokens(&[&[&b"nix-archive-1"[..]], inside].concat())
}

/// A directory holding exactly these tokens.
fn directory(inside: &[&[u8]]) -> Vec<u8> {
    archive(&[&[&b"("[..], b"type", b"directory"], inside, &[b")"]].concat())
}

/// A directory with one entry of this name.
fn named(name: &[u8]) -> Vec<u8> {
    Node::directory([(name, Node::file(b""))]).nar()
}

/// What is wrong with `nar`, which must be the same however it is cut.
fn refusal(nar: &[u8]) -> Kind {
    let error = verify(nar).expect_err("must be refused");
    let bytewise = verify_in_chunks(nar, nar.len() as u64, std::iter::repeat(1));
    assert_eq!(bytewise, Err(error.clone()));
    error.kind
}

fn tag(expected: &'static str) -> Kind {
    Kind::Tag { expected }
}

const EMPTY_FILE: [&[u8]; 6] = [b"(", b"type", b"regular", b"contents", b"", b")"];

#[test]
fn unsorted_entries() {
    let nar = Node::directory([(b"b", Node::file(b"")), (b"a", Node::file(b""))]).nar();
    assert_eq!(refusal(&nar), Kind::NameOrder);
}

#[test]
fn repeated_names() {
    let nar = Node::directory([(b"a", Node::file(b"")), (b"a", Node::symlink(b"x"))]).nar();
    assert_eq!(refusal(&nar), Kind::NameOrder);
}

#[test]
fn order_is_by_raw_bytes_and_starts_anew_in_each_directory() {
    let inner = Node::directory([(b"A", Node::file(b"")), (b"a", Node::file(b""))]);
    let nar = Node::directory([
        (b"Z", inner),
        (b"a", Node::directory([])),
        (b"a.", Node::file(b"")),
        (b"\xff", Node::symlink(b"a")),
    ]);
    assert!(verify(&nar.nar()).is_ok());
    let prefix_first = Node::directory([(b"ab", Node::file(b"")), (b"a", Node::file(b""))]).nar();
    assert_eq!(refusal(&prefix_first), Kind::NameOrder);
    let after_return = Node::directory([(b"b", Node::nested(3)), (b"a", Node::file(b""))]).nar();
    assert_eq!(refusal(&after_return), Kind::NameOrder);
}

#[test]
fn missing_contents() {
    assert_eq!(refusal(&archive(&[b"(", b"type", b"regular", b")"])), tag("executable or contents"));
    assert_eq!(refusal(&archive(&[b"(", b"type", b"regular", b"executable", b"", b")"])), tag("contents"));
}

#[test]
fn executable_after_contents() {
    let nar = archive(&[b"(", b"type", b"regular", b"contents", b"x", b"executable", b"", b")"]);
    assert_eq!(refusal(&nar), tag(")"));
}

#[test]
fn executable_twice() {
    let nar =
        archive(&[b"(", b"type", b"regular", b"executable", b"", b"executable", b"", b"contents", b"", b")"]);
    assert_eq!(refusal(&nar), tag("contents"));
}

#[test]
fn executable_with_a_value() {
    let nar = archive(&[b"(", b"type", b"regular", b"executable", b"x", b"contents", b"", b")"]);
    assert_eq!(refusal(&nar), Kind::ExecutableValue { length: 1 });
}

#[test]
fn repeated_contents() {
    let nar = archive(&[b"(", b"type", b"regular", b"contents", b"a", b"contents", b"b", b")"]);
    assert_eq!(refusal(&nar), tag(")"));
}

#[test]
fn repeated_target() {
    let nar = archive(&[b"(", b"type", b"symlink", b"target", b"a", b"target", b"b", b")"]);
    assert_eq!(refusal(&nar), tag(")"));
}

#[test]
fn an_entry_without_a_node() {
    assert_eq!(refusal(&directory(&[b"entry", b"(", b"name", b"a", b")"])), tag("node"));
}

#[test]
fn an_entry_without_a_name() {
    let nar = directory(&[&[&b"entry"[..], b"(", b"node"], &EMPTY_FILE[..], &[b")"]].concat());
    assert_eq!(refusal(&nar), tag("name"));
}

#[test]
fn an_entry_with_its_node_before_its_name() {
    let nar = directory(&[&[&b"entry"[..], b"(", b"node"], &EMPTY_FILE[..], &[b"name", b"a", b")"]].concat());
    assert_eq!(refusal(&nar), tag("name"));
}

#[test]
fn an_entry_with_two_nodes() {
    let nar = directory(
        &[
            &[&b"entry"[..], b"(", b"name", b"a", b"node"],
            &EMPTY_FILE[..],
            &[b"node"],
            &EMPTY_FILE[..],
            &[b")"],
        ]
        .concat(),
    );
    assert_eq!(refusal(&nar), tag(")"));
}

#[test]
fn a_node_without_a_type() {
    assert_eq!(refusal(&archive(&[b"(", b")"])), tag("type"));
    assert_eq!(refusal(&archive(&[b"(", b"regular", b"contents", b"", b")"])), tag("type"));
}

#[test]
fn a_type_nobody_knows() {
    assert_eq!(refusal(&archive(&[b"(", b"type", b"fifo", b")"])), tag("regular, symlink or directory"));
    assert_eq!(refusal(&archive(&[b"(", b"type", b"", b")"])), tag("regular, symlink or directory"));
}

#[test]
fn a_type_given_twice() {
    let nar = archive(&[b"(", b"type", b"regular", b"type", b"regular", b"contents", b"", b")"]);
    assert_eq!(refusal(&nar), tag("executable or contents"));
}

#[test]
fn things_in_a_directory_that_are_not_entries() {
    assert_eq!(refusal(&directory(&[b"contents", b"x"])), tag("entry or )"));
    assert_eq!(refusal(&directory(&[b"("])), tag("entry or )"));
}

#[test]
fn another_magic() {
    assert_eq!(refusal(&tokens(&["nix-archive-2", "(", "type"])), tag("nix-archive-1"));
    assert_eq!(refusal(&tokens(&["("])), tag("nix-archive-1"));
}

#[test]
fn nesting_below_the_limit() {
    assert!(verify(&Node::nested(64).nar()).is_ok());
    assert_eq!(refusal(&Node::nested(65).nar()), Kind::Depth { limit: 64 });
    assert_eq!(refusal(&Node::nested(2000).nar()), Kind::Depth { limit: 64 });
}

#[test]
fn nesting_counts_files_and_symlinks_as_nodes() {
    let deep = |leaf: Node, levels| (1..levels).fold(leaf, |inner, _| Node::directory([(b"d", inner)])).nar();
    for leaf in [Node::file(b"x"), Node::symlink(b"x")] {
        assert!(verify(&deep(leaf.clone(), 64)).is_ok());
        assert_eq!(refusal(&deep(leaf, 65)), Kind::Depth { limit: 64 });
    }
}

#[test]
fn trailing_bytes() {
    let whole = Node::file(b"x").nar();
    let end = whole.len() as u64;
    for extra in [&b"\0"[..], b"\0\0\0\0\0\0\0\0", b"x", &tokens(&[")"])] {
        let nar = [&whole, extra].concat();
        assert_eq!(refusal(&nar), Kind::Trailing);
        assert_eq!(verify(&nar).unwrap_err().offset, end);
        // The same bytes with the size that the archive itself has.
        let promised = verify_in_chunks(&nar, end, [nar.len()]);
        assert_eq!(promised, Err(NarError { offset: end, kind: Kind::Trailing }));
    }
}

#[test]
fn a_size_that_does_not_fit() {
    let whole = Node::file(b"hello world").nar();
    let end = whole.len() as u64;
    let longer = verify_in_chunks(&whole, end + 8, [whole.len()]);
    assert_eq!(longer, Err(NarError { offset: end, kind: Kind::Short { nar_size: end + 8 } }));
    for nar_size in 0..end {
        let shorter = verify_in_chunks(&whole, nar_size, [whole.len()]).unwrap_err();
        assert!(matches!(shorter.kind, Kind::Size { .. }), "{nar_size}: {shorter}");
        assert_eq!(verify_in_chunks(&whole, nar_size, vec![1; whole.len()]), Err(shorter));
    }
}

#[test]
fn a_cut_at_any_byte() {
    let whole = vectors::sample().nar();
    for end in 0..whole.len() {
        let cut = verify_in_chunks(&whole[..end], whole.len() as u64, [end]);
        assert_eq!(cut, Err(NarError { offset: end as u64, kind: Kind::Truncated }));
    }
}

#[test]
fn a_length_of_a_terabyte_reserves_nothing() {
    let prefixes: [&[&[u8]]; 4] = [
        &[],
        &[b"(", b"type", b"regular", b"contents"],
        &[b"(", b"type", b"symlink", b"target"],
        &[b"(", b"type", b"directory", b"entry", b"(", b"name"],
    ];
    for prefix in prefixes {
        for length in [1u64 << 40, u64::MAX, u64::MAX - 7, 1 << 63] {
            let mut verifier = Verifier::new(1 << 30, &Limits::default());
            verifier.push(&archive(prefix)).unwrap();
            let error = verifier.push(&length.to_le_bytes()).unwrap_err();
            assert_eq!(error.offset, archive(prefix).len() as u64);
            assert!(verifier.held.capacity() < 8192);
        }
    }
}

#[test]
fn contents_longer_than_what_is_left() {
    let mut nar = archive(&[b"(", b"type", b"regular", b"contents"]);
    nar.extend_from_slice(&17u64.to_le_bytes());
    nar.extend_from_slice(&[0; 16]);
    assert_eq!(refusal(&nar), Kind::Size { length: 17 });
}

#[test]
fn padding_that_is_not_zero() {
    let nar = Node::directory([(b"name", Node::script(b"12345")), (b"s", Node::symlink(b"abc"))]).nar();
    let at = |mark: &[u8]| nar.windows(mark.len()).position(|bytes| bytes == mark).unwrap();
    let fills =
        [at(b"nix-archive-1") + 13, at(b"12345\0") + 5, at(b"abc\0") + 7, at(b"entry") + 6, nar.len() - 1];
    for at in fills {
        for value in [1, 0x80, b' '] {
            let mut bad = nar.clone();
            assert_eq!(bad[at], 0);
            bad[at] = value;
            assert_eq!(refusal(&bad), Kind::Padding);
            assert_eq!(verify(&bad).unwrap_err().offset, at as u64);
        }
    }
}

#[test]
fn names_that_no_directory_may_hold() {
    assert_eq!(refusal(&named(b"")), Kind::NameEmpty);
    assert_eq!(refusal(&named(b".")), Kind::NameDots);
    assert_eq!(refusal(&named(b"..")), Kind::NameDots);
    assert_eq!(refusal(&named(b"/")), Kind::NameSlash);
    assert_eq!(refusal(&named(b"a/b")), Kind::NameSlash);
    assert_eq!(refusal(&named(b"../etc")), Kind::NameSlash);
    assert_eq!(refusal(&named(b"a\0")), Kind::NameNul);
    assert_eq!(refusal(&named(&[b'n'; 256])), Kind::NameLength { length: 256 });
}

#[test]
fn names_are_bytes() {
    for name in [&b"..."[..], b".a", b"a\nb", b"\xff\xfe", b"~", b" ", &[b'n'; 255]] {
        assert!(verify(&named(name)).is_ok(), "{}", name.escape_ascii());
    }
}

#[test]
fn targets_that_no_symlink_may_have() {
    assert_eq!(refusal(&Node::symlink(b"").nar()), Kind::TargetEmpty);
    assert_eq!(refusal(&Node::symlink(b"a\0b").nar()), Kind::TargetNul);
    assert_eq!(refusal(&Node::symlink(&[b't'; 4096]).nar()), Kind::TargetLength { length: 4096 });
    for target in [&[b't'; 4095][..], b"../../etc", b"/nix/store", b"\xff", b"."] {
        assert!(verify(&Node::symlink(target).nar()).is_ok());
    }
}

#[test]
fn tags_longer_than_any_tag() {
    assert_eq!(refusal(&archive(&[&[b'('; 33]])), Kind::TagLength { length: 33 });
    assert_eq!(refusal(&archive(&[&[b'('; 32]])), tag("("));
    assert_eq!(refusal(&archive(&[b"(", b"type", b"regular\0"])), tag("regular, symlink or directory"));
}

#[test]
fn a_size_above_the_limit() {
    let limits = Limits { nar_size: 111, ..Limits::default() };
    let kind = Kind::TooLarge { limit: 111 };
    let mut verifier = Verifier::new(112, &limits);
    assert_eq!(verifier.push(&Node::file(b"").nar()), Err(NarError { offset: 0, kind: kind.clone() }));
    assert_eq!(Verifier::new(112, &limits).finish(), Err(NarError { offset: 0, kind }));
    let mut verifier = Verifier::new(112, &Limits { nar_size: 112, ..Limits::default() });
    assert_eq!(verifier.push(&Node::file(b"").nar()), Ok(()));
}

#[test]
fn the_first_error_is_final() {
    let mut verifier = Verifier::new(1000, &Limits::default());
    let first = verifier.push(&tokens(&["nix-archive-2"])).unwrap_err();
    assert_eq!(verifier.push(&Node::file(b"").nar()), Err(first.clone()));
    assert_eq!(verifier.push(b""), Err(first.clone()));
    assert_eq!(verifier.finish(), Err(first));
}

#[test]
fn nothing_at_all() {
    assert_eq!(verify(b""), Err(NarError { offset: 0, kind: Kind::Truncated }));
}

#[test]
fn a_push_inside_a_file_is_skipped_not_copied() {
    let contents = vec![0xa5; 1 << 20];
    let nar = Node::file(&contents).nar();
    let mut verifier = Verifier::new(nar.len() as u64, &Limits::default());
    for chunk in nar.chunks(1 << 18) {
        verifier.push(chunk).unwrap();
        assert!(verifier.held.capacity() < 64, "contents were kept");
    }
    verifier.finish().unwrap();
}
