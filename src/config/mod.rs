//! The configuration: one TOML file, read once, checked as a whole, every fault told at once.
//!
//! ```text
//! load ── file or built-in policy
//!  │ syntax     what is no TOML
//!  │ read, item one table, one value: unknown keys, wrong kinds, values out of bounds
//!  │            (keys: what is known)
//!  │ settings, signers, caches, rules, destination: the sections as written
//!  │ lists      what is twice, missing, or in a circle
//!  │ draft      names become numbers
//!  │ attain     rules that nothing reaches, thresholds that nothing meets
//!  │            (reach: decided exactly)
//!  │ caution    what may be used and should be known
//!  ▼
//! Config, with warnings; or a Report of everything that is wrong, drawn with its lines
//! ```
//!
//! **Which file.** `--config`, else `$COUNTERSIGN_CONFIG`, else `/etc/countersign/config.toml` if it is there,
//! else none: then cache.nixos.org is the only cache and its key the only signer, one signature is enough
//! and dissent is refused ([`BUILT_IN_POLICY`]). A file that has any of `[signers]`, `[caches]` and `[[rules]]`
//! replaces that policy wholly: all three are taken from the file, and one that is not there is empty, which
//! is an error. A file that has none of them keeps it; its `[[exceptions]]` may then name the built-in rule,
//! `everything`.
//!
//! **What is promised.** A [`Config`] is only made without errors. Its policy has passed
//! [`crate::trust::Policy::new`], no name in it is unknown, no threshold is zero, no quantity is outside its
//! bounds, and no rule is out of reach or beyond what its signers could ever meet. Secrets are not read here.
#![deny(clippy::expect_used, clippy::indexing_slicing)]

mod address;
mod attain;
mod bucket;
mod caches;
mod caution;
mod destination;
mod draft;
mod fault;
mod item;
mod keys;
mod lists;
mod load;
mod near;
mod patience;
mod reach;
mod read;
mod report;
mod rules;
mod schema;
mod settings;
mod signers;
mod source;
mod syntax;
mod units;

#[cfg(test)]
mod tests;

pub use address::{HostPort, Listen, neighbourhood};
pub use bucket::{AddressingStyle, Bucket, Parts};
pub use destination::{Compression, Destination, Publish, Target};
pub use fault::{Aside, Fault, Severity};
pub use keys::{KeyDoc, keys};
pub use load::{BUILT_IN_POLICY, Environment, LoadError, Loaded, Location, load, parse};
pub use patience::Patience;
pub use report::{Report, Style};
pub use schema::{
    CacheSettings, Config, Dashboard, Database, Evidence, Inputs, Limits, LogFormat, Mode, Otherwise,
    Serving, Upload, VerifyBeforeSending,
};
pub use source::{Place, Source};
pub use units::{ByteRate, ByteSize, Spelled};
