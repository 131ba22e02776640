//! What a path refers to, found in its bytes as Nix finds it.
//!
//! Where Nix built a path, it looked for the references itself. Where it built one again and compared, it compared the
//! bytes alone: what is recorded of a downloaded path then is still what the cache said. So before we sign a core, its
//! References are looked for: every one that is recorded must be in the bytes, and nothing else that the build could have
//! seen may be. What that was is known as far as the derivation and its inputs are still in the store, as they are after a
//! rebuild; one that was built long ago may have lost them, and then only those that are recorded can be looked for.
//!
//! Where a derivation has Nix forget references (`unsafeDiscardReferences`), more may be in the bytes than is recorded.
//!
//! Source: NixOS/nix `src/libstore/path-references.cc`, `src/libutil/references.cc` (`search`).

use crate::format::{Core, References, StoreDir, StorePath, fingerprint};
use crate::store::StoreError;
use crate::upload::inputs::{Records, direct_inputs};
use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// What paths of the store refer to, as far as that was asked for, and which cores are what their bytes say.
#[derive(Debug, Default)]
pub(super) struct Known {
    below: Mutex<HashMap<StorePath, Arc<[StorePath]>>>,
    /// Of the derivations that were asked for last: outputs come one after another.
    around: Mutex<VecDeque<(StorePath, Arc<Around>)>>,
    /// Fingerprints.
    sound: Mutex<HashSet<Box<str>>>,
}

/// Says of a core that its NAR was hashed here, and its references were looked for in it.
#[derive(Debug)]
pub(super) struct Sound(());

/// What a build could see: its outputs, and the closure of its inputs as far as that is in the store.
#[derive(Debug, Default)]
struct Around {
    paths: HashMap<[u8; LENGTH], StorePath>,
    /// Whether the derivation has Nix forget references.
    forgets: bool,
}

/// Bytes on their way to somebody else, in which hash parts are looked for.
#[derive(Debug)]
pub(super) struct Search {
    /// The path, and what is recorded of it.
    own: HashMap<[u8; LENGTH], StorePath>,
    around: Arc<Around>,
    found: HashSet<StorePath>,
    /// The last bytes that were seen, too few to be a hash part.
    tail: Vec<u8>,
}

/// A difference between what is recorded and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// This is recorded, and nothing of it is in the bytes.
    Missing(StorePath),
    /// This is in the bytes, and it is not recorded.
    Unrecorded(StorePath),
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(path) => write!(
                f,
                "the store has recorded that it refers to {path}, and nothing in its files does: whoever it was downloaded \
                 from may have said so"
            ),
            Self::Unrecorded(path) => write!(
                f,
                "its files refer to {path}, which the store has not recorded: whoever it was downloaded from may have left \
                 it out"
            ),
        }
    }
}

impl Known {
    /// A search for all that a path can refer to: what it is recorded to, itself and its siblings, and what was there when
    /// it was built, which is the closure of its derivation's inputs.
    pub(super) fn search(
        &self,
        records: &mut impl Records,
        path: &StorePath,
        recorded: &References,
        derivation: Option<&StorePath>,
    ) -> Result<Search, StoreError> {
        let around = derivation.map(|derivation| self.around(records, derivation)).transpose()?;
        Ok(Search::new(recorded.iter().chain([path]).cloned(), around.unwrap_or_default()))
    }

