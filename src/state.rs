//! The state directory and the keys in it.
//!
//! ```text
//! machine.sec   the machine key, `name:base64`, mode 0600: countersigns in enforce mode
//! observe.sec   the same for observe mode, so that what was only observed is never trusted later
//! machine.pub   its public half, and observe.pub: what nix.conf must trust
//! retired.pub   public halves of keys that were rotated out, one per line, newest last
//! version       the number of this layout
//! installed     the moment from which on builds that no hook reported are looked for
//! ```
//!
//! A key is made on the first start under a random name, written beside its place, synced and linked there,
//! so that two starts at once agree on one. A key whose public half is there and whose secret half is not has
//! been lost, and is not quietly replaced.

use crate::config::Mode;
use crate::format::{KeyError, KeyName, SigningKey, VerifyingKey};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

mod installed;
mod version;

/// The directory where the service keeps what must outlive it.
#[derive(Clone, Debug)]
pub struct StateDirectory(PathBuf);

/// Why a key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Something in the directory cannot be read or written.
    #[error("cannot {doing} {path}: {source}{}", what_to_do(.source))]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A file that should hold a key does not.
    #[error("{path} holds no usable secret key: {source}; move it away and run `countersign key rotate`")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// A file that should hold public keys does not.
    #[error("{path} holds something else than public keys: {source}")]
    Public {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// A secret key that others can read.
    #[error("{path} has mode {mode:04o}, so others may have read the key: run `countersign key rotate`")]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The secret half is gone.
    #[error(
        "{path} is missing although its public half is there: restore it from a backup, or run \
         `countersign key rotate` and put the new public key into nix.conf"
    )]
    Lost {
        /// The file.
        path: PathBuf,
    },
    /// A file that should hold a moment does not.
    #[error(
        "{path} holds no moment: write one into it, such as 2026-11-02T10:00:00Z, from which on builds are yours"
    )]
    Moment {
        /// The file.
        path: PathBuf,
    },
    /// A newer program has laid out the directory in another way.
    #[error(
        "{path} was last used by a newer countersign: its layout is {found:?}, and this program knows up to {}; use the \
         newer program, or name another `state-directory`",
        version::LAYOUT
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// What its mark says.
        found: String,
    },
    /// No key has been made yet.
    #[error("{path} does not exist yet: it is made when `countersign serve` first starts")]
    NoKey {
        /// The file.
        path: PathBuf,
    },
}

/// The public halves of the keys that countersign.
#[derive(Clone, Debug, Default)]
pub struct PublicKeys {
    /// The machine key's, if it has been made.
    pub machine: Option<VerifyingKey>,
    /// Every key's: of both modes, and those that were rotated out.
    pub all: Vec<VerifyingKey>,
}

/// What helps against an error that the directory's surroundings cause.
fn what_to_do(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; run this as the user that `serve` runs as, or see `state-directory`"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; `state-directory` must lie where it can be written",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; make room and try again: nothing was changed"
        }
        _ => "",
    }
}

impl StateDirectory {
    /// The directory at `path`; nothing is touched.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the directory, for us alone to write.
    ///
    /// # Errors
    /// [`StateError::Io`] if it cannot be made.
    pub fn create(&self) -> Result<(), StateError> {
        use std::os::unix::fs::DirBuilderExt;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(&self.0);
        made.map_err(|source| StateError::Io {
            doing: "make the state directory",
            path: self.0.clone(),
            source,
        })
    }

    /// The key that countersigns in a mode, made now if there has never been one.
    ///
    /// # Errors
    /// [`StateError`] if it cannot be read or made, was lost, or is open to others.
    pub fn countersigning_key(&self, mode: Mode) -> Result<SigningKey, StateError> {
        let key = match self.existing_key(mode) {
            Err(StateError::NoKey { .. }) => {
                self.create()?;
                self.make_key(mode)?;
                self.existing_key(mode)?
            }
            read => read?,
        };
        if std::fs::read_to_string(self.public(mode)).ok() != Some(public_line(&key)) {
            // What a start or a rotation that was cut short left; without it a lost key would not be noticed.
            self.publish(mode, &key).unwrap_or_default();
        }
        self.mark_version();
        Ok(key)
    }

