//! `countersign status`: one screen on the running service.

use crate::cli::say::{self, say};
use crate::cli::{Exit, fail, run_async};
use crate::config::Config;
use crate::control;

/// Asks the running service and prints what it says.
pub(super) fn status(config: &Config, json: bool) -> Exit {
    let path = control::find(&config.state_directory);
    let asked = match run_async(control::ask_status(&path)) {
        Ok(asked) => asked,
        Err(exit) => return exit,
    };
    let status = match asked {
        Ok(status) => status,
        Err(error) => return fail(Exit::Io, &error),
    };
    if json {
        match serde_json::to_string_pretty(&status) {
            Ok(text) => say!("{text}"),
            Err(error) => return fail(Exit::Io, &error),
        }
    } else {
        say::text(format_args!("{status}"));
    }
    Exit::Ok
}
