//! The remote caches: asking them all at once, and fetching from one.
//!
//! A ring around [`crate::trust`]: it turns sockets into [`crate::trust::Answer`]s and decides nothing.

mod ask;
mod asking;
mod cache;
pub mod health;
mod log;
mod pace;
mod part;
mod poll;
mod remembered;
mod standing;

pub(crate) use crate::http_client::Chain;
pub use crate::http_client::{NetrcEntry, is_open_to_others, netrc_entry};
pub use ask::AskError;
pub use cache::{FetchError, Heard, Outside, RemoteCache, VIA};
pub use health::{Latency, Treatment, Why};
pub use log::{Log, LogError};
pub use pace::Pace;
pub use part::{Part, Wanted};
pub(crate) use poll::NOT_FOUND_FRESH;
pub use poll::{Known, Occasion, Poll, Said, Told, Upstreams, UpstreamsError};
pub use remembered::Remembered;
pub use standing::{Health, Undelivered};
