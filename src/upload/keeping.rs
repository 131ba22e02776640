//! What is wanted is kept from being collected, and let go when it is wanted no longer.
//!
//! A path may be wanted at one destination while it is finished at another, and asked for again by what refers to it.
//! So that none is let go between being kept and being queued, nor kept after it was let go, each of these is one act:
//! whoever keeps, queues or lets go holds [`Keeping`].

use crate::crash;
use crate::format::StorePath;
use crate::queue::{QueueError, Wish};
use crate::store::{Store, StoreError};
use crate::upload::uploader::Shared;
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by whoever keeps, queues or lets go.
#[derive(Debug, Default)]
pub(super) struct Keeping(Mutex<()>);

impl Keeping {
    fn hold(&self) -> MutexGuard<'_, ()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why something could not be kept or queued.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Shared {
    /// Keeps what is wished for and puts it into the queue.
    pub(super) fn want(&self, wishes: &[Wish]) -> Result<(), KeepError> {
        let held = self.keeping.hold();
        // What is finished there and stays so, as most references are, need not be kept for that.
        let mut open = Vec::new();
        for wish in wishes {
            if self.queue().is_open(wish, &self.terms())? {
                open.push(&wish.path);
            }
        }
        let asked = |_: &[StorePath]| Ok(self.ask(wishes)?);
        self.keep_and(&open, asked)?;
        drop(held);
        Ok(())
    }

    /// The same for what a sweep found and of which nothing is known yet; the paths that were put in. What was
    /// collected just before it was kept is left out, as `store` tells.
    pub(super) fn want_unknown(
        &self,
        wishes: Vec<Wish>,
        store: &mut Store,
    ) -> Result<Vec<StorePath>, KeepError> {
        let held = self.keeping.hold();
        let mut wishes = self.queue().unknown(wishes)?;
        let paths: Vec<StorePath> = wishes.iter().map(|wish| wish.path.clone()).collect();
        let found = self.keep_and(&paths.iter().collect::<Vec<_>>(), |fresh| {
            let mut gone = Vec::new();
            for path in fresh {
                if store.path_info(path)?.is_none() {
                    gone.push(path);
                }
            }
            wishes.retain(|wish| !gone.contains(&&wish.path));
            crash::point("swept kept", &wishes.len());
            Ok(if wishes.is_empty() { Vec::new() } else { self.offer(&wishes)? })
        })?;
        drop(held);
        Ok(found)
    }

    /// Keeps what the queue says is needed, and lets go what it does not: other processes change it.
    pub(super) fn keep_needed(&self) -> Result<(), KeepError> {
        let needed: HashSet<StorePath> = self.queue().needed()?.into_iter().collect();
        for path in needed.iter().filter(|path| !self.link.keeps(path)) {
            let held = self.keeping.hold();
            // Finished meanwhile, nobody would let it go again.
            if self.queue().is_needed(path)? {
                self.link.keep(path)?;
            }
            drop(held);
        }
        for path in self.link.kept().difference(&needed) {
            self.let_go(path)?;
        }
        Ok(())
    }

    /// Lets a path go unless an entry needs it.
    pub(super) fn let_go(&self, path: &StorePath) -> Result<(), QueueError> {
        let held = self.keeping.hold();
        self.release_unneeded(path)?;
        drop(held);
        Ok(())
    }

    /// Keeps these and does something, with those that were not kept before: they are let go again unless they are
    /// needed after it.
    fn keep_and<T>(
        &self,
        paths: &[&StorePath],
        work: impl FnOnce(&[StorePath]) -> Result<T, KeepError>,
    ) -> Result<T, KeepError> {
        let mut fresh = Vec::new();
        let kept = self.keep(paths, &mut fresh);
        let done = kept.map_err(KeepError::from).and_then(|()| work(&fresh));
        for path in &fresh {
            self.release_unneeded(path)?;
        }
        done
    }

    fn keep(&self, paths: &[&StorePath], fresh: &mut Vec<StorePath>) -> Result<(), StoreError> {
        for &path in paths {
            if !self.link.keeps(path) {
                self.link.keep(path)?;
                fresh.push(path.clone());
                crash::point("kept", path);
            }
        }
        Ok(())
    }

    fn release_unneeded(&self, path: &StorePath) -> Result<(), QueueError> {
        if !self.queue().is_needed(path)? {
            self.link.release(path);
            crash::point("let go", path);
        }
        Ok(())
    }
}
