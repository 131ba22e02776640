//! A bucket of an S3 server as a destination, under the names that Nix's own S3 store gives.
//!
//! ```text
//! Bucket ─► the library (requests, signatures, answers) ─► Service ─► our HTTP client
//!   │                         ▲
//!   │ attempt: again, once    │ keys, held and renewed
//!   │ with other keys         Credentials ◄─ file, environment, token service, container, instance
//!   ├─ multipart: what is larger than a part, from its file, a few parts at a time
//!   └─ sweep: what multipart uploads that were broken off have left
//! ```
//!
//! The library tries nothing again, nor do we, but for two things: a request that the server refuses because of
//! worn credentials is made once more with fresh ones, and a part of a multipart upload is sent a few times, since
//! to start anew would send all the others again.

mod credentials;
mod fault;
mod multipart;
mod service;
mod sweep;
mod xml;

use crate::config;
use crate::destination::error::Act;
use crate::destination::s3::credentials::{Credentials, Source};
use crate::destination::s3::fault::Fault;
use crate::destination::s3::service::Service;
use crate::destination::server::client;
use crate::destination::{
    Body, Condition, ContentType, ETag, Found, Names, Patience, PlaceError, PlaceErrorKind, Put,
};
use bytes::Bytes;
use futures_util::StreamExt;
use http::StatusCode;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredentialProvider};
use object_store::path::Path as Key;
use object_store::{
    Attribute, Attributes, BackoffConfig, GetOptions, ObjectStore, PutMode, PutOptions, PutPayload,
    RetryConfig, UpdateVersion,
};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use url::Url;

/// A bucket that takes builds.
pub(super) struct Bucket {
    store: AmazonS3,
    service: Service,
    /// None where requests are not signed.
    credentials: Option<Arc<Credentials>>,
    /// Where its objects are, without a slash at the end.
    base: String,
    prefix: Box<str>,
    region: String,
    storage_class: Option<Box<str>>,
    parts: config::Parts,
    patience: Patience,
    /// It took a put without the condition that it had refused with it.
    knows_no_conditions: AtomicBool,
}

