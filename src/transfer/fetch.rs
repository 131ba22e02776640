//! The compressed bytes of one NAR as they arrive from a source, under a deadline for every frame and a
//! minimum average rate.

use crate::upstream::FetchError;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// A response body being read.
#[derive(Debug)]
pub(super) struct Fetch {
    body: Incoming,
    minimum_rate: u64,
    most: u64,
    received: u64,
    waited: Duration,
}

/// Why bytes stopped coming.
#[derive(Debug, thiserror::Error)]
pub enum Interrupted {
    /// The transfer could not begin.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It broke off.
    #[error("the transfer broke off: {0}")]
    Broken(#[from] hyper::Error),
    /// Nothing came for too long.
    #[error("nothing came for {} seconds", STALL.as_secs())]
    Stalled,
    /// Too little came.
    #[error("less than {0} bytes a second came (`serving.minimum-rate`)")]
    Slow(u64),
    /// More compressed bytes than the NAR can need.
    #[error("more than {0} bytes came, and the NAR is not complete")]
    TooMuch(u64),
    /// The file it was to wait in could not be written.
    #[error("cannot spool the NAR: {0}")]
    Spool(#[source] std::io::Error),
}

impl Fetch {
    /// Reads a body that must bring `minimum_rate` bytes a second on average, and at most what a NAR of
    /// `nar_size` bytes can take up when compressed badly: endless empty members end there.
    pub(super) fn new(body: Incoming, nar_size: u64, minimum_rate: u64) -> Self {
        let most = nar_size.saturating_add(nar_size / 8).saturating_add(OVERHEAD);
        Self { body, minimum_rate, most, received: 0, waited: Duration::ZERO }
    }

    /// The next frame, `None` at the end. Safe to drop and call again.
    pub(super) async fn frame(&mut self) -> Result<Option<Bytes>, Interrupted> {
        loop {
            let since = Instant::now();
            let frame = in_time(self.body.frame()).await?;
            self.waited = self.waited.saturating_add(since.elapsed());
            let Some(frame) = frame else { return Ok(None) };
            // Trailers carry nothing that we use.
            if let Ok(data) = frame?.into_data()
                && !data.is_empty()
            {
                self.received = self.received.saturating_add(data.len() as u64);
                if self.received > self.most {
                    return Err(Interrupted::TooMuch(self.most));
                }
                self.check_rate()?;
                return Ok(Some(data));
            }
        }
    }

    /// Only the time spent waiting for the source counts, not the client's.
    fn check_rate(&self) -> Result<(), Interrupted> {
        let is_slow =
            self.waited > GRACE && self.received < self.minimum_rate.saturating_mul(self.waited.as_secs());
        if is_slow { Err(Interrupted::Slow(self.minimum_rate)) } else { Ok(()) }
    }
}

/// What a source is to send next, the head of its response included, if it comes in time.
pub(super) async fn in_time<T>(coming: impl Future<Output = T>) -> Result<T, Interrupted> {
    timeout(STALL, coming).await.map_err(|_| Interrupted::Stalled)
}

/// A source that sends nothing for so long is given up. Nix itself waits 300 s; a guess well below that.
const STALL: Duration = Duration::from_secs(20);

/// Bytes that compression may add to a small NAR: headers, empty blocks.
const OVERHEAD: u64 = 1024 * 1024;

/// How long a source may be slow before its average counts.
const GRACE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_source_is_waited_for_and_not_for_ever() {
        assert!(matches!(in_time(std::future::pending::<()>()).await, Err(Interrupted::Stalled)));
        assert!(in_time(tokio::time::sleep(STALL / 2)).await.is_ok());
    }
}
