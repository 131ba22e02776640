//! The uploader's connection to the store, and what is kept there from being collected.
//!
//! One connection for all, made again when it breaks. A path that is *kept* has a temporary root on it, and, where
//! there is a spool, a link in the spool that the daemon was told of: the first protects at once, the second
//! survives the uploader. A temporary root cannot be taken back, it ends with its connection (Nix's gc.cc,
//! `addTempRoot`): so the connection is closed when nothing is kept, and replaced when most of what it keeps is let go.

use crate::format::derivation::Derivation;
use crate::format::{StoreDir, StorePath};
use crate::spool::Spool;
use crate::store::{DerivationError, PathInfo, Store, StoreAddress, StoreError, read_derivation};
use crate::upload::inputs::Records;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The connection.
#[derive(Debug)]
pub(super) struct Link {
    address: StoreAddress,
    store_dir: StoreDir,
    spool: Option<Arc<Spool>>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    store: Option<Store>,
    kept: HashSet<StorePath>,
    /// Paths that were let go and have a temporary root on the connection still.
    stale: usize,
}

impl Link {
    /// A connection that is made when it is first needed.
    pub(super) fn new(address: StoreAddress, store_dir: StoreDir, spool: Option<Arc<Spool>>) -> Self {
        Self { address, store_dir, spool, inner: Mutex::default() }
    }

    /// Where the files of a path lie.
    pub(super) fn physical(&self, path: &StorePath) -> PathBuf {
        self.address.physical(&self.store_dir, path)
    }

    /// Another connection, for questions that would keep others waiting.
    pub(super) fn another(&self) -> Result<Store, StoreError> {
        Store::connect(&self.address, self.store_dir.clone(), Store::PATIENCE)
    }

    /// Asks the store; a connection that turns out to be broken is made again, once.
    pub(super) fn ask<T>(
        &self,
        question: impl Fn(&mut Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let had_one = inner.store.is_some();
        match self.try_ask(&mut inner, &question) {
            Err(StoreError::Lost { .. } | StoreError::Unusable) if had_one => {
                self.try_ask(&mut inner, &question)
            }
            answer => answer,
        }
    }

    fn try_ask<T>(
        &self,
        inner: &mut Inner,
        question: impl Fn(&mut Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut store = match inner.store.take().filter(Store::is_usable) {
            Some(store) => store,
            None => self.fresh(inner)?,
        };
        let answer = question(&mut store);
        inner.store = Some(store).filter(Store::is_usable);
        answer
    }

    /// A new connection, with all that is kept.
    fn fresh(&self, inner: &mut Inner) -> Result<Store, StoreError> {
        let mut store = self.another()?;
        for path in &inner.kept {
            store.add_temp_root(path)?;
        }
        inner.stale = 0;
        Ok(store)
    }

    /// Whether a path is kept.
    pub(super) fn keeps(&self, path: &StorePath) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).kept.contains(path)
    }

    /// What is kept.
    pub(super) fn kept(&self) -> HashSet<StorePath> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).kept.clone()
    }

    /// Keeps a path from being collected.
    pub(super) fn keep(&self, path: &StorePath) -> Result<(), StoreError> {
        let fresh = self.inner.lock().unwrap_or_else(PoisonError::into_inner).kept.insert(path.clone());
        if !fresh {
            return Ok(());
        }
        // Told over a new connection, it is told twice; that does no harm.
        if let Err(error) = self.ask(|store| store.add_temp_root(path)) {
            self.inner.lock().unwrap_or_else(PoisonError::into_inner).kept.remove(path);
            return Err(error);
        }
        let Some(spool) = &self.spool else { return Ok(()) };
        let lasting = spool.root(&self.store_dir, path).map_err(|error| error.to_string()).and_then(|link| {
            self.ask(|store| store.add_indirect_root(&link)).map_err(|error| error.to_string())
        });
        if let Err(error) = lasting {
            tracing::warn!(%path, error, "kept from the garbage collector only as long as the uploader runs");
        }
        Ok(())
    }

    /// Lets a path be collected again.
    pub(super) fn release(&self, path: &StorePath) {
        {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            if inner.kept.remove(path) {
                self.take_back_roots(&mut inner);
            }
        }
        if let Some(Err(error)) = self.spool.as_ref().map(|spool| spool.unroot(path)) {
            tracing::warn!(%path, %error, "could not let it be collected");
        }
    }

    /// One temporary root more is stale: closes the connection or replaces it, where that is worth it.
    fn take_back_roots(&self, inner: &mut Inner) {
        inner.stale += 1;
        if inner.kept.is_empty() {
            (inner.store, inner.stale) = (None, 0);
        } else if inner.stale > MOST_STALE.max(inner.kept.len()) {
            // The old one protects what is kept until the new one does.
            match self.fresh(inner) {
                Ok(store) => inner.store = Some(store),
                Err(error) => tracing::debug!(%error, "the connection that keeps paths is not replaced yet"),
            }
        }
    }
}

/// A connection is not replaced for fewer: each costs the daemon a process.
const MOST_STALE: usize = 64;

impl Records for &Link {
    fn path_info(&mut self, path: &StorePath) -> Result<Option<PathInfo>, StoreError> {
        self.ask(|store| store.path_info(path))
    }

    fn derivation(&mut self, path: &StorePath) -> Result<Option<Derivation>, StoreError> {
        match read_derivation(&self.physical(path), &self.store_dir) {
            Ok(derivation) => Ok(Some(derivation)),
            Err(error @ (DerivationError::Io { .. } | DerivationError::Parse { .. })) => {
                tracing::debug!(%error, "a derivation cannot be read");
                Ok(None)
            }
        }
    }

    fn outputs(&mut self, derivation: &StorePath) -> Result<Vec<(String, Option<StorePath>)>, StoreError> {
        match self.ask(|store| store.derivation_outputs(derivation)) {
            // It is gone; what its outputs were is not known.
            Err(StoreError::Daemon { .. }) => Ok(Vec::new()),
            answer => answer,
        }
    }
}
