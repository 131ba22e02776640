//! Which token may follow which. Sees whole tokens only; it knows neither chunks nor offsets.

use super::levels::Levels;
use super::{Limits, NarErrorKind, NodeKind, Sink};

/// The place in the grammar, the open directories, and what was counted so far.
#[derive(Debug)]
pub(super) struct Grammar {
    expect: Expect,
    /// Whether the file about to begin was marked executable.
    executable: bool,
    levels: Levels,
    depth_limit: usize,
    root: Option<NodeKind>,
    tally: Tally,
}

/// What the next token must be, as far as its length can tell.
#[derive(Clone, Copy, Debug)]
pub(super) enum Want {
    Contents { executable: bool },
    Empty,
    Name,
    Tag,
    Target,
}

/// Nodes counted by kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) files: u64,
    pub(super) directories: u64,
    pub(super) symlinks: u64,
}

/// The token that is due, in the order in which a tree of one of each meets them.
#[derive(Clone, Copy, Debug)]
enum Expect {
    Magic,
    Open,
    TypeTag,
    Type,
    ExecutableOrContents,
    ExecutableValue,
    ContentsTag,
    Contents,
    TargetTag,
    Target,
    NodeClose,
    EntryOrClose,
    EntryOpen,
    NameTag,
    Name,
    NodeTag,
    EntryClose,
    Nothing,
}

impl Grammar {
    pub(super) fn new(depth_limit: usize) -> Self {
        Self {
            expect: Expect::Magic,
            executable: false,
            levels: Levels::default(),
            depth_limit,
            root: None,
            tally: Tally::default(),
        }
    }

