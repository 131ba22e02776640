//! What has come from the source that delivers now, and has not been worked on.

use crate::transfer::fetch::{Fetch, Interrupted};
use crate::transfer::sources::Opened;
use bytes::Bytes;
use http::HeaderValue;
use std::time::Instant;

/// The end of the bytes that arrive.
#[derive(Debug)]
pub(super) struct Input {
    /// The source's number.
    pub(super) source: usize,
    /// When it was asked.
    pub(super) began: Instant,
    /// The entity tag that its file has.
    pub(super) tag: Option<HeaderValue>,
    pub(super) fetch: Fetch,
    gathered: Vec<Bytes>,
    size: usize,
    end: Option<Result<(), Interrupted>>,
}

impl Input {
    /// What a source begins with.
    pub(super) fn of(opened: Opened) -> Self {
        let Opened { source, began, first_byte: _, tag, fetch, first } = opened;
        let end = first.is_none().then_some(Ok(()));
        let size = first.as_ref().map_or(0, Bytes::len);
        Self { source, began, tag, fetch, gathered: first.into_iter().collect(), size, end }
    }

    /// Whether nothing waits to be worked on.
    pub(super) fn is_empty(&self) -> bool {
        self.gathered.is_empty()
    }

    /// Whether there may be more, and room for it.
    pub(super) fn has_room(&self) -> bool {
        self.end.is_none() && self.size < BATCH
    }

    /// Reads what comes next. Safe to drop and call again; waits for ever where nothing can come any more.
    pub(super) async fn read(&mut self) {
        match self.fetch.frame().await {
            Ok(Some(bytes)) => {
                self.size = self.size.saturating_add(bytes.len());
                self.gathered.push(bytes);
            }
            Ok(None) => self.end = Some(Ok(())),
            Err(error) => self.end = Some(Err(error)),
        }
    }

    /// Reads until something waits to be worked on, or all has come.
    ///
    /// # Errors
    /// [`Interrupted`] once nothing waits any more and the source has failed.
    pub(super) async fn wait(&mut self) -> Result<(), Interrupted> {
        while self.is_empty() {
            match self.end.take() {
                None => self.read().await,
                Some(Ok(())) => {
                    self.end = Some(Ok(()));
                    return Ok(());
                }
                Some(Err(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// All that waits, and whether nothing follows it.
    pub(super) fn take(&mut self) -> (Vec<Bytes>, bool) {
        self.size = 0;
        (std::mem::take(&mut self.gathered), self.is_over())
    }

    /// Whether the source has sent all that it has.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.end, Some(Ok(())))
    }
}

/// Compressed bytes that are read ahead for one batch of work.
const BATCH: usize = 512 * 1024;
