//! `countersign upload`: the uploader as a process, and the child of `serve` that is one.

use crate::cli::{Exit, fail, run_async};
use crate::config::{Config, Loaded};
use crate::spool::Spool;
use crate::supervisor::{self, Watchdog};
use crate::upload::{Lock, LockError, Pulse, Uploader};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use std::io::Read;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Uploads until a signal stops it; `is_child` also when its standard input ends, as it does with its parent.
pub(super) fn upload(loaded: &Loaded, is_child: bool) -> Exit {
    if let Err(error) = leave_no_core() {
        return fail(Exit::Io, &error);
    }
    if !is_wanted(&loaded.config) {
        eprintln!(
            "countersign: there is nowhere to upload to: the configuration has no [destinations.NAME]; and no builds to \
             take note of: {} is no spool of this user (`upload.spool-directory`)",
            loaded.config.upload.spool_directory.display()
        );
        return Exit::Config;
    }
    if is_child && let Err(error) = end_with_parent() {
        return fail(Exit::Io, &error);
    }
    let lock = match take_lock(&loaded.config.state_directory) {
        Ok(lock) => lock,
        Err(error @ LockError::Taken { .. }) if is_child => {
            tracing::info!(%error, "it uploads; nothing to do here");
            return Exit::Ok;
        }
        Err(error) => return fail(Exit::Io, &error),
    };
    let exit = match run_async(uploading(loaded)) {
        Ok(exit) | Err(exit) => exit,
    };
    drop(lock);
    exit
}

/// Whether there is anything to do for an uploader: somewhere to upload to, or a spool from which it takes note of
/// what is built here.
pub(super) fn is_wanted(config: &Config) -> bool {
    !config.destinations.is_empty() || Spool::open(&config.upload.spool_directory).is_ok()
}

async fn uploading(loaded: &Loaded) -> Exit {
    let (config, file) = (&loaded.config, loaded.file.as_deref());
    let mut uploader = match Uploader::start(config, file, &Handle::current(), crate::clock::now) {
        Ok(uploader) => uploader,
        Err(error) => return fail(Exit::Config, &error),
    };
    for destination in &config.destinations {
        tracing::info!(destination = destination.name, "uploading");
    }
    if config.destinations.is_empty() {
        tracing::info!(
            "taking note of what is built here; nothing is uploaded, as there is no [destinations.NAME]"
        );
    }
    if let Err(error) = uploader.sweep(config) {
        return fail(Exit::Config, &error);
    }
    supervisor::ready(&in_short(config));
    let watching = Watchdog::of_process().map(|watchdog| {
        let pulse = uploader.pulse();
        tokio::spawn(watchdog.watch(async move || feel(pulse.clone()).await))
    });
    let stopped = until_stopped().await;
    supervisor::stopping();
    uploader.stop(PATIENCE);
    if let Some(watching) = watching {
        watching.abort();
    }
    stopped.map_or_else(|error| fail(Exit::Io, &error), |()| Exit::Ok)
}

/// What it does, in one line.
fn in_short(config: &Config) -> String {
    let names: Vec<&str> = config.destinations.iter().map(|destination| &*destination.name).collect();
    match names.as_slice() {
        [] => "taking note of what is built here".to_owned(),
        names => format!("uploading to {}", names.join(", ")),
    }
}

/// Whether the uploader still works. The queue's lock and its file are waited for on a thread of their own.
async fn feel(pulse: Pulse) -> Result<(), String> {
    let felt = tokio::task::spawn_blocking(move || pulse.feel()).await;
    felt.unwrap_or_else(|error| Err(error.to_string()))
}

/// Takes the lock; a command that only looks holds it for an instant.
pub(super) fn take_lock(state: &Path) -> Result<Lock, LockError> {
    if let Err(error) = std::fs::create_dir_all(state) {
        return Err(LockError::Io { path: state.to_owned(), source: error });
    }
    let mut tries = 0;
    loop {
        match Lock::take(state) {
            Err(LockError::Taken { .. }) if tries < 10 => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(50));
            }
            taken => return taken,
        }
    }
}

/// No core file and no debugger of another user: keys pass through this process.
pub(super) fn leave_no_core() -> std::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Ends this process at once when standard input does: nothing it does is lost by that.
fn end_with_parent() -> std::io::Result<()> {
    let watch = || {
        let mut byte = [0];
        while std::io::stdin().read(&mut byte).is_ok_and(|length| length > 0) {}
        std::process::exit(i32::from(Exit::Ok.code()));
    };
    std::thread::Builder::new().name("parent".to_owned()).spawn(watch).map(drop)
}

async fn until_stopped() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Keeps an uploader running beside `serve`: a child, started again when it fails, until `stop`.
pub(super) async fn keep_uploading(file: Option<std::path::PathBuf>, stop: CancellationToken) {
    loop {
        let ended = run_child(file.as_deref(), &stop).await;
        let pause = match ended {
            _ if stop.is_cancelled() => return,
            // Another one uploads: a unit of its own. Should that end, this one takes over.
            Ok(status) if status.success() => LOOK_AGAIN,
            // It said why; the configuration or a key must change first.
            Ok(status) if status.code() == Some(i32::from(Exit::Config.code())) => LOOK_AGAIN,
            Ok(status) => {
                tracing::error!(%status, "the uploader ended; it is started again in {} s", RESTART.as_secs());
                RESTART
            }
            Err(error) => {
                tracing::error!(%error, "the uploader cannot be started; tried again in {} s", RESTART.as_secs());
                RESTART
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn run_child(
    file: Option<&Path>,
    stop: &CancellationToken,
) -> std::io::Result<std::process::ExitStatus> {
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    if let Some(file) = file {
        command.arg("--config").arg(file);
    }
    command.args(["upload", "--child"]).stdin(std::process::Stdio::piped()).kill_on_drop(true);
    // Sockets handed over by systemd are not its business, nor are notifications.
    for name in
        ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]
    {
        command.env_remove(name);
    }
    let mut child = command.spawn()?;
    let input = child.stdin.take();
    let ended = tokio::select! {
        ended = child.wait() => return ended,
        () = stop.cancelled() => {
            drop(input);
            tokio::time::timeout(PATIENCE, child.wait()).await
        }
    };
    match ended {
        Ok(ended) => ended,
        Err(_) => {
            child.kill().await?;
            child.wait().await
        }
    }
}

/// How long a stop waits for steps under way.
const PATIENCE: Duration = Duration::from_secs(5);

/// Before a failed uploader is started again.
const RESTART: Duration = Duration::from_secs(5);

/// Before looking whether another uploader still runs.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
