//! What every HTTP client of ours needs: pooled connections over TLS, credentials, and errors on one line.
//!
//! It knows neither caches nor destinations. What may be fetched from where, and which redirects are followed,
//! is for those who ask.

mod chain;
mod client;
mod credentials;
mod names;
mod retry_after;

pub(crate) use chain::Chain;
pub use client::{Dialling, HttpClient, RequestBody, SendError, TlsError, no_body, trusted_file};
pub use credentials::{Credentials, CredentialsError, NetrcEntry, is_open_to_others, netrc_entry};
pub use names::{NameError, Names};
pub(crate) use retry_after::retry_after;

/// How we introduce ourselves. Nothing of the machine or its user is in it.
pub const AGENT: &str = concat!("countersign/", env!("CARGO_PKG_VERSION"));
