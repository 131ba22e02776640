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
    /// One for the relay, and one for each transfer.
    shared: Arc<()>,
}

/// Leave for one decoder.
#[derive(Debug)]
pub(super) struct Room {
    /// Bytes that its window or dictionary may take.
    pub(super) decoder: u64,
    /// Given back when the decoder is gone.
    permit: OwnedSemaphorePermit,
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
            shared: Arc::default(),
        }
    }

    /// Whether one transfer alone is under way.
    pub(super) fn is_for_one(&self) -> bool {
        Arc::strong_count(&self.shared) <= 2
    }

    /// Waits for room for a decoder whose input begins with these bytes; what the transfer `held` for another one is used
    /// again if it is enough. `None` never happens: the budget is not closed.
    pub(super) async fn room(&self, codec: Codec, first: &[u8], held: Option<Room>) -> Option<Room> {
        let decoder = match codec {
            Codec::None => 0,
            _ => memory_needed(codec, first).clamp(LEAST_FOR_DECODER, MOST_FOR_DECODER),
        };
        let units = decoder.saturating_add(BUFFERS).div_ceil(UNIT);
        let units = u32::try_from(units).unwrap_or(u32::MAX).min(self.most_memory);
        if let Some(Room { permit, .. }) = held
            && permit.num_permits() >= units as usize
        {
            return Some(Room { decoder, permit });
        }
        // What was held is given back by now: two transfers that keep some and wait for more could wait for each other.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    const MEMORY: u64 = 32 << 20;
    const SOON: Duration = Duration::from_millis(10);

    /// What the budget has for two of: the least for a decoder, and buffers.
    async fn one(budget: &Budget, held: Option<Room>) -> Option<Room> {
        timeout(SOON, budget.room(Codec::Gzip, b"", held)).await.ok().flatten()
    }

    #[tokio::test(start_paused = true)]
    async fn what_exceeds_the_memory_waits() {
        let budget = Budget::new(MEMORY);
        let (first, second) = (one(&budget, None).await, one(&budget, None).await);
        assert!(first.is_some() && second.is_some() && one(&budget, None).await.is_none());
        drop(first);
        assert!(one(&budget, None).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_transfer_that_begins_anew_does_not_go_to_the_end_of_the_line() {
        let budget = Budget::new(MEMORY);
        let (first, _second) = (one(&budget, None).await, one(&budget, None).await);
        let waits = tokio::spawn({
            let budget = budget.clone();
            async move { budget.room(Codec::Gzip, b"", None).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(one(&budget, first).await.is_some());
        assert!(waits.await.unwrap(), "and what it gives back later is the next one's");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_needs_more_gives_back_what_it_holds_first() {
        let budget = Budget::new(MEMORY);
        let held = one(&budget, None).await;
        let all = timeout(SOON, budget.room(Codec::Xz, b"", held)).await;
        assert!(all.unwrap().is_some(), "an unknown dictionary takes all there is");
    }
}
