//! Fetching the bytes of an endorsed NAR from whichever source delivers them.
//!
//! Small NARs are checked whole before anything is given out, and so is every NAR where the configuration says
//! `verify-before-sending = "whole"`, or the source has lied before: those wait in an unlinked file.

use crate::config::{Limits, Patience, Serving, VerifyBeforeSending};
use crate::evidence::{Fate, Ledger};
use crate::format::content_address::ContentAddress;
use crate::format::{HashPart, NarHash};
use crate::transfer::broken::{Broken, liar};
use crate::transfer::budget::Budget;
use crate::transfer::fates::told;
use crate::transfer::fetch::Interrupted;
use crate::transfer::sources::{Conditions, Sources};
use crate::transfer::spool::{Spool, Spooled};
use crate::transfer::transfer::{Next, Transfer, TransferError};
use crate::transfer::verify::TransferFault;
use crate::transfer::withdrawn::Withdrawn;
use crate::trust::{ContentQuestion, NarGrant, Offer};
use crate::upstream::{Chain, Upstreams};
use bytes::Bytes;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Fetches NARs under shared limits.
#[derive(Debug)]
pub struct Relay {
    buffer: u64,
    verify: VerifyBeforeSending,
    conditions: Conditions,
    budget: Budget,
    spool: Spool,
    broken: Arc<Broken>,
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
    Streamed(Bytes, Box<Transfer>),
}

/// What a transfer must have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    /// The path that it is of.
    pub(super) path: HashPart,
    /// The hash of the NAR.
    pub(super) nar_hash: NarHash,
    /// Its size in bytes.
    pub(super) nar_size: u64,
    /// The content address that it must have besides.
    pub(super) address: Option<ContentAddress>,
}

impl Relay {
    /// A relay that spools below `spool` and tells the ledger what became of bytes.
    pub fn new(
        serving: &Serving,
        limits: &Limits,
        patience: Patience,
        spool: PathBuf,
        ledger: Ledger,
    ) -> Self {
        let budget = Budget::new(limits.memory.bytes());
        let conditions = Conditions {
            patience,
            minimum_rate: serving.minimum_rate.bytes_per_second(),
            hedges: Arc::new(Semaphore::new(MOST_HEDGES)),
            cpu: Arc::clone(&budget.cpu),
            ledger,
        };
        Self {
            buffer: serving.buffer.bytes(),
            verify: serving.verify,
            conditions,
            budget,
            spool: Spool::new(spool, limits.spool.bytes()),
            broken: Arc::default(),
        }
    }

