//! Who signs the requests to a bucket: keys that are held until shortly before they end, and fetched anew then, or
//! when the server calls them worn.
//!
//! ```text
//! credentials-file, or profile= ─► AWS_ACCESS_KEY_ID ─► AWS_WEB_IDENTITY_TOKEN_FILE ─► container ─► instance
//! ```
//!
//! The first that is there is taken, and no other when it fails. Files of secrets are refused where others can
//! read them.

mod fetch;
mod file;
mod source;

pub(super) use source::Source;

use crate::clock;
use crate::destination::s3::fault::Fault;
use crate::destination::s3::service::Service;
use futures_util::future::BoxFuture;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;

/// Keys from a source, renewed as they end.
pub(super) struct Credentials {
    source: Source,
    service: Service,
    held: Mutex<Option<Held>>,
    /// How often keys were called worn: tells whether the ones that a request used are still those that are held.
    renewals: AtomicU64,
}

/// Keys and when they end, in seconds since 1970, if they do.
#[derive(Clone)]
struct Held {
    keys: Arc<AwsCredential>,
    until: Option<i64>,
}

impl Credentials {
    pub(super) fn new(source: Source, service: Service) -> Self {
        Self { source, service, held: Mutex::default(), renewals: AtomicU64::new(0) }
    }

    /// How often they were renewed because the server would not have them.
    pub(super) fn edition(&self) -> u64 {
        self.renewals.load(Ordering::Acquire)
    }

    /// The server would not have the keys of this edition: others are fetched for the next request. Those who
    /// come later with the same complaint change nothing.
    pub(super) async fn renew(&self, edition: u64) {
        let mut held = self.held.lock().await;
        if self.edition() == edition {
            *held = None;
            self.renewals.store(edition.wrapping_add(1), Ordering::Release);
        }
    }

    /// Keys that are good for a while.
    pub(super) async fn keys(&self) -> Result<Arc<AwsCredential>, Fault> {
        let mut held = self.held.lock().await;
        let now = clock::now().seconds();
        let lasts =
            |held: &Held, ahead: i64| held.until.is_none_or(|until| until.saturating_sub(ahead) > now);
        if let Some(held) = held.as_ref().filter(|held| lasts(held, EARLY)) {
            return Ok(Arc::clone(&held.keys));
        }
        match self.source.fetch(&self.service).await {
            Ok(fresh) => Ok(Arc::clone(&held.insert(fresh).keys)),
            // Whoever gives them out is away; these are good until they end.
            Err(fault) => match held.as_ref().filter(|held| lasts(held, 0)) {
                Some(held) => {
                    tracing::debug!(%fault, "credentials could not be renewed ahead of time");
                    Ok(Arc::clone(&held.keys))
                }
                None => Err(fault),
            },
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("source", &self.source).finish_non_exhaustive()
    }
}

impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    // What `#[async_trait]` makes of the trait's declaration.
    fn get_credential<'life0, 'async_trait>(
        &'life0 self,
    ) -> BoxFuture<'async_trait, object_store::Result<Arc<AwsCredential>>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let keys = self.keys().await;
            keys.map_err(|fault| object_store::Error::Generic { store: "S3", source: Box::new(fault) })
        })
    }
}

/// How long before their end keys are renewed, in seconds: longer than one request takes. Instances give out new
/// ones five minutes before the old ones end.
const EARLY: i64 = 240;
