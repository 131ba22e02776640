//! Counts the paths of the store, one question to the daemon for each.

use super::chain;
use crate::config::Config;
use crate::doctor::{Finding, Installed, Ours, Record};
use crate::store::{Store, StoreError};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// Counts them; `None` if the daemon does not say which there are.
pub(super) fn count(
    store: &mut Store,
    config: &Config,
    ours: &Ours,
    unknown: &mut Vec<Finding>,
) -> Option<Installed> {
    let mut told = |error: &StoreError| {
        let what = "how the installed paths came";
        unknown.push(Finding::unknown(what, chain(error), "look at the log of nix-daemon"));
    };
    let paths = store.all_valid_paths().inspect_err(&mut told).ok()?;
    let total = u64::try_from(paths.len()).unwrap_or(u64::MAX);
    let mut installed =
        Installed::new(config.store_dir.clone(), ours.all.clone(), super::made(config), total);
    let began = Instant::now();
    let mut bar: Option<ProgressBar> = None;
    for (index, path) in (0_u64..).zip(&paths) {
        if began.elapsed() > LONGEST {
            installed.left = total.saturating_sub(index);
            break;
        }
        if bar.is_none() && began.elapsed() > QUIET {
            bar = Some(shown_bar(total));
        }
        match store.path_info(path) {
            Ok(Some(info)) => installed.count(Record {
                core: &info.core,
                ultimate: info.ultimate,
                signatures: &info.signatures,
                content_address: info.content_address.as_ref(),
                registered: info.registered,
            }),
            // Collected since the list was made.
            Ok(None) => installed.total = installed.total.saturating_sub(1),
            Err(error) if store.is_usable() => {
                installed.unreadable = installed.unreadable.saturating_add(1);
                tracing::debug!(%error, "a record cannot be read");
            }
            Err(error) => {
                told(&error);
                installed.left = total.saturating_sub(index);
                break;
            }
        }
        if let Some(bar) = &bar {
            bar.set_position(index);
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Some(installed)
}

/// A bar on a terminal; nothing elsewhere.
fn shown_bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} installed paths") {
        bar.set_style(style);
    }
    bar
}

/// Whatever takes longer shows that it goes on.
const QUIET: Duration = Duration::from_secs(1);
/// Nobody waits longer for a count; what is left is told.
const LONGEST: Duration = Duration::from_secs(120);
