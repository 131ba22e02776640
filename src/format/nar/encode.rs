//! The other direction: the bytes that frame a tree's names, contents and targets in a NAR.
//!
//! The caller walks the tree and appends, in this order, to one buffer: [`magic`] once, then a node. A file is
//! [`file_start`], exactly its size of contents, [`file_end`]; a directory is [`directory_start`], its entries,
//! [`directory_end`]; an entry is [`entry_start`], a node, [`entry_end`]; a symlink is one call. That names ascend
//! and that sizes are kept to is the caller's to see to: the parser in this module says whether it did.

use super::grammar::{CLOSE_CLOSE, ENTRY_OPEN_NAME, NODE_OF_PLAIN_FILE};
use super::padding_of;

/// The longest that any of these calls appends beside the name or target that it is given, in bytes.
pub const FRAME_MAX: usize = 160;

/// What every NAR begins with.
pub fn magic(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\x0d\0\0\0\0\0\0\0nix-archive-1\0\0\0");
}

/// A regular file up to its contents, of which `size` bytes must follow.
pub fn file_start(out: &mut Vec<u8>, executable: bool, size: u64) {
    if executable {
        out.extend_from_slice(EXECUTABLE_FILE);
    } else {
        let (_, file) = NODE_OF_PLAIN_FILE.split_at(NODE.len());
        out.extend_from_slice(file);
    }
    out.extend_from_slice(&size.to_le_bytes());
}

/// What follows the contents of a regular file of `size` bytes.
pub fn file_end(out: &mut Vec<u8>, size: u64) {
    padding(out, size);
    out.extend_from_slice(CLOSE);
}

/// A symlink, whole.
pub fn symlink(out: &mut Vec<u8>, target: &[u8]) {
    out.extend_from_slice(SYMLINK);
    token(out, target);
    out.extend_from_slice(CLOSE);
}

/// A directory up to its first entry.
pub fn directory_start(out: &mut Vec<u8>) {
    out.extend_from_slice(DIRECTORY);
}

/// What follows the last entry of a directory.
pub fn directory_end(out: &mut Vec<u8>) {
    out.extend_from_slice(CLOSE);
}

/// An entry up to its node.
pub fn entry_start(out: &mut Vec<u8>, name: &[u8]) {
    out.extend_from_slice(ENTRY_OPEN_NAME);
    token(out, name);
    out.extend_from_slice(NODE);
}

/// What follows the node of an entry.
pub fn entry_end(out: &mut Vec<u8>) {
    out.extend_from_slice(CLOSE);
}

/// The length of `text`, its bytes and the padding.
fn token(out: &mut Vec<u8>, text: &[u8]) {
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text);
    padding(out, length);
}

fn padding(out: &mut Vec<u8>, length: u64) {
    let (zeros, _) = super::split(&[0; 8], usize::from(padding_of(length)));
    out.extend_from_slice(zeros);
}

/// `)`, half of what closes a node and its entry.
const CLOSE: &[u8] = CLOSE_CLOSE.split_at(16).0;

/// `node`
const NODE: &[u8] = NODE_OF_PLAIN_FILE.split_at(16).0;

/// `(`, `type`, `directory`.
const DIRECTORY: &[u8] = b"\x01\0\0\0\0\0\0\0(\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0type\0\0\0\0\
      \x09\0\0\0\0\0\0\0directory\0\0\0\0\0\0\0";

/// `(`, `type`, `symlink`, `target`.
const SYMLINK: &[u8] = b"\x01\0\0\0\0\0\0\0(\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0type\0\0\0\0\
      \x07\0\0\0\0\0\0\0symlink\0\x06\0\0\0\0\0\0\0target\0\0";

/// `(`, `type`, `regular`, `executable`, the empty string, `contents`.
const EXECUTABLE_FILE: &[u8] = b"\x01\0\0\0\0\0\0\0(\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0type\0\0\0\0\
      \x07\0\0\0\0\0\0\0regular\0\x0a\0\0\0\0\0\0\0executable\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
      \x08\0\0\0\0\0\0\0contents";
