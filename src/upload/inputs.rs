//! `inputs = "endorsed"`: a build is signed only if nothing that went into it came on one party's word.
//!
//! What a builder could see is the closure of its direct inputs. Each path of it must be bound to its own
//! content, or carry our countersignature, or have been built here from inputs of which the same is true: its
//! derivation is looked at in turn. What can no longer be known (an input that is gone from the store, a
//! derivation that nobody recorded) does not count as endorsed.

use crate::format::{StoreDir, StorePath, VerifyingKey, derivation::Derivation, fingerprint};
use crate::store::{PathInfo, StoreError};
use std::collections::HashSet;

/// What the walk asks the store.
pub(super) trait Records {
    /// The store's record of a path; `None` if it is not valid.
    fn path_info(&mut self, path: &StorePath) -> Result<Option<PathInfo>, StoreError>;
    /// A derivation; `None` if it is not there or cannot be read.
    fn derivation(&mut self, path: &StorePath) -> Result<Option<Derivation>, StoreError>;
    /// The outputs of a derivation by their names; `None` for one whose path is not known.
    fn outputs(&mut self, derivation: &StorePath) -> Result<Vec<(String, Option<StorePath>)>, StoreError>;
}

/// Why a build is not signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unendorsed {
    /// This input was not built here and carries no countersignature of ours.
    Uncountersigned(StorePath),
    /// What this path was built from is not known any more.
    Unknown(StorePath),
    /// It was built from more than we are ready to look at.
    TooMany,
}

impl std::fmt::Display for Unendorsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uncountersigned(path) => {
                write!(f, "it was built with {path}, which does not carry our countersignature")
            }
            Self::Unknown(path) => write!(f, "what {path} was built from is no longer known to the store"),
            Self::TooMany => write!(f, "it was built from more than {MOST} paths"),
        }
    }
}

/// Whether everything that went into a build is endorsed.
pub(super) fn check(
    records: &mut impl Records,
    derivation: &StorePath,
    store_dir: &StoreDir,
    machine: &VerifyingKey,
) -> Result<Result<(), Unendorsed>, StoreError> {
    let mut derivations = vec![derivation.clone()];
    let mut looked_at: HashSet<StorePath> = derivations.iter().cloned().collect();
    while let Some(path) = derivations.pop() {
        let Some(inputs) = direct_inputs(records, &path)? else { return Ok(Err(Unendorsed::Unknown(path))) };
        let mut waiting = inputs;
        while let Some(path) = waiting.pop() {
            if !looked_at.insert(path.clone()) {
                continue;
            }
            if looked_at.len() > MOST {
                return Ok(Err(Unendorsed::TooMany));
            }
            let Some(info) = records.path_info(&path)? else { return Ok(Err(Unendorsed::Unknown(path))) };
            waiting.extend(info.core.references.iter().cloned());
            if info.content_address.is_some_and(|address| address.certifies(store_dir, &info.core)) {
                continue;
            }
            if !info.ultimate {
                if is_countersigned(&info, store_dir, machine) {
                    continue;
                }
                return Ok(Err(Unendorsed::Uncountersigned(path)));
            }
            let Some(deriver) = info.deriver else { return Ok(Err(Unendorsed::Unknown(path))) };
            if looked_at.insert(deriver.clone()) {
                derivations.push(deriver);
            }
        }
    }
    Ok(Ok(()))
}

/// The sources and the outputs that a derivation names; `None` if one of them is not known.
pub(super) fn direct_inputs(
    records: &mut impl Records,
    derivation: &StorePath,
) -> Result<Option<Vec<StorePath>>, StoreError> {
    let Some(read) = records.derivation(derivation)? else { return Ok(None) };
    let mut inputs = read.input_sources;
    for (derivation, names) in read.input_derivations {
        let outputs = records.outputs(&derivation)?;
        for name in names {
            match outputs.iter().find(|(output, _)| *output == name) {
                Some((_, Some(path))) => inputs.push(path.clone()),
                _ => return Ok(None),
            }
        }
    }
    Ok(Some(inputs))
}

fn is_countersigned(info: &PathInfo, store_dir: &StoreDir, machine: &VerifyingKey) -> bool {
    let text = fingerprint(store_dir, &info.core);
    let by_us = |s: &&crate::format::Signature| s.key_name() == machine.name();
    info.signatures.iter().filter(by_us).any(|s| machine.verify(text.as_bytes(), s))
}

/// The most paths that are looked at for one build; a whole NixOS system has some 20,000.
const MOST: usize = 1_000_000;

#[cfg(test)]
mod tests;
