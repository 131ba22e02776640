//! The program in a mount namespace of its own: what it finds on disk is arranged there and seen by nobody else.

use crate::support::dirs::Dir;
use std::process::{Command, Output, Stdio};

/// A shell script in a mount namespace; `$countersign` is the program. For root in the namespace it need not run as
/// root outside.
pub fn script(dir: &Dir, script: &str) -> Command {
    let mut command = Command::new("unshare");
    if !is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .args(["--mount", "sh", "-euc", script])
        .env_clear()
        .env("HOME", dir.path())
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("countersign", env!("CARGO_BIN_EXE_countersign"))
        .current_dir(dir.path())
        .stdin(Stdio::null());
    command
}

/// The script to its end.
pub fn run(dir: &Dir, text: &str) -> Output {
    script(dir, text).output().unwrap()
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
