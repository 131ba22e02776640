//! From nix.conf's settings to a plan: which caches, which signers, what is left out.
//!
//! Nothing is repaired on the way. What cannot be carried over is left out and listed with its place and the
//! reason; a draft without a cache or without a signer is refused, for nothing could be served by it.

use crate::init::keys::{Grouped, PlannedSigner, group};
use crate::init::names::{short, shown, unique, without_secrets};
use crate::init::nix_conf::{NixConf, Word};
use crate::init::substituter::{Read, Substituter, left_out, read};
use crate::init::unknown::unknown;
use crate::trust::SignerId;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use url::Url;

/// What a netrc file has for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing.
    Missing,
    /// An entry of its own.
    Named,
    /// Only the `default` entry.
    Default,
}

/// The netrc file that Nix uses.
#[derive(Clone, Copy)]
pub enum Netrc<'a> {
    /// There is none.
    Missing,
    /// It is there and cannot be read.
    Unreadable {
        /// The file.
        path: &'a Path,
        /// Why.
        why: &'a str,
    },
    /// It was read.
    Read {
        /// The file.
        path: &'a Path,
        /// Its mode, if that lets others at it, so that the file would be refused.
        open_mode: Option<u32>,
        /// What it has for a host.
        entry: &'a dyn Fn(&str) -> Entry,
    },
}

impl fmt::Debug for Netrc<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "Missing",
            Self::Unreadable { .. } => "Unreadable",
            Self::Read { .. } => "Read",
        })
    }
}

/// What the draft will say.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The files that it is from; none if Nix's defaults are all there is.
    pub files: Vec<PathBuf>,
    /// At least one.
    pub signers: Vec<PlannedSigner>,
    /// At least one.
    pub caches: Vec<PlannedCache>,
    /// From `trusted-substituters`: written as comments.
    pub on_demand: Vec<PlannedCache>,
    /// What was not carried over, and why.
    pub left_out: Vec<String>,
    /// What nix.conf does not say.
    pub unknown: Vec<String>,
}

/// A cache to be.
#[derive(Clone, Debug)]
pub struct PlannedCache {
    /// Its name in the draft.
    pub name: String,
    /// Its URL, without credentials and parameters.
    pub url: Url,
    /// Who probably runs it.
    pub operator: String,
    /// Its priority, where nix.conf has one or everybody knows it.
    pub priority: Option<u32>,
    /// The signers whose names look as if they were the cache's own.
    pub own_signers: Vec<String>,
    /// The netrc file with an entry for it.
    pub credentials: Option<PathBuf>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// No cache is left.
    #[error("no substituter could be carried over, so there is nothing to draft: {}", .0.join("; "))]
    NoCache(Vec<String>),
    /// No signer is left.
    #[error("no trusted key could be carried over, so nothing could ever be served: {}", .0.join("; "))]
    NoSigner(Vec<String>),
    /// More of something than a configuration can have.
    #[error("there are more than {most} {what}; leave out some, or name another file with --nix-conf")]
    TooMany {
        /// How many there may be.
        most: usize,
        /// Of what.
        what: &'static str,
    },
}

/// Makes the plan.
///
/// # Errors
/// [`DraftError`] if no cache or no signer is left, or there are too many.
pub fn draft(conf: &NixConf, netrc: Netrc<'_>) -> Result<Plan, DraftError> {
    let (words, keys) = (conf.words("substituters"), conf.words("trusted-public-keys"));
    let on_demand = conf.words("trusted-substituters");
    for (found, most, what) in [
        (words.len().max(on_demand.len()), MOST_CACHES, "substituters"),
        (keys.len(), MOST_KEYS, "trusted keys"),
    ] {
        if found > most {
            return Err(DraftError::TooMany { most, what });
        }
    }
    let Grouped { signers, left_out } = group(keys);
    if signers.len() > SignerId::MOST {
        return Err(DraftError::TooMany { most: SignerId::MOST, what: "different key names" });
    }
    if signers.is_empty() {
        return Err(DraftError::NoSigner(or_none(
            left_out,
            "trusted-public-keys is empty; add a cache's key",
        )));
    }
    let mut drafting = Drafting {
        signers: &signers,
        netrc,
        taken: BTreeSet::new(),
        urls: BTreeSet::new(),
        left_out,
        unsigned: Vec::new(),
        remarks: Vec::new(),
    };
    let caches = drafting.caches(words);
    if caches.is_empty() {
        let hint = "substituters is empty; add an https cache, or name another file with --nix-conf";
        return Err(DraftError::NoCache(or_none(drafting.left_out, hint)));
    }
    // What stands in a comment is not asked, so what it would lack is not said.
    let unsigned = std::mem::take(&mut drafting.unsigned);
    let on_demand = drafting.caches(on_demand);
    let Drafting { left_out, remarks, .. } = drafting;
    let unknown = unknown(conf, &signers, &unsigned, remarks);
    Ok(Plan { files: conf.files.clone(), signers, caches, on_demand, left_out, unknown })
}

fn or_none(left_out: Vec<String>, hint: &str) -> Vec<String> {
    if left_out.is_empty() { vec![hint.to_owned()] } else { left_out }
}

