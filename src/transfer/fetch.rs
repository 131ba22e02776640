//! The compressed bytes of one NAR as they arrive from a source, and when to stop waiting for them.

use crate::transfer::plan::Failure;
use crate::upstream::{FetchError, Undelivered};
use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// A response body being read.
#[derive(Debug)]
pub(super) struct Fetch {
    body: Incoming,
    terms: Terms,
    tempo: Tempo,
    /// The source said how many bytes there are, so that an end before them cannot pass for the end.
    is_declared: bool,
}

/// What a source is held to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// How long nothing may come.
    pub(super) stall: Duration,
    /// How long it may be slower than the minimum.
    pub(super) grace: Duration,
    /// Bytes a second, on average over each stretch of `grace`.
    pub(super) minimum_rate: u64,
    /// Bytes that it may send: endless empty members end there.
    pub(super) most: u64,
    /// How long the best other source is expected to take for all of it, if there is one.
    pub(super) rival: Option<Duration>,
    /// How long no source is compared with another.
    pub(super) trial: Duration,
}

/// How much came in which time. Only the time spent waiting for the source counts, not the client's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tempo {
    /// Bytes so far.
    pub(super) received: u64,
    /// Bytes still to come, if that is known.
    pub(super) left: Option<u64>,
    /// The time spent waiting for them.
    pub(super) waited: Duration,
    /// Of them what came before the present stretch: what a source was once is no credit.
    before: (u64, Duration),
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
    #[error("nothing came for {} seconds", .0.as_secs_f32())]
    Stalled(Duration),
    /// Too little came.
    #[error("less than {0} bytes a second came (`serving.minimum-rate`)")]
    Slow(u64),
    /// Another source is expected to be done with all of it long before this one with the rest.
    #[error("another source is expected to be much faster")]
    Outpaced,
    /// Its first byte was late, and another source's was not.
    #[error("its first byte had not come after {} seconds, and another source's had", .0.as_secs_f32())]
    Late(Duration),
    /// It ended early, and had not said how long it would be.
    #[error("the transfer ended early")]
    Short,
    /// More compressed bytes than the NAR can need.
    #[error("more than {0} bytes came, and the NAR is not complete")]
    TooMuch(u64),
    /// The file it was to wait in could not be written.
    #[error("cannot spool the NAR: {0}")]
    Spool(#[source] std::io::Error),
}

impl Fetch {
    /// Reads a body under these terms.
    pub(super) fn new(body: Incoming, terms: Terms) -> Self {
        let declared = body.size_hint().exact();
        let tempo = Tempo { left: declared, ..Tempo::default() };
        Self { body, terms, tempo, is_declared: declared.is_some() }
    }

    /// The next frame, `None` at the end. Safe to drop and call again.
    pub(super) async fn frame(&mut self) -> Result<Option<Bytes>, Interrupted> {
        loop {
            let since = Instant::now();
            let frame = in_time(self.terms.stall, self.body.frame()).await?;
            self.tempo.waited = self.tempo.waited.saturating_add(since.elapsed());
            let Some(frame) = frame else { return Ok(None) };
            // Trailers carry nothing that we use.
            if let Ok(data) = frame?.into_data()
                && !data.is_empty()
            {
                self.tempo.add(data.len() as u64);
                self.terms.judge(&mut self.tempo)?;
                return Ok(Some(data));
            }
        }
    }

    /// What came so far.
    pub(super) fn tempo(&self) -> Tempo {
        self.tempo
    }

    /// Whether an end of the body can be one that nobody meant.
    pub(super) fn may_be_short(&self) -> bool {
        !self.is_declared
    }
}

