//! What a command tells the one who started it (design §9).

use crate::run::StartError;
use crate::state::StateError;
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// Fine.
    Ok,
    /// It was found out, and the answer is no: refused, dissent, or other findings.
    Refused,
    /// The arguments or the configuration are at fault.
    Config,
    /// It could not be found out: files or network.
    Io,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Refused => 1,
            Self::Config => 2,
            Self::Io => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<&StateError> for Exit {
    /// A directory of a newer program is a matter of which one is named; all else is of files.
    fn from(error: &StateError) -> Self {
        if matches!(error, StateError::Newer { .. }) { Self::Config } else { Self::Io }
    }
}

impl From<&StartError> for Exit {
    fn from(error: &StartError) -> Self {
        if let StartError::State(state) = error { state.into() } else { Self::Io }
    }
}
