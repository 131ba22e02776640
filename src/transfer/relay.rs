//! Fetching the bytes of an endorsed NAR from whichever source delivers them.
//!
//! Sources are tried in order; one that fails before the first checked byte is replaced by the next. Small
//! NARs are checked whole before anything is given out, and so is every NAR where the configuration says
//! `verify-before-sending = "whole"`, or the source has lied before: those wait in an unlinked file.

use crate::config::{Limits, Serving, VerifyBeforeSending};
use crate::format::NarHash;
use crate::format::nar::{self, content::ContentCheck};
use crate::transfer::decode::Decoder;
use crate::transfer::fetch::{Fetch, Interrupted, in_time};
use crate::transfer::transfer::{Transfer, TransferError};
use crate::transfer::verify::{NarCheck, TransferFault};
use crate::transfer::withdrawn::Withdrawn;
use crate::transfer::{
    Codec, memory_needed,
    spool::{Spool, Spooled},
};
use crate::trust::{ContentQuestion, NarGrant, Offer};
use crate::upstream::{Chain, RemoteCache, Upstreams};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Fetches NARs under shared limits.
#[derive(Debug)]
pub struct Relay {
    buffer: u64,
    verify: VerifyBeforeSending,
    minimum_rate: u64,
    memory: Arc<Semaphore>,
    most_memory: u32,
    cpu: Arc<Semaphore>,
    spool: Spool,
    broken: Mutex<HashMap<NarHash, Instant>>,
}

/// How much of a NAR is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    All,
    /// From some byte to the end.
    Rest,
    /// A part that does not reach the end, and so is never followed by the bytes that are withheld: it is
    /// given only from a NAR that has been checked whole.
    Inner,
}

/// The bytes of a NAR, as far as they are checked.
#[derive(Debug)]
pub enum NarBytes {
    /// All of them, checked.
    Whole(VecDeque<Bytes>),
    /// All of them, checked, in a file without a name.
    Spooled(Spooled),
    /// The first of them; the rest is checked as it comes.
    Streamed(VecDeque<Bytes>, Box<Transfer>),
}

/// What a transfer must have.
#[derive(Clone, Copy, Debug)]
struct Demand {
    nar_hash: [u8; 32],
    nar_size: u64,
}

