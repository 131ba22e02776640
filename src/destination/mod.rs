//! Where builds are published: a directory or a server, behind one face, and how a path gets there.
//!
//! ```text
//! packed file ─► publish_nar ─► NarFile ─► publish_narinfo ─► Created | SignaturesAdded | … | Dissent
//!                    │                           │
//!                    └────────── Place ──────────┘   get, size, put under a condition
//!                              │       │     │
//!                          Directory  Server  Bucket
//! ```
//!
//! A [`Place`] moves named bytes and knows nothing of narinfos; publishing knows nothing of HTTP. Neither tries
//! anything again: whoever holds the queue does, by the [`PlaceErrorKind`].
//!
//! Rules kept: a narinfo is put only after its NAR was read back, which [`NarFile`] stands for; what is there
//! under another core is never overwritten; what was put is read back.

mod body;
mod directory;
mod error;
mod look;
mod merge;
mod publish;
mod reply;
mod s3;
mod server;

pub use crate::http_client::Names;
pub use error::{PlaceError, PlaceErrorKind};
pub use look::{There, find_nar, look};
pub use publish::{NarFile, OurClaim, Published, publish_nar, publish_narinfo};

use crate::config::{Destination, Target};
use crate::format::NixCacheInfo;
use crate::format::StoreDir;
use crate::format::cache_info::{CACHE_INFO_MAX, CACHE_INFO_MIME, NAR_MIME, NARINFO_MIME};
use bytes::Bytes;
use directory::Directory;
use error::Act;
use s3::Bucket;
use server::Server;
use std::path::PathBuf;
use std::time::Duration;

/// A place that takes builds.
#[derive(Debug)]
pub struct Place {
    name: Box<str>,
    store_dir: StoreDir,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Directory(Directory),
    Server(Box<Server>),
    Bucket(Box<Bucket>),
}

/// Something as it was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its bytes.
    pub bytes: Bytes,
    /// What a later [`Condition::IfMatches`] needs; none where the place offers nothing that would hold.
    pub tag: Option<ETag>,
}

/// What tells one content of a name from another (RFC 9110 §8.8.3); strong, as the place wrote it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ETag(pub(super) Box<str>);

/// What is put.
#[derive(Clone, Debug)]
pub enum Body {
    /// These bytes.
    Bytes(Bytes),
    /// A file, read again for every attempt. A directory on the same file system links it in and makes it
    /// readable for all, so it must not be written to any more.
    File {
        /// Where it is.
        path: PathBuf,
        /// How long it is, in bytes; another length is an error.
        length: u64,
    },
}

/// What kind of thing is put.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ContentType {
    /// `nix-cache-info`
    CacheInfo,
    /// A narinfo.
    NarInfo,
    /// A NAR, compressed or not.
    Nar,
}

impl ContentType {
    /// As in HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CacheInfo => CACHE_INFO_MIME,
            Self::NarInfo => NARINFO_MIME,
            Self::Nar => NAR_MIME,
        }
    }
}

/// When a put may take place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Condition {
    /// Whatever is there.
    Always,
    /// If nothing is there.
    IfAbsent,
    /// If what is there has this tag.
    IfMatches(ETag),
}

/// What came of a put.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Put {
    /// The place says that it has it.
    Stored,
    /// The condition did not hold; nothing was changed.
    Conflict,
}

/// How long a server is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the addresses of the server's name, and again to open a connection.
    pub connect: Duration,
    /// While no byte moves.
    pub stall: Duration,
    /// For the whole answer, from when the last byte of the request was handed over.
    pub answer: Duration,
}

impl Default for Patience {
    /// 10 s, 60 s and 120 s. A server that stores into another, as gateways to object stores do, answers late.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(60),
            answer: Duration::from_secs(120),
        }
    }
}

impl Place {
    /// Opens a destination: reads its credentials and certificates anew, and removes what our own dead processes
    /// have left half written in a directory. Nothing is sent. It blocks, briefly. `names` is the resolver that all
    /// places of a process share: one that is opened again and again waits for the lookup that is under way.
    ///
    /// # Errors
    /// [`PlaceError`] if the kind of destination is not supported, or a file of secrets or certificates cannot
    /// be used.
    pub fn open(destination: &Destination, store_dir: &StoreDir, names: &Names) -> Result<Self, PlaceError> {
        Self::open_with(destination, store_dir, names, Patience::default())
    }

