//! Asking several caches one question, in parallel, and waiting as long as design §3.9 says.
//!
//! Every cache that is not known to be down is waited for, up to its `claim-timeout` and the whole to
//! `decision-timeout`. An answer that comes later still arrives here: the caller decides what it changes.

use crate::config::Config;
use crate::format::HashPart;
use crate::format::narinfo::Limits;
use crate::http_client::{CredentialsError, Dialling, HttpClient, Names, TlsError, trusted_file};
use crate::trust::{Answer, CacheId, Claim, Policy, Role, Silence};
use crate::upstream::cache::RemoteCache;
use crate::upstream::health::{Health, Treatment};
use bytes::Bytes;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// All caches of a configuration.
#[derive(Debug)]
pub struct Upstreams {
    policy: Arc<Policy>,
    caches: Vec<Arc<RemoteCache>>,
    limits: Limits,
    decision_timeout: Duration,
}

/// Why the caches cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamsError {
    /// TLS for a cache.
    #[error("cache {cache}: {source}")]
    Tls {
        /// The cache's name.
        cache: Box<str>,
        /// What is wrong.
        source: Arc<TlsError>,
    },
    /// The credentials of a cache.
    #[error("cache {cache}: {source}")]
    Credentials {
        /// The cache's name.
        cache: Box<str>,
        /// What is wrong.
        source: CredentialsError,
    },
}

/// What a cache said earlier, and when.
#[derive(Clone, Debug)]
pub struct Known {
    /// The cache.
    pub cache: CacheId,
    /// When it said so.
    pub at: Instant,
    /// What it said.
    pub said: Said,
}

/// The part of an answer that is worth remembering.
#[derive(Clone, Debug)]
pub enum Said {
    /// It claimed the path, in this narinfo: a claim again once it is read, checked and judged again.
    Claim(Bytes),
    /// It does not have the path.
    NotFound,
}

impl Known {
    /// How long the cache need not be asked again, `None` if it must be: claims hold for 1 h, "not found" for
    /// 5 min (design §3.10).
    pub fn fresh_for(&self, now: Instant) -> Option<Duration> {
        let lasts = match self.said {
            Said::Claim(_) => CLAIM_FRESH,
            Said::NotFound => NOT_FOUND_FRESH,
        };
        lasts.checked_sub(now.saturating_duration_since(self.at)).filter(|left| !left.is_zero())
    }
}

/// What a cache answered just now.
#[derive(Debug)]
pub struct Told {
    /// The cache.
    pub cache: CacheId,
    /// Its answer.
    pub answer: Answer,
    /// The text of a claim, to be remembered.
    pub text: Bytes,
}

/// A question under way: answers arrive on `answers` until every cache is done with.
#[derive(Debug)]
pub struct Poll {
    /// The answers; a cache that was late sends twice.
    pub answers: mpsc::UnboundedReceiver<Told>,
    /// Caches that are not waited for.
    pub unwaited: Vec<CacheId>,
}