    /// The bytes of a granted NAR, from the sources that deliver them; `None` if none does.
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
        let nar_hash = grant.nar_hash();
        let is_broken = self.broken.has(nar_hash);
        if extent == Extent::Rest && is_broken {
            return None;
        }
        let demand = Demand { path: grant.path(), nar_hash, nar_size: grant.nar_size(), address: None };
        let fetched = if demand.nar_size <= self.buffer {
            collect(self.transfer(upstreams, grant.offers(), demand, withdrawn, true)).await
        } else {
            let must_wait = self.verify == VerifyBeforeSending::Whole || extent == Extent::Inner || is_broken;
            let has_lied = |offer: &Offer| upstreams.cache(offer.cache).is_some_and(|cache| cache.has_lied());
            let has_liars = grant.offers().iter().any(has_lied);
            let streamed = match must_wait {
                true => Err(TransferError::NoSource),
                false => begin(self.transfer(upstreams, grant.offers(), demand, withdrawn, false)).await,
            };
            match streamed {
                // Caches that have lied deliver only what is checked whole; perhaps nobody else is left.
                Err(_) if must_wait || has_liars => {
                    let mut transfer = self.transfer(upstreams, grant.offers(), demand, withdrawn, true);
                    self.spool.take(demand.nar_size, &mut transfer).await.map(NarBytes::Spooled)
                }
                streamed => streamed,
            }
        };
        let served = match fetched {
            Ok(mut bytes) => self.mend(demand, &mut bytes).await.map(|()| bytes).map_err(TransferError::from),
            Err(error) => Err(error),
        };
        match served {
            Ok(bytes) => Some(bytes),
            Err(TransferError::Interrupted(Interrupted::Spool(error))) => {
                tracing::error!(in_directory = %self.spool, %error, "cannot spool a NAR, so it is not served");
                None
            }
            Err(error) => {
                tracing::debug!(nar_hash = %nar_hash, error = %Chain(&error), "no source delivered");
                None
            }
        }
    }

    fn transfer(
        &self,
        upstreams: &Upstreams,
        offers: &[Offer],
        demand: Demand,
        withdrawn: &Withdrawn,
        whole: bool,
    ) -> Transfer {
        let sources = Sources::new(upstreams, offers, demand, whole, self.conditions.clone());
        let broken = (!whole).then(|| Arc::clone(&self.broken));
        Transfer::new(sources, self.budget.clone(), demand, withdrawn.clone(), broken)
    }

    /// The whole NAR is there. If it was broken off before, it tells who lied then.
    ///
    /// # Errors
    /// If a spooled one cannot be read back: then it cannot be served either.
    async fn mend(&self, demand: Demand, bytes: &mut NarBytes) -> Result<(), Interrupted> {
        let (NarBytes::Whole(_) | NarBytes::Spooled(_)) = bytes else { return Ok(()) };
        let parts = self.broken.mend(demand.nar_hash);
        let NarBytes::Spooled(spooled) = bytes else { return Ok(()) };
        if let Some(cache) = liar(&mut spooled.file, &parts).await.map_err(Interrupted::Spool)? {
            tracing::warn!(cache = cache.name(), nar_hash = %demand.nar_hash, "sent other bytes than the NAR has");
            cache.mark_liar();
            self.conditions.ledger.note(told(&demand, cache.name(), Fate::False));
        }
        Ok(())
    }

    /// Whether the bytes of a path that would certify itself do. A source that delivers other bytes than it
    /// claims says nothing of them, so the next is tried; `None` if one broke off and none delivered.
    pub async fn certifies(&self, upstreams: &Upstreams, question: &ContentQuestion) -> Option<bool> {
        let core = question.core();
        let demand = Demand {
            path: core.store_path.hash_part(),
            nar_hash: core.nar_hash,
            nar_size: core.nar_size,
            address: Some(*question.address()),
        };
        let mut unheard = false;
        // Each source by itself: what one of them has is to be known, and not who is quickest.
        for offer in question.offers() {
            let offers = std::slice::from_ref(offer);
            let transfer = self.transfer(upstreams, offers, demand, &Withdrawn::default(), true);
            match drain(transfer).await {
                Ok(()) => return Some(true),
                // The very bytes that were claimed, and the address is not theirs.
                Err(TransferError::Fault(TransferFault::ContentMismatch(_))) => return Some(false),
                Err(error) => unheard |= !matches!(error, TransferError::Fault(_)),
            }
        }
        (!unheard).then_some(false)
    }
}

/// All bytes of a small NAR.
async fn collect(mut transfer: Transfer) -> Result<NarBytes, TransferError> {
    let mut all = VecDeque::new();
    loop {
        match transfer.next().await? {
            Next::Bytes(bytes) => all.push_back(bytes),
            Next::Again => all.clear(),
            Next::End => return Ok(NarBytes::Whole(all)),
        }
    }
}

/// The first bytes of a NAR that is given out as it comes.
async fn begin(mut transfer: Transfer) -> Result<NarBytes, TransferError> {
    match transfer.next().await? {
        Next::Bytes(first) => Ok(NarBytes::Streamed(first, Box::new(transfer))),
        // A NAR that is given out as it comes is neither empty nor void.
        Next::Again | Next::End => Err(TransferError::NoSource),
    }
}

async fn drain(mut transfer: Transfer) -> Result<(), TransferError> {
    while !matches!(transfer.next().await?, Next::End) {}
    Ok(())
}

/// Transfers that are hedged at one time: each costs a second connection for as long as both are silent.
const MOST_HEDGES: usize = 16;
