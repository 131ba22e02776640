//! Trees on a real file system, written as NARs: those that a NAR can hold come out as the parser wants them,
//! the others are refused by name.

use super::super::dump::{DumpError, DumpErrorKind, dump};
use crate::format::nar::writer::{Node, any_tree, noise};
use proptest::prelude::*;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Makes the tree at a path.
fn make(tree: &Node, at: &Path) {
    match tree {
        Node::Directory(entries) => {
            fs::create_dir(at).unwrap();
            for (name, node) in entries {
                make(node, &at.join(OsStr::from_bytes(name)));
            }
        }
        Node::File { executable, contents } => {
            fs::write(at, contents).unwrap();
            let mode = if *executable { 0o555 } else { 0o444 };
            fs::set_permissions(at, fs::Permissions::from_mode(mode)).unwrap();
        }
        Node::Symlink(target) => symlink(OsStr::from_bytes(target), at).unwrap(),
    }
}

/// The NAR of a tree by way of the file system.
fn through_files(tree: &Node) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("tree");
    make(tree, &at);
    let mut nar = Vec::new();
    let size = dump(&at, &mut nar).unwrap();
    assert_eq!(size, nar.len() as u64);
    nar
}

fn fails(at: &Path) -> DumpError {
    dump(at, &mut io::sink()).unwrap_err()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn any_tree_comes_out_as_it_is(tree in any_tree()) {
        prop_assert_eq!(through_files(&tree), tree.nar());
    }
}

#[test]
fn files_of_every_size_around_the_buffers() {
    const K: usize = 1 << 10;
    let edges = [0, 1, 7, 8, 9, 64 * K, 128 * K, 192 * K, 256 * K, 512 * K];
    for edge in edges {
        // A NAR's frames move the place in the buffer at which contents begin.
        for size in [edge.saturating_sub(224), edge.saturating_sub(1), edge, edge + 1, edge + 160] {
            let file = Node::file(&noise(size));
            assert_eq!(through_files(&file), file.nar(), "{size}");
        }
    }
    let many =
        Node::Directory((0..300).map(|n| (format!("{n:05}").into(), Node::script(&noise(n * 20)))).collect());
    assert_eq!(through_files(&many), many.nar());
}

#[test]
fn a_directory_larger_than_one_listing() {
    let entries = (0..400).map(|n| (format!("{n:0200}").into_bytes(), Node::file(b""))).collect();
    let tree = Node::Directory(entries);
    assert_eq!(through_files(&tree), tree.nar());
}

#[test]
fn only_the_owner_may_make_a_file_executable() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("f");
    fs::write(&at, "x").unwrap();
    for (mode, tree) in [(0o455, Node::file(b"x")), (0o544, Node::script(b"x")), (0o4500, Node::script(b"x"))]
    {
        fs::set_permissions(&at, fs::Permissions::from_mode(mode)).unwrap();
        let mut nar = Vec::new();
        dump(&at, &mut nar).unwrap();
        assert_eq!(nar, tree.nar(), "{mode:o}");
    }
}

#[test]
fn symlinks_are_what_they_say() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("outside")).unwrap();
    let root = dir.path().join("link");
    symlink("outside", &root).unwrap();
    let mut nar = Vec::new();
    dump(&root, &mut nar).unwrap();
    assert_eq!(nar, Node::symlink(b"outside").nar());
    let long = Node::symlink("t".repeat(4095).as_bytes());
    assert_eq!(through_files(&long), long.nar());
}

#[test]
fn nesting_below_the_limit() {
    assert_eq!(through_files(&Node::nested(64)), Node::nested(64).nar());
    for deep in [Node::nested(65), Node::Directory(vec![(b"f".to_vec(), Node::nested(64))])] {
        let dir = tempfile::tempdir().unwrap();
        make(&deep, &dir.path().join("tree"));
        assert!(matches!(fails(&dir.path().join("tree")).kind, DumpErrorKind::Depth { limit: 64 }));
    }
}

#[test]
fn what_is_no_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("a/b");
    fs::create_dir_all(&inner).unwrap();
    let odd = inner.join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&odd).unwrap();
    let error = fails(dir.path());
    assert!(matches!(error.kind, DumpErrorKind::FileType));
    assert_eq!(error.path, odd);
    assert!(matches!(fails(&odd).kind, DumpErrorKind::FileType));
    assert!(matches!(fails(Path::new("/dev/null")).kind, DumpErrorKind::FileType));
    // A pipe that nobody writes to must not be waited for.
    fs::remove_file(&odd).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &odd, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(matches!(fails(dir.path()).kind, DumpErrorKind::FileType));
}

#[test]
fn what_is_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = fails(&dir.path().join("none"));
    assert!(matches!(&error.kind, DumpErrorKind::Read(e) if e.kind() == io::ErrorKind::NotFound));
    assert!(error.to_string().contains("/none: "), "{error}");
    assert!(matches!(fails(Path::new(OsStr::from_bytes(b"/a\0b"))).kind, DumpErrorKind::Name));
}

/// Does something to a tree when the first piece of its NAR is written.
struct Meddling<F>(Option<F>);

impl<F: FnOnce()> Write for Meddling<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(meddle) = self.0.take() {
            meddle();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_that_grows_or_shrinks() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("f");
    for size in [1 << 20, (2 << 20) + 1, 0] {
        fs::write(&at, noise(1 << 20)).unwrap();
        let file = File::options().write(true).open(&at).unwrap();
        let changed = dump(&at, &mut Meddling(Some(|| file.set_len(size).unwrap())));
        match size {
            0x10_0000 => assert!(changed.is_ok()),
            _ => assert!(matches!(changed.unwrap_err().kind, DumpErrorKind::Changed), "{size}"),
        }
    }
}

#[test]
fn a_directory_swapped_for_a_symlink_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
    fs::create_dir_all(tree.join("b")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    fs::write(tree.join("a"), noise(1 << 20)).unwrap();
    fs::write(tree.join("c"), "c").unwrap();
    // While `a` is written, what was listed as a directory and as a file become symlinks.
    let swap = || {
        fs::remove_dir(tree.join("b")).unwrap();
        symlink(&outside, tree.join("b")).unwrap();
    };
    let error = dump(&tree, &mut Meddling(Some(swap))).unwrap_err();
    assert!(matches!(error.kind, DumpErrorKind::Changed), "{error}");
    assert_eq!(error.path, tree.join("b"));
    fs::remove_file(tree.join("b")).unwrap();
    let swap = || {
        fs::remove_file(tree.join("c")).unwrap();
        symlink(outside.join("secret"), tree.join("c")).unwrap();
    };
    let error = dump(&tree, &mut Meddling(Some(swap))).unwrap_err();
    assert!(matches!(error.kind, DumpErrorKind::Changed), "{error}");
    assert_eq!(error.path, tree.join("c"));
}

#[test]
fn a_writer_that_fails_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("f");
    for size in [0, 1 << 20] {
        fs::write(&at, noise(size)).unwrap();
        let mut full = [0; 10];
        let error = dump(&at, &mut &mut full[..]).unwrap_err();
        assert!(matches!(error.kind, DumpErrorKind::Write(_)));
    }
}