impl Upstreams {
    /// Opens a client for every cache; nothing is sent.
    ///
    /// # Errors
    /// [`UpstreamsError`] if a secret or certificate file cannot be used.
    pub fn new(config: &Config) -> Result<Self, UpstreamsError> {
        let names = Names::of_system();
        let mut clients: HashMap<Option<PathBuf>, HttpClient> = HashMap::new();
        let mut caches = Vec::with_capacity(config.caches.len());
        let mut cut_off: Vec<(Box<str>, Arc<TlsError>)> = Vec::new();
        for (id, settings) in config.policy.cache_ids().zip(&config.caches) {
            let ca_file = trusted_file(settings.ca_file.as_deref());
            let failed = |source| UpstreamsError::Tls { cache: settings.name.clone(), source };
            let client = match clients.get(&ca_file) {
                Some(client) => client.clone(),
                None => {
                    match HttpClient::new(&names, ca_file.as_deref(), &Dialling::ASKING).map_err(Arc::new) {
                        Err(source) if settings.ca_file.is_some() => return Err(failed(source)),
                        // The system's certificates: without them plain http goes on.
                        Err(why) => HttpClient::untrusting(&names, &why, &Dialling::ASKING)
                            .map_err(|e| failed(Arc::new(e)))?,
                        Ok(client) => client,
                    }
                }
            };
            if let Some(why) = client.is_untrusting().filter(|_| settings.url.scheme() == "https") {
                cut_off.push((settings.name.clone(), Arc::clone(why)));
            }
            clients.insert(ca_file, client.clone());
            let cache = RemoteCache::new(id, settings, client)
                .map_err(|source| UpstreamsError::Credentials { cache: settings.name.clone(), source })?;
            caches.push(Arc::new(cache));
        }
        if cut_off.len() == caches.len()
            && let Some((cache, source)) = cut_off.pop()
        {
            return Err(UpstreamsError::Tls { cache, source });
        }
        for (cache, error) in cut_off {
            tracing::warn!(%cache, %error, "cannot be asked over https; the other caches are");
        }
        let limits = Limits {
            bytes: usize::try_from(config.limits.narinfo.bytes()).unwrap_or(usize::MAX),
            signatures: config.limits.signatures.get(),
            references: config.limits.references.get(),
            nar_size: config.limits.nar.bytes(),
        };
        let decision_timeout = config.decision_timeout;
        Ok(Self { policy: Arc::clone(&config.policy), caches, limits, decision_timeout })
    }

    /// The policy that the caches belong to.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// How long a whole question may take.
    pub fn decision_timeout(&self) -> Duration {
        self.decision_timeout
    }

    /// A cache by its number.
    pub fn cache(&self, id: CacheId) -> Option<&Arc<RemoteCache>> {
        self.caches.get(usize::from(id.0))
    }

    /// The claim that a remembered text of a cache is; `None` if it is none any more.
    pub fn read_back(&self, cache: CacheId, asked: HashPart, text: &[u8]) -> Option<Claim> {
        let read = self.cache(cache)?.read(asked, text, &self.policy, &self.limits);
        read.ok().map(|(claim, _)| claim)
    }

    /// The caches that bytes may come from, best priority first.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<RemoteCache>> {
        let rank = |cache: &&Arc<RemoteCache>| {
            let known = self.policy.cache(cache.id()).filter(|c| c.role == Role::Source);
            known.map(|c| (c.priority, cache.id()))
        };
        let mut sources: Vec<_> = self.caches.iter().filter(|cache| rank(cache).is_some()).collect();
        sources.sort_by_key(rank);
        sources.into_iter()
    }

    /// All caches.
    pub fn caches(&self) -> &[Arc<RemoteCache>] {
        &self.caches
    }

    /// Looks up the names of the caches' hosts, and says which have no address now. Nobody waits for it, and
    /// every question tries again.
    pub fn look_up_names(&self) {
        for cache in &self.caches {
            let Some((names, host)) = cache.names() else { continue };
            let (cache, names) = (Arc::clone(cache), names.clone());
            tokio::spawn(async move {
                let cache = cache.name();
                match timeout(SLOW_LOOKUP, names.look_up(&host)).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(cache, %error, "cannot be asked now; every question tries again")
                    }
                    Err(_) => tracing::warn!(
                        cache,
                        host,
                        "the lookup of the name has not ended after {} seconds; other caches do not wait for it",
                        SLOW_LOOKUP.as_secs()
                    ),
                }
            });
        }
    }

    /// Asks every cache in `ask` for its claim.
    pub fn poll(&self, asked: HashPart, ask: impl Iterator<Item = CacheId>) -> Poll {
        let (sender, answers) = mpsc::unbounded_channel();
        let mut unwaited = Vec::new();
        for cache in ask.filter_map(|id| self.cache(id)) {
            let treatment = cache.treat(Instant::now());
            if treatment != Treatment::Ask {
                unwaited.push(cache.id());
            }
            if treatment != Treatment::Skip {
                let (cache, policy, limits) = (Arc::clone(cache), Arc::clone(&self.policy), self.limits);
                let sender = sender.clone();
                tokio::spawn(async move { cache.ask_in_time(asked, &policy, &limits, &sender).await });
            }
        }
        Poll { answers, unwaited }
    }
}

