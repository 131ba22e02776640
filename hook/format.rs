//! The few of Nix's formats that the hook reads, compiled from the library's own files: linking the library would
//! bring all of its dependencies.

#[path = "../src/format/base32.rs"]
pub(crate) mod base32;
#[path = "../src/format/store_path.rs"]
pub(crate) mod store_path;