    /// The same, with other times.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(
        destination: &Destination,
        store_dir: &StoreDir,
        names: &Names,
        patience: Patience,
    ) -> Result<Self, PlaceError> {
        Self::open_in(destination, store_dir, names, patience, &|name| std::env::var(name).ok())
    }

    /// The same, in an environment: a bucket's credentials may be told there.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_in(
        destination: &Destination,
        store_dir: &StoreDir,
        names: &Names,
        patience: Patience,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, PlaceError> {
        let name = destination.name.clone();
        let located = |error: PlaceError| error.at(&destination.name, "");
        let kind = match &destination.target {
            Target::Directory(path) => Kind::Directory(Directory::open(path).map_err(located)?),
            Target::Http(url) => {
                let credentials = destination.credentials_file.as_deref();
                let server = Server::open(url, credentials, patience, names).map_err(located)?;
                Kind::Server(Box::new(server))
            }
            Target::S3(address) => {
                let credentials = destination.credentials_file.as_deref();
                let bucket =
                    Bucket::open(address, credentials, patience, names, variable).map_err(located)?;
                Kind::Bucket(Box::new(bucket))
            }
        };
        Ok(Self { name, store_dir: store_dir.clone(), kind })
    }

    /// The destination's name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The store directory whose paths go there.
    pub fn store_dir(&self) -> &StoreDir {
        &self.store_dir
    }

    /// What is there under a name now, past every cache in between; `None` if nothing is.
    ///
    /// # Errors
    /// [`PlaceError`]; more than `most` bytes are one.
    pub async fn get(&self, name: &str, most: u64) -> Result<Option<Found>, PlaceError> {
        let got = match &self.kind {
            Kind::Directory(directory) => directory.get(name, most).await,
            Kind::Server(server) => server.get(name, most).await,
            Kind::Bucket(bucket) => bucket.get(name, most).await,
        };
        got.map_err(|error| error.at(&self.name, name))
    }

    /// How many bytes are there under a name; `None` if nothing is.
    ///
    /// # Errors
    /// [`PlaceError`]
    pub async fn size(&self, name: &str) -> Result<Option<u64>, PlaceError> {
        let size = match &self.kind {
            Kind::Directory(directory) => directory.size(name).await,
            Kind::Server(server) => server.size(name).await,
            Kind::Bucket(bucket) => bucket.size(name).await,
        };
        size.map_err(|error| error.at(&self.name, name))
    }

    /// Puts something under a name. A server that knows no conditions is asked without: who must know reads back.
    ///
    /// # Errors
    /// [`PlaceError`]; whether it was stored is then not known.
    pub async fn put(
        &self,
        name: &str,
        body: Body,
        kind: ContentType,
        condition: Condition,
    ) -> Result<Put, PlaceError> {
        let put = match &self.kind {
            Kind::Directory(directory) => directory.put(name, body, condition).await,
            Kind::Server(server) => server.put(name, body, kind, condition).await,
            Kind::Bucket(bucket) => bucket.put(name, body, kind, condition).await,
        };
        put.map_err(|error| error.at(&self.name, name))
    }

    /// Removes what uploads that were begun so long ago and never ended have left, where nothing else shows it; how
    /// many. What is left of our own in a directory is removed when that is opened.
    ///
    /// # Errors
    /// [`PlaceError`]; many servers do not say what was begun, or not to everybody.
    pub async fn sweep(&self, age: Duration) -> Result<usize, PlaceError> {
        match &self.kind {
            Kind::Directory(_) | Kind::Server(_) => Ok(0),
            Kind::Bucket(bucket) => bucket.sweep(age).await.map_err(|error| error.at(&self.name, "nar/")),
        }
    }

    /// Makes sure that the place is a cache of our store directory: `nix-cache-info` is put where it is missing. One
    /// that nobody should ask for many paths says so, and that it wants to be asked last.
    ///
    /// # Errors
    /// [`PlaceError`], of kind [`PlaceErrorKind::OtherStore`] if it is a cache of another store directory.
    pub async fn prepare(&self, want_mass_query: bool) -> Result<(), PlaceError> {
        let priority = (!want_mass_query).then_some(LAST);
        let ours = NixCacheInfo { store_dir: self.store_dir.clone(), want_mass_query, priority };
        // Somebody else may put theirs between our look and our put.
        for _ in 0..ROUNDS {
            if let Some(found) = self.get(CACHE_INFO, CACHE_INFO_MAX as u64).await? {
                return self.judge_cache_info(&found.bytes);
            }
            let body = Body::Bytes(ours.to_text().into());
            self.put(CACHE_INFO, body, ContentType::CacheInfo, Condition::IfAbsent).await?;
        }
        let what = "it was stored, and is not there";
        Err(PlaceError::new(PlaceErrorKind::Lost, Act::Check, what).at(&self.name, CACHE_INFO))
    }

    fn judge_cache_info(&self, text: &[u8]) -> Result<(), PlaceError> {
        let fault = match NixCacheInfo::parse(text) {
            Ok(theirs) if theirs.store_dir == self.store_dir => return Ok(()),
            Ok(theirs) => {
                let what = format!("it is a cache of {}, not of {}", theirs.store_dir, self.store_dir);
                PlaceError::new(PlaceErrorKind::OtherStore, Act::Check, what)
            }
            Err(fault) => PlaceError::new(PlaceErrorKind::Malformed, Act::Check, fault.to_string()),
        };
        Err(fault.at(&self.name, CACHE_INFO))
    }
}

const CACHE_INFO: &str = "nix-cache-info";

/// The priority of a place without bytes. Caches say 50 or less, so a Nix that asks it by mistake asks it last.
const LAST: u32 = 1000;

/// How often something is tried again because others changed it meanwhile.
const ROUNDS: usize = 5;