    /// The kind of the root, once its last token was accepted.
    #[inline]
    pub(super) fn finished(&self) -> Option<NodeKind> {
        if matches!(self.expect, Expect::Nothing) { self.root } else { None }
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    #[inline]
    pub(super) fn want(&self) -> Want {
        match self.expect {
            Expect::Contents => Want::Contents { executable: self.executable },
            Expect::ExecutableValue => Want::Empty,
            Expect::Name => Want::Name,
            Expect::Target => Want::Target,
            Expect::Magic
            | Expect::Open
            | Expect::TypeTag
            | Expect::Type
            | Expect::ExecutableOrContents
            | Expect::ContentsTag
            | Expect::TargetTag
            | Expect::NodeClose
            | Expect::EntryOrClose
            | Expect::EntryOpen
            | Expect::NameTag
            | Expect::NodeTag
            | Expect::EntryClose
            | Expect::Nothing => Want::Tag,
        }
    }

    /// Takes a whole token other than file contents.
    #[inline]
    pub(super) fn text<S: Sink>(&mut self, text: &[u8], sink: &mut S) -> Result<(), NarErrorKind> {
        self.expect = match self.expect {
            Expect::Magic => tag(text, "nix-archive-1", Expect::Open)?,
            Expect::Open => tag(text, "(", Expect::TypeTag)?,
            Expect::TypeTag => tag(text, "type", Expect::Type)?,
            Expect::Type => match text {
                b"directory" => self.enter(sink),
                b"regular" => Expect::ExecutableOrContents,
                b"symlink" => Expect::TargetTag,
                _ => return Err(due("regular, symlink or directory")),
            },
            Expect::ExecutableOrContents => match text {
                b"contents" => self.file(false),
                b"executable" => Expect::ExecutableValue,
                _ => return Err(due("executable or contents")),
            },
            Expect::ExecutableValue => tag(text, "", Expect::ContentsTag)?,
            Expect::ContentsTag => {
                tag(text, "contents", Expect::Contents)?;
                self.file(true)
            }
            // Contents never come here whole: they are skipped, see `contents_read`.
            Expect::Contents => return Err(due("contents")),
            Expect::TargetTag => tag(text, "target", Expect::Target)?,
            Expect::Target => self.symlink(text, sink)?,
            Expect::NodeClose => {
                tag(text, ")", Expect::Nothing)?;
                self.node_closed()
            }
            Expect::EntryOrClose => match text {
                b"entry" => self.descend()?,
                b")" => self.leave(sink),
                _ => return Err(due("entry or )")),
            },
            Expect::EntryOpen => tag(text, "(", Expect::NameTag)?,
            Expect::NameTag => tag(text, "name", Expect::Name)?,
            Expect::Name => {
                self.levels.admit(text)?;
                sink.entry(text);
                Expect::NodeTag
            }
            Expect::NodeTag => tag(text, "node", Expect::Open)?,
            Expect::EntryClose => tag(text, ")", Expect::EntryOrClose)?,
            Expect::Nothing => return Err(NarErrorKind::Trailing),
        };
        Ok(())
    }

    /// Takes, in one comparison, the tokens that nearly always come next; returns their length.
    ///
    /// Only a shortcut: what it takes, [`text`](Self::text) would take one by one, and whatever it does not
    /// know is left to that.
    #[inline]
    pub(super) fn leap(&mut self, input: &[u8]) -> Option<usize> {
        if matches!(self.expect, Expect::EntryOrClose) && self.levels.depth() < self.depth_limit {
            input.first_chunk().filter(|bytes| *bytes == ENTRY_OPEN_NAME)?;
            self.expect = Expect::Name;
            return Some(ENTRY_OPEN_NAME.len());
        }
        if matches!(self.expect, Expect::NodeTag) {
            input.first_chunk().filter(|bytes| *bytes == NODE_OF_PLAIN_FILE)?;
            self.expect = self.file(false);
            return Some(NODE_OF_PLAIN_FILE.len());
        }
        if matches!(self.expect, Expect::NodeClose) && self.levels.depth() > 0 {
            input.first_chunk().filter(|bytes| *bytes == CLOSE_CLOSE)?;
            self.expect = Expect::EntryOrClose;
            return Some(CLOSE_CLOSE.len());
        }
        None
    }

    /// Notes that the contents of a file were read to their end.
    #[inline]
    pub(super) fn contents_read(&mut self) {
        self.expect = Expect::NodeClose;
    }

    fn file(&mut self, executable: bool) -> Expect {
        self.executable = executable;
        self.tally.files = self.tally.files.saturating_add(1);
        self.root.get_or_insert(NodeKind::Regular { executable });
        Expect::Contents
    }

    fn symlink<S: Sink>(&mut self, target: &[u8], sink: &mut S) -> Result<Expect, NarErrorKind> {
        if target.contains(&0) {
            return Err(NarErrorKind::TargetNul);
        }
        self.tally.symlinks = self.tally.symlinks.saturating_add(1);
        self.root.get_or_insert(NodeKind::Symlink);
        sink.symlink(target);
        Ok(Expect::NodeClose)
    }

    fn enter<S: Sink>(&mut self, sink: &mut S) -> Expect {
        self.levels.enter();
        self.tally.directories = self.tally.directories.saturating_add(1);
        self.root.get_or_insert(NodeKind::Directory);
        sink.directory_start();
        Expect::EntryOrClose
    }

    /// An entry's node lies one level below the directories that are open.
    fn descend(&self) -> Result<Expect, NarErrorKind> {
        if self.levels.depth() >= self.depth_limit {
            return Err(NarErrorKind::Depth { limit: self.depth_limit });
        }
        Ok(Expect::EntryOpen)
    }

    fn leave<S: Sink>(&mut self, sink: &mut S) -> Expect {
        self.levels.leave();
        sink.directory_end();
        self.node_closed()
    }

    fn node_closed(&self) -> Expect {
        if self.levels.depth() == 0 { Expect::Nothing } else { Expect::EntryClose }
    }
}

impl Want {
    /// Judges a length before any of its bytes are kept.
    #[inline]
    pub(super) fn bound(self, length: u64, limits: &Limits) -> Result<(), NarErrorKind> {
        let over = |limit: usize| u64::try_from(limit).is_ok_and(|limit| length > limit);
        match self {
            Self::Empty if length != 0 => Err(NarErrorKind::ExecutableValue { length }),
            Self::Name if length == 0 => Err(NarErrorKind::NameEmpty),
            Self::Name if over(limits.name) => Err(NarErrorKind::NameLength { length }),
            Self::Tag if over(TAG_LIMIT) => Err(NarErrorKind::TagLength { length }),
            Self::Target if length == 0 => Err(NarErrorKind::TargetEmpty),
            Self::Target if over(limits.target) => Err(NarErrorKind::TargetLength { length }),
            Self::Contents { .. } | Self::Empty | Self::Name | Self::Tag | Self::Target => Ok(()),
        }
    }
}

/// Bytes in a token that must be a tag; Nix 2.35 has the same bound. The longest real one has 13.
const TAG_LIMIT: usize = 32;

#[inline]
fn tag(found: &[u8], expected: &'static str, next: Expect) -> Result<Expect, NarErrorKind> {
    if found == expected.as_bytes() { Ok(next) } else { Err(due(expected)) }
}

#[cold]
fn due(expected: &'static str) -> NarErrorKind {
    NarErrorKind::Tag { expected }
}

/// `entry`, `(`, `name`.
pub(super) const ENTRY_OPEN_NAME: &[u8; 48] =
    b"\x05\0\0\0\0\0\0\0entry\0\0\0\x01\0\0\0\0\0\0\0(\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0name\0\0\0\0";

/// `node`, `(`, `type`, `regular`, `contents`.
pub(super) const NODE_OF_PLAIN_FILE: &[u8; 80] =
    b"\x04\0\0\0\0\0\0\0node\0\0\0\0\x01\0\0\0\0\0\0\0(\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0type\0\0\0\0\
      \x07\0\0\0\0\0\0\0regular\0\x08\0\0\0\0\0\0\0contents";

/// `)` of a node and `)` of its entry.
pub(super) const CLOSE_CLOSE: &[u8; 32] =
    b"\x01\0\0\0\0\0\0\0)\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0)\0\0\0\0\0\0\0";
