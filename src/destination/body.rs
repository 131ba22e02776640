//! What is sent to a server: bytes or a file, in frames, with an eye on when the last one moved.

use crate::destination::Body;
use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use std::fs::File;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::http_client::RequestBody;

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

    fn beat(&self, is_end: bool, is_own_fault: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Beat { at: Instant::now(), is_end, is_own_fault };
    }
}

/// Starts on a body: what to send, and its pulse.
pub(super) fn begin(body: &Body) -> io::Result<(RequestBody, Pulse)> {
    let (sender, frames) = mpsc::channel(FRAMES_AHEAD);
    let left = match body {
        Body::Bytes(bytes) => {
            // There is room for it.
            sender.try_send(Ok(bytes.clone())).unwrap_or_default();
            bytes.len() as u64
        }
        Body::File { path, length } => {
            let file = File::open(path)?;
            let length = *length;
            tokio::task::spawn_blocking(move || read_file(file, length, &sender));
            length
        }
    };
    let pulse = Pulse::new(left == 0);
    Ok((Frames { frames, left, pulse: pulse.clone() }.boxed_unsync(), pulse))
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

struct Frames {
    frames: mpsc::Receiver<io::Result<Bytes>>,
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
        let frame = match self.frames.poll_recv(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(frame) => frame,
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

/// What is read from a file at once.
const FRAME: usize = 64 * 1024;

/// Frames that are read ahead of the network.
const FRAMES_AHEAD: usize = 4;
