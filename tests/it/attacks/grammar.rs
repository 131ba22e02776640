//! NARs that abuse Nix's laxer parser, signed as they are: hash and size agree, so only the strict parser stands
//! between them and a client that unpacks as root while it downloads.

use super::{delivers_nothing, is_served, never_completes};
use crate::support::nar::{Node, token};
use crate::support::party::{Package, noise};
use crate::support::scene::{LARGE, Scene};

/// A NAR that somebody signed as it is.
fn signed(nar: Vec<u8>) -> Scene {
    Scene::of("none", Package::of_nar("thing-1.0", nar, &[]))
}

fn file() -> Node {
    Node::File(b"contents".to_vec())
}

/// The honest tree is served and the other is not: neither alone, nor behind megabytes that are streamed, of which
/// nothing leaves from the first bad byte on.
fn only_the_first(what: &str, honest: &[(&str, Node)], bad: &[(&str, Node)]) {
    let small = |entries| signed(Node::directory(entries).nar());
    is_served(&small(honest), what);
    delivers_nothing(&small(bad), what);
    let large = |entries: &[(&str, Node)]| {
        let padding = ("-", Node::File(noise(5, LARGE)));
        let inner = ("a", Node::directory(entries));
        signed(Node::directory(&[padding, inner]).nar())
    };
    is_served(&large(honest), what);
    let sent = never_completes(&large(bad), what);
    assert!(sent < LARGE + 500, "{what}: {sent} bytes left");
}

/// Entries out of order: two parsers may see two trees. Without the order of entries, it is served.
#[test]
fn unsorted_names() {
    only_the_first("unsorted names", &[("a", file()), ("b", file())], &[("b", file()), ("a", file())]);
}

/// A name twice: first a symlink, then a file that is written through it. Without the order of entries, it is served.
#[test]
fn a_name_twice() {
    let link = || Node::Link(b"/etc");
    only_the_first("a name twice", &[("a", link()), ("b", file())], &[("a", link()), ("a", file())]);
}

/// Names that lead out of the store path. Without the rule for names, `..` is served.
#[test]
fn names_that_lead_elsewhere() {
    for name in ["..", ".", "", "../x", "a/b", "/", "/etc/passwd"] {
        only_the_first(name, &[("...", file())], &[(name, file())]);
    }
}

/// A NUL in a name or target, where C stops reading. Without the rule for names, it is served.
#[test]
fn nul_in_names_and_targets() {
    only_the_first("NUL in a name", &[("ab", file())], &[("a\0b", file())]);
    only_the_first("NUL in a target", &[("a", Node::Link(b"xy"))], &[("a", Node::Link(b"x\0y"))]);
    only_the_first("no target", &[("a", Node::Link(b"x"))], &[("a", Node::Link(b""))]);
}

/// Names and targets longer than a file system holds.
#[test]
fn names_that_are_too_long() {
    let (most, more) = ("n".repeat(255), "n".repeat(256));
    only_the_first("a long name", &[(&most, file())], &[(&more, file())]);
    let target = |length| Node::Link(vec![b't'; length].leak());
    only_the_first("a long target", &[("a", target(4095))], &[("a", target(4096))]);
}

/// Directories inside directories, until a parser that calls itself runs out of stack. Without the limit on levels,
/// it is served.
#[test]
fn deep_nesting() {
    is_served(&signed(Node::nested(63).nar()), "64 levels");
    for levels in [64, 65, 2_000] {
        delivers_nothing(&signed(Node::nested(levels).nar()), "too deep");
    }
}

/// Padding that is not zero, which a lax parser skips: room for what nobody hashes the same. Without the look at
/// padding, it is served.
#[test]
fn padding_that_is_not_zero() {
    let honest = Node::File(b"x".to_vec()).nar();
    is_served(&signed(honest.clone()), "padding");
    let contents = honest.windows(9).position(|w| w == b"\x01\0\0\0\0\0\0\0x").unwrap() + 8;
    for place in 1..8 {
        let mut bad = honest.clone();
        bad[contents + place] = b'!';
        delivers_nothing(&signed(bad), "padding");
    }
}

/// Bytes after the last parenthesis, signed with the rest.
#[test]
fn signed_bytes_after_the_end() {
    for more in [&[0; 8][..], b"\x01\0\0\0\0\0\0\0(\0\0\0\0\0\0\0", &[0xff; 8]] {
        delivers_nothing(&signed([&file().nar()[..], more].concat()), "bytes after the end");
    }
    let twice = [file().nar(), file().nar()].concat();
    delivers_nothing(&signed(twice), "two NARs");
    let large = Node::File(noise(6, LARGE)).nar();
    is_served(&signed(large.clone()), "a large file");
    never_completes(&signed([large, vec![0; 8]].concat()), "bytes after the end of a large one");
}

/// Tokens that older or other parsers know, skip or read in another order.
#[test]
fn words_that_are_no_nar() {
    let words = |all: &[&[u8]]| {
        let mut nar = Vec::new();
        all.iter().for_each(|word| token(&mut nar, word));
        nar
    };
    let (magic, open, kind, close) = (&b"nix-archive-1"[..], &b"("[..], &b"type"[..], &b")"[..]);
    let (regular, contents, executable) = (&b"regular"[..], &b"contents"[..], &b"executable"[..]);
    is_served(&signed(words(&[magic, open, kind, regular, executable, b"", contents, b"x", close])), "words");
    for bad in [
        words(&[magic, open, kind, regular, executable, b"yes", contents, b"x", close]),
        words(&[magic, open, kind, regular, contents, b"x", executable, b"", close]),
        words(&[magic, open, kind, regular, contents, b"x", contents, b"y", close]),
        words(&[magic, open, kind, regular, kind, b"directory", close]),
        words(&[magic, open, kind, b"fifo", close]),
        words(&[b"nix-archive-2", open, kind, regular, contents, b"x", close]),
        words(&[magic, open, kind, regular, contents, b"x"]),
        words(&[magic, open, close]),
        b"<html>It works!</html>".to_vec(),
        vec![0; 4096],
    ] {
        delivers_nothing(&signed(bad), "words");
    }
}

/// Lengths up to the largest number: a parser that allocates what it is told dies.
#[test]
fn huge_lengths() {
    let honest = Node::File(vec![7; 64]).nar();
    is_served(&signed(honest.clone()), "a length");
    for at in [0, 24, 40, honest.len() - 64 - 24] {
        for length in [u64::MAX, u64::MAX - 7, i64::MAX as u64, 1 << 40, 65] {
            let mut bad = honest.clone();
            bad[at..at + 8].copy_from_slice(&length.to_le_bytes());
            delivers_nothing(&signed(bad), "a length");
        }
    }
}