impl Bucket {
    /// Opens a bucket. `variable` is the environment.
    pub(super) fn open(
        address: &config::Bucket,
        file: Option<&Path>,
        patience: Patience,
        names: &Names,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, PlaceError> {
        let unsupported = |what: String| PlaceError::new(PlaceErrorKind::Unsupported, Act::Open, what);
        let region = region(address, variable);
        let base = base(address, &region).map_err(unsupported)?;
        let url = Url::parse(&base).map_err(|error| unsupported(error.to_string()))?;
        let client = client(&url, patience, names).map_err(|error| unsupported(error.to_string()))?;
        let service = Service { client, patience };
        let credentials = match address.is_unsigned {
            true => None,
            false => {
                let source = Source::choose(address, &region, file, variable);
                let source = source.map_err(|fault| fault.during(Act::Open))?;
                Some(Arc::new(Credentials::new(source, service.clone())))
            }
        };
        let retry =
            RetryConfig { max_retries: 0, retry_timeout: Duration::ZERO, backoff: BackoffConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&*address.name)
            .with_region(&region)
            // The library's name for an endpoint that has the bucket in it already.
            .with_virtual_hosted_style_request(true)
            .with_endpoint(&base)
            .with_retry(retry)
            .with_http_connector(service.clone());
        builder = match &credentials {
            Some(credentials) => builder.with_credentials(Arc::clone(credentials) as AwsCredentialProvider),
            None => builder.with_skip_signature(true),
        };
        let store = builder.build().map_err(|error| unsupported(error.to_string()))?;
        Ok(Self {
            store,
            service,
            credentials,
            base,
            prefix: address.prefix.clone(),
            region,
            storage_class: address.storage_class.clone(),
            parts: address.parts,
            patience,
            knows_no_conditions: AtomicBool::new(false),
        })
    }

    pub(super) async fn get(&self, name: &str, most: u64) -> Result<Option<Found>, PlaceError> {
        let key = self.key(name, Act::Read)?;
        let fetching = self.attempt(Once, || async {
            let found = match self.store.get_opts(&key, GetOptions::default()).await {
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                found => found.map_err(|error| Fault::of(&error))?,
            };
            if found.attributes.get(&Attribute::ContentEncoding).is_some() {
                let what = "it comes under a Content-Encoding that was not asked for";
                return Err(Fault::new(PlaceErrorKind::Malformed, what));
            }
            let tag = found.meta.e_tag.as_deref().and_then(strong);
            let mut bytes = Vec::new();
            let mut frames = found.into_stream();
            while let Some(frame) = frames.next().await {
                bytes.extend_from_slice(&frame.map_err(|error| Fault::of(&error))?);
                if bytes.len() as u64 > most {
                    let what = format!("it has more than {most} bytes");
                    return Err(Fault::new(PlaceErrorKind::Malformed, what));
                }
            }
            Ok(Some(Found { bytes: bytes.into(), tag }))
        });
        self.in_time(fetching).await.map_err(|fault| fault.during(Act::Read))
    }

    pub(super) async fn size(&self, name: &str) -> Result<Option<u64>, PlaceError> {
        let key = self.key(name, Act::Read)?;
        let asking = self.attempt(Once, || async {
            let options = GetOptions::new().with_head(true);
            match self.store.get_opts(&key, options).await {
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                found => found.map(|found| Some(found.meta.size)).map_err(|error| Fault::of(&error)),
            }
        });
        self.in_time(asking).await.map_err(|fault| fault.during(Act::Read))
    }

    pub(super) async fn put(
        &self,
        name: &str,
        body: Body,
        kind: ContentType,
        condition: Condition,
    ) -> Result<Put, PlaceError> {
        let key = self.key(name, Act::Store)?;
        let payload = match (&body, &condition) {
            (Body::File { path, length }, Condition::Always) if *length >= self.parts.from => {
                return self.put_parts(name, &key, path, *length, kind).await;
            }
            (Body::File { path, length }, _) => {
                let read = multipart::read(path, 0, *length, *length).await;
                payload(read.map_err(|fault| fault.during(Act::Store))?)
            }
            (Body::Bytes(bytes), _) => payload(bytes.clone()),
        };
        let stored = self.put_whole(&key, payload, kind, condition).await;
        stored.map_err(|fault| fault.during(Act::Store))
    }

    async fn put_whole(
        &self,
        key: &Key,
        payload: PutPayload,
        kind: ContentType,
        condition: Condition,
    ) -> Result<Put, Fault> {
        let guard = match condition {
            Condition::Always => None,
            Condition::IfAbsent => Some(PutMode::Create),
            Condition::IfMatches(ETag(tag)) => {
                Some(PutMode::Update(UpdateVersion { e_tag: Some(tag.into()), version: None }))
            }
        };
        let Some(guard) = guard.filter(|_| !self.knows_no_conditions.load(Ordering::Relaxed)) else {
            return self.put_with(key, &payload, kind, &PutMode::Overwrite).await;
        };
        let answer = self.put_with(key, &payload, kind, &guard).await;
        // Who knows no conditions says 501, or 400; a 400 may mean something else.
        let doubted = [StatusCode::NOT_IMPLEMENTED, StatusCode::BAD_REQUEST].map(PlaceErrorKind::Refused);
        if !matches!(&answer, Err(fault) if doubted.contains(&fault.kind)) {
            return answer;
        }
        let answer = self.put_with(key, &payload, kind, &PutMode::Overwrite).await;
        if answer.is_ok() {
            self.knows_no_conditions.store(true, Ordering::Relaxed);
        }
        answer
    }

    async fn put_with(
        &self,
        key: &Key,
        payload: &PutPayload,
        kind: ContentType,
        mode: &PutMode,
    ) -> Result<Put, Fault> {
        self.attempt(Once, || async {
            let attributes = self.attributes(kind);
            let options = PutOptions { mode: mode.clone(), attributes, ..PutOptions::default() };
            let stored = self.store.put_opts(key, payload.clone(), options).await;
            match stored {
                Ok(_) => Ok(Put::Stored),
                Err(
                    object_store::Error::AlreadyExists { .. }
                    | object_store::Error::Precondition { .. }
                    | object_store::Error::NotModified { .. },
                ) if *mode != PutMode::Overwrite => Ok(Put::Conflict),
                Err(error) => Err(Fault::of(&error)),
            }
        })
        .await
    }

    /// Does something, and once more with fresh credentials if the server calls these worn; `tries` says how
    /// often if it fails in passing.
    async fn attempt<T, F>(&self, tries: impl Tries, work: impl Fn() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let (mut failures, mut is_renewed) = (0, false);
        loop {
            let edition = self.credentials.as_ref().map(|credentials| credentials.edition());
            let fault = match work().await {
                Err(fault) => fault,
                done => return done,
            };
            if let (Some(credentials), Some(edition), true) = (&self.credentials, edition, fault.may_be_worn)
            {
                // Also where that was the second time: whoever comes next asks anew.
                credentials.renew(edition).await;
                if !is_renewed {
                    is_renewed = true;
                    continue;
                }
            }
            let passing = Some(&fault).filter(|fault| fault.is_passing());
            let Some(pause) = passing.and_then(|fault| tries.pause(failures, fault)) else {
                return Err(fault);
            };
            failures += 1;
            sleep(pause).await;
        }
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let limit = self.patience.answer;
        timeout(limit, work).await.unwrap_or_else(|_| {
            let what = format!("no whole answer came in {} seconds", limit.as_secs_f32());
            Err(Fault::new(PlaceErrorKind::TimedOut, what))
        })
    }

    /// What an object is put with.
    fn attributes(&self, kind: ContentType) -> Attributes {
        let mut attributes = Attributes::from_iter([(Attribute::ContentType, kind.as_str())]);
        if let Some(class) = &self.storage_class {
            attributes.insert(Attribute::StorageClass, class.to_string().into());
        }
        attributes
    }

    fn key(&self, name: &str, act: Act) -> Result<Key, PlaceError> {
        Key::parse(format!("{}{name}", self.prefix)).map_err(|error| {
            PlaceError::new(PlaceErrorKind::Malformed, act, format!("the name cannot be one: {error}"))
        })
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Bucket");
        shown.field("base", &self.base).field("prefix", &self.prefix).field("credentials", &self.credentials);
        shown.finish_non_exhaustive()
    }
}

/// How often something is tried that fails in passing.
trait Tries {
    /// How long to wait before the next try after so many failures; none if there is none.
    fn pause(&self, failures: u32, fault: &Fault) -> Option<Duration>;
}

/// Whoever holds the queue tries again.
struct Once;

impl Tries for Once {
    fn pause(&self, _: u32, _: &Fault) -> Option<Duration> {
        None
    }
}

/// The region that requests are signed for: where none is said, the one that Nix takes.
fn region(address: &config::Bucket, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let written = address.region.as_deref().map(str::to_owned);
    let set = || ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(variable);
    written.or_else(set).unwrap_or_else(|| "us-east-1".to_owned())
}

/// Where the objects of a bucket are.
fn base(address: &config::Bucket, region: &str) -> Result<String, String> {
    let name = &*address.name;
    let whole = match &address.endpoint {
        None if address.is_virtual() => format!("https://{name}.s3.{region}.amazonaws.com"),
        None => format!("https://s3.{region}.amazonaws.com/{name}"),
        Some(endpoint) if address.is_virtual() => {
            let host =
                endpoint.domain().ok_or("an endpoint without a name cannot have the bucket's in it")?;
            let mut url = endpoint.clone();
            url.set_host(Some(&format!("{name}.{host}"))).map_err(|error| error.to_string())?;
            url.to_string()
        }
        Some(endpoint) => format!("{endpoint}{name}"),
    };
    Ok(whole.trim_end_matches('/').to_owned())
}

/// Bytes in frames, so that it is seen when they move.
fn payload(mut bytes: Bytes) -> PutPayload {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        frames.push(bytes.split_to(bytes.len().min(FRAME)));
    }
    PutPayload::from_iter(frames)
}