impl Interrupted {
    /// What it says of the source.
    pub(super) fn failure(&self, got_on: bool) -> Failure {
        match self {
            Self::Fetch(error) if !may_pass(error) => Failure::Useless,
            Self::Fetch(_) | Self::Broken(_) | Self::Stalled(_) | Self::Short => Failure::Cut { got_on },
            // It lost a race, and that is in its pace: it is as good as before if the winner fails.
            Self::Late(_) => Failure::Cut { got_on: true },
            Self::Slow(_) | Self::Outpaced => Failure::Slow,
            Self::TooMuch(_) | Self::Spool(_) => Failure::Useless,
        }
    }

    /// What it says of the cache's health; nothing where only the bytes are wrong, or we are.
    pub(super) fn undelivered(&self) -> Option<Undelivered<'_>> {
        match self {
            Self::Fetch(error) => Some(Undelivered::Refused(error)),
            // Late once is not down.
            Self::Broken(_) | Self::Short | Self::Late(_) => Some(Undelivered::Broken),
            Self::Stalled(_) | Self::Slow(_) | Self::Outpaced => Some(Undelivered::Stalled),
            Self::TooMuch(_) | Self::Spool(_) => None,
        }
    }

    /// Whether the source gives no part of the file, and might give the whole.
    pub(super) fn is_about_the_part(&self) -> bool {
        matches!(self, Self::Fetch(FetchError::Status(status)) if matches!(status.as_u16(), 206 | 416))
    }
}

/// Whether the same request may succeed a moment later.
fn may_pass(error: &FetchError) -> bool {
    match error {
        FetchError::Http(_) | FetchError::Later { .. } => true,
        FetchError::Status(status) => {
            status.is_server_error() || matches!(status.as_u16(), 206 | 408 | 416 | 429)
        }
        FetchError::Outside(_)
        | FetchError::Redirects
        | FetchError::RedirectNowhere
        | FetchError::Encoded
        | FetchError::Request(_) => false,
    }
}

impl Tempo {
    fn add(&mut self, bytes: u64) {
        self.received = self.received.saturating_add(bytes);
        self.left = self.left.map(|left| left.saturating_sub(bytes));
    }

    /// What came in the present stretch, and in which time.
    fn stretch(&self) -> (u64, Duration) {
        let (received, waited) = self.before;
        (self.received.saturating_sub(received), self.waited.saturating_sub(waited))
    }

    /// How long what is left will take if it goes on as ever, or as of late where that has been for `trial` at least.
    fn remaining(&self, trial: Duration) -> Option<Duration> {
        let left = self.left?;
        let at_pace_of = |(received, waited): (u64, Duration)| {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let seconds = waited.as_secs_f64() * (left as f64) / (received.max(1) as f64);
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
        };
        let lately = Some(self.stretch()).filter(|(_, waited)| *waited > trial);
        Some(at_pace_of((self.received, self.waited)).max(lately.map_or(Duration::ZERO, at_pace_of)))
    }
}

impl Terms {
    /// Whether the source may go on.
    fn judge(&self, tempo: &mut Tempo) -> Result<(), Interrupted> {
        if tempo.received > self.most {
            return Err(Interrupted::TooMuch(self.most));
        }
        // To begin again elsewhere has its price, so the other must be better by far.
        let is_outpaced = self.rival.zip(tempo.remaining(self.trial)).is_some_and(|(rival, remaining)| {
            tempo.waited > self.trial && remaining > rival.saturating_mul(4).saturating_add(self.stall)
        });
        let (received, waited) = tempo.stretch();
        if waited > self.grace {
            #[expect(clippy::cast_precision_loss, reason = "an average")]
            if (received as f64) < self.minimum_rate as f64 * waited.as_secs_f64() {
                return Err(Interrupted::Slow(self.minimum_rate));
            }
            tempo.before = (tempo.received, tempo.waited);
        }
        if is_outpaced { Err(Interrupted::Outpaced) } else { Ok(()) }
    }
}

