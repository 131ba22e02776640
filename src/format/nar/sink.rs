//! What the parser tells a listener. The listener is not asked: it can neither change nor stop a verdict.

/// Hears what a NAR holds while it is being accepted.
///
/// Every method does nothing unless it is overridden. Events describe a prefix that was accepted; only
/// [`Verifier::finish`](super::Verifier::finish) says that the whole NAR was.
pub trait Sink {
    /// The next node is an entry called `name` of the innermost open directory. The root has no entry.
    fn entry(&mut self, name: &[u8]) {
        let _ = name;
    }

    /// A directory begins; the entries up to its end are its own.
    fn directory_start(&mut self) {}

    /// The innermost open directory ends.
    fn directory_end(&mut self) {}

    /// A regular file of `size` bytes begins, its contents at `offset` of the NAR.
    fn file_start(&mut self, executable: bool, size: u64, offset: u64) {
        let _ = (executable, size, offset);
    }

    /// The next bytes of the open file, as they were pushed; never empty.
    fn file_bytes(&mut self, bytes: &[u8]) {
        let _ = bytes;
    }

    /// The open file has had all its bytes.
    fn file_end(&mut self) {}

    /// A symlink to `target`.
    fn symlink(&mut self, target: &[u8]) {
        let _ = target;
    }
}

/// Hears nothing.
impl Sink for () {}

/// The three things a NAR can hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A regular file.
    Regular {
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A symlink.
    Symlink,
}