/// The tag, if If-Match would hold for it: weak ones never match there (RFC 9110 §13.1.1).
fn strong(tag: &str) -> Option<ETag> {
    (tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"')).then(|| ETag(tag.into()))
}

/// What is handed to a connection at once.
const FRAME: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AddressingStyle, Bucket as Address};

    #[test]
    fn where_the_objects_of_a_bucket_are() {
        let at = |endpoint: &str, style| {
            let endpoint =
                Some(endpoint).filter(|text| !text.is_empty()).map(|text| Url::parse(text).unwrap());
            base(&Address { endpoint, style, ..Address::named("acme-cache") }, "eu-central-1")
        };
        let (auto, path, virtual_) = (AddressingStyle::Auto, AddressingStyle::Path, AddressingStyle::Virtual);
        for (endpoint, style, expected) in [
            ("", auto, "https://acme-cache.s3.eu-central-1.amazonaws.com"),
            ("", path, "https://s3.eu-central-1.amazonaws.com/acme-cache"),
            ("https://s3.h:9000/", auto, "https://s3.h:9000/acme-cache"),
            ("http://h/s3/", path, "http://h/s3/acme-cache"),
            ("https://s3.h:9000/", virtual_, "https://acme-cache.s3.h:9000"),
        ] {
            assert_eq!(at(endpoint, style).as_deref(), Ok(expected));
        }
        assert!(at("http://10.0.0.1/", virtual_).is_err());
    }

    #[test]
    fn the_region_is_written_or_set_or_nixs() {
        let env = |name: &str| match name {
            "AWS_REGION" => Some("eu-west-1".to_owned()),
            "AWS_DEFAULT_REGION" => Some("eu-west-2".to_owned()),
            _ => None,
        };
        let written = Address { region: Some("eu-west-3".into()), ..Address::named("b") };
        assert_eq!(region(&written, &env), "eu-west-3");
        assert_eq!(region(&Address::named("b"), &env), "eu-west-1");
        assert_eq!(
            region(&Address::named("b"), &|name| env(name).filter(|_| name != "AWS_REGION")),
            "eu-west-2"
        );
        assert_eq!(region(&Address::named("b"), &|_| None), "us-east-1");
    }
}
