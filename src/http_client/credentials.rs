//! What a server is told about who asks: a netrc file, or one line `Bearer …`.
//!
//! Secrets come from files whose mode is checked and are never logged. To send them to one origin alone is for
//! those who ask.

use base64_of::basic;
use http::HeaderValue;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The `Authorization` for one server, if it has any.
#[derive(Clone)]
pub struct Credentials(Option<HeaderValue>);

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Credentials(set)" } else { "Credentials(none)" })
    }
}

/// Why a credentials file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It cannot be read.
    #[error("credentials file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// Others may read or change it.
    #[error(
        "credentials file {path}: mode {mode:04o} lets others at it; use 0600, or 0640 with a group of its own"
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is neither a netrc with an entry for the host nor a `Bearer` line.
    #[error(
        "credentials file {path}: it is neither one line `Bearer …` nor a netrc with an entry for {host}"
    )]
    NoEntry {
        /// The file.
        path: PathBuf,
        /// The host that an entry was looked for.
        host: String,
    },
}

impl Credentials {
    /// No credentials.
    pub const NONE: Self = Self(None);

    /// Reads the credentials for `host` from a file.
    ///
    /// # Errors
    /// [`CredentialsError`] if the file cannot be read, is open to others, or says nothing of the host.
    pub fn read(path: &Path, host: &str) -> Result<Self, CredentialsError> {
        let failed = |source| CredentialsError::Read { path: path.to_owned(), source };
        let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
        if is_open_to_others(mode) {
            return Err(CredentialsError::Mode { path: path.to_owned(), mode });
        }
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(failed)?);
        let header = bearer(&text).or_else(|| netrc(&text, host));
        match header.and_then(|value| HeaderValue::from_str(&value).ok()) {
            Some(mut value) => {
                value.set_sensitive(true);
                Ok(Self(Some(value)))
            }
            None => Err(CredentialsError::NoEntry { path: path.to_owned(), host: host.to_owned() }),
        }
    }

    /// The header value to send, if any.
    pub fn header(&self) -> Option<&HeaderValue> {
        self.0.as_ref()
    }

    /// A text of the server's without the secret: some servers show what they were sent.
    pub fn withhold(&self, text: &str) -> String {
        let mut shown = text.to_owned();
        let header = self.0.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        let Some((scheme, token)) = header.split_once(' ') else { return shown };
        let mut secrets = vec![Zeroizing::new(token.to_owned())];
        if scheme == "Basic" {
            secrets.extend(base64_of::password(token));
        }
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            shown = shown.replace(secret.as_str(), "…");
        }
        shown
    }
}

/// Whether a file of this mode is refused: others may read it, or more than its owner may change it.
pub const fn is_open_to_others(mode: u32) -> bool {
    mode & 0o027 != 0
}

/// Which entry of a netrc file answers for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetrcEntry {
    /// One of the host's own.
    Named,
    /// The one for all others.
    Default,
}

/// The entry that a netrc file has for a host, if it has one with a password.
pub fn netrc_entry(text: &str, host: &str) -> Option<NetrcEntry> {
    find(text, host).map(|found| found.entry)
}

/// What a netrc file has for a host.
struct Found<'a> {
    entry: NetrcEntry,
    login: &'a str,
    password: &'a str,
}

fn bearer(text: &str) -> Option<Zeroizing<String>> {
    let line = text.trim_end();
    let token = line.strip_prefix("Bearer ")?;
    (!token.contains(char::is_whitespace)).then(|| Zeroizing::new(line.to_owned()))
}

/// The Basic credentials of the entry for `host`.
fn netrc(text: &str, host: &str) -> Option<Zeroizing<String>> {
    find(text, host).map(|found| basic(found.login, found.password))
}

/// The entry for `host`, else `default` (the format of netrc(5), as curl reads it).
fn find<'a>(text: &'a str, host: &str) -> Option<Found<'a>> {
    let mut tokens =
        text.lines().map(|l| l.split('#').next().unwrap_or_default()).flat_map(str::split_whitespace);
    let mut entry = None;
    let (mut login, mut password) = (None, None);
    while let Some(token) = tokens.next() {
        match token {
            "machine" | "default" => {
                if entry.is_some() && password.is_some() {
                    break;
                }
                entry = match token {
                    "default" => Some(NetrcEntry::Default),
                    _ => (tokens.next() == Some(host)).then_some(NetrcEntry::Named),
                };
                (login, password) = (None, None);
            }
            "login" if entry.is_some() => login = tokens.next(),
            "password" if entry.is_some() => password = tokens.next(),
            "login" | "password" | "account" => {
                tokens.next();
            }
            _ => {}
        }
    }
    Some(Found { entry: entry?, login: login.unwrap_or_default(), password: password? })
}

