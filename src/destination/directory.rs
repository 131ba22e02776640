//! A directory as a destination, laid out as Nix lays out its `file://` caches.
//!
//! What is put is synced, then stands in its place whole, and then the directory is synced. A packed file on the
//! same file system is linked in, not copied.

use crate::aside::{Aside, Durability, sweep};
use crate::destination::error::Act;
use crate::destination::{Body, Condition, ETag, Found, PlaceError, PlaceErrorKind, Put};
use crate::format::FileHash;
use sha2::{Digest, Sha256};
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

#[derive(Clone, Debug)]
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    /// Removes what our own dead processes have left there. The directory itself is made with its first file.
    pub(super) fn open(root: &Path) -> Result<Self, PlaceError> {
        for directory in [root.to_owned(), root.join("nar")] {
            // Without them it works as well; what is really wrong is told by the first put.
            match sweep(&directory) {
                Ok(0) => {}
                Ok(count) => {
                    tracing::info!(directory = %directory.display(), count, "removed files left half written");
                }
                Err(error) => {
                    tracing::debug!(directory = %directory.display(), %error, "could not look for leftovers");
                }
            }
        }
        Ok(Self { root: root.to_owned() })
    }

    pub(super) async fn get(&self, name: &str, most: u64) -> Result<Option<Found>, PlaceError> {
        let path = self.path(name, Act::Read)?;
        blocking(Act::Read, move || read(&path, most)).await
    }

    pub(super) async fn size(&self, name: &str) -> Result<Option<u64>, PlaceError> {
        let path = self.path(name, Act::Read)?;
        blocking(Act::Read, move || {
            let found = absent_is_none(fs::metadata(&path)).map_err(|e| PlaceError::local(Act::Read, &e))?;
            Ok(found.filter(fs::Metadata::is_file).map(|metadata| metadata.len()))
        })
        .await
    }

    pub(super) async fn put(&self, name: &str, body: Body, condition: Condition) -> Result<Put, PlaceError> {
        let path = self.path(name, Act::Store)?;
        let root = self.root.clone();
        blocking(Act::Store, move || {
            let failed = |error| PlaceError::local(Act::Store, &error);
            let folder = path.parent().unwrap_or(&root);
            make_directory(folder).map_err(failed)?;
            put(&path, folder, &body, &condition).map_err(failed)
        })
        .await
    }

    /// The place of a name, which must stay inside.
    fn path(&self, name: &str, act: Act) -> Result<PathBuf, PlaceError> {
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        if name.is_empty() || !Path::new(name).components().all(is_plain) {
            let kind = PlaceErrorKind::Local(io::ErrorKind::InvalidInput);
            return Err(PlaceError::new(kind, act, "the name leads out of the directory"));
        }
        Ok(self.root.join(name))
    }
}

async fn blocking<T: Send + 'static>(
    act: Act,
    work: impl FnOnce() -> Result<T, PlaceError> + Send + 'static,
) -> Result<T, PlaceError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|fault| Err(PlaceError::local(act, &io::Error::other(fault))))
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    use io::ErrorKind as E;
    match result {
        Err(error) if matches!(error.kind(), E::NotFound | E::NotADirectory) => Ok(None),
        result => result.map(Some),
    }
}

fn read(path: &Path, most: u64) -> Result<Option<Found>, PlaceError> {
    let failed = |error| PlaceError::local(Act::Read, &error);
    let Some(file) = absent_is_none(File::open(path)).map_err(failed)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        let what = format!("it has more than {most} bytes");
        return Err(PlaceError::new(PlaceErrorKind::Malformed, Act::Read, what));
    }
    let tag = tag(&bytes);
    Ok(Some(Found { bytes: bytes.into(), tag: Some(tag) }))
}

fn tag(bytes: &[u8]) -> ETag {
    ETag(FileHash::from_digest(Sha256::digest(bytes).into()).nixbase32().into())
}

fn put(place: &Path, folder: &Path, body: &Body, condition: &Condition) -> io::Result<Put> {
    let is_new = matches!(condition, Condition::IfAbsent);
    if let Body::File { path, length } = body
        && !matches!(condition, Condition::IfMatches(_))
    {
        match link(path, *length, place) {
            Ok(()) => return Ok(Put::Stored),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_new => return Ok(Put::Conflict),
            // Another file system, something there that is replaced, no such thing as links: it is copied.
            Err(error) => tracing::trace!(place = %place.display(), %error, "copying instead of linking"),
        }
    }
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let mut aside = Aside::create(folder, &name, 0o644)?;
    match body {
        Body::Bytes(bytes) => aside.file().write_all(bytes)?,
        Body::File { path, length } => {
            let mut from = open_whole(path, *length)?;
            io::copy(&mut from, aside.file())?;
        }
    }
    match condition {
        Condition::Always => aside.keep(place, Durability::Synced)?,
        Condition::IfAbsent => {
            return Ok(match aside.keep_new(place, Durability::Synced)? {
                true => Put::Stored,
                false => Put::Conflict,
            });
        }
        Condition::IfMatches(expected) => {
            // Held until the end of this function. Where a directory cannot be locked, as on some network file
            // systems, two uploaders may meet here; both read back.
            let directory = File::open(folder)?;
            directory.lock().unwrap_or_default();
            let now = absent_is_none(fs::read(place))?;
            if now.is_none_or(|bytes| tag(&bytes) != *expected) {
                return Ok(Put::Conflict);
            }
            aside.keep(place, Durability::Synced)?;
        }
    }
    Ok(Put::Stored)
}

/// Links a file into its place, readable for all and durable.
fn link(from: &Path, length: u64, place: &Path) -> io::Result<()> {
    let file = open_whole(from, length)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.sync_all()?;
    fs::hard_link(from, place)?;
    Durability::Synced.sync_parent(place)
}

fn open_whole(path: &Path, length: u64) -> io::Result<File> {
    let file = File::open(path)?;
    let found = file.metadata()?.len();
    if found == length {
        Ok(file)
    } else {
        let what = format!("{} has {found} bytes instead of {length}", path.display());
        Err(io::Error::new(io::ErrorKind::InvalidData, what))
    }
}

/// Makes a directory and those above it, for all to read, and durable.
fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            fs::set_permissions(path, Permissions::from_mode(0o755))?;
            Durability::Synced.sync_parent(path)
        }
    }
}
