//! What a cache said of a path, as it is kept: one row for each path, cache and core.

use crate::format::content_address::ContentAddress;
use crate::format::narinfo::Core;
use crate::format::{Signature, StoreDir, StorePath};
use crate::trust::Timestamp;
use std::fmt::Write;
use std::sync::Arc;

/// A claim that was heard just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimSeen {
    /// The cache's name in the configuration.
    pub cache: Box<str>,
    /// What it claims.
    pub core: Arc<Core>,
    /// Every well-formed signature that it showed, as received, at most `limits.signatures`.
    pub signatures: Vec<Signature>,
    /// The deriver that it states, which nobody signs.
    pub deriver: Option<StorePath>,
    /// The content address that it states, which nobody signs.
    pub content_address: Option<ContentAddress>,
    /// Whether it was credible when it was judged (design §2); else it is noise.
    pub is_credible: bool,
    /// When it was heard.
    pub at: Timestamp,
}

/// A claim as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRow {
    /// The cache's name in the configuration.
    pub cache: Box<str>,
    /// What it claims.
    pub core: Arc<Core>,
    /// The signatures as received: the last credible ones, where it ever was credible, else the last ones.
    pub signatures: Vec<Signature>,
    /// The deriver that came with them.
    pub deriver: Option<StorePath>,
    /// The content address that came with them.
    pub content_address: Option<ContentAddress>,
    /// When the cache first said so.
    pub first_seen: Timestamp,
    /// When it last said so.
    pub last_seen: Timestamp,
    /// When it last said so credibly; `None` if it never did.
    pub credible_at: Option<Timestamp>,
    /// How often it was heard.
    pub count: u64,
}

impl ClaimRow {
    /// The claim as a narinfo again, to be parsed and checked like any other. Its bytes are offered nowhere.
    pub fn text(&self, dir: &StoreDir) -> String {
        let Core { store_path, nar_hash, nar_size, references } = &*self.core;
        let mut text = String::new();
        // Writing to a String does not fail.
        let mut line = |name: &str, value: std::fmt::Arguments<'_>| {
            writeln!(text, "{name}: {value}").unwrap_or_default();
        };
        line("StorePath", format_args!("{}/{store_path}", dir.as_str()));
        line("URL", format_args!("nar/remembered.nar"));
        line("Compression", format_args!("none"));
        line("NarHash", format_args!("{nar_hash}"));
        line("NarSize", format_args!("{nar_size}"));
        let names: Vec<String> = references.iter().map(ToString::to_string).collect();
        line("References", format_args!("{}", names.join(" ")));
        if let Some(deriver) = &self.deriver {
            line("Deriver", format_args!("{deriver}"));
        }
        for signature in &self.signatures {
            line("Sig", format_args!("{signature}"));
        }
        if let Some(address) = &self.content_address {
            line("CA", format_args!("{address}"));
        }
        text
    }
}
