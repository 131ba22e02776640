//! Bodies of responses: bytes at hand, or a NAR that is checked as it goes out.

use crate::transfer::{NarBytes, Next, Spooled, Transfer, TransferError};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream::{BoxStream, Stream, StreamExt, unfold};
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::AsyncReadExt;

/// The body of a response on the cache port.
pub struct ReplyBody {
    at_hand: VecDeque<Bytes>,
    to_come: Option<BoxStream<'static, Result<Bytes, BodyError>>>,
    skip: u64,
    left: u64,
    /// An error that waits until what came before it has been written.
    failed: Option<BodyError>,
}

/// Why a body breaks off. The client sees a connection that closes before `Content-Length` is reached.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The transfer failed.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// A spooled NAR could not be read back.
    #[error("cannot read the spooled NAR: {0}")]
    Spool(#[from] io::Error),
}

impl std::fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplyBody").field("left", &self.left).finish_non_exhaustive()
    }
}

impl ReplyBody {
    /// No bytes.
    pub fn empty() -> Self {
        Self { at_hand: VecDeque::new(), to_come: None, skip: 0, left: 0, failed: None }
    }

    /// These bytes.
    pub fn full(bytes: Bytes) -> Self {
        Self {
            left: bytes.len() as u64,
            at_hand: VecDeque::from([bytes]),
            to_come: None,
            skip: 0,
            failed: None,
        }
    }

    /// A NAR of `size` bytes. `on_end` hears how a transfer ended that was still under way.
    pub fn nar(bytes: NarBytes, size: u64, on_end: impl Fn(&BodyError) + Send + 'static) -> Self {
        match bytes {
            NarBytes::Whole(at_hand) => Self { at_hand, to_come: None, skip: 0, left: size, failed: None },
            NarBytes::Spooled(spooled) => Self {
                at_hand: VecDeque::new(),
                to_come: Some(reading(spooled)),
                skip: 0,
                left: size,
                failed: None,
            },
            NarBytes::Streamed(first, transfer) => {
                let at_hand = VecDeque::from([first]);
                let stream = transferring(transfer).inspect(move |item| {
                    if let Err(error) = item {
                        on_end(error);
                    }
                });
                Self { at_hand, to_come: Some(stream.boxed()), skip: 0, left: size, failed: None }
            }
        }
    }
}

impl ReplyBody {
    /// A part of it: `length` bytes after the first `first`.
    pub fn part(self, first: u64, length: u64) -> Self {
        Self { skip: first, left: length, ..self }
    }

    /// What of the next bytes is wanted.
    fn trim(&mut self, mut bytes: Bytes) -> Bytes {
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        bytes.advance(skipped);
        self.skip = self.skip.saturating_sub(skipped as u64);
        bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left = self.left.saturating_sub(bytes.len() as u64);
        bytes
    }
}

fn transferring(transfer: Box<Transfer>) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
    unfold(Some(transfer), |transfer| async move {
        let mut transfer = transfer?;
        match transfer.next().await {
            Ok(Next::Bytes(bytes)) => Some((Ok(bytes), Some(transfer))),
            // What stands is never void.
            Ok(Next::Again | Next::End) => None,
            Err(error) => Some((Err(error.into()), None)),
        }
    })
}

fn reading(spooled: Spooled) -> BoxStream<'static, Result<Bytes, BodyError>> {
    unfold(Some(spooled), |spooled| async move {
        let mut spooled = spooled?;
        let mut chunk = BytesMut::with_capacity(CHUNK);
        match spooled.file.read_buf(&mut chunk).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(chunk.freeze()), Some(spooled))),
            Err(error) => Some((Err(error.into()), None)),
        }
    })
    .boxed()
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if let Some(error) = self.failed.take() {
                return Poll::Ready(Some(Err(error)));
            }
            let bytes = if let Some(bytes) = self.at_hand.pop_front() {
                bytes
            } else {
                let Some(to_come) = &mut self.to_come else { return Poll::Ready(None) };
                match to_come.poll_next_unpin(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(None) => {
                        self.to_come = None;
                        return Poll::Ready(None);
                    }
                    Poll::Ready(Some(Err(error))) => {
                        // hyper throws away what it has not written when a body fails. Waiting once lets it write
                        // the head and the checked bytes, from where the client can go on.
                        (self.to_come, self.failed) = (None, Some(error));
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(Ok(bytes))) => bytes,
                }
            };
            let bytes = self.trim(bytes);
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Bytes read from a spooled NAR at once.
const CHUNK: usize = 256 * 1024;
