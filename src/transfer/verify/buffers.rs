//! The memory that decoded bytes are handed out in, used again once its readers are done with it.
//!
//! A fresh buffer of this size costs zeroing, and often page faults, each time. So a handle on each buffer
//! stays here; when it is the last one left, nobody can read the buffer any more, and it is taken again.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Bytes decoded at a time: large enough that calls cost nothing, small enough to stay in the cache until
/// they are hashed.
pub(super) const BUFFER: usize = 256 << 10;

/// The most that one transfer keeps for output; what readers still hold comes on top.
pub const OUTPUT_MEMORY: usize = (HANDLES + 1) * BUFFER;

/// Buffers remembered: one step's worth and two for the readers.
const HANDLES: usize = 6;

/// Below this, bytes are copied out instead, so that a few of them do not keep a whole buffer alive.
const SMALL: usize = BUFFER / 4;

/// The buffers of one transfer.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// At hand for the next bytes.
    spare: Option<BytesMut>,
    /// Handed out, the oldest first.
    handles: VecDeque<Bytes>,
}

impl Buffers {
    /// A buffer of [`BUFFER`] bytes, whatever they are.
    pub(super) fn take(&mut self) -> BytesMut {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let free = self.handles.iter().position(Bytes::is_unique);
        let reused =
            free.and_then(|at| self.handles.remove(at)).and_then(|handle| handle.try_into_mut().ok());
        reused.unwrap_or_else(|| BytesMut::zeroed(BUFFER))
    }

    /// Hands out the first `filled` bytes of a buffer that was taken.
    pub(super) fn give(&mut self, buffer: BytesMut, filled: usize) -> Option<Bytes> {
        if filled < SMALL {
            let copy = (filled > 0).then(|| Bytes::copy_from_slice(buffer.get(..filled).unwrap_or_default()));
            self.spare = Some(buffer);
            return copy;
        }
        let whole = buffer.freeze();
        let given = whole.slice(..filled);
        if self.handles.len() == HANDLES {
            self.handles.pop_front();
        }
        self.handles.push_back(whole);
        Some(given)
    }
}
