//! A large file, sent as parts: a few at a time, each read from the file when its turn comes.
//!
//! Memory is bounded by [`MOST_HELD`]. What fails is aborted, as far as the server can be reached; what a
//! crash leaves behind is for the sweep.

use crate::crash;
use crate::destination::error::Act;
use crate::destination::s3::fault::Fault;
use crate::destination::s3::{Bucket, Once, Tries, payload};
use crate::destination::{ContentType, PlaceError, PlaceErrorKind, Put};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use object_store::PutMultipartOptions;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Key;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

impl Bucket {
    /// Puts a file in parts, whatever is there. Where the server no longer knows what it was sent, all of it is sent
    /// once more.
    pub(super) async fn put_parts(
        &self,
        name: &str,
        key: &Key,
        file: &Path,
        length: u64,
        kind: ContentType,
    ) -> Result<Put, PlaceError> {
        let mut outcome = self.try_parts(name, key, file, length, kind).await;
        if let Err(fault) = &outcome
            && fault.is_upload_gone
        {
            tracing::debug!(%fault, name, "a multipart upload is gone, and is begun anew");
            outcome = self.try_parts(name, key, file, length, kind).await;
        }
        outcome.map_err(|fault| fault.during(Act::Store))
    }

    async fn try_parts(
        &self,
        name: &str,
        key: &Key,
        file: &Path,
        length: u64,
        kind: ContentType,
    ) -> Result<Put, Fault> {
        let begun = self.attempt(Few, || async {
            let attributes = self.attributes(kind);
            let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
            self.store.create_multipart_opts(key, options).await.map_err(|error| Fault::of(&error))
        });
        let id = begun.await?;
        crash::point("upload begun", key);
        let outcome = self.send_parts(key, &id, file, length).await;
        let Err(fault) = outcome else {
            crash::point("parts put together", key);
            return Ok(Put::Stored);
        };
        // The answer that said so may have been lost, and what was put together is not put together again.
        if fault.kind != PlaceErrorKind::Malformed
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
        Err(fault)
    }

    async fn send_parts(&self, key: &Key, id: &String, file: &Path, length: u64) -> Result<(), Fault> {
        let size = part_size(self.parts.size, length);
        let offsets = (0..length.div_ceil(size)).map(|index| (index, index.saturating_mul(size)));
        let has_failed = &AtomicBool::new(false);
        let sent: Vec<Result<PartId, Fault>> = stream::iter(offsets)
            .map(|(index, offset)| async move {
                if has_failed.load(Ordering::Relaxed) {
                    return Err(Fault::new(PlaceErrorKind::Unreachable, "another part failed"));
                }
                let size = size.min(length.saturating_sub(offset));
                let sent =
                    async { self.send_part(key, id, index, read(file, offset, size, length).await?).await };
                let sent = sent.await;
                has_failed.fetch_or(sent.is_err(), Ordering::Relaxed);
                sent
            })
            .buffered(at_once(size))
            .collect()
            .await;
        // Those under way are waited for, since a part that arrives after the upload was aborted would stay (Amazon's
        // page "AbortMultipartUpload"). What failed comes before what was not sent because of it.
        let parts = sent.into_iter().collect::<Result<Vec<_>, _>>()?;
        self.attempt(Few, || async {
            let completed = self.store.complete_multipart(key, id, parts.clone()).await;
            completed.map(drop).map_err(|error| Fault::of(&error))
        })
        .await
    }

    async fn send_part(&self, key: &Key, id: &String, index: u64, bytes: Bytes) -> Result<PartId, Fault> {
        let payload = payload(bytes);
        let number = usize::try_from(index).unwrap_or(usize::MAX);
        let sent = self.attempt(Few, || async {
            let sent = self.store.put_part(key, id, number, payload.clone()).await;
            sent.map_err(|error| Fault::of(&error))
        });
        let sent = sent.await?;
        crash::point("part stored", &format_args!("{key}#{index}"));
        Ok(sent)
    }
}

/// Reads a piece of a file, which must have this length as a whole.
pub(super) async fn read(path: &Path, offset: u64, size: u64, length: u64) -> Result<Bytes, Fault> {
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
    read.map_err(|error| Fault::new(PlaceError::local(Act::Store, &error).kind(), error.to_string()))
}

/// How long a part is, but for the last: more than `usual` for a file that would have too many.
fn part_size(usual: u64, length: u64) -> u64 {
    usual.max(length.div_ceil(MOST_PARTS))
}

/// How many parts of a file are under way at a time.
fn at_once(size: u64) -> usize {
    let room = MOST_HELD.checked_div(size).unwrap_or_default();
    usize::try_from(room).unwrap_or(MOST_AT_ONCE).clamp(1, MOST_AT_ONCE)
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

/// Amazon's limit.
const MOST_PARTS: u64 = 10_000;

/// Parts under way for one file: enough to fill a line while one waits for its answer.
const MOST_AT_ONCE: usize = 3;

/// What they may hold in memory together, in bytes, but for one that is larger.
const MOST_HELD: u64 = 24 << 20;

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
        let usual = 8 << 20;
        assert_eq!(part_size(usual, 5 << 30), usual);
        for length in [80_u64 << 30, (80 << 30) + 1, 1 << 40] {
            assert!(length.div_ceil(part_size(usual, length)) <= MOST_PARTS, "{length}");
        }
    }

    #[test]
    fn the_larger_the_parts_the_fewer_are_under_way() {
        let parts = [1_u64, 5, 8, 9, 12, 13, 32, 500].map(|mib| at_once(mib << 20));
        assert_eq!(parts, [3, 3, 3, 2, 2, 1, 1, 1]);
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
