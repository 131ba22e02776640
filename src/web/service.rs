//! Requests on the cache port, answered under one configuration.

use crate::config::Config;
use crate::format::cache_info::NixCacheInfo;
use crate::format::{HashPart, NarHash, StorePath};
use crate::memo::{Held, Peer, Verdicts};
use crate::transfer::{Extent, Relay};
use crate::upstream::{Chain, Upstreams, VIA};
use crate::web::answer::{self, Instead};
use crate::web::body::ReplyBody;
use crate::web::hosts::Hosts;
use crate::web::range::Wanted;
use crate::web::route::Route;
use bytes::Bytes;
use http::{Method, Request, Response, Version};
use std::sync::Arc;

/// Everything that one configuration serves with.
#[derive(Debug)]
pub struct Service {
    verdicts: Verdicts,
    upstreams: Arc<Upstreams>,
    relay: Arc<Relay>,
    hosts: Hosts,
    instead: Instead,
    cache_info: Bytes,
}

/// Heads of requests that no client of a cache sends.
fn too_large<B>(request: &Request<B>) -> Option<Response<ReplyBody>> {
    let path = request.uri().path_and_query().map_or(0, |p| p.as_str().len());
    let headers: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if path > LONGEST_PATH {
        Some(answer::uri_too_long())
    } else if headers > LONGEST_HEADERS {
        Some(answer::headers_too_large())
    } else {
        None
    }
}

/// Our own paths have at most 94 characters; nginx takes 8 KiB.
const LONGEST_PATH: usize = 8 * 1024;

/// All headers of a request together; nginx takes 32 KiB.
const LONGEST_HEADERS: usize = 32 * 1024;

const PLAIN: &str = "text/plain; charset=utf-8";

impl Service {
    /// A service for a configuration.
    pub fn new(
        config: &Config,
        upstreams: Arc<Upstreams>,
        relay: Arc<Relay>,
        verdicts: Verdicts,
        hosts: Hosts,
    ) -> Self {
        let info = NixCacheInfo {
            store_dir: config.store_dir.clone(),
            want_mass_query: true,
            priority: Some(config.serving.advertised_priority),
        };
        let instead = Instead { when_refused: config.when_refused, when_undecided: config.when_undecided };
        Self { verdicts, upstreams, relay, hosts, instead, cache_info: info.to_text().into() }
    }

    /// The caches that it asks.
    pub fn upstreams(&self) -> &Upstreams {
        &self.upstreams
    }

    /// The verdicts it has given.
    pub fn verdicts(&self) -> &Verdicts {
        &self.verdicts
    }

    /// Answers one request, if nothing has to be waited for.
    pub(super) fn at_hand<B>(&self, request: &Request<B>, peer: Peer) -> Option<Response<ReplyBody>> {
        let (route, is_head) = match self.route(request, peer) {
            Ok(routed) => routed,
            Err(refusal) => return Some(*refusal),
        };
        let response = match route {
            Route::CacheInfo => answer::cache_info(self.cache_info.clone()),
            Route::Health => answer::fixed(PLAIN, Bytes::from_static(b"ok\n")),
            Route::Narinfo(path) => {
                let held = self.verdicts.at_hand(path)?;
                self.narinfo(&held, is_head, request)
            }
            Route::Unknown => answer::not_found(),
            Route::Log(_) | Route::Nar { .. } => return None,
        };
        Some(if is_head { answer::head(response) } else { response })
    }

    /// Answers one request for which a cache may have to be waited for.
    pub(super) async fn answer<B>(&self, request: &Request<B>, peer: Peer) -> Response<ReplyBody> {
        let (route, is_head) = match self.route(request, peer) {
            Ok(routed) => routed,
            Err(refusal) => return *refusal,
        };
        let response = match route {
            Route::Log(derivation) => self.log(&derivation).await,
            Route::Narinfo(path) => {
                let held = self.held(path, request, peer).await;
                self.narinfo(&held, is_head, request)
            }
            Route::Nar { path, nar_hash } => self.nar(path, nar_hash, is_head, request, peer).await,
            // These are at hand.
            Route::CacheInfo | Route::Health | Route::Unknown => answer::not_found(),
        };
        if is_head { answer::head(response) } else { response }
    }

