//! What can go wrong at a place, in one line: what happened, where, and what to do now.

use crate::http_client::{Chain, NameError};
use http::StatusCode;
use std::fmt;
use std::io;
use std::time::Duration;

/// Why something at a place failed. Carries no credentials.
#[derive(Debug)]
pub struct PlaceError(Box<Failure>);

#[derive(Debug)]
struct Failure {
    kind: PlaceErrorKind,
    act: Act,
    place: Box<str>,
    name: Box<str>,
    what: String,
}

/// What kind of failure it was; whether to try again is for others to judge by it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PlaceErrorKind {
    /// No connection, or it broke.
    Unreachable,
    /// Nothing moved, or no answer came, for too long.
    TimedOut,
    /// The credentials are missing, unusable or not enough (401, 403).
    Credentials,
    /// The server's clock and ours differ by more than it allows.
    Clock,
    /// No room, or not for this (507, 413, a full disk or quota).
    Full,
    /// It asks to be left alone for now (429, 503).
    Busy {
        /// For how long, if it says so; a day at most.
        retry_after: Option<Duration>,
    },
    /// Another answer that stores or gives nothing.
    Refused(StatusCode),
    /// It said that something was stored, and that is not there or is something else.
    Lost,
    /// What is there cannot be read as what it should be; it is left alone.
    Malformed,
    /// Others changed it again and again.
    Contested,
    /// It is a cache of another store directory.
    OtherStore,
    /// There is no support for this kind of destination.
    Unsupported,
    /// A file or directory of this machine.
    Local(io::ErrorKind),
}

/// What was being done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Act {
    Open,
    Check,
    Read,
    Store,
}

impl PlaceError {
    pub(super) fn new(kind: PlaceErrorKind, act: Act, what: impl Into<String>) -> Self {
        let (place, name) = (Box::default(), Box::default());
        Self(Box::new(Failure { kind, act, place, name, what: what.into() }))
    }

    /// An error of the system on a local file.
    pub(super) fn local(act: Act, error: &io::Error) -> Self {
        use io::ErrorKind as E;
        let kind = match error.kind() {
            E::StorageFull | E::QuotaExceeded | E::FileTooLarge => PlaceErrorKind::Full,
            other => PlaceErrorKind::Local(other),
        };
        Self::new(kind, act, error.to_string())
    }

    /// An error on the way to or from a server.
    pub(super) fn transport(act: Act, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut kind = PlaceErrorKind::Unreachable;
        let mut cause = Some(error);
        while let Some(error) = cause {
            let is_slow =
                error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::TimedOut);
            if is_slow || matches!(error.downcast_ref(), Some(NameError::Late { .. })) {
                kind = PlaceErrorKind::TimedOut;
            }
            cause = error.source();
        }
        Self::new(kind, act, told(error))
    }

    /// Says where it happened: at which destination, and to which name.
    pub(super) fn at(mut self, place: &str, name: &str) -> Self {
        self.0.place = place.into();
        self.0.name = name.into();
        self
    }

    /// What kind it is.
    pub fn kind(&self) -> PlaceErrorKind {
        self.0.kind
    }

    /// The destination's name.
    pub fn place(&self) -> &str {
        &self.0.place
    }
}

/// An error on the way in words, and what to do where they do not say it.
pub(super) fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let text = Chain(error).to_string();
    match is_untrusted(error) {
        true => format!(
            "{text}: nobody whom this machine trusts signed the server's certificate; name a file with the one who did \
             in NIX_SSL_CERT_FILE"
        ),
        false => text,
    }
}

fn is_untrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    use rustls::{CertificateError, Error};
    // The second where somebody of the same name is trusted.
    let untrusted = [CertificateError::UnknownIssuer, CertificateError::BadSignature];
    let mut cause = Some(error);
    while let Some(error) = cause {
        if matches!(error.downcast_ref(), Some(Error::InvalidCertificate(why)) if untrusted.contains(why)) {
            return true;
        }
        // What an error of the system holds is not among its sources.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = held.map(|held| held as _).or_else(|| error.source());
    }
    false
}

impl std::error::Error for PlaceError {}

impl fmt::Display for PlaceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { kind, act, place, name, what } = &*self.0;
        let doing = match act {
            Act::Open => "open it",
            Act::Check => "use",
            Act::Read => "read",
            Act::Store => "store",
        };
        let space = if name.is_empty() { "" } else { " " };
        write!(out, "destination {place}: cannot {doing}{space}{name}: {what}")?;
        let advice = match kind {
            PlaceErrorKind::Unreachable => "check that it is up and that its `url` is right",
            PlaceErrorKind::TimedOut => "check the network, and how busy the server is",
            PlaceErrorKind::Credentials => "check its `credentials-file`, and what it lets that user do",
            PlaceErrorKind::Clock => "set the clock of this machine, or the server's",
            PlaceErrorKind::Full => "make room there, or raise the limit",
            PlaceErrorKind::Busy { retry_after: Some(time) } => {
                return write!(out, "; it asks for {} seconds of patience", time.as_secs());
            }
            PlaceErrorKind::Busy { retry_after: None } => "it is overloaded: try again later",
            PlaceErrorKind::Refused(StatusCode::CONFLICT) => {
                "a folder may be missing there: let the server make it, or make `nar` yourself"
            }
            PlaceErrorKind::Refused(status) if status.is_server_error() => "look into the server's own log",
            PlaceErrorKind::Refused(_) => "check that its `url` is right and takes PUT",
            PlaceErrorKind::Lost => "check the server's storage, and any cache in front of it",
            PlaceErrorKind::Malformed => "look at what is there, and remove it if it is broken",
            PlaceErrorKind::Contested => "another uploader is busy with the same path: try again later",
            PlaceErrorKind::OtherStore => "choose another destination, or `store-directory`",
            PlaceErrorKind::Local(io::ErrorKind::PermissionDenied) => "give the uploader's user access to it",
            PlaceErrorKind::Local(io::ErrorKind::ReadOnlyFilesystem) => "mount it writable",
            PlaceErrorKind::Unsupported | PlaceErrorKind::Local(_) => return Ok(()),
        };
        write!(out, "; {advice}")
    }
}
