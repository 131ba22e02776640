//! Archives whose hash and size were published or made by Nix 2.8.0.

use sha2::{Digest, Sha256};

use super::super::writer::{Node, tokens};
use super::*;

/// The directory D of the protocol notes.
pub(super) fn sample() -> Node {
    Node::directory([
        (b"a.txt", Node::file(b"hello\n")),
        (b"l", Node::symlink(b"a.txt")),
        (b"sub", Node::directory([(b"z", Node::file(b"z\n"))])),
        (b"x.sh", Node::script(b"#!/bin/sh\n")),
    ])
}

#[test]
fn known_archives_have_their_hash_and_size_and_are_accepted() {
    let regular = NodeKind::Regular { executable: false };
    let vectors = [
        (Node::file(b""), "0ip26j2h11n1kgkz36rl4akv694yz65hr72q4kv4b3lxcbi65b3p", 112, regular, [1, 0, 0]),
        (
            Node::directory([]),
            "0sjjj9z1dhilhpc8pq4154czrb79z9cm044jvn75kxcjv6v5l2m5",
            96,
            NodeKind::Directory,
            [0, 1, 0],
        ),
        (
            Node::symlink(b"x"),
            "1d6zyhr3yvx7xayifvpkf2x46qrym7xllznh96652dkln231x55v",
            120,
            NodeKind::Symlink,
            [0, 0, 1],
        ),
        (
            Node::file(b"flat\n"),
            "1hz895vkrd9mfbmk89rj4i3ax1g1m3sbr4pqdwfa84bzbij5l27n",
            120,
            regular,
            [1, 0, 0],
        ),
        (
            sample(),
            "1jw4bpkfa5gkfw7ng95qfsba9l1j0g325nb3k0dqx4gqnia7rsqn",
            1072,
            NodeKind::Directory,
            [3, 2, 1],
        ),
    ];
    for (tree, hash, nar_size, root, [files, directories, symlinks]) in vectors {
        let nar = tree.nar();
        assert_eq!(reversed(&base32().encode(&Sha256::digest(&nar))), hash);
        assert_eq!(nar.len() as u64, nar_size);
        assert_eq!(verify(&nar), Ok(NarSummary { nar_size, root, files, directories, symlinks }));
    }
}

#[test]
fn the_first_bytes_are_the_magic() {
    let nar = Node::directory([]).nar();
    assert_eq!(&nar[..8], b"\x0d\0\0\0\0\0\0\0");
    assert_eq!(&nar[8..24], b"nix-archive-1\0\0\0");
}

#[test]
fn a_listener_hears_every_node_in_order() {
    #[derive(Default)]
    struct Script(Vec<String>);
    impl Sink for Script {
        fn entry(&mut self, name: &[u8]) {
            self.0.push(format!("entry {}", name.escape_ascii()));
        }
        fn directory_start(&mut self) {
            self.0.push("{".into());
        }
        fn directory_end(&mut self) {
            self.0.push("}".into());
        }
        fn file_start(&mut self, executable: bool, size: u64, offset: u64) {
            self.0.push(format!("file {executable} {size} at {offset}"));
        }
        fn file_bytes(&mut self, bytes: &[u8]) {
            self.0.push(format!("bytes {}", bytes.escape_ascii()));
        }
        fn file_end(&mut self) {
            self.0.push("end".into());
        }
        fn symlink(&mut self, target: &[u8]) {
            self.0.push(format!("-> {}", target.escape_ascii()));
        }
    }
    let tree =
        Node::directory([(b"a", Node::script(b"run")), (b"e", Node::file(b"")), (b"l", Node::symlink(b"a"))]);
    let nar = tree.nar();
    let mut script = Script::default();
    let mut verifier = Verifier::new(nar.len() as u64, &Limits::default());
    verifier.push_with(&nar, &mut script).unwrap();
    assert_eq!(verifier.consumed(), nar.len() as u64);
    verifier.finish().unwrap();
    let contents = nar.windows(3).position(|bytes| bytes == b"run").unwrap();
    // Between the contents of the empty file and the next entry: two `)` and one length.
    let expected = [
        "{".to_owned(),
        "entry a".into(),
        format!("file true 3 at {contents}"),
        "bytes run".into(),
        "end".into(),
        "entry e".into(),
        format!("file false 0 at {}", nar.windows(5).rposition(|bytes| bytes == b"entry").unwrap() - 40),
        "end".into(),
        "entry l".into(),
        "-> a".into(),
        "}".into(),
    ];
    assert_eq!(script.0, expected);
}

#[test]
fn the_shortcut_compares_with_the_tokens_it_stands_for() {
    use super::super::grammar::{CLOSE_CLOSE, ENTRY_OPEN_NAME, NODE_OF_PLAIN_FILE};
    assert_eq!(ENTRY_OPEN_NAME[..], tokens(&["entry", "(", "name"]));
    assert_eq!(NODE_OF_PLAIN_FILE[..], tokens(&["node", "(", "type", "regular", "contents"]));
    assert_eq!(CLOSE_CLOSE[..], tokens(&[")", ")"]));
}
