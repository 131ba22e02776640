//! The connection against a daemon that follows a script, honest or not; the closure; the writer of NARs.

mod answers;
mod closure;
mod dump;
mod fake;
mod hostile;

use super::*;
use crate::format::StorePath;

/// A path whose hash part is made of one digit.
fn path(digit: char, name: &str) -> StorePath {
    StorePath::from_base_name(&format!("{}-{name}", String::from(digit).repeat(32))).unwrap()
}