/// What caches are made with.
struct Drafting<'a> {
    signers: &'a [PlannedSigner],
    netrc: Netrc<'a>,
    taken: BTreeSet<String>,
    urls: BTreeSet<String>,
    left_out: Vec<String>,
    /// The caches that plain Nix asked for no signature.
    unsigned: Vec<String>,
    remarks: Vec<String>,
}

impl Drafting<'_> {
    fn caches(&mut self, words: &[Word]) -> Vec<PlannedCache> {
        words.iter().filter_map(|word| self.cache(word)).collect()
    }

    fn cache(&mut self, word: &Word) -> Option<PlannedCache> {
        let found = match read(word) {
            Read::Cache(found) => found,
            Read::Not(why) => {
                self.left_out.push(left_out(word, why));
                return None;
            }
            Read::Ourselves => {
                let why = "it is where Countersign itself listens; \
                           name the nix.conf from before it with --nix-conf";
                self.left_out.push(left_out(word, why));
                return None;
            }
        };
        if !self.urls.insert(found.url.to_string()) {
            return None;
        }
        let last_part = found.url.path_segments().and_then(|parts| parts.rev().find(|p| !p.is_empty()));
        let short = short(&found.host);
        let with_part = last_part.map(|part| format!("{short}-{part}"));
        let candidates = [Some(short.as_str()), with_part.as_deref(), Some(found.host.as_str())];
        let name = unique(candidates.into_iter().flatten(), &mut self.taken);
        self.remark(word, &name, &found);
        let own = |signer: &&PlannedSigner| is_own(&signer.stem, &found.host, last_part);
        let own_signers = self.signers.iter().filter(own).map(|signer| signer.name.clone()).collect();
        let credentials = self.credentials(&name, &found.host);
        let Substituter { url, operator, priority, .. } = found;
        Some(PlannedCache { name, url, operator, priority, own_signers, credentials })
    }

    /// Notes what of a substituter is not in its cache.
    fn remark(&mut self, word: &Word, name: &str, found: &Substituter) {
        let place = format!("{} ({})", without_secrets(&word.text), word.place());
        if found.had_credentials {
            let fix = format!("put them into a netrc file of mode 0600, `credentials-file` of cache {name}");
            self.left_out.push(format!("user and password in the URL {place}: {fix}"));
        }
        if !found.dropped.is_empty() {
            let names: Vec<String> = found.dropped.iter().take(MOST_NAMED).map(|name| shown(name)).collect();
            let why = "no key here means the same";
            self.left_out.push(format!("parameters {} of {place}: {why}", names.join(", ")));
        }
        if found.trusted {
            self.unsigned.push(name.to_owned());
        }
    }

    fn credentials(&mut self, name: &str, host: &str) -> Option<PathBuf> {
        match self.netrc {
            Netrc::Missing => None,
            Netrc::Unreadable { path, why } => {
                self.remark_once(format!(
                    "which cache needs credentials: {} cannot be read ({why}); \
                     set `credentials-file` where one does",
                    shown(&path.to_string_lossy())
                ));
                None
            }
            Netrc::Read { path, open_mode, entry } => {
                let shown_path = shown(&path.to_string_lossy());
                match entry(host) {
                    Entry::Missing => return None,
                    Entry::Default => {
                        self.remark_once(format!(
                            "which caches the `default` entry of {shown_path} is for: plain Nix sent it to all, \
                             the draft sends it to none; set `credentials-file` where it belongs"
                        ));
                        return None;
                    }
                    Entry::Named => {}
                }
                if !can_be_written(path) {
                    self.left_out.push(format!(
                        "credentials of cache {name}: {shown_path} is no absolute path in plain characters; \
                         copy the file and set `credentials-file`"
                    ));
                    return None;
                }
                if let Some(mode) = open_mode {
                    self.remark_once(format!(
                        "whether others have read {shown_path}: its mode {mode:04o} lets them, and Countersign \
                         refuses it until `chmod 0600`, or 0640 and the service's group"
                    ));
                }
                Some(path.to_owned())
            }
        }
    }

    fn remark_once(&mut self, remark: String) {
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }
}

/// Whether a key's stem looks as if the key were the cache's: its host, a domain around it or below it, or the
/// last part of its path, as attic names them.
fn is_own(stem: &str, host: &str, last_part: Option<&str>) -> bool {
    let below = |inner: &str, outer: &str| {
        outer.contains('.') && inner.strip_suffix(outer).is_some_and(|rest| rest.ends_with('.'))
    };
    let stem = stem.to_ascii_lowercase();
    stem == host || below(host, &stem) || below(&stem, host) || last_part == Some(stem.as_str())
}

/// Whether the configuration takes a path as it is.
fn can_be_written(path: &Path) -> bool {
    let plain = |text: &str| text.len() <= LONGEST_PATH && !text.contains(char::is_control);
    let dots = |part: Component<'_>| matches!(part, Component::ParentDir | Component::CurDir);
    path.is_absolute() && path.to_str().is_some_and(plain) && !path.components().any(dots)
}

/// More than anybody lists: every question goes to all caches.
const MOST_CACHES: usize = 128;
/// Far above what 128 signers need. A guess; with it the largest draft stays below 1 MiB.
const MOST_KEYS: usize = 1024;
/// How many parameters of one URL are named.
const MOST_NAMED: usize = 8;
/// Enough for any secret's place.
const LONGEST_PATH: usize = 1024;

#[cfg(test)]
mod tests;
