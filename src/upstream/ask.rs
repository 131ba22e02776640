//! Asking one cache for its claim on one path.

use crate::format::HashPart;
use crate::format::narinfo::{Limits, NarInfo, ParseError};
use crate::http_client::Chain;
use crate::trust::{Answer, Claim, NoClaim, Policy, Silence};
use crate::upstream::cache::{FetchError, Outside, RemoteCache};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use std::time::Duration;

/// Why a cache gave no answer, for the log.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nothing was fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The body broke off, or was longer than `limits.narinfo`.
    #[error("the narinfo broke off or is too long: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// It is no narinfo.
    #[error("the narinfo is malformed: {0}")]
    Parse(#[from] ParseError),
    /// It is no claim for the path.
    #[error(transparent)]
    NoClaim(#[from] NoClaim),
}

/// What came of asking a cache.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) answer: Answer,
    /// The text of a claim.
    pub(super) text: Bytes,
    /// Why it is silence, if it is. A cache that is at fault is not silent.
    pub(super) trouble: Option<Trouble>,
}

/// Why a cache could not be asked, as far as its health is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// This machine found no address of it, or no way to it.
    NoLine,
    /// It asks to be left alone for so long.
    Busy(Duration),
    /// Anything else.
    Other,
}

impl RemoteCache {
    /// Asks the cache for its claim. What is no claim and no "not found" is no answer, and logged.
    pub(super) async fn ask(&self, asked: HashPart, policy: &Policy, limits: &Limits) -> Reply {
        let (reply, fault) = match self.claim(asked, policy, limits).await {
            Ok((claim, text)) => {
                (Reply { answer: Answer::Claim(Box::new(claim)), text, trouble: None }, None)
            }
            Err(AskError::Fetch(FetchError::Status(StatusCode::NOT_FOUND | StatusCode::GONE))) => {
                (Reply { answer: Answer::NotFound, text: Bytes::new(), trouble: None }, None)
            }
            Err(error) => {
                let (silence, trouble) = silence(&error);
                let fault = Chain(&error).to_string();
                tracing::debug!(cache = self.name(), path = %asked, error = fault, "got no answer");
                (Reply { answer: Answer::NoAnswer(silence), text: Bytes::new(), trouble }, Some(fault))
            }
        };
        self.set_fault(fault);
        reply
    }

    async fn claim(
        &self,
        asked: HashPart,
        policy: &Policy,
        limits: &Limits,
    ) -> Result<(Claim, Bytes), AskError> {
        let response = self.fetch_path(&format!("{asked}.narinfo")).await?;
        let body =
            Limited::new(response.into_body(), limits.bytes).collect().await.map_err(AskError::Body)?;
        let text = body.to_bytes();
        let (claim, outside) = self.read(asked, &text, policy, limits)?;
        if let Some(outside) = outside {
            self.log_outside(asked, outside);
        }
        Ok((claim, text))
    }

    /// The claim that a text of this cache is, and why its bytes will not be fetched, if so.
    pub(super) fn read(
        &self,
        asked: HashPart,
        text: &[u8],
        policy: &Policy,
        limits: &Limits,
    ) -> Result<(Claim, Option<Outside>), AskError> {
        let narinfo = NarInfo::parse(text, policy.store_dir(), limits)?;
        let (location, outside) = match self.locate(&narinfo.hints.url) {
            Ok(location) => (Some(location), None),
            Err(outside) => (None, Some(outside)),
        };
        Ok((Claim::new(self.id(), asked, narinfo, location, policy.store_dir())?, outside))
    }

    fn log_outside(&self, asked: HashPart, outside: Outside) {
        tracing::warn!(cache = self.name(), path = %asked, %outside, "will not fetch where the cache points to");
    }
}

fn silence(error: &AskError) -> (Silence, Option<Trouble>) {
    match error {
        AskError::Fetch(error) => match trouble(error) {
            Some(trouble) => (Silence::Unreachable, Some(trouble)),
            None => (Silence::Faulty, None),
        },
        AskError::Body(_) => (Silence::Unreachable, Some(Trouble::Other)),
        AskError::Parse(_) | AskError::NoClaim(_) => (Silence::Faulty, None),
    }
}

/// What kept a cache from being asked; `None` where it has answered, if badly.
pub(super) fn trouble(error: &FetchError) -> Option<Trouble> {
    match error {
        FetchError::Http(error) if error.is_cut_off() => Some(Trouble::NoLine),
        FetchError::Later { pause, .. } => Some(Trouble::Busy(*pause)),
        FetchError::Http(_) => Some(Trouble::Other),
        // An overloaded or broken server says nothing about the path.
        FetchError::Status(status) if status.is_server_error() || status.as_u16() == 429 => {
            Some(Trouble::Other)
        }
        FetchError::Status(_)
        | FetchError::Outside(_)
        | FetchError::Redirects
        | FetchError::RedirectNowhere
        | FetchError::Encoded
        | FetchError::Request(_) => None,
    }
}
