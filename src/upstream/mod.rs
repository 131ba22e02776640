//! The remote caches: asking them all at once, and fetching from one.
//!
//! A ring around [`crate::trust`]: it turns sockets into [`crate::trust::Answer`]s and decides nothing.

mod ask;
mod cache;
mod client;
mod credentials;
mod health;
mod log;
mod poll;

pub use ask::AskError;
pub(crate) use ask::Chain;
pub use cache::{FetchError, Heard, Outside, RemoteCache, VIA};
pub use client::{HttpClient, TlsError};
pub use credentials::{Credentials, CredentialsError, NetrcEntry, is_open_to_others, netrc_entry};
pub use health::{Health, Treatment};
pub use log::{Log, LogError};
pub(crate) use poll::NOT_FOUND_FRESH;
pub use poll::{Known, Poll, Said, Upstreams, UpstreamsError};
