//! What `push --since` finds: the paths of the store that were built here, from a moment on.

use crate::cli::say::say;
use crate::cli::{Exit, fail};
use crate::config::Config;
use crate::format::StorePath;
use crate::store::{Store, StoreAddress, StoreError};
use crate::trust::Timestamp;
use crate::upload::is_build;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// What is in the store, and what of it was built here since then.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    /// Since when, in seconds since 1970.
    since: i64,
    /// Paths of the store that were registered since then, derivations left out.
    registered: usize,
    /// Those of them that were built here.
    built_here: usize,
    /// Those that were not: downloaded, copied or added.
    not_built_here: usize,
    /// Paths whose records the store does not tell.
    unreadable: usize,
    /// Those that were built here.
    #[serde(skip)]
    pub(super) paths: Vec<StorePath>,
}

impl Found {
    /// Looks at every path of the store.
    pub(super) fn look(config: &Config, since: Timestamp) -> Result<Self, Exit> {
        let address = StoreAddress::of_process().map_err(|error| fail(Exit::Config, &error))?;
        let mut store = Store::connect(&address, config.store_dir.clone(), Store::PATIENCE)
            .map_err(|error| fail(Exit::Io, &error))?;
        Self::look_in(&mut store, since).map_err(|error| fail(Exit::Io, &error))
    }

    fn look_in(store: &mut Store, since: Timestamp) -> Result<Self, StoreError> {
        let all = store.all_valid_paths()?;
        let bar = ProgressBar::new(all.len() as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} looked at") {
            bar.set_style(style);
        }
        let paths = Vec::new();
        let mut found = Self {
            since: since.seconds(),
            registered: 0,
            built_here: 0,
            not_built_here: 0,
            unreadable: 0,
            paths,
        };
        for path in all {
            bar.inc(1);
            // Texts that Nix wrote, which nobody builds.
            if path.name().ends_with(".drv") {
                continue;
            }
            match store.path_info(&path) {
                Ok(Some(info)) if info.registered < since.seconds() => {}
                Ok(Some(info)) => {
                    found.registered += 1;
                    if is_build(&info, since) {
                        found.built_here += 1;
                        found.paths.push(path);
                    } else {
                        found.not_built_here += 1;
                    }
                }
                // It was collected meanwhile.
                Ok(None) => {}
                Err(StoreError::Daemon { .. } | StoreError::Record { .. }) => found.unreadable += 1,
                Err(error) => return Err(error),
            }
        }
        bar.finish_and_clear();
        Ok(found)
    }

    /// For people.
    pub(super) fn print(&self) {
        let moment = jiff::Timestamp::from_second(self.since)
            .map_or_else(|_| self.since.to_string(), |m| m.to_string());
        say!(
            "since {moment}: {} built here; {} not built here, and never signed as ours (downloaded, copied or added)",
            self.built_here,
            self.not_built_here
        );
        if self.unreadable > 0 {
            say!("{} paths have records that the store does not tell", self.unreadable);
        }
    }
}
