//! `countersign serve`.

use crate::cli::upload::{is_wanted, keep_uploading};
use crate::cli::{Exit, fail, run_async};
use crate::config::{self, Environment, LoadError, Loaded, Location};
use crate::run::Running;
use crate::supervisor::{self, Watchdog};
use crate::upstream::Chain;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Serves until a signal stops it.
pub(super) fn serve(
    loaded: Loaded,
    location: Location,
    environment: Environment,
    uploader: Uploader,
) -> Exit {
    match run_async(serving(loaded, location, environment, uploader)) {
        Ok(exit) | Err(exit) => exit,
    }
}

/// Who uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uploader {
    /// A child of this process, unless one runs already.
    Child,
    /// A unit of its own; when it does not run, nobody does.
    Unit,
}

struct Signals {
    reload: Signal,
    terminate: Signal,
    interrupt: Signal,
}

/// What happened to the service.
enum Event {
    Reload,
    Stop,
    Ended,
}

async fn serving(loaded: Loaded, location: Location, environment: Environment, uploader: Uploader) -> Exit {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(Exit::Io, &error),
    };
    let mut running = match Running::start(&loaded.config, loaded.file.as_deref()).await {
        Ok(running) => running,
        Err(error) => return fail(Exit::from(&error), &error),
    };
    let mut uploading = Uploading::start(&loaded, uploader);
    super::state(&loaded.config).note_time(crate::clock::marking());
    drop(loaded);
    for place in running.places() {
        tracing::info!(at = place, "listening");
    }
    tracing::info!(key = running.key(), "countersigning; nix.conf must trust this key and no other");
    supervisor::ready(&running.in_short());
    let watching = Watchdog::of_process().map(|watchdog| {
        let probe = running.probe();
        tokio::spawn(watchdog.watch(async move || probe.probe().await))
    });
    let exit = loop {
        match signals.next_event(&mut running).await {
            Event::Reload => {
                supervisor::reloading();
                let mut status = running.in_short();
                if let Some(loaded) = reload(&running, &location, &environment) {
                    uploading.stop().await;
                    uploading = Uploading::start(&loaded, uploader);
                    status = running.in_short();
                } else {
                    status.push_str("; the configuration was changed and is not in force: see the log");
                }
                supervisor::ready(&status);
            }
            Event::Stop => {
                tracing::info!("stopping after the answers under way");
                supervisor::stopping();
                running.stop().await;
                uploading.stop().await;
                break Exit::Ok;
            }
            Event::Ended => {
                uploading.stop().await;
                break Exit::Io;
            }
        }
    };
    if let Some(watching) = watching {
        watching.abort();
    }
    exit
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            reload: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next_event(&mut self, running: &mut Running) -> Event {
        tokio::select! {
            _ = self.reload.recv() => Event::Reload,
            _ = self.terminate.recv() => Event::Stop,
            _ = self.interrupt.recv() => Event::Stop,
            () = running.ended() => Event::Ended,
        }
    }
}

/// The uploader beside the service, where there is anything for it to do.
struct Uploading(Option<(CancellationToken, tokio::task::JoinHandle<()>)>);

impl Uploading {
    fn start(loaded: &Loaded, uploader: Uploader) -> Self {
        Self((uploader == Uploader::Child && is_wanted(&loaded.config)).then(|| {
            let stop = CancellationToken::new();
            (stop.clone(), tokio::spawn(keep_uploading(loaded.file.clone(), stop)))
        }))
    }

    async fn stop(self) {
        if let Self(Some((stop, task))) = self {
            stop.cancel();
            if let Err(fault) = task.await {
                tracing::error!(%fault, "watching the uploader ended early");
            }
        }
    }
}

/// Reads the configuration again and gives it back; a faulty one changes nothing and says so.
fn reload(running: &Running, location: &Location, environment: &Environment) -> Option<Loaded> {
    match config::load(location, environment, crate::clock::now()) {
        Ok(loaded) => {
            for warning in loaded.warnings.lines() {
                tracing::warn!("{warning}");
            }
            match running.reload(&loaded.config, loaded.file.as_deref()) {
                Ok(()) => {
                    tracing::info!(
                        "reloaded the configuration; `listen` and `limits.connections` need a restart"
                    );
                    return Some(loaded);
                }
                Err(error) => {
                    tracing::error!(%error, "kept the old configuration: the new one cannot be used");
                }
            }
        }
        Err(LoadError::Faulty(report)) => {
            for fault in report.lines() {
                tracing::error!("{fault}");
            }
            tracing::error!("kept the old configuration: the new one has faults");
        }
        Err(error) => tracing::error!(error = %Chain(&error), "kept the old configuration"),
    }
    None
}
