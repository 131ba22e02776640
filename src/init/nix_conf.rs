//! nix.conf as Nix reads it, for the few settings that matter here.
//!
//! What is kept of Nix's own reading (NixOS/nix `src/libutil/configuration.cc`): `#` begins a comment anywhere,
//! words are separated by spaces, tabs and carriage returns, the second word is `=`; a later setting replaces
//! an earlier one, and `extra-NAME` adds to it, also to the default; `include` is relative to the including
//! file, and `!include` may be missing. What is not: Nix follows includes for ever, we bound them.
//!
//! Messages name files and lines, and never repeat a line: nix.conf may hold access tokens.

use crate::init::names::shown;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Gives the contents of a file; of a larger one than [`LARGEST`] an error of that kind.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// Where a word stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub file: Arc<Path>,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", shown(&self.file.to_string_lossy()), self.line)
    }
}

/// One word of a setting, and where it stands; nowhere is Nix's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The text, as untrusted as the file.
    pub text: String,
    /// Where it stands.
    pub origin: Option<Origin>,
}

impl Word {
    /// Where it stands, in words.
    pub fn place(&self) -> String {
        self.origin.as_ref().map_or_else(|| "Nix's default".to_owned(), Origin::to_string)
    }
}

/// What nix.conf says of the settings that matter here.
#[derive(Clone, Debug)]
pub struct NixConf {
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
    /// Files that `!include` names and that could not be read, and why.
    pub skipped: Vec<String>,
    /// Single values that a later line replaced by another, by the setting's name.
    pub replaced: Vec<(&'static str, Word)>,
    values: BTreeMap<&'static str, Vec<Word>>,
}

/// Why nix.conf cannot be drafted from.
#[derive(Debug, thiserror::Error)]
pub enum NixConfError {
    /// A file could not be read.
    #[error(
        "cannot read {}{}: {why}; name one that can be read with --nix-conf, or run this as a user who can",
        shown(&path.to_string_lossy()),
        included.as_ref().map(|at| format!(" (included at {at})")).unwrap_or_default()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Where it is included.
        included: Option<Origin>,
        /// What went wrong. Part of the message, so no source of its own.
        why: io::Error,
    },
    /// All files together are larger than [`LARGEST`].
    #[error("{at}: nix.conf and what it includes is larger than {} KiB; name a smaller file with --nix-conf", LARGEST >> 10)]
    TooLarge {
        /// Where the last one is included.
        at: Origin,
    },
    /// A line that is neither a setting nor an include.
    #[error("{0}: neither `NAME = VALUE` nor `include FILE`; Nix refuses this line too: correct it")]
    Syntax(Origin),
    /// A file that includes itself, perhaps through others.
    #[error("{0}: includes a file that is being read already; remove one of the two includes")]
    Circle(Origin),
    /// Includes in includes, too deep or too many.
    #[error(
        "{0}: more than {MOST_DEEP} includes in one another, or {MOST_FILES} files; name a simpler file with --nix-conf"
    )]
    TooMany(Origin),
}

impl NixConfError {
    /// Whether a file could not be read, rather than read and not understood.
    pub const fn is_unreadable(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::TooLarge { .. })
    }
}

impl Default for NixConf {
    /// Nix's defaults.
    fn default() -> Self {
        let defaults = SETTINGS.iter().filter(|setting| !setting.default.is_empty());
        let word = |text: &str| Word { text: text.to_owned(), origin: None };
        Self {
            files: Vec::new(),
            skipped: Vec::new(),
            replaced: Vec::new(),
            values: defaults.map(|setting| (setting.name, vec![word(setting.default)])).collect(),
        }
    }
}

impl NixConf {
    /// Reads a file and what it includes.
    ///
    /// # Errors
    /// [`NixConfError`] if a file that must be there cannot be read, or Nix could not use it either.
    pub fn read(root: &Path, read_file: ReadFile<'_>) -> Result<Self, NixConfError> {
        let mut reading = Reading { read_file, open: Vec::new(), bytes: 0, conf: Self::default() };
        reading.file(root, None)?;
        Ok(reading.conf)
    }