    /// The same, never made.
    ///
    /// # Errors
    /// [`StateError::NoKey`] if there has never been one, else as [`Self::countersigning_key`].
    pub fn existing_key(&self, mode: Mode) -> Result<SigningKey, StateError> {
        self.check_version()?;
        let path = self.secret(mode);
        match read_secret_key(&path) {
            Err(StateError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                if self.public(mode).exists() {
                    Err(StateError::Lost { path })
                } else {
                    Err(StateError::NoKey { path })
                }
            }
            read => read,
        }
    }

    /// The public halves of every key that has countersigned here.
    ///
    /// # Errors
    /// [`StateError`] if one cannot be read or is none.
    pub fn public_keys(&self) -> Result<PublicKeys, StateError> {
        let mut all = Vec::new();
        let mut machine = None;
        for path in [self.public(Mode::Enforce), self.public(Mode::Observe), self.0.join("retired.pub")] {
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(source) if source.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(StateError::Io { doing: "read", path, source }),
            };
            for line in text.lines().filter(|line| !line.is_empty()) {
                let key = VerifyingKey::parse(line)
                    .map_err(|source| StateError::Public { path: path.clone(), source })?;
                if path == self.public(Mode::Enforce) {
                    machine = Some(key.clone());
                }
                all.push(key);
            }
        }
        Ok(PublicKeys { machine, all })
    }

    /// The file of the public half of the key that countersigns in a mode.
    pub fn public_file(&self, mode: Mode) -> PathBuf {
        self.public(mode)
    }

    /// The public half of the key that countersigns in a mode, without the secret one being touched.
    ///
    /// # Errors
    /// [`StateError::NoKey`] if there has never been one, else if it cannot be read or is none.
    pub fn public_key(&self, mode: Mode) -> Result<VerifyingKey, StateError> {
        let path = self.public(mode);
        let text = read_plain(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StateError::NoKey { path: path.clone() },
            _ => StateError::Io { doing: "read", path: path.clone(), source },
        })?;
        VerifyingKey::parse(text.trim_end()).map_err(|source| StateError::Public { path, source })
    }

    /// Replaces the key of a mode; the old public half is kept in `retired.pub`.
    ///
    /// # Errors
    /// [`StateError::Io`] if something cannot be written; the old key is then still in place.
    pub fn rotate(&self, mode: Mode) -> Result<SigningKey, StateError> {
        self.check_version()?;
        self.create()?;
        // All that may fail for want of room comes before the first step that cannot be undone.
        let key = random_key(mode)?;
        let secret = write_beside(&self.secret(mode), &key.to_secret_text())?;
        let prepared = self.write_public(mode, &key).and_then(|public| {
            match std::fs::read_to_string(self.public(mode)) {
                Ok(old) => self.retire(old.trim_end()).map(|()| public),
                Err(_) => Ok(public),
            }
        });
        let public = prepared.inspect_err(|_| std::fs::remove_file(&secret).unwrap_or_default())?;
        rename(&secret, &self.secret(mode))?;
        rename(&public, &self.public(mode))?;
        read_secret_key(&self.secret(mode))
    }

    fn retire(&self, public: &str) -> Result<(), StateError> {
        let path = self.0.join("retired.pub");
        let append = || {
            let mut file = OpenOptions::new().append(true).create(true).mode(0o644).open(&path)?;
            give_to_owner(&file, &path)?;
            let length = file.metadata()?.len();
            let written = writeln!(file, "{public}").and_then(|()| file.sync_all());
            if written.is_err() {
                // Half a line would spoil the next one.
                file.set_len(length)?;
            }
            written
        };
        append().map_err(|source| StateError::Io { doing: "write", path: path.clone(), source })
    }

    fn make_key(&self, mode: Mode) -> Result<(), StateError> {
        let place = self.secret(mode);
        let fresh = write_beside(&place, &random_key(mode)?.to_secret_text())?;
        // A link fails where a rename would replace: of two first starts, one key wins.
        let linked = std::fs::hard_link(&fresh, &place);
        std::fs::remove_file(&fresh).unwrap_or_default();
        match linked {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                return Err(StateError::Io { doing: "write", path: place, source });
            }
            _ => sync_parent(&place)?,
        }
        let key = read_secret_key(&place)?;
        self.publish(mode, &key)
    }

    fn publish(&self, mode: Mode, key: &SigningKey) -> Result<(), StateError> {
        rename(&self.write_public(mode, key)?, &self.public(mode))
    }

    /// The public half in a new file beside its place, for all to read.
    fn write_public(&self, mode: Mode, key: &SigningKey) -> Result<PathBuf, StateError> {
        let fresh = write_beside(&self.public(mode), &public_line(key))?;
        std::fs::set_permissions(&fresh, Permissions::from_mode(0o644)).map_err(|source| StateError::Io {
            doing: "write",
            path: fresh.clone(),
            source,
        })?;
        Ok(fresh)
    }

    fn secret(&self, mode: Mode) -> PathBuf {
        self.0.join(format!("{}.sec", stem(mode)))
    }

    fn public(&self, mode: Mode) -> PathBuf {
        self.0.join(format!("{}.pub", stem(mode)))
    }
}

