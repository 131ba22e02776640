//! What is written has the published hashes, and the parser takes it.

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::super::encode;
use super::super::writer::{Node, any_tree};
use super::*;

/// The archive of a tree, framed by the functions under test.
fn nar(tree: &Node) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, 0, encode::magic);
    node(tree, &mut out);
    out
}

fn node(tree: &Node, out: &mut Vec<u8>) {
    match tree {
        Node::Directory(entries) => {
            frame(out, 0, encode::directory_start);
            for (name, inner) in entries {
                frame(out, name.len(), |out| encode::entry_start(out, name));
                node(inner, out);
                frame(out, 0, encode::entry_end);
            }
            frame(out, 0, encode::directory_end);
        }
        Node::File { executable, contents } => {
            let size = contents.len() as u64;
            frame(out, 0, |out| encode::file_start(out, *executable, size));
            out.extend_from_slice(contents);
            frame(out, 0, |out| encode::file_end(out, size));
        }
        Node::Symlink(target) => frame(out, target.len(), |out| encode::symlink(out, target)),
    }
}

/// Appends, and checks that it is no more than the promised bytes beside those of a name or target.
fn frame(out: &mut Vec<u8>, given: usize, append: impl FnOnce(&mut Vec<u8>)) {
    let begun = out.len();
    append(out);
    assert!(out.len().saturating_sub(begun) <= encode::FRAME_MAX.saturating_add(given));
}

#[test]
fn known_archives() {
    let vectors = [
        (Node::file(b""), "0ip26j2h11n1kgkz36rl4akv694yz65hr72q4kv4b3lxcbi65b3p", 112),
        (Node::directory([]), "0sjjj9z1dhilhpc8pq4154czrb79z9cm044jvn75kxcjv6v5l2m5", 96),
        (Node::symlink(b"x"), "1d6zyhr3yvx7xayifvpkf2x46qrym7xllznh96652dkln231x55v", 120),
        (Node::file(b"flat\n"), "1hz895vkrd9mfbmk89rj4i3ax1g1m3sbr4pqdwfa84bzbij5l27n", 120),
        (vectors::sample(), "1jw4bpkfa5gkfw7ng95qfsba9l1j0g325nb3k0dqx4gqnia7rsqn", 1072),
    ];
    for (tree, hash, size) in vectors {
        let nar = nar(&tree);
        assert_eq!(nar.len(), size);
        assert_eq!(reversed(&base32().encode(&Sha256::digest(&nar))), hash);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_is_framed_as_the_parser_wants_it(tree in any_tree()) {
        let nar = nar(&tree);
        prop_assert!(verify(&nar).is_ok());
        prop_assert_eq!(nar, tree.nar());
    }
}