    /// Reads several files and what they include, each as if it stood behind the one before. One that is not there is
    /// as if it were empty.
    ///
    /// # Errors
    /// [`NixConfError`] if one cannot be read for another reason, or Nix could not use it either.
    pub fn read_all(roots: &[PathBuf], read_file: ReadFile<'_>) -> Result<Self, NixConfError> {
        let mut reading = Reading { read_file, open: Vec::new(), bytes: 0, conf: Self::default() };
        for root in roots {
            match reading.file(root, None) {
                Err(NixConfError::Read { included: None, why, .. })
                    if why.kind() == io::ErrorKind::NotFound => {}
                read => read?,
            }
        }
        Ok(reading.conf)
    }

    /// The words of a setting, by its present name.
    pub fn words(&self, name: &str) -> &[Word] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// Where a setting is set to true or false, and to which; `None` where it has its default.
    pub fn flag(&self, name: &str) -> Option<(bool, &Word)> {
        let word = self.words(name).first()?;
        match word.text.as_str() {
            "true" | "yes" | "1" => Some((true, word)),
            "false" | "no" | "0" => Some((false, word)),
            _ => None,
        }
    }

    /// What of the settings that a draft is made from a file says itself, each with one place.
    pub fn written(&self) -> impl Iterator<Item = (&'static str, &Origin)> {
        let drafted = |name: &str| SETTINGS.iter().any(|setting| setting.name == name && setting.is_drafted);
        self.all_written().filter(move |(name, _)| drafted(name))
    }

    /// What of all these settings a file says itself, each with one place.
    pub fn all_written(&self) -> impl Iterator<Item = (&'static str, &Origin)> {
        self.values.iter().filter_map(|(name, words)| Some((*name, words.last()?.origin.as_ref()?)))
    }

    fn set(&mut self, name: &str, words: Vec<Word>) {
        let known = |name: &str| SETTINGS.iter().find(|s| s.name == name || s.aliases.contains(&name));
        match (known(name), name.strip_prefix("extra-").and_then(known)) {
            (Some(setting), _) if setting.is_list => {
                self.values.insert(setting.name, words);
            }
            (Some(setting), _) => {
                let text = words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" ");
                let origin = words.into_iter().next().and_then(|word| word.origin);
                let earlier = self.values.insert(setting.name, vec![Word { text, origin }]);
                let earlier = earlier.into_iter().flatten().filter(|word| word.origin.is_some());
                self.replaced.extend(earlier.map(|word| (setting.name, word)));
            }
            (None, Some(setting)) if setting.is_list => {
                self.values.entry(setting.name).or_default().extend(words);
            }
            (None, _) => {}
        }
    }
}

/// Files under way.
struct Reading<'a> {
    read_file: ReadFile<'a>,
    /// The files that are being read, each included by the one before.
    open: Vec<PathBuf>,
    bytes: usize,
    conf: NixConf,
}

