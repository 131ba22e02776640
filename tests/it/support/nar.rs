//! NARs of any shape, also such as no honest writer makes.

/// A file system object.
#[derive(Clone, Debug)]
pub enum Node {
    File(Vec<u8>),
    Link(&'static [u8]),
    Directory(Vec<(Vec<u8>, Self)>),
}

impl Node {
    /// A directory with these entries, in this order.
    pub fn directory(entries: &[(&str, Self)]) -> Self {
        Self::Directory(entries.iter().map(|(name, node)| (name.as_bytes().to_vec(), node.clone())).collect())
    }

    /// A file inside so many directories.
    pub fn nested(levels: usize) -> Self {
        (0..levels).fold(Self::File(b"deep".to_vec()), |inner, _| Self::directory(&[("d", inner)]))
    }

    /// Its NAR, nothing checked.
    pub fn nar(&self) -> Vec<u8> {
        let mut nar = Vec::new();
        token(&mut nar, b"nix-archive-1");
        self.write(&mut nar);
        nar
    }

    fn write(&self, nar: &mut Vec<u8>) {
        token(nar, b"(");
        token(nar, b"type");
        match self {
            Self::File(contents) => {
                token(nar, b"regular");
                token(nar, b"contents");
                token(nar, contents);
            }
            Self::Link(target) => {
                token(nar, b"symlink");
                token(nar, b"target");
                token(nar, target);
            }
            Self::Directory(entries) => {
                token(nar, b"directory");
                for (name, node) in entries {
                    for word in [&b"entry"[..], b"(", b"name", name, b"node"] {
                        token(nar, word);
                    }
                    node.write(nar);
                    token(nar, b")");
                }
            }
        }
        token(nar, b")");
    }
}

/// One string of a NAR: its length, its bytes, padding.
pub fn token(nar: &mut Vec<u8>, bytes: &[u8]) {
    nar.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    nar.extend_from_slice(bytes);
    nar.resize(nar.len().next_multiple_of(8), 0);
}
