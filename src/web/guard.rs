//! A socket that gives up on a peer that takes nothing: a client that stops reading must not hold a transfer,
//! its memory and its source for ever.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A stream whose writes fail when none gets through for [`UNREAD`].
#[derive(Debug)]
pub(super) struct Guard<S> {
    stream: S,
    blocked: Option<Pin<Box<Sleep>>>,
    unwritten: Arc<AtomicBool>,
}

impl<S> Guard<S> {
    /// Guards a stream, and sets the flag while a write waits.
    pub(super) fn telling(stream: S, unwritten: Arc<AtomicBool>) -> Self {
        Self { stream, blocked: None, unwritten }
    }

    /// What is guarded.
    pub(super) fn stream(&self) -> &S {
        &self.stream
    }

    /// Passes on what a write gave; a write that waits starts the clock, one that gets through stops it.
    fn watch<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.blocked.take().is_some() {
                self.unwritten.store(false, Ordering::Relaxed);
            }
            return written;
        }
        self.unwritten.store(true, Ordering::Relaxed);
        let blocked = self.blocked.get_or_insert_with(|| Box::pin(sleep(UNREAD)));
        ready!(blocked.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client stopped reading")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(shut, context)
    }
}

/// How long a client may leave what is sent unread. Nix reads as it unpacks; a guess that is generous to a
/// disk that is busy.
const UNREAD: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_reading_is_given_up() {
        let (ours, _theirs) = duplex(16);
        let mut guard = Guard::telling(ours, Arc::default());
        let error = guard.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_is_served() {
        let (ours, mut theirs) = duplex(16);
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            let mut chunk = [0; 8];
            while theirs.read_exact(&mut chunk).await.is_ok() {
                all.extend_from_slice(&chunk);
                sleep(UNREAD / 2).await;
            }
            all.len()
        });
        let mut guard = Guard::telling(ours, Arc::default());
        guard.write_all(&[0; 64]).await.unwrap();
        drop(guard);
        assert_eq!(reading.await.unwrap(), 64);
    }
}
