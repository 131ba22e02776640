//! Logs of builds. Nobody signs them, so they are passed on as they came and never used for anything.

use crate::format::StorePath;
use crate::upstream::cache::{FetchError, RemoteCache};
use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http_body_util::{BodyExt, Limited};
use std::time::Duration;
use tokio::time::timeout;

/// A log as a cache sent it.
#[derive(Clone, Debug)]
pub struct Log {
    /// Its bytes.
    pub bytes: Bytes,
    /// How they are encoded: caches store logs under a Content-Encoding, and Nix decodes it.
    pub encoding: Option<&'static str>,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Nothing was fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It broke off, or is longer than any that is passed on.
    #[error("the log broke off or is too long: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// It is encoded in a way that Nix does not decode.
    #[error("the log has an unknown Content-Encoding")]
    Encoding,
    /// It took too long.
    #[error("the log took longer than {} seconds", PATIENCE.as_secs())]
    TimedOut,
}

impl RemoteCache {
    /// The log of a derivation's build.
    ///
    /// # Errors
    /// [`LogError`] if the cache has none that can be passed on.
    pub async fn log(&self, derivation: &StorePath) -> Result<Log, LogError> {
        timeout(PATIENCE, self.fetch_log(derivation)).await.unwrap_or(Err(LogError::TimedOut))
    }

    async fn fetch_log(&self, derivation: &StorePath) -> Result<Log, LogError> {
        let response = self.fetch_encoded(&format!("log/{derivation}")).await?;
        let encoding = match response.headers().get(CONTENT_ENCODING) {
            None => None,
            Some(stated) => {
                let known = ENCODINGS.iter().find(|known| stated.as_bytes() == known.as_bytes());
                Some(*known.ok_or(LogError::Encoding)?)
            }
        };
        let body = Limited::new(response.into_body(), LONGEST).collect().await.map_err(LogError::Body)?;
        Ok(Log { bytes: body.to_bytes(), encoding })
    }
}

/// The encodings of logs that Nix decodes (libstore filetransfer.cc, through libarchive and brotli).
const ENCODINGS: [&str; 6] = ["br", "bzip2", "deflate", "gzip", "xz", "zstd"];

/// The longest log that is passed on; the longest seen in public caches are a tenth of it, a guess.
const LONGEST: usize = 32 * 1024 * 1024;

/// How long one cache may take over a log.
const PATIENCE: Duration = Duration::from_secs(20);
