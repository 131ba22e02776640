//! A large file, sent as parts: a few at a time, each read from the file when its turn comes.
//!
//! Memory is bounded by [`AT_ONCE`] parts. What fails is aborted, as far as the server can be reached; what a
//! crash leaves behind is for the sweep.

use crate::destination::error::Act;
use crate::destination::s3::fault::Fault;
use crate::destination::s3::{Bucket, Once, Tries, attributes, payload};
use crate::destination::{ContentType, PlaceError, PlaceErrorKind, Put};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::PutMultipartOptions;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Key;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

impl Bucket {
    /// Puts a file that is larger than a part, whatever is there.
    pub(super) async fn put_parts(
        &self,
        name: &str,
        key: &Key,
        file: &Path,
        length: u64,
        kind: ContentType,
    ) -> Result<Put, PlaceError> {
        let begun = self.attempt(Few, || async {
            let options =
                PutMultipartOptions { attributes: attributes(kind), ..PutMultipartOptions::default() };
            self.store.create_multipart_opts(key, options).await.map_err(|error| Fault::of(&error))
        });
        let id = begun.await.map_err(|fault| fault.during(Act::Store))?;
        let outcome = self.send_parts(key, &id, file, length).await;
        let Err(error) = outcome else { return Ok(Put::Stored) };
        // The answer that said so may have been lost, and what was put together is not put together again.
        if error.kind() != PlaceErrorKind::Malformed
            && matches!(self.size(name).await, Ok(Some(size)) if size == length)
        {
            return Ok(Put::Stored);
        }
        let aborted = self.attempt(Once, || async {
            self.store.abort_multipart(key, &id).await.map_err(|error| Fault::of(&error))
        });
        if let Err(fault) = aborted.await {
            tracing::debug!(%fault, "a multipart upload could not be aborted; it is swept up in a day");
        }
        Err(error)
    }

    async fn send_parts(&self, key: &Key, id: &String, file: &Path, length: u64) -> Result<(), PlaceError> {
        let size = part_size(length);
        let offsets = (0..length.div_ceil(size)).map(|index| (index, index.saturating_mul(size)));
        let parts: Vec<PartId> = stream::iter(offsets)
            .map(|(index, offset)| self.send_part(key, id, index, file, offset, length))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let completed = self.attempt(Few, || async {
            let completed = self.store.complete_multipart(key, id, parts.clone()).await;
            completed.map(drop).map_err(|error| Fault::of(&error))
        });
        completed.await.map_err(|fault| fault.during(Act::Store))
    }

    async fn send_part(
        &self,
        key: &Key,
        id: &String,
        index: u64,
        file: &Path,
        offset: u64,
        length: u64,
    ) -> Result<PartId, PlaceError> {
        let size = part_size(length).min(length.saturating_sub(offset));
        let payload = payload(read(file, offset, size, length).await?);
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let sent = self.attempt(Few, || async {
            let sent = self.store.put_part(key, id, index, payload.clone()).await;
            sent.map_err(|error| Fault::of(&error))
        });
        sent.await.map_err(|fault| fault.during(Act::Store))
    }
}

/// Reads a piece of a file, which must have this length as a whole.
pub(super) async fn read(path: &Path, offset: u64, size: u64, length: u64) -> Result<Bytes, PlaceError> {
    let path = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let file = std::fs::File::open(&path)?;
        let found = file.metadata()?.len();
        if found != length {
            let kind = if found < length { io::ErrorKind::UnexpectedEof } else { io::ErrorKind::InvalidData };
            let what = format!("our own file {} has {found} bytes instead of {length}", path.display());
            return Err(io::Error::new(kind, what));
        }
        let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(Bytes::from(bytes))
    });
    let read = reading.await.unwrap_or_else(|fault| Err(io::Error::other(fault)));
    read.map_err(|error| PlaceError::local(Act::Store, &error))
}

/// How long a part is, but for the last: more for a file of more than 80 GiB.
fn part_size(length: u64) -> u64 {
    PART.max(length.div_ceil(MOST_PARTS))
}

/// A few tries, with pauses that grow, or those that the server asks for.
struct Few;

impl Tries for Few {
    fn pause(&self, failures: u32, fault: &Fault) -> Option<Duration> {
        let own = FIRST_PAUSE.saturating_mul(4_u32.saturating_pow(failures));
        let pause = fault.pause().unwrap_or_default().max(own);
        (failures < MOST_FAILURES && pause <= LONGEST_PAUSE).then_some(pause)
    }
}

/// How long a part is, in bytes. Amazon's smallest is 5 MiB.
pub(super) const PART: u64 = 8 << 20;

/// Amazon's limit.
const MOST_PARTS: u64 = 10_000;

/// Parts under way for one file, each in memory: enough to fill a line while one waits for its answer.
const AT_ONCE: usize = 3;

/// How often a request may fail in passing. With the pauses it is over in nine seconds, while a connection that
/// stands still takes longer each time.
const MOST_FAILURES: u32 = 4;

/// The pause after the first failure; each further one is four times as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause in the middle of an upload; who asks for more is left alone as a whole.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_no_more_parts_than_a_server_takes() {
        assert_eq!(part_size(PART + 1), PART);
        assert_eq!(part_size(5 << 30), PART);
        for length in [80_u64 << 30, (80 << 30) + 1, 1 << 40] {
            assert!(length.div_ceil(part_size(length)) <= MOST_PARTS, "{length}");
        }
    }

    #[test]
    fn pauses_grow_and_heed_the_server_and_end() {
        let fault = |kind| Fault::new(kind, "");
        let lost = fault(PlaceErrorKind::Unreachable);
        let pauses: Vec<_> = (0..5).map(|n| Few.pause(n, &lost).map(|pause| pause.as_millis())).collect();
        assert_eq!(pauses, [Some(100), Some(400), Some(1600), Some(6400), None]);
        let busy = |seconds| fault(PlaceErrorKind::Busy { retry_after: Some(Duration::from_secs(seconds)) });
        assert_eq!(Few.pause(0, &busy(7)), Some(Duration::from_secs(7)));
        assert_eq!(Few.pause(0, &busy(21)), None);
    }
}
