//! Shell completions and man pages, both made from the command line's own description. For packages.

use crate::cli::{Arguments, Exit, fail};
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::stdout;
use std::path::Path;

/// Prints the completions for a shell.
pub(super) fn completions(shell: Shell) -> Exit {
    clap_complete::generate(shell, &mut Arguments::command(), "countersign", &mut stdout());
    Exit::Ok
}

/// Writes a page for the program and one for each command.
pub(super) fn man(directory: &Path) -> Exit {
    let command = Arguments::command().name("countersign");
    match clap_mangen::generate_to(command, directory) {
        Ok(()) => Exit::Ok,
        Err(error) => fail(Exit::Io, &error),
    }
}