    /// What is asked for, and whether without its body; or why it is not looked at.
    fn route<B>(&self, request: &Request<B>, peer: Peer) -> Result<(Route, bool), Box<Response<ReplyBody>>> {
        if let Some(refusal) = too_large(request) {
            return Err(Box::new(refusal));
        }
        // No web page can reach a unix socket.
        if matches!(peer, Peer::Address(_)) && !self.is_for_us(request) {
            return Err(Box::new(answer::misdirected()));
        }
        let is_head = match *request.method() {
            Method::GET => false,
            Method::HEAD => true,
            _ => return Err(Box::new(answer::method_not_allowed())),
        };
        if request.uri().query().is_some() {
            return Err(Box::new(answer::not_found()));
        }
        Ok((Route::of(request.uri().path()), is_head))
    }

    /// Answers with a verdict. A client that takes it will ask for its references next; one that looks only whether it
    /// is there, or that another of us asks for, does not.
    fn narinfo<B>(&self, held: &Held, is_head: bool, request: &Request<B>) -> Response<ReplyBody> {
        if !is_head && !held.has_looked_ahead() && !request.headers().contains_key(VIA) {
            self.verdicts.look_ahead(held);
        }
        answer::narinfo(held, self.instead, request.headers())
    }

    async fn held<B>(&self, path: HashPart, request: &Request<B>, peer: Peer) -> Arc<Held> {
        if request.headers().contains_key(VIA) {
            self.verdicts.known(path).await
        } else {
            self.verdicts.of(path, peer).await
        }
    }

    /// Passes on the first log that a source has, in the order of preference.
    async fn log(&self, derivation: &StorePath) -> Response<ReplyBody> {
        for cache in self.upstreams.sources() {
            match cache.log(derivation).await {
                Ok(log) => return answer::log(log),
                Err(error) => tracing::debug!(cache = cache.name(), error = %Chain(&error), "has no log"),
            }
        }
        answer::not_found()
    }

    /// Judges the path again: clients keep narinfos for weeks, and verdicts change.
    async fn nar<B>(
        &self,
        path: HashPart,
        nar_hash: NarHash,
        is_head: bool,
        request: &Request<B>,
        peer: Peer,
    ) -> Response<ReplyBody> {
        let held = self.held(path, request, peer).await;
        let Some((grant, withdrawn)) = held.grant().filter(|(grant, _)| grant.nar_hash() == nar_hash) else {
            tracing::info!(%path, nar_hash = %nar_hash, verdict = held.verdict.label(), "did not serve a NAR");
            return answer::not_found();
        };
        let (size, tag) = (grant.nar_size(), format!("\"{}\"", nar_hash.nixbase32()));
        let wanted = if is_head { Wanted::All } else { Wanted::of(request.headers(), size, &tag) };
        let extent = match wanted {
            Wanted::All => Extent::All,
            Wanted::Part { first, length } if first.saturating_add(length) == size => Extent::Rest,
            Wanted::Part { .. } => Extent::Inner,
            Wanted::Nothing => return answer::nar(ReplyBody::empty(), size, wanted, &tag),
        };
        if is_head {
            return answer::nar(ReplyBody::empty(), size, wanted, &tag);
        }
        let Some(bytes) = self.relay.fetch(&self.upstreams, &grant, &withdrawn, extent).await else {
            tracing::warn!(%path, nar_hash = %nar_hash, "no source delivered the NAR");
            return answer::not_found();
        };
        let body = ReplyBody::nar(bytes, size, move |error| {
            tracing::warn!(%path, error = %Chain(error), "broke off a NAR before its last byte");
        });
        let body = match wanted {
            Wanted::Part { first, length } => body.part(first, length),
            Wanted::All | Wanted::Nothing => body,
        };
        answer::nar(body, size, wanted, &tag)
    }

    fn is_for_us<B>(&self, request: &Request<B>) -> bool {
        let named = request.uri().authority().is_none_or(|a| self.hosts.include(a.as_str()));
        let mut hosts = request.headers().get_all(http::header::HOST).iter();
        let host_is_ours = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().is_ok_and(|host| self.hosts.include(host)),
            (None, _) => request.version() == Version::HTTP_10,
            (Some(_), Some(_)) => false,
        };
        named && host_is_ours
    }
}
