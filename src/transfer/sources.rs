//! Where the bytes of one NAR can be had, and turning to one of these places.
//!
//! A source whose first byte is late is hedged with one other: whichever begins first delivers, the other is dropped.
//! So a source that takes connections and says nothing costs [`Patience::hedge`] once, and nobody waits for it again.

use crate::config::Patience;
use crate::evidence::{Fate, Ledger};
use crate::transfer::Codec;
use crate::transfer::cost::{Remaining, expected};
use crate::transfer::fates::told;
use crate::transfer::fetch::{Fetch, Interrupted, Terms, in_time};
use crate::transfer::plan::{Failure, Plan};
use crate::transfer::relay::Demand;
use crate::trust::Offer;
use crate::upstream::{Chain, RemoteCache, Upstreams, Wanted};
use bytes::Bytes;
use http::HeaderValue;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

/// The sources of one NAR.
#[derive(Debug)]
pub(super) struct Sources {
    offers: Vec<(Arc<RemoteCache>, Offer)>,
    plan: Plan,
    demand: Demand,
    conditions: Conditions,
    /// Whether what comes is checked whole before any of it is used. Caches that have lied deliver only then.
    whole: bool,
    /// A file may be continued where it stopped.
    pub(super) may_resume: bool,
}

/// What holds for every transfer of a relay.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    pub(super) patience: Patience,
    /// Bytes a second.
    pub(super) minimum_rate: u64,
    /// Hedges that may be under way at once, over all transfers.
    pub(super) hedges: Arc<Semaphore>,
    /// Threads' worth of decoding that may go on at once.
    pub(super) cpu: Arc<Semaphore>,
    /// Where it is kept what became of bytes.
    pub(super) ledger: Ledger,
}

/// A file that has begun to come, and how far.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    /// The source that it came from last.
    pub(super) source: usize,
    /// The entity tag that the file has there.
    pub(super) tag: Option<HeaderValue>,
    /// Bytes of the file that are there.
    pub(super) received: u64,
    /// Bytes of the NAR that they gave.
    pub(super) decoded: u64,
}

/// A source that delivers.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) source: usize,
    /// When it was asked.
    pub(super) began: Instant,
    /// Where in the file it begins.
    pub(super) first_byte: u64,
    pub(super) tag: Option<HeaderValue>,
    pub(super) fetch: Fetch,
    /// The first of what it sends; none if it is empty.
    pub(super) first: Option<Bytes>,
}

/// A source that did not deliver, since when it was to, and why not.
type Failed = (usize, Instant, Interrupted);

impl Sources {
    /// The sources of these offers. Those that have lied deliver only what is used `whole`.
    pub(super) fn new(
        upstreams: &Upstreams,
        offers: &[Offer],
        demand: Demand,
        whole: bool,
        conditions: Conditions,
    ) -> Self {
        let known = |offer: &Offer| Some((Arc::clone(upstreams.cache(offer.cache)?), offer.clone()));
        let offers: Vec<_> = offers.iter().filter_map(known).collect();
        let plan = Plan::new(offers.len());
        Self { offers, plan, demand, conditions, whole, may_resume: true }
    }

    /// The cache that a source is.
    pub(super) fn cache(&self, source: usize) -> Option<&Arc<RemoteCache>> {
        self.offers.get(source).map(|(cache, _)| cache)
    }

    /// Whether a source is passed over because it has lied, and what comes is not checked whole.
    pub(super) fn leaves_liars_out(&self) -> bool {
        !self.whole && self.offers.iter().any(|(cache, _)| cache.has_lied())
    }

    /// How the file of a source is compressed; `None` where that is not decoded here.
    pub(super) fn codec(&self, source: usize) -> Option<Codec> {
        self.offers.get(source).and_then(|(_, offer)| Codec::of(&offer.compression))
    }

    /// Takes note of what became of a source's bytes.
    pub(super) fn tell(&self, source: usize, fate: Fate) {
        let Some(cache) = self.cache(source) else { return };
        if fate == Fate::False {
            cache.mark_liar();
        }
        self.conditions.ledger.note(told(&self.demand, cache.name(), fate));
    }

