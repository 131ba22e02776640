//! Makes NARs for tests: correct ones from a tree, and wrong ones token by token. Not part of the program:
//! what it uploads comes from the Nix daemon.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// A tree to archive. Entries are written in the order given, right or wrong.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Directory(Vec<(Vec<u8>, Self)>),
    File { executable: bool, contents: Vec<u8> },
    Symlink(Vec<u8>),
}

impl Node {
    pub(crate) fn file(contents: &[u8]) -> Self {
        Self::File { executable: false, contents: contents.to_vec() }
    }

    pub(crate) fn script(contents: &[u8]) -> Self {
        Self::File { executable: true, contents: contents.to_vec() }
    }

    pub(crate) fn symlink(target: &[u8]) -> Self {
        Self::Symlink(target.to_vec())
    }

    pub(crate) fn directory<const N: usize>(entries: [(&[u8], Self); N]) -> Self {
        Self::Directory(entries.into_iter().map(|(name, node)| (name.to_vec(), node)).collect())
    }

    /// Directories nested so that the innermost is on level `levels`, the root being level one.
    pub(crate) fn nested(levels: usize) -> Self {
        (1..levels).fold(Self::directory([]), |inner, _| Self::directory([(b"d", inner)]))
    }

    /// The archive of this tree.
    pub(crate) fn nar(&self) -> Vec<u8> {
        let mut nar = tokens(&[b"nix-archive-1"]);
        nar.extend(tokens(&self.tokens()));
        nar
    }

    /// The tokens of this node, parentheses included.
    pub(crate) fn tokens(&self) -> Vec<&[u8]> {
        let mut all: Vec<&[u8]> = vec![b"(", b"type"];
        match self {
            Self::Directory(entries) => {
                all.push(b"directory");
                for (name, node) in entries {
                    all.extend([&b"entry"[..], b"(", b"name", name, b"node"]);
                    all.extend(node.tokens());
                    all.push(b")");
                }
            }
            Self::File { executable: false, contents } => {
                all.extend([&b"regular"[..], b"contents", contents])
            }
            Self::File { executable: true, contents } => {
                all.extend([&b"regular"[..], b"executable", b"", b"contents", contents]);
            }
            Self::Symlink(target) => all.extend([&b"symlink"[..], b"target", target]),
        }
        all.push(b")");
        all
    }
}

/// Frames each token with its length and zero padding.
pub(crate) fn tokens<T: AsRef<[u8]>>(tokens: &[T]) -> Vec<u8> {
    let mut out = Vec::new();
    for token in tokens {
        let token = token.as_ref();
        out.extend_from_slice(&(token.len() as u64).to_le_bytes());
        out.extend_from_slice(token);
        out.resize(out.len().next_multiple_of(8), 0);
    }
    out
}

/// Bytes that do not compress well and are the same on every run.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(step).collect();
    bytes.truncate(len);
    bytes
}

/// Bytes that compress about threefold, like program text.
pub(crate) fn text(len: usize) -> Vec<u8> {
    let words: Vec<Vec<u8>> = noise(4096).chunks(7).map(<[u8]>::to_vec).collect();
    let order = noise(len.max(8));
    let mut bytes: Vec<u8> = order
        .chunks(2)
        .flat_map(|pick| words[pick.iter().map(|b| usize::from(*b)).sum::<usize>()].clone())
        .collect();
    bytes.truncate(len);
    bytes
}

/// Any correct tree, with names that Nix allows but that are not UTF-8 among them.
pub(crate) fn any_tree() -> impl Strategy<Value = Node> {
    let name = vec(any::<u8>().prop_map(|b| if b == 0 || b == b'/' { b'.' } else { b }), 1..12)
        .prop_filter("a dot name", |name| name != b"." && name != b"..");
    let target = vec(1u8..=255, 1..40);
    let leaf = prop_oneof![
        (any::<bool>(), vec(any::<u8>(), 0..200))
            .prop_map(|(executable, contents)| Node::File { executable, contents }),
        target.prop_map(Node::Symlink),
        Just(Node::Directory(Vec::new())),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        btree_map(name.clone(), inner, 0..6)
            .prop_map(|entries| Node::Directory(entries.into_iter().collect()))
    })
}
