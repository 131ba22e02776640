//! What commands print.

use crate::cli::Exit;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::process::exit;

/// Prints a line for whoever gave the command, as `println!` does; where nobody reads any more the program ends.
macro_rules! say {
    ($($line:tt)*) => { crate::cli::say::text(format_args!("{}\n", format_args!($($line)*))) };
}
pub(super) use say;

/// Prints a text as it is.
pub(super) fn text(text: fmt::Arguments<'_>) {
    if let Err(error) = io::stdout().lock().write_fmt(text) {
        exit(failed(&error).code().into());
    }
}

/// What could not be printed is an error; but where nobody reads any more the program ends without a word, as
/// `head` and pagers expect of those whose lines they do not want.
pub(super) fn failed(error: &io::Error) -> Exit {
    if error.kind() == ErrorKind::BrokenPipe {
        exit(OF_A_CLOSED_PIPE);
    }
    eprintln!("countersign: cannot write to the standard output: {error}");
    Exit::Io
}

/// What a shell says of a program that SIGPIPE has ended.
const OF_A_CLOSED_PIPE: i32 = 128 + 13;
