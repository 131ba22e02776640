//! NARs that were broken off because what had gone out of them may be wrong, and who gave which part of it.
//!
//! Two sources whose bytes differ blame nobody: either may be the liar. Once the whole NAR is there and has hashed, the
//! parts that went out are held against it, and the first that differs tells who lied (design §5).

use crate::format::NarHash;
use crate::transfer::verify::Mark;
use crate::upstream::RemoteCache;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// What one source gave of a NAR that went out: all from where the part before it ends.
#[derive(Clone, Debug)]
pub(super) struct Contribution {
    pub(super) cache: Arc<RemoteCache>,
    /// Where it ends, and the hash of all up to there.
    pub(super) end: Mark,
}

/// The NARs that were broken off lately.
#[derive(Debug, Default)]
pub(super) struct Broken(Mutex<HashMap<NarHash, (Instant, Vec<Contribution>)>>);

impl Broken {
    /// Remembers that a NAR was broken off.
    pub(super) fn add(&self, nar_hash: NarHash, parts: Vec<Contribution>) {
        let mut broken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        broken.retain(|_, (since, _)| now.saturating_duration_since(*since) < BROKEN_FOR);
        if broken.len() < MOST_BROKEN {
            broken.insert(nar_hash, (now, parts));
        }
    }

    /// Whether a NAR was broken off and has not been there whole since.
    pub(super) fn has(&self, nar_hash: NarHash) -> bool {
        let broken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        broken.get(&nar_hash).is_some_and(|(since, _)| since.elapsed() < BROKEN_FOR)
    }

    /// The NAR is there, whole and right; gives the parts that had gone out.
    pub(super) fn mend(&self, nar_hash: NarHash) -> Vec<Contribution> {
        let mut broken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        broken.remove(&nar_hash).map(|(_, parts)| parts).unwrap_or_default()
    }
}

/// Finds who gave the first of the parts that differ from the NAR in `file`, and leaves the file at its start.
///
/// # Errors
/// If the file cannot be read back; nobody is blamed then, and the file is not to be served.
pub(super) async fn liar(file: &mut File, parts: &[Contribution]) -> io::Result<Option<Arc<RemoteCache>>> {
    let found = first_that_differs(file, parts).await?;
    file.rewind().await?;
    Ok(found.map(|part| Arc::clone(&part.cache)))
}

async fn first_that_differs<'p>(
    file: &mut File,
    parts: &'p [Contribution],
) -> io::Result<Option<&'p Contribution>> {
    let mut truth = Mark::start();
    let mut chunk = vec![0; CHUNK];
    for part in parts {
        while truth.position() < part.end.position() {
            let due = part.end.position().saturating_sub(truth.position());
            let room = usize::try_from(due).unwrap_or(CHUNK).min(CHUNK);
            let read = file.read(chunk.get_mut(..room).unwrap_or_default()).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            truth.pass(chunk.get(..read).unwrap_or_default());
        }
        if truth.digest() != part.end.digest() {
            return Ok(Some(part));
        }
    }
    Ok(None)
}

/// How long a client may come back for the rest of a NAR that lied: Nix 2.34 retries for minutes.
const BROKEN_FOR: Duration = Duration::from_secs(3600);

/// NARs that are remembered as broken off; more than that at once is not one client's doing.
const MOST_BROKEN: usize = 10_000;

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;