fn public_line(key: &SigningKey) -> String {
    format!("{}\n", key.verifying_key())
}

fn stem(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "machine",
        Mode::Observe => "observe",
    }
}

/// Reads a secret key file, refusing one that others can read.
///
/// # Errors
/// [`StateError`] if it cannot be read, is open to others, or holds no key.
pub fn read_secret_key(path: &Path) -> Result<SigningKey, StateError> {
    let failed = |source| StateError::Io { doing: "read", path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    let open = if is_handed_over(path) { mode & 0o037 } else { mode & 0o077 };
    if open != 0 {
        return Err(StateError::Mode { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new([0_u8; LONGEST_KEY_FILE]);
    let mut length = 0;
    loop {
        match file.read(text.get_mut(length..).unwrap_or_default()).map_err(failed)? {
            0 => break,
            n => length += n,
        }
    }
    SigningKey::parse(text.get(..length).unwrap_or_default())
        .map_err(|source| StateError::Key { path: path.to_owned(), source })
}

/// A short text that another user may have put there: no link is followed, nothing is waited for.
fn read_plain(path: &Path) -> io::Result<String> {
    use rustix::fs::{Mode as FileMode, OFlags, open};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, FileMode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut text = String::new();
    file.take(LONGEST_KEY_FILE as u64).read_to_string(&mut text)?;
    Ok(text)
}

/// Whether systemd put the file there for this process alone (systemd.exec(5), `LoadCredential=`). It is root's, in a
/// directory that only our user can enter; that our user may read it is an entry of an ACL, which looks like the group's.
fn is_handed_over(path: &Path) -> bool {
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|value| !value.is_empty());
    directory.is_some_and(|directory| path.parent() == Some(Path::new(&directory)))
}

/// Writes a new secret key file, whole or not at all; an existing file is left alone.
///
/// # Errors
/// [`StateError::Io`] if the file exists or cannot be written.
pub fn write_new_secret_key(path: &Path, key: &SigningKey) -> Result<(), StateError> {
    link_new(path, &write_beside(path, &key.to_secret_text())?)
}

/// The same for a key that takes the place of another: whoever may read that one may read this one.
///
/// # Errors
/// As [`write_new_secret_key`], and if the owner cannot be set.
pub fn write_successor(path: &Path, key: &SigningKey, before: &Path) -> Result<(), StateError> {
    let fresh = write_beside(path, &key.to_secret_text())?;
    let owned = std::fs::metadata(before).and_then(|old| {
        let new = std::fs::metadata(&fresh)?;
        match (old.uid(), old.gid()) == (new.uid(), new.gid()) {
            true => Ok(()),
            false => std::os::unix::fs::chown(&fresh, Some(old.uid()), Some(old.gid())),
        }
    });
    if let Err(source) = owned {
        std::fs::remove_file(&fresh).unwrap_or_default();
        return Err(StateError::Io {
            doing: "give the owner of the old key to",
            path: path.to_owned(),
            source,
        });
    }
    link_new(path, &fresh)
}

/// Puts a file that was written beside it at a place where nothing may be: a link fails where a rename would replace.
fn link_new(place: &Path, fresh: &Path) -> Result<(), StateError> {
    let linked = std::fs::hard_link(fresh, place);
    std::fs::remove_file(fresh).unwrap_or_default();
    linked.map_err(|source| StateError::Io { doing: "write", path: place.to_owned(), source })?;
    sync_parent(place)
}

/// A new key under a name that tells nothing of the machine.
fn random_key(mode: Mode) -> Result<SigningKey, StateError> {
    let tag = random::<6>()?;
    let name = format!("countersign-{}-{}", stem(mode), data_encoding::HEXLOWER.encode(&*tag));
    let name = KeyName::parse(&name).map_err(|source| StateError::Key { path: PathBuf::new(), source })?;
    Ok(SigningKey::from_seed(name, &*random::<32>()?))
}

/// A new signing key under a chosen name.
///
/// # Errors
/// [`StateError::Io`] if the system gives no random bytes.
pub fn generate_key(name: KeyName) -> Result<SigningKey, StateError> {
    Ok(SigningKey::from_seed(name, &*random::<32>()?))
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, StateError> {
    let path = PathBuf::from("/dev/urandom");
    let mut bytes = Zeroizing::new([0_u8; N]);
    let read = File::open(&path).and_then(|mut file| file.read_exact(&mut *bytes));
    read.map_err(|source| StateError::Io { doing: "read random bytes from", path, source })?;
    Ok(bytes)
}

/// Writes `text` to a new file beside `place`, for us alone to read, and syncs it.
fn write_beside(place: &Path, text: &str) -> Result<PathBuf, StateError> {
    let mut fresh = place.as_os_str().to_owned();
    fresh.push(format!(".new.{}", std::process::id()));
    let fresh = PathBuf::from(fresh);
    let write = || {
        std::fs::remove_file(&fresh)
            .or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        give_to_owner(&file, place)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| {
        std::fs::remove_file(&fresh).unwrap_or_default();
        StateError::Io { doing: "write", path: fresh.clone(), source }
    })?;
    Ok(fresh)
}

/// What root writes into the state directory of another user, as `key rotate` does, is that user's: the service must
/// read it.
fn give_to_owner(file: &File, place: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let (about, parent) = (file.metadata()?, place.parent().unwrap_or_else(|| Path::new(".")).metadata()?);
    if about.uid() == parent.uid() || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    std::os::unix::fs::fchown(file, Some(parent.uid()), Some(parent.gid()))
}

fn rename(from: &Path, to: &Path) -> Result<(), StateError> {
    std::fs::rename(from, to).map_err(|source| StateError::Io {
        doing: "write",
        path: to.to_owned(),
        source,
    })?;
    sync_parent(to)
}

fn sync_parent(path: &Path) -> Result<(), StateError> {
    let parent = path.parent().unwrap_or_else(|| Path::new("."));
    let synced = File::open(parent).and_then(|dir| dir.sync_all());
    synced.map_err(|source| StateError::Io { doing: "sync", path: parent.to_owned(), source })
}

/// Longer than any key file: a name of 128 characters and 88 of base64, with line breaks.
const LONGEST_KEY_FILE: usize = 1024;