impl RemoteCache {
    /// Asks, sends the answer or a time-out, and after a time-out the answer if one still comes.
    async fn ask_in_time(
        &self,
        asked: HashPart,
        policy: &Policy,
        limits: &Limits,
        sender: &mpsc::UnboundedSender<Told>,
    ) {
        let asking = async {
            let _permit = self.asking.acquire().await;
            self.ask(asked, policy, limits).await
        };
        tokio::pin!(asking);
        let ((answer, text), late) = match timeout(self.claim_timeout(), &mut asking).await {
            Ok(told) => (told, false),
            Err(_) => {
                self.set_fault(Some(self.lateness()));
                ((Answer::NoAnswer(Silence::TimedOut), Bytes::new()), true)
            }
        };
        let cache = self.id();
        self.take_note(&answer, Instant::now());
        // Nobody listening any more is fine: the answer came for nothing.
        drop(sender.send(Told { cache, answer, text }));
        if late && let Ok((answer, text)) = timeout(LATE, asking).await {
            drop(sender.send(Told { cache, answer, text }));
        }
    }

    /// What keeps it from answering in time, as far as is known.
    fn lateness(&self) -> String {
        match self.names().filter(|(names, host)| names.is_looking_up(host)) {
            Some((_, host)) => format!("the lookup of the name {host} has not ended"),
            None => format!("nothing came within {} s", self.claim_timeout().as_secs_f32()),
        }
    }

    fn treat(&self, now: Instant) -> Treatment {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let (treatment, after) = health.treat(now);
        *health = after;
        treatment
    }

    fn take_note(&self, answer: &Answer, now: Instant) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *health;
        let counter = match answer {
            Answer::Claim(_) => &self.heard.claims,
            Answer::NotFound => &self.heard.not_found,
            Answer::NoAnswer(_) => &self.heard.silences,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        *health = match answer {
            Answer::Claim(_) | Answer::NotFound | Answer::NoAnswer(Silence::Faulty) => before.answered(),
            Answer::NoAnswer(_) => before.silent(now),
        };
        let error = self.fault().unwrap_or_default();
        match (before.is_down(), health.is_down()) {
            (false, true) => {
                tracing::warn!(cache = self.name(), %error, "is down: it is not waited for until it answers")
            }
            (true, false) => tracing::info!(cache = self.name(), "is back"),
            _ if before == Health::NEW && *health != before => {
                tracing::info!(cache = self.name(), %error, "gave no answer")
            }
            _ => {}
        }
    }

    /// Whether the cache is known to be down, for reports.
    pub fn health(&self) -> Health {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a claim need not be asked for again (design §3.10).
const CLAIM_FRESH: Duration = Duration::from_secs(3600);

/// How long "not found" need not be asked for again (design §3.10).
pub(crate) const NOT_FOUND_FRESH: Duration = Duration::from_secs(300);

/// How long a lookup may take at the start before that is worth a word: as long as a cache is waited for.
const SLOW_LOOKUP: Duration = Duration::from_secs(5);

/// How long an answer is still listened for after its time was up.
const LATE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_fresh_for_what_is_left_of_its_time() {
        let at = Instant::now();
        let known = Known { cache: CacheId(0), at, said: Said::NotFound };
        assert_eq!(known.fresh_for(at), Some(NOT_FOUND_FRESH));
        assert_eq!(known.fresh_for(at + Duration::from_secs(240)), Some(Duration::from_secs(60)));
        assert_eq!(known.fresh_for(at + NOT_FOUND_FRESH), None);
    }
}
