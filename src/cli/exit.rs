//! What a command tells the one who started it (design §9).

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