mod base64_of {
    use data_encoding::BASE64;
    use zeroize::Zeroizing;

    /// `Basic` credentials (RFC 7617).
    pub(super) fn basic(login: &str, password: &str) -> Zeroizing<String> {
        let pair = Zeroizing::new(format!("{login}:{password}"));
        Zeroizing::new(format!("Basic {}", BASE64.encode(pair.as_bytes())))
    }

    /// The password in what follows `Basic`.
    pub(super) fn password(token: &str) -> Option<Zeroizing<String>> {
        let pair = Zeroizing::new(BASE64.decode(token.as_bytes()).ok()?);
        let (_, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
        Some(Zeroizing::new(password.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, mode: u32) -> (tempdir::Dir, PathBuf) {
        let dir = tempdir::Dir::new();
        let path = dir.path().join("secret");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        (dir, path)
    }

    /// A directory that is gone with its owner.
    mod tempdir {
        use std::path::{Path, PathBuf};
        use std::sync::atomic::{AtomicU32, Ordering};

        pub(super) struct Dir(PathBuf);

        static NEXT: AtomicU32 = AtomicU32::new(0);

        impl Dir {
            pub(super) fn new() -> Self {
                let n = NEXT.fetch_add(1, Ordering::Relaxed);
                let path =
                    std::env::temp_dir().join(format!("countersign-credentials-{}-{n}", std::process::id()));
                std::fs::create_dir_all(&path).unwrap();
                Self(path)
            }

            pub(super) fn path(&self) -> &Path {
                &self.0
            }
        }

        impl Drop for Dir {
            fn drop(&mut self) {
                std::fs::remove_dir_all(&self.0).unwrap_or_default();
            }
        }
    }

    fn header(text: &str, host: &str) -> Option<String> {
        let (_dir, path) = file(text, 0o600);
        let read = Credentials::read(&path, host).ok()?;
        read.header().map(|v| v.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_bearer_line_is_sent_as_it_is() {
        assert_eq!(header("Bearer abc.def\n", "x.example"), Some("Bearer abc.def".to_owned()));
        assert_eq!(header("Bearer two words\n", "x.example"), None);
    }

    #[test]
    fn netrc_entries_are_found_by_host() {
        let text = "machine a.example login u password p\nmachine b.example\n  login v\n  password q # why\n";
        assert_eq!(header(text, "a.example"), Some("Basic dTpw".to_owned()));
        assert_eq!(header(text, "b.example"), Some("Basic djpx".to_owned()));
        assert_eq!(header(text, "c.example"), None);
        assert_eq!(header("default password p", "c.example"), Some("Basic OnA=".to_owned()));
    }

    #[test]
    fn an_entry_is_told_from_the_default() {
        let text = "machine a.example password p\nmachine b.example login only\ndefault login x password q";
        assert_eq!(netrc_entry(text, "a.example"), Some(NetrcEntry::Named));
        assert_eq!(netrc_entry(text, "b.example"), Some(NetrcEntry::Default), "an entry without a password");
        assert_eq!(netrc_entry("machine a.example password p", "c.example"), None);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        for mode in [0o644, 0o604, 0o660, 0o602] {
            let (_dir, path) = file("Bearer x", mode);
            assert!(matches!(Credentials::read(&path, "h"), Err(CredentialsError::Mode { .. })), "{mode:o}");
        }
    }

    #[test]
    fn what_a_server_repeats_is_shown_without_the_secret() {
        let (_dir, path) = file("machine h login user password hunter2", 0o600);
        let basic = Credentials::read(&path, "h").unwrap();
        let repeated = "Basic dXNlcjpodW50ZXIy and user:hunter2, no";
        assert_eq!(basic.withhold(repeated), "Basic … and user:…, no");
        let (_dir, path) = file("Bearer abc.def", 0o600);
        let bearer = Credentials::read(&path, "h").unwrap();
        assert_eq!(bearer.withhold("bad token abc.def"), "bad token …");
        assert_eq!(Credentials::NONE.withhold("as it is"), "as it is");
    }

    #[test]
    fn debug_says_nothing_of_the_secret() {
        let (_dir, path) = file("Bearer topsecret", 0o640);
        assert!(!format!("{:?}", Credentials::read(&path, "h").unwrap()).contains("topsecret"));
    }
}