/// What a source is to send next, if it comes in time.
pub(super) async fn in_time<T>(stall: Duration, coming: impl Future<Output = T>) -> Result<T, Interrupted> {
    timeout(stall, coming).await.map_err(|_| Interrupted::Stalled(stall))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        stall: Duration::from_secs(2),
        grace: Duration::from_secs(15),
        minimum_rate: 16 << 10,
        most: 1 << 40,
        rival: None,
        trial: Duration::from_secs(1),
    };

    fn tempo(received: u64, left: u64, seconds: u64) -> Tempo {
        Tempo { received, left: Some(left), waited: Duration::from_secs(seconds), ..Tempo::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_is_waited_for_and_not_for_ever() {
        let never = in_time(TERMS.stall, std::future::pending::<()>()).await;
        assert!(matches!(never, Err(Interrupted::Stalled(_))));
        assert!(in_time(TERMS.stall, tokio::time::sleep(TERMS.stall / 2)).await.is_ok());
    }

    #[test]
    fn a_slow_source_has_its_time_of_grace() {
        assert!(TERMS.judge(&mut tempo(1, 1 << 30, 15)).is_ok());
        assert!(matches!(TERMS.judge(&mut tempo(16 << 10, 1 << 30, 16)), Err(Interrupted::Slow(_))));
        assert!(TERMS.judge(&mut tempo(16 * (16 << 10) + 1, 1 << 30, 16)).is_ok());
    }

    /// One that sends most of a file at once and then drips would else be waited for by the hour.
    #[test]
    fn what_came_fast_before_is_no_credit() {
        let mut tempo = tempo(1 << 30, 1 << 20, 16);
        assert!(TERMS.judge(&mut tempo).is_ok());
        let drip = |tempo: &mut Tempo, bytes| {
            (tempo.received, tempo.waited) = (tempo.received + bytes, tempo.waited + Duration::from_secs(8));
            TERMS.judge(tempo)
        };
        assert!(drip(&mut tempo, 1000).is_ok(), "it has its time of grace again");
        assert!(matches!(drip(&mut tempo, 1000), Err(Interrupted::Slow(_))));
        tempo.before = (tempo.received, tempo.waited);
        assert!((0..20).all(|_| drip(&mut tempo, 8 * (16 << 10) + 1).is_ok()), "slow, and never too slow");
    }

    #[test]
    fn a_source_that_slows_down_is_outpaced_by_one_that_has_not() {
        let rivalled = Terms { rival: Some(Duration::from_secs(3)), ..TERMS };
        let mut tempo = tempo(1 << 30, 20 << 20, 16);
        assert!(rivalled.judge(&mut tempo).is_ok());
        (tempo.received, tempo.waited) = (tempo.received + (1 << 20), tempo.waited + Duration::from_secs(2));
        assert!(matches!(rivalled.judge(&mut tempo), Err(Interrupted::Outpaced)));
    }

    #[test]
    fn a_source_is_outpaced_only_by_far_and_not_at_once() {
        let rivalled = Terms { rival: Some(Duration::from_secs(3)), ..TERMS };
        // A megabyte a second.
        assert!(rivalled.judge(&mut tempo(1_000_000, 900_000_000, 1)).is_ok(), "too early to say");
        assert!(matches!(rivalled.judge(&mut tempo(2_000_000, 900_000_000, 2)), Err(Interrupted::Outpaced)));
        assert!(rivalled.judge(&mut tempo(2_000_000, 14_000_000, 2)).is_ok(), "as good as done");
        assert!(TERMS.judge(&mut tempo(2_000_000, 900_000_000, 2)).is_ok(), "there is no other");
        let mut unknown = Tempo { left: None, ..tempo(2_000_000, 0, 2) };
        assert!(rivalled.judge(&mut unknown).is_ok(), "nobody knows how much is left");
    }

    #[test]
    fn no_body_goes_on_for_ever() {
        let bounded = Terms { most: 1000, ..TERMS };
        assert!(bounded.judge(&mut tempo(1000, 1, 0)).is_ok());
        assert!(matches!(bounded.judge(&mut tempo(1001, 1, 0)), Err(Interrupted::TooMuch(1000))));
    }
}
