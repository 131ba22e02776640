//! What hook and uploader must agree on, compiled from the library's own files.

#[path = "../src/spool/derivation.rs"]
pub(crate) mod derivation;
#[path = "../src/spool/layout.rs"]
pub(crate) mod layout;
#[path = "../src/spool/place.rs"]
pub(crate) mod place;
#[path = "../src/spool/record.rs"]
pub(crate) mod record;