    /// What the build of a derivation could see.
    fn around(&self, records: &mut impl Records, derivation: &StorePath) -> Result<Arc<Around>, StoreError> {
        let recent = || self.around.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, around)) = recent().iter().find(|(of, _)| of == derivation) {
            return Ok(Arc::clone(around));
        }
        let Some(read) = records.derivation(derivation)? else { return Ok(Arc::default()) };
        let inputs = direct_inputs(records, derivation)?;
        let mut is_whole = inputs.is_some();
        let mut seen: HashSet<StorePath> =
            read.outputs.into_iter().filter_map(|output| output.path).collect();
        let mut waiting = inputs.unwrap_or_default();
        while let Some(path) = waiting.pop() {
            if seen.len() >= MOST {
                is_whole = false;
                break;
            }
            if !seen.contains(&path) {
                let below = self.below(records, &path)?;
                is_whole &= below.is_some();
                seen.insert(path);
                let below = below.iter().flat_map(|below| below.iter());
                waiting.extend(below.filter(|path| !seen.contains(*path)).cloned());
            }
        }
        let around = Around { paths: by_hash_part(seen), forgets: read.forgets_references };
        let around = Arc::new(around);
        // What was not there may come back, and then it is looked for too.
        if is_whole && around.paths.len() <= MOST_AROUND {
            let mut recent = recent();
            recent.truncate(RECENT - 1);
            recent.push_front((derivation.clone(), Arc::clone(&around)));
        }
        Ok(around)
    }

    /// Notes a core that is what its bytes say.
    pub(super) fn note(&self, store_dir: &StoreDir, core: &Core) -> Sound {
        let mut sound = self.sound.lock().unwrap_or_else(PoisonError::into_inner);
        if sound.len() >= MOST_SOUND {
            sound.clear();
        }
        sound.insert(fingerprint(store_dir, core).into());
        Sound(())
    }

    /// What was noted of a core.
    pub(super) fn sound(&self, store_dir: &StoreDir, core: &Core) -> Option<Sound> {
        let sound = self.sound.lock().unwrap_or_else(PoisonError::into_inner);
        sound.contains(fingerprint(store_dir, core).as_str()).then_some(Sound(()))
    }

    /// What a path refers to; `None` for one that is not there.
    fn below(
        &self,
        records: &mut impl Records,
        path: &StorePath,
    ) -> Result<Option<Arc<[StorePath]>>, StoreError> {
        let known = || self.below.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(below) = known().get(path) {
            return Ok(Some(Arc::clone(below)));
        }
        let Some(info) = records.path_info(path)? else { return Ok(None) };
        let below: Arc<[StorePath]> = info.core.references.iter().cloned().collect();
        let mut known = known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(path.clone(), Arc::clone(&below));
        Ok(Some(below))
    }
}

fn by_hash_part(paths: impl IntoIterator<Item = StorePath>) -> HashMap<[u8; LENGTH], StorePath> {
    let key = |path: StorePath| {
        let text: [u8; LENGTH] = path.hash_part().to_string().as_bytes().try_into().ok()?;
        Some((text, path))
    };
    paths.into_iter().filter_map(key).collect()
}

impl Search {
    fn new(own: impl IntoIterator<Item = StorePath>, around: Arc<Around>) -> Self {
        Self { own: by_hash_part(own), around, found: HashSet::new(), tail: Vec::new() }
    }

    /// Passes bytes on, and looks at them.
    pub(super) fn beside<'a>(&'a mut self, out: &'a mut dyn Write) -> impl Write + 'a {
        Beside { search: self, out }
    }

    /// The first difference from what is recorded, if there is one.
    pub(super) fn difference(&self, recorded: &References) -> Option<Difference> {
        let missing = recorded.iter().find(|path| !self.found.contains(path)).cloned();
        if missing.is_none() && self.around.forgets {
            return None;
        }
        let unrecorded = || self.found.iter().filter(|path| !recorded.contains(path)).min().cloned();
        missing.map(Difference::Missing).or_else(|| unrecorded().map(Difference::Unrecorded))
    }

    fn take(&mut self, bytes: &[u8]) {
        let ahead = bytes.len().min(LENGTH - 1);
        let mut seam = std::mem::take(&mut self.tail);
        seam.extend(bytes.iter().take(ahead));
        self.look(&seam);
        self.look(bytes);
        let end = if bytes.len() >= LENGTH { bytes } else { &seam };
        self.tail = end.iter().skip(end.len().saturating_sub(LENGTH - 1)).copied().collect();
    }

    fn look(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while let Some(window) = bytes.get(at..at + LENGTH) {
            // Of 32 bytes the last that cannot be part of a hash tells how far there is none.
            if let Some(other) = window.iter().rposition(|byte| !IS_BASE32[usize::from(*byte)]) {
                at += other + 1;
                continue;
            }
            if let Some(path) = self.own.get(window).or_else(|| self.around.paths.get(window)) {
                self.found.insert(path.clone());
            }
            at += 1;
        }
    }
}

struct Beside<'a> {
    search: &'a mut Search,
    out: &'a mut dyn Write,
}

impl Write for Beside<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.search.take(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Characters of a hash part.
const LENGTH: usize = 32;

/// Which bytes may be in a hash part: all digits and small letters but e, o, t and u.
const IS_BASE32: [bool; 256] = {
    let mut is = [false; 256];
    let alphabet = b"0123456789abcdfghijklmnpqrsvwxyz";
    let mut n = 0;
    while n < alphabet.len() {
        is[alphabet[n] as usize] = true;
        n += 1;
    }
    is
};

/// Paths that are known, and looked for, at most. A guess: more than any build has seen.
const MOST: usize = 200_000;

/// Derivations of which it is remembered what was around them, and the most paths of each: what a NixOS system has.
const RECENT: usize = 8;
const MOST_AROUND: usize = 20_000;

/// Cores that are noted at most: what is forgotten is hashed again.
const MOST_SOUND: usize = 10_000;

#[cfg(test)]
mod tests;