impl Reading<'_> {
    fn file(&mut self, path: &Path, included: Option<&Origin>) -> Result<(), NixConfError> {
        let failed = |why| NixConfError::Read { path: path.to_owned(), included: included.cloned(), why };
        let bytes = (self.read_file)(path).map_err(failed)?;
        self.bytes = self.bytes.saturating_add(bytes.len());
        let file: Arc<Path> = path.into();
        if self.bytes > LARGEST {
            let at = included.cloned().unwrap_or(Origin { file, line: 1 });
            return Err(NixConfError::TooLarge { at });
        }
        self.conf.files.push(path.to_owned());
        self.open.push(plain(path));
        for (index, line) in String::from_utf8_lossy(&bytes).split('\n').enumerate() {
            self.line(line, &Origin { file: file.clone(), line: index.saturating_add(1) })?;
        }
        self.open.pop();
        Ok(())
    }

    fn line(&mut self, line: &str, at: &Origin) -> Result<(), NixConfError> {
        let before_comment = line.split('#').next().unwrap_or_default();
        let mut words = before_comment.split([' ', '\t', '\r']).filter(|word| !word.is_empty());
        let Some(name) = words.next() else { return Ok(()) };
        let Some(second) = words.next() else { return Err(NixConfError::Syntax(at.clone())) };
        if matches!(name, "include" | "!include") {
            return match words.next() {
                None => self.include(second, name == "!include", at),
                Some(_) => Err(NixConfError::Syntax(at.clone())),
            };
        }
        if second != "=" {
            return Err(NixConfError::Syntax(at.clone()));
        }
        let word = |text: &str| Word { text: text.to_owned(), origin: Some(at.clone()) };
        self.conf.set(name, words.map(word).collect());
        Ok(())
    }

    fn include(&mut self, name: &str, may_be_missing: bool, at: &Origin) -> Result<(), NixConfError> {
        let path = at.file.parent().unwrap_or_else(|| Path::new(".")).join(name);
        if self.open.contains(&plain(&path)) {
            return Err(NixConfError::Circle(at.clone()));
        }
        if self.open.len() > MOST_DEEP || self.conf.files.len() >= MOST_FILES {
            return Err(NixConfError::TooMany(at.clone()));
        }
        match self.file(&path, Some(at)) {
            Err(NixConfError::Read { path: failed, why, .. }) if may_be_missing && failed == path => {
                if why.kind() != io::ErrorKind::NotFound {
                    let path = shown(&path.to_string_lossy());
                    self.conf.skipped.push(format!("{path} (included at {at}): {why}"));
                }
                Ok(())
            }
            read => read,
        }
    }
}

/// The path without `.` and `..`, by its text alone, as Nix takes it.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// A setting that matters here.
struct Setting {
    name: &'static str,
    aliases: &'static [&'static str],
    is_list: bool,
    /// One word, or none.
    default: &'static str,
    /// Whether a draft is made from it; of the others only `doctor` has something to say.
    is_drafted: bool,
}

const fn list(name: &'static str, aliases: &'static [&'static str], default: &'static str) -> Setting {
    Setting { name, aliases, is_list: true, default, is_drafted: true }
}

const fn one(name: &'static str, aliases: &'static [&'static str]) -> Setting {
    Setting { name, aliases, is_list: false, default: "", is_drafted: true }
}

/// One that is no part of a draft.
const fn aside(name: &'static str, aliases: &'static [&'static str], default: &'static str) -> Setting {
    Setting { name, aliases, is_list: false, default, is_drafted: false }
}

/// Names, aliases and defaults of NixOS/nix `src/libstore/globals.hh`, the same from 2.8 to 2.34.
const SETTINGS: &[Setting] = &[
    list("substituters", &["binary-caches"], "https://cache.nixos.org/"),
    list("trusted-substituters", &["trusted-binary-caches"], ""),
    list(
        "trusted-public-keys",
        &["binary-cache-public-keys"],
        "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=",
    ),
    list("trusted-users", &[], "root"),
    list("secret-key-files", &[], ""),
    one("netrc-file", &[]),
    one("require-sigs", &[]),
    one("fallback", &["build-fallback"]),
    one("accept-flake-config", &[]),
    aside("builders", &[], ""),
    aside("builders-use-substitutes", &[], ""),
    aside("substitute", &["build-use-substitutes"], ""),
    aside("narinfo-cache-negative-ttl", &[], "3600"),
    aside("narinfo-cache-positive-ttl", &[], "2592000"),
    aside("post-build-hook", &[], ""),
];

/// The largest nix.conf, with all that it includes, in bytes. As for our own configuration: a guess far above
/// any that people write.
pub const LARGEST: usize = 1 << 20;
/// How deep includes may lie in one another. A guess: Determinate's installer uses one, NixOS none.
const MOST_DEEP: usize = 16;
/// How many files may be read, one counted as often as it is included. A guess.
const MOST_FILES: usize = 64;

#[cfg(test)]
mod tests;
