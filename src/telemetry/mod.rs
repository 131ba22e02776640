//! Logs: text for people, JSON for programs, fields for the journal.
//!
//! One `info` line for each verdict that is not routine; everything finer is `debug`. `RUST_LOG` filters.

use crate::config::LogFormat;
use std::io::IsTerminal;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

/// Starts logging to stderr, or to the journal.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let started = tracing_subscriber::registry().with(layer(format).with_filter(filter)).try_init();
    // Only a second start fails, and the first one's logs go on.
    drop(started);
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

fn layer(format: LogFormat) -> BoxedLayer {
    let plain = || -> BoxedLayer {
        let colour = std::io::stderr().is_terminal();
        fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(colour).boxed()
    };
    match format {
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed(),
        LogFormat::Text => plain(),
        LogFormat::Journal => journal().unwrap_or_else(plain),
        LogFormat::Auto => match std::env::var_os("JOURNAL_STREAM").and_then(|_| journal()) {
            Some(layer) => layer,
            None => plain(),
        },
    }
}

fn journal() -> Option<BoxedLayer> {
    tracing_journald::layer().ok().map(|layer| layer.with_syslog_identifier("countersign".to_owned()).boxed())
}
