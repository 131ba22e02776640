//! Asking several caches one question, in parallel, and waiting as long as design §3.9 says.
//!
//! Every cache that is not known to be down is waited for, up to its `claim-timeout` and the whole to
//! `decision-timeout`. An answer that comes later still arrives here: the caller decides what it changes.

use crate::config::Config;
use crate::format::HashPart;
use crate::format::narinfo::Limits;
use crate::http_client::{CredentialsError, Dialling, HttpClient, Names, TlsError, trusted_file};
use crate::trust::{Answer, CacheId, Claim, Policy, Role, Silence};
use crate::upstream::asking::Asking;
use crate::upstream::cache::RemoteCache;
use crate::upstream::health::{Line, Treatment, Way};
use crate::upstream::standing::Standing;
use bytes::Bytes;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// All caches of a configuration.
#[derive(Debug)]
pub struct Upstreams {
    policy: Arc<Policy>,
    caches: Vec<Arc<RemoteCache>>,
    limits: Limits,
    decision_timeout: Duration,
    line: Arc<Mutex<Line>>,
    late: Duration,
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
    /// Caches that are not waited for, and what that says of them.
    pub unwaited: Vec<(CacheId, Silence)>,
}

/// Why a question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Somebody waits for the answer.
    Wanted,
    /// Somebody is likely to ask soon. Such a question makes no sick cache sicker: it is never a probe.
    Ahead,
}

impl Upstreams {
    /// Opens a client for every cache; nothing is sent.
    ///
    /// # Errors
    /// [`UpstreamsError`] if a secret or certificate file cannot be used.
    pub fn new(config: &Config) -> Result<Self, UpstreamsError> {
        let names = Names::of_system();
        let line = Arc::new(Mutex::new(Line::new(config.caches.len(), config.patience.probe)));
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
            let standing = Standing::new(&line, config.patience.probe);
            let cache = RemoteCache::new(id, settings, client, standing)
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
        let limits = config.limits.of_narinfo();
        let (decision_timeout, late) = (config.decision_timeout, config.patience.late);
        Ok(Self { policy: Arc::clone(&config.policy), caches, limits, decision_timeout, line, late })
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

    /// Looks up the names of the caches' hosts, and says which have no address now, or once that none has. Nobody
    /// waits for it, and every question tries again.
    pub fn look_up_names(&self) {
        for cache in &self.caches {
            let Some((names, host)) = cache.names() else { continue };
            let (cache, names) = (Arc::clone(cache), names.clone());
            tokio::spawn(async move { cache.look_up_name(&names, &host).await });
        }
    }

    /// Asks every cache in `ask` for its claim.
    pub fn poll(&self, asked: HashPart, occasion: Occasion, ask: impl Iterator<Item = CacheId>) -> Poll {
        let (sender, answers) = mpsc::unbounded_channel();
        let mut unwaited = Vec::new();
        let (now, ahead) = (Instant::now(), occasion == Occasion::Ahead);
        let caches: Vec<_> = ask.filter_map(|id| self.cache(id)).collect();
        let numbers: Vec<_> = caches.iter().map(|cache| usize::from(cache.id().0)).collect();
        let way = self.line.lock().unwrap_or_else(PoisonError::into_inner).way(&numbers, ahead, now);
        for (cache, number) in caches.into_iter().zip(numbers) {
            if !(way == Way::All || way == Way::Only(number)) {
                unwaited.push((cache.id(), Silence::Down));
                continue;
            }
            let (treatment, silence) = cache.treat(ahead, now);
            let room = if treatment == Treatment::Skip { None } else { cache.standing.turns.room() };
            match (treatment, &room) {
                (Treatment::Ask, Some(_)) => {}
                (Treatment::Ask, None) => unwaited.push((cache.id(), Silence::TimedOut)),
                (Treatment::Hear | Treatment::Probe | Treatment::Skip, _) => {
                    unwaited.push((cache.id(), silence))
                }
            }
            let Some(room) = room else { continue };
            let (policy, limits, late) = (Arc::clone(&self.policy), self.limits, self.late);
            let question = Asking { asked, policy, limits, treatment, late, room };
            tokio::spawn(Arc::clone(cache).answer(question, sender.clone()));
        }
        Poll { answers, unwaited }
    }

    /// Since when this machine reaches no cache at all.
    pub fn offline_since(&self) -> Option<Instant> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).offline_since()
    }
}

/// How long a claim need not be asked for again (design §3.10).
const CLAIM_FRESH: Duration = Duration::from_secs(3600);

/// How long "not found" need not be asked for again (design §3.10).
pub(crate) const NOT_FOUND_FRESH: Duration = Duration::from_secs(300);

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
