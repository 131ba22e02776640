//! What is sent to a server: bytes or a file, in frames, with an eye on when the last one moved.

use crate::destination::{Body, Patience};
use crate::http_client::RequestBody;
use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use std::fs::File;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// When the last frame of a request was taken, seen from outside.
#[derive(Clone, Debug)]
pub(super) struct Pulse(Arc<Mutex<Beat>>);

/// The last that was seen of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beat {
    /// When.
    pub(super) at: Instant,
    /// Whether that was its end.
    pub(super) is_end: bool,
    /// Whether it ended because our own file could not be read.
    pub(super) is_own_fault: bool,
}

impl Pulse {
    pub(super) fn new(is_end: bool) -> Self {
        Self(Arc::new(Mutex::new(Beat { at: Instant::now(), is_end, is_own_fault: false })))
    }

    pub(super) fn last(&self) -> Beat {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for what comes of a request, as long as something moves: until `stall` has passed since the last
    /// frame, or `answer` since the last one of all. Gives up with the words for it.
    pub(super) async fn watch<T>(
        &self,
        patience: Patience,
        work: impl Future<Output = T>,
    ) -> Result<T, String> {
        tokio::pin!(work);
        loop {
            let beat = self.last();
            let limit = if beat.is_end { patience.answer } else { patience.stall };
            tokio::select! {
                done = &mut work => return Ok(done),
                () = sleep_until(beat.at + limit) => {}
            }
            if self.last().at == beat.at {
                let what = if beat.is_end { "no answer came" } else { "nothing moved" };
                return Err(format!("{what} for {} seconds", limit.as_secs_f32()));
            }
        }
    }

    pub(super) fn beat(&self, is_end: bool, is_own_fault: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Beat { at: Instant::now(), is_end, is_own_fault };
    }
}

/// Starts on a body: what to send, and its pulse.
pub(super) fn begin(body: &Body) -> io::Result<(RequestBody, Pulse)> {
    let (source, left) = match body {
        Body::Bytes(bytes) => (Source::Bytes(bytes.clone()), bytes.len() as u64),
        Body::File { path, length } => {
            let (file, length) = (File::open(path)?, *length);
            let (sender, frames) = mpsc::channel(FRAMES_AHEAD);
            tokio::task::spawn_blocking(move || read_file(file, length, &sender));
            (Source::File(frames), length)
        }
    };
    let pulse = Pulse::new(left == 0);
    Ok((Frames { source, left, pulse: pulse.clone() }.boxed_unsync(), pulse))
}

/// Reads a file of a known length until nobody wants more of it.
fn read_file(mut file: File, mut left: u64, sender: &mpsc::Sender<io::Result<Bytes>>) {
    while left > 0 {
        let mut block = BytesMut::zeroed(usize::try_from(left).unwrap_or(FRAME).min(FRAME));
        let read = file.read_exact(&mut block).map(|()| block.freeze());
        left -= read.as_ref().map_or(left, |bytes| bytes.len() as u64);
        if sender.blocking_send(read).is_err() {
            return;
        }
    }
}

enum Source {
    Bytes(Bytes),
    File(mpsc::Receiver<io::Result<Bytes>>),
}

struct Frames {
    source: Source,
    left: u64,
    pulse: Pulse,
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let frame = match &mut self.source {
            Source::Bytes(bytes) => Some(Ok(bytes.split_to(bytes.len().min(FRAME)))),
            Source::File(frames) => match frames.poll_recv(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(frame) => frame,
            },
        };
        match frame.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into())) {
            Ok(bytes) => {
                self.left -= bytes.len() as u64;
                self.pulse.beat(self.left == 0, false);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Err(error) => {
                self.pulse.beat(true, true);
                Poll::Ready(Some(Err(error.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    /// Exact, so that a Content-Length is sent.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// What is read from a file, and handed on, at once.
const FRAME: usize = 64 * 1024;

/// Frames that are read ahead of the network.
const FRAMES_AHEAD: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::sleep;

    const SECOND: Duration = Duration::from_secs(1);

    /// A server that takes a frame, waits so long, and answers after another wait.
    async fn taken(pause: Duration, answer: Duration) -> Result<Result<usize, String>, String> {
        // No file: a thread that reads one would keep the clock from being moved on.
        let (mut body, pulse) = begin(&Body::Bytes(vec![1; 100 * FRAME].into())).unwrap();
        let work = async {
            let mut taken = 0;
            while let Some(frame) = body.frame().await {
                taken += frame.map_err(|error| error.to_string())?.data_ref().map_or(0, Bytes::len);
                sleep(pause).await;
            }
            sleep(answer).await;
            Ok(taken)
        };
        pulse.watch(Patience::default(), work).await
    }

    #[tokio::test(start_paused = true)]
    async fn as_long_as_something_moves_it_may_take_for_ever() {
        assert_eq!(taken(59 * SECOND, SECOND).await, Ok(Ok(100 * FRAME)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_stands_still_is_given_up() {
        let words = "nothing moved for 60 seconds".to_owned();
        assert_eq!(taken(61 * SECOND, SECOND).await, Err(words));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_waited_for_from_the_last_byte_on() {
        assert_eq!(taken(SECOND, 118 * SECOND).await, Ok(Ok(100 * FRAME)));
        let words = "no answer came for 120 seconds".to_owned();
        assert_eq!(taken(SECOND, 121 * SECOND).await, Err(words));
    }
}
