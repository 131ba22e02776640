//! Arguments in, exit code out.

use clap::Parser;
use countersign::cli::Arguments;
use std::process::ExitCode;

fn main() -> ExitCode {
    Arguments::parse().run().into()
}