    /// Takes note of a failure, when so many bytes of the NAR were there.
    pub(super) fn failed(
        &mut self,
        source: usize,
        how: Failure,
        at: u64,
        error: &(dyn std::error::Error + 'static),
    ) {
        self.plan.failed(source, how);
        if let Some((cache, offer)) = self.offers.get(source) {
            let (cache, url, error) = (cache.name(), &offer.location.0, Chain(error));
            tracing::warn!(cache, %url, at, %error, "a source failed");
        }
    }

    /// Turns to the next source that delivers, to one beside it if that is late; `None` when none is left. Failures
    /// on the way go to `failures`. A source that has the file that has `begun` is asked for the rest of it alone.
    pub(super) async fn open(
        &mut self,
        begun: Option<&Begun>,
        failures: &mut Vec<Interrupted>,
    ) -> Option<Opened> {
        while let Some(source) = self.next(begun, None) {
            sleep(self.plan.pause(source)).await;
            let (opened, failed) = self.attempt(source, begun).await;
            for (source, began, error) in failed {
                self.note_health(source, &error, began);
                self.tell(source, Fate::BrokenOff);
                if error.is_about_the_part() {
                    self.may_resume = false;
                }
                let at = begun.map_or(0, |begun| begun.decoded);
                self.failed(source, error.failure(false), at, &error);
                failures.push(error);
            }
            if opened.is_some() {
                return opened;
            }
        }
        None
    }

    /// Tells the cache's breaker what came of a delivery that began then.
    pub(super) fn note_health(&self, source: usize, error: &Interrupted, began: Instant) {
        if let Some((cache, why)) = self.cache(source).zip(error.undelivered()) {
            cache.delivery_failed(why, began);
        }
    }

    /// Tries one source, and another beside it if the first byte is late.
    async fn attempt(&self, source: usize, begun: Option<&Begun>) -> (Option<Opened>, Vec<Failed>) {
        let since = Instant::now();
        let first = self.opening(source, begun);
        tokio::pin!(first);
        let late = self.late(source);
        if let Ok(opened) = timeout(late, &mut first).await {
            return either(source, since, opened);
        }
        let Some((other, _permit)) = self.hedge(source, begun) else {
            return either(source, since, first.await);
        };
        let hedged = Instant::now();
        let second = self.opening(other, begun);
        tokio::pin!(second);
        tokio::select! {
            biased;
            opened = &mut first => match opened {
                Ok(opened) => (Some(opened), Vec::new()),
                Err(error) => joined((source, since, error), either(other, hedged, second.await)),
            },
            opened = &mut second => match opened {
                Ok(opened) => {
                    if let Some(cache) = self.cache(source) {
                        cache.note_pace(|pace| pace.began(late, Instant::now()));
                    }
                    (Some(opened), vec![(source, since, Interrupted::Late(late))])
                }
                Err(error) => joined((other, hedged, error), either(source, since, first.await)),
            },
        }
    }

    /// When the first byte of a source is late.
    fn late(&self, source: usize) -> Duration {
        let expected = self.cache(source).map(|cache| cache.pace().expected_first_byte(Instant::now()));
        let Patience { hedge, restless, .. } = self.conditions.patience;
        // What was late counts into what is expected, so there has to be an end to it.
        expected.unwrap_or_default().saturating_mul(3).min(restless).max(hedge)
    }

    /// A source to hedge with, if there is one and not too many are hedged already.
    fn hedge(&self, source: usize, begun: Option<&Begun>) -> Option<(usize, OwnedSemaphorePermit)> {
        let permit = Arc::clone(&self.conditions.hedges).try_acquire_owned().ok()?;
        self.next(begun, Some(source)).map(|other| (other, permit))
    }

    /// The source expected to be done first, but for one. One that has not delivered lately comes after those that have
    /// and that have not failed in this transfer, and then late.
    fn next(&self, begun: Option<&Begun>, but: Option<usize>) -> Option<usize> {
        let now = Instant::now();
        let delivers = |source| self.cache(source).is_some_and(|cache| cache.delivers());
        let expected = |source| if but == Some(source) { None } else { self.expected(source, begun, now) };
        let is_good = |source: &usize| delivers(*source) && self.plan.is_unblamed(*source);
        let good = |source| Some(source).filter(is_good).and_then(expected);
        let any = |source| {
            let penalty = if delivers(source) { Duration::ZERO } else { DOUBT };
            expected(source).map(|time| time.saturating_add(penalty))
        };
        self.plan.next(good).or_else(|| self.plan.next(any))
    }

    /// How long a source is expected to take; `None` for one that may not deliver.
    fn expected(&self, source: usize, begun: Option<&Begun>, now: Instant) -> Option<Duration> {
        let (cache, offer) = self.offers.get(source)?;
        if cache.has_lied() && !self.whole {
            return None;
        }
        let begun = self.resumed(source, begun);
        let (received, decoded) = begun.map_or((0, 0), |begun| (begun.received, begun.decoded));
        let remaining = Remaining {
            file_size: offer.file_size.unwrap_or(self.demand.nar_size).saturating_sub(received),
            nar_size: self.demand.nar_size.saturating_sub(decoded),
            codec: Codec::of(&offer.compression)?,
            is_busy: self.conditions.cpu.available_permits() == 0,
        };
        Some(expected(cache.pace(), remaining, now))
    }

    /// The file that has begun, if a source has it: the same source, or one that claims the same compressed file. An
    /// uncompressed file is the NAR.
    fn resumed<'b>(&self, source: usize, begun: Option<&'b Begun>) -> Option<&'b Begun> {
        let begun = begun.filter(|begun| self.may_resume && begun.received > 0)?;
        let ((_, before), (_, offer)) = (self.offers.get(begun.source)?, self.offers.get(source)?);
        let is_same_codec = before.compression == offer.compression;
        let is_same_file = source == begun.source
            || self.codec(source) == Some(Codec::None)
            || (before.file_hash.is_some() && before.file_hash == offer.file_hash);
        (is_same_codec && is_same_file).then_some(begun)
    }

    fn opening(
        &self,
        source: usize,
        begun: Option<&Begun>,
    ) -> impl Future<Output = Result<Opened, Interrupted>> + use<> {
        let wanted = self.resumed(source, begun).map_or(Wanted::WHOLE, |begun| Wanted {
            first: begun.received,
            tag: begun.tag.clone().filter(|_| begun.source == source),
        });
        let offer = self.offers.get(source).cloned();
        let terms = self.terms(source, begun);
        async move {
            // Sources are numbered by their place here.
            let (cache, offer) = offer.ok_or(Interrupted::Short)?;
            let began = Instant::now();
            // Whether it is the probe of a cache that has failed shows when it delivers.
            cache.begin_delivery();
            let part = in_time(terms.stall, cache.fetch_part(&offer.location, &wanted)).await??;
            let most = terms.most.saturating_sub(part.first);
            let mut fetch = Fetch::new(part.body, Terms { most, ..terms });
            let first = fetch.frame().await?;
            cache.note_pace(|pace| pace.began(began.elapsed(), Instant::now()));
            Ok(Opened { source, began, first_byte: part.first, tag: part.tag, fetch, first })
        }
    }

    fn terms(&self, source: usize, begun: Option<&Begun>) -> Terms {
        let patience = &self.conditions.patience;
        let now = Instant::now();
        let is_good = |other| {
            self.expected(other, None, now).is_some()
                && self.cache(other).is_some_and(|cache| cache.delivers())
        };
        let has_other = self.plan.has_other(source, is_good);
        let rival = self.next(begun, Some(source)).filter(|_| has_other);
        let size = self.demand.nar_size;
        Terms {
            stall: if has_other { patience.restless } else { patience.stall },
            grace: if has_other { patience.restless } else { patience.grace },
            minimum_rate: self.conditions.minimum_rate,
            // What a NAR can take up when it is compressed badly.
            most: size.saturating_add(size / 8).saturating_add(OVERHEAD),
            rival: rival.and_then(|rival| self.expected(rival, None, now)),
            trial: patience.restless / 2,
        }
    }
}

fn either(
    source: usize,
    since: Instant,
    opened: Result<Opened, Interrupted>,
) -> (Option<Opened>, Vec<Failed>) {
    match opened {
        Ok(opened) => (Some(opened), Vec::new()),
        Err(error) => (None, vec![(source, since, error)]),
    }
}

fn joined(
    failed: Failed,
    (opened, mut others): (Option<Opened>, Vec<Failed>),
) -> (Option<Opened>, Vec<Failed>) {
    others.push(failed);
    (opened, others)
}

/// What it counts for that a cache has not delivered lately: more than one failure in this transfer, less than two.
const DOUBT: Duration = Duration::from_secs(3);

/// Bytes that compression may add to a small NAR: headers, empty blocks.
const OVERHEAD: u64 = 1024 * 1024;
