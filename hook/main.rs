//! Nix's `post-build-hook`: hands each build to the uploader by one file in the spool.
//!
//! It signs nothing, uploads nothing and asks nobody. Rules kept: a build never fails and never waits because of
//! it, so it ends with status 0 whatever happens, gives up after half a minute, and starts no process; what it
//! could not do it says in one line. `OUT_PATHS` and `DRV_PATH` are whatever the caller made of them, and are read
//! as such. README.md beside this file has the contract.

#[allow(dead_code, unreachable_pub, reason = "the library's own files, of which the hook needs a part")]
mod format;
mod report;
mod roots;
#[allow(dead_code, unreachable_pub, reason = "the library's own files, of which the hook needs a part")]
mod spool;
mod told;
mod write;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use std::os::fd::AsFd;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

fn main() -> ExitCode {
    // A fault of ours is told as such below, and not at length.
    panic::set_hook(Box::new(|_| {}));
    let complaint = match within(PATIENCE, report::report) {
        Ended::With(Ok(())) => None,
        Ended::With(Err(complaint)) => Some(complaint),
        Ended::Late => {
            Some(format!("gave up after {} s: is the spool's disk stuck? {LATER}", PATIENCE.as_secs()))
        }
        Ended::Badly => Some(format!("met a fault of its own, please report it; {LATER}")),
    };
    if let Some(complaint) = complaint {
        let line = format!("countersign-hook: {complaint}\n");
        // Whoever should read this may not.
        within(EAR, move || say(&line));
    }
    ExitCode::SUCCESS
}

/// How a piece of work ended.
enum Ended<T> {
    With(T),
    Late,
    Badly,
}

/// Works in a thread of its own, so that a disk or a reader that is stuck holds up no build: Nix waits for ever.
/// It also has a stack of its own, however small the caller's is.
fn within<T: Send + 'static>(time: Duration, work: impl FnOnce() -> T + Send + Clone + 'static) -> Ended<T> {
    let (sender, receiver) = sync_channel(1);
    let here = work.clone();
    let thread = thread::Builder::new().stack_size(STACK).spawn(move || sender.send(work()).is_ok());
    if thread.is_err() {
        // No more threads for this user: then without the limit.
        return panic::catch_unwind(AssertUnwindSafe(here)).map_or(Ended::Badly, Ended::With);
    }
    match receiver.recv_timeout(time) {
        Ok(value) => Ended::With(value),
        Err(RecvTimeoutError::Timeout) => Ended::Late,
        Err(RecvTimeoutError::Disconnected) => Ended::Badly,
    }
}

/// One line on stderr, if it takes it.
fn say(line: &str) {
    let out = std::io::stderr();
    let is_file = rustix::fs::fstat(out.as_fd())
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    // A file past the limit would be answered by a signal that ends us.
    if is_file && write::file_size_max().is_some() {
        return;
    }
    let time = Timespec::try_from(EAR).ok();
    let is_ready = poll(&mut [PollFd::new(&out, PollFlags::OUT)], time.as_ref()).is_ok_and(|ready| ready > 0);
    if is_ready {
        // As much as a pipe takes at once; there is nobody to tell that it did not.
        rustix::io::write(&out, line.as_bytes().get(..LINE_MAX).unwrap_or(line.as_bytes()))
            .unwrap_or_default();
    }
}

/// What becomes of a build that was not reported.
const LATER: &str =
    "`countersign upload` finds what was built here in its next sweep, `countersign push` at once";
/// How long the work may take: a disk that is busy with the build may take seconds to sync.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long somebody may take to listen.
const EAR: Duration = Duration::from_secs(2);
/// Plenty: nothing recurses, and nothing large lies on the stack.
const STACK: usize = 256 * 1024;
/// What a pipe takes whole or not at all (`PIPE_BUF`).
const LINE_MAX: usize = 4096;