impl Relay {
    /// A relay that spools below `spool`.
    pub fn new(serving: &Serving, limits: &Limits, spool: PathBuf) -> Self {
        let most_memory = u32::try_from(limits.memory.bytes() / UNIT).unwrap_or(u32::MAX).max(1);
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            buffer: serving.buffer.bytes(),
            verify: serving.verify,
            minimum_rate: serving.minimum_rate.bytes_per_second(),
            memory: Arc::new(Semaphore::new(most_memory as usize)),
            most_memory,
            cpu: Arc::new(Semaphore::new(threads)),
            spool: Spool::new(spool, limits.spool.bytes()),
            broken: Mutex::default(),
        }
    }

    /// The bytes of a granted NAR, from the first source that delivers a checked byte; `None` if none does.
    ///
    /// All bytes are given, also where only a part is wanted. `None` as well for the rest of a NAR that was
    /// broken off because its bytes lied: what the client has of it is wrong, and it must begin again.
    pub async fn fetch(
        &self,
        upstreams: &Upstreams,
        grant: &NarGrant,
        withdrawn: &Withdrawn,
        extent: Extent,
    ) -> Option<NarBytes> {
        if extent == Extent::Rest && self.is_broken(grant.nar_hash()) {
            return None;
        }
        let demand = Demand { nar_hash: *grant.nar_hash().digest(), nar_size: grant.nar_size() };
        for offer in grant.offers() {
            let Some(cache) = upstreams.cache(offer.cache) else { continue };
            match self.fetch_from(cache, offer, demand, withdrawn, extent).await {
                Ok(bytes) => {
                    if !matches!(bytes, NarBytes::Streamed(..)) {
                        self.mend(grant.nar_hash());
                    }
                    return Some(bytes);
                }
                Err(TransferError::Interrupted(Interrupted::Spool(error))) => {
                    // Our own fault: another source would end the same.
                    tracing::error!(in_directory = %self.spool, %error, "cannot spool a NAR, so it is not served");
                    return None;
                }
                Err(error) => Self::note(cache, offer, &error),
            }
        }
        None
    }

    async fn fetch_from(
        &self,
        cache: &Arc<RemoteCache>,
        offer: &Offer,
        demand: Demand,
        withdrawn: &Withdrawn,
        extent: Extent,
    ) -> Result<NarBytes, TransferError> {
        let mut transfer = self.open(cache, offer, demand, None, withdrawn).await?;
        let mut first = VecDeque::new();
        if demand.nar_size <= self.buffer {
            while let Some(bytes) = transfer.next().await? {
                first.push_back(bytes);
            }
            return Ok(NarBytes::Whole(first));
        }
        let whole = self.verify == VerifyBeforeSending::Whole || extent == Extent::Inner;
        if whole || cache.has_lied() {
            return self.spool.take(demand.nar_size, &mut transfer).await.map(NarBytes::Spooled);
        }
        first.extend(transfer.next().await?);
        Ok(NarBytes::Streamed(first, Box::new(transfer)))
    }

    /// Remembers that a NAR was broken off because bytes that had already gone out may have been wrong.
    pub fn break_off(&self, nar_hash: NarHash) {
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        broken.retain(|_, since| now.saturating_duration_since(*since) < BROKEN_FOR);
        if broken.len() < MOST_BROKEN {
            broken.insert(nar_hash, now);
        }
    }

    fn is_broken(&self, nar_hash: NarHash) -> bool {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.get(&nar_hash).is_some_and(|since| since.elapsed() < BROKEN_FOR)
    }

    fn mend(&self, nar_hash: NarHash) {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).remove(&nar_hash);
    }

    /// Whether the bytes of a path that would certify itself do. A source that delivers other bytes than it
    /// claims says nothing of them, so the next is tried; `None` if one broke off and none delivered.
    pub async fn certifies(&self, upstreams: &Upstreams, question: &ContentQuestion) -> Option<bool> {
        let core = question.core();
        let demand = Demand { nar_hash: *core.nar_hash.digest(), nar_size: core.nar_size };
        let mut unheard = false;
        for offer in question.offers() {
            let Some(cache) = upstreams.cache(offer.cache) else { continue };
            let check = Some(ContentCheck::of(question.address()));
            let drained = match self.open(cache, offer, demand, check, &Withdrawn::default()).await {
                Ok(transfer) => drain(transfer).await,
                Err(error) => Err(error),
            };
            match drained {
                Ok(()) => return Some(true),
                // The very bytes that were claimed, and the address is not theirs.
                Err(TransferError::Fault(TransferFault::ContentMismatch(_))) => return Some(false),
                Err(error) => {
                    unheard |= !matches!(error, TransferError::Fault(_));
                    Self::note(cache, offer, &error);
                }
            }
        }
        (!unheard).then_some(false)
    }

    async fn open(
        &self,
        cache: &Arc<RemoteCache>,
        offer: &Offer,
        demand: Demand,
        content: Option<ContentCheck>,
        withdrawn: &Withdrawn,
    ) -> Result<Transfer, TransferError> {
        let response = in_time(cache.fetch_location(&offer.location)).await?.map_err(Interrupted::from)?;
        let mut source = Fetch::new(response.into_body(), demand.nar_size, self.minimum_rate);
        let first: Vec<Bytes> = source.frame().await?.into_iter().collect();
        let codec = Codec::of(&offer.compression).ok_or(TransferError::Undecodable)?;
        let wanted = memory_needed(codec, first.first().map(|b| &b[..]).unwrap_or_default());
        let needed = if codec == Codec::None { 0 } else { wanted.clamp(LEAST_FOR_DECODER, MOST_FOR_DECODER) };
        let units =
            u32::try_from((needed + BUFFERS).div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.most_memory);
        // The budget is never closed.
        let memory = Arc::clone(&self.memory).acquire_many_owned(units).await;
        let memory = memory.map_err(|_| TransferError::Withdrawn)?;
        let limits = nar::Limits { nar_size: demand.nar_size, ..nar::Limits::default() };
        let decoder = Decoder::new(codec, needed).map_err(TransferFault::from)?;
        let check = NarCheck::new(decoder, demand.nar_hash, demand.nar_size, &limits, content);
        let cpu = Arc::clone(&self.cpu);
        Ok(Transfer::new(Arc::clone(cache), source, check, first, cpu, withdrawn.clone(), memory))
    }

    fn note(cache: &RemoteCache, offer: &Offer, error: &TransferError) {
        tracing::warn!(cache = cache.name(), url = %offer.location.0, error = %Chain(error), "a source failed");
    }
}

async fn drain(mut transfer: Transfer) -> Result<(), TransferError> {
    while transfer.next().await?.is_some() {}
    Ok(())
}

/// How long a client may come back for the rest of a NAR that lied: Nix 2.34 retries for minutes.
const BROKEN_FOR: Duration = Duration::from_secs(3600);

/// NARs that are remembered as broken off; more than that at once is not one client's doing.
const MOST_BROKEN: usize = 10_000;

/// The most memory for one decoder: one that asks for more is refused (design §6).
const MOST_FOR_DECODER: u64 = 128 * 1024 * 1024;

/// The least that a decoder is granted, so that a later member may need a little more than the first: what
/// xz -6 takes.
const LEAST_FOR_DECODER: u64 = 10 * 1024 * 1024;

/// The memory budget is counted in these.
const UNIT: u64 = 64 * 1024;

/// What a transfer holds beside its decoder: a batch being read, one being worked on, and their output.
const BUFFERS: u64 = 3 * 1024 * 1024;
