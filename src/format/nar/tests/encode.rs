//! What is written has the published hashes, and the parser takes it.

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::super::encode;
use super::super::writer::{Node, any_tree};
use super::*;

/// The archive of a tree, framed by the functions under test.
fn nar(tree: &Node) -> Vec<u8> {
    let mut out = Vec::new();
    encode::magic(&mut out);
    node(tree, &mut out);
    out
}

fn node(tree: &Node, out: &mut Vec<u8>) {
    let begun = out.len();
    match tree {
        Node::Directory(entries) => {
            encode::directory_start(out);
            assert!(out.len() - begun <= encode::FRAME_MAX);
            for (name, inner) in entries {
                let before = out.len();
                encode::entry_start(out, name);
                assert!(out.len() - before <= encode::FRAME_MAX + name.len());
                node(inner, out);
                encode::entry_end(out);
            }
            encode::directory_end(out);
        }
        Node::File { executable, contents } => {
            encode::file_start(out, *executable, contents.len() as u64);
            assert!(out.len() - begun <= encode::FRAME_MAX);
            out.extend_from_slice(contents);
            let before = out.len();
            encode::file_end(out, contents.len() as u64);
            assert!(out.len() - before <= encode::FRAME_MAX);
        }
        Node::Symlink(target) => {
            encode::symlink(out, target);
            assert!(out.len() - begun <= encode::FRAME_MAX + target.len());
        }
    }
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
