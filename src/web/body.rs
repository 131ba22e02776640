//! Bodies of responses: bytes at hand, or a NAR that is checked as it goes out.

use crate::transfer::{NarBytes, Next, Spooled, Transfer, TransferError};
use crate::web::room::Answering;
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
    /// The whole of a small body, and nothing else.
    only: Bytes,
    at_hand: VecDeque<Bytes>,
    to_come: Option<BoxStream<'static, Result<Bytes, BodyError>>>,
    skip: u64,
    left: u64,
    /// An error that waits until what came before it has been written.
    failed: Option<BodyError>,
    /// Marks the request as under way for as long as there is a body.
    answering: Option<Answering>,
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
        f.debug_struct("ReplyBody")
            .field("left", &self.left)
            .field("answering", &self.answering)
            .finish_non_exhaustive()
    }
}

impl ReplyBody {
    /// No bytes.
    pub fn empty() -> Self {
        Self::of(VecDeque::new(), 0)
    }

    /// These bytes.
    pub fn full(bytes: Bytes) -> Self {
        let size = bytes.len() as u64;
        Self { only: bytes, ..Self::of(VecDeque::new(), size) }
    }

    fn of(at_hand: VecDeque<Bytes>, size: u64) -> Self {
        Self {
            only: Bytes::new(),
            at_hand,
            to_come: None,
            skip: 0,
            left: size,
            failed: None,
            answering: None,
        }
    }

    /// A NAR of `size` bytes. `on_end` hears how a transfer ended that was still under way.
    pub fn nar(bytes: NarBytes, size: u64, on_end: impl Fn(&BodyError) + Send + 'static) -> Self {
        match bytes {
            NarBytes::Whole(at_hand) => Self::of(at_hand, size),
            NarBytes::Spooled(spooled) => {
                Self { to_come: Some(reading(spooled)), ..Self::of(VecDeque::new(), size) }
            }
            NarBytes::Streamed(first, transfer) => {
                let at_hand = VecDeque::from([first]);
                let stream = transferring(transfer).inspect(move |item| {
                    if let Err(error) = item {
                        on_end(error);
                    }
                });
                Self { to_come: Some(stream.boxed()), ..Self::of(at_hand, size) }
            }
        }
    }

    /// Marks a request as under way until the body is dropped.
    pub(super) fn answering(self, answering: Answering) -> Self {
        Self { answering: Some(answering), ..self }
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
        if !self.only.is_empty() {
            let bytes = std::mem::take(&mut self.only);
            return Poll::Ready(Some(Ok(Frame::data(self.trim(bytes)))));
        }
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
