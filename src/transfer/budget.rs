//! The memory and the threads that all transfers share. What exceeds them waits, first come, first served.

use crate::transfer::{Codec, memory_needed};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is shared.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    memory: Arc<Semaphore>,
    most_memory: u32,
    /// Threads' worth of decoding that may go on at once.
    pub(super) cpu: Arc<Semaphore>,
}

/// Leave for one decoder.
#[derive(Debug)]
pub(super) struct Room {
    /// Bytes that its window or dictionary may take.
    pub(super) decoder: u64,
    /// Given back when the decoder is gone.
    pub(super) permit: OwnedSemaphorePermit,
}

impl Budget {
    /// A budget of so many bytes, and of the threads that there are.
    pub(super) fn new(memory: u64) -> Self {
        let most_memory = u32::try_from(memory / UNIT).unwrap_or(u32::MAX).max(1);
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            memory: Arc::new(Semaphore::new(most_memory as usize)),
            most_memory,
            cpu: Arc::new(Semaphore::new(threads)),
        }
    }

    /// Waits for room for a decoder whose input begins with these bytes. `None` never happens: the budget is not
    /// closed.
    pub(super) async fn room(&self, codec: Codec, first: &[u8]) -> Option<Room> {
        let decoder = match codec {
            Codec::None => 0,
            _ => memory_needed(codec, first).clamp(LEAST_FOR_DECODER, MOST_FOR_DECODER),
        };
        let units = decoder.saturating_add(BUFFERS).div_ceil(UNIT);
        let units = u32::try_from(units).unwrap_or(u32::MAX).min(self.most_memory);
        let permit = Arc::clone(&self.memory).acquire_many_owned(units).await.ok()?;
        Some(Room { decoder, permit })
    }
}

/// The most memory for one decoder: one that asks for more is refused (design §6).
const MOST_FOR_DECODER: u64 = 128 * 1024 * 1024;

/// The least that a decoder is granted, so that a later member may need a little more than the first: what
/// xz -6 takes.
const LEAST_FOR_DECODER: u64 = 10 * 1024 * 1024;

/// The memory budget is counted in these.
const UNIT: u64 = 64 * 1024;

/// What a transfer holds beside its decoder: a batch being read, one being worked on, and their output.
const BUFFERS: u64 = 3 * 1024 * 1024;
