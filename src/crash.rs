//! Points at which a test can kill the process, as `kill -9` would: between a change on a disk and the next.
//!
//! In a debug build, `COUNTERSIGN_CRASH_AFTER=N` has the process kill itself at the Nth point that it passes, and
//! `COUNTERSIGN_CRASH_LOG=FILE` has that point named in FILE first. In a release build there are no points.

/// Names a point: what was done last, and to what.
#[cfg(not(debug_assertions))]
pub fn point(_done: &str, _to: &dyn std::fmt::Display) {}

/// Names a point: what was done last, and to what.
#[cfg(debug_assertions)]
pub fn point(done: &str, to: &dyn std::fmt::Display) {
    use std::io::Write;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    static LEFT: LazyLock<Option<AtomicI64>> = LazyLock::new(|| {
        let number = std::env::var("COUNTERSIGN_CRASH_AFTER").ok()?;
        number.parse().ok().map(AtomicI64::new)
    });
    let Some(left) = &*LEFT else { return };
    if left.fetch_sub(1, Ordering::SeqCst) != 1 {
        return;
    }
    if let Some(log) = std::env::var_os("COUNTERSIGN_CRASH_LOG") {
        let opened = std::fs::OpenOptions::new().append(true).create(true).open(log);
        if let Err(error) = opened.and_then(|mut log| writeln!(log, "{done} {to}")) {
            eprintln!("countersign: cannot write the log of crashes: {error}");
        }
    }
    let signal = rustix::process::Signal::KILL;
    if rustix::process::kill_process(rustix::process::getpid(), signal).is_err() {
        std::process::abort();
    }
    // The signal is on its way; nothing more is done meanwhile.
    loop {
        std::thread::park();
    }
}
