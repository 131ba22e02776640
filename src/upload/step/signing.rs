//! Our signature: made only over a core whose bytes were hashed here, and whose references were looked for in them.

use super::{Setback, Work};
use crate::format::{NarHash, Signature};
use crate::pack::measure;
use crate::queue::Event;
use crate::store::{DumpError, dump};
use crate::upload::references::{Search, Sound};
use std::io::Write;
use std::time::Duration;

impl Work<'_> {
    /// Our signatures beside those that it has.
    pub(super) fn signed(&self, mut others: Vec<Signature>, _: &Sound) -> Result<Vec<Signature>, Setback> {
        let ours = self.shared.keys.sign(&self.shared.store_dir, self.core());
        let ours = ours.map_err(|error| Setback::Lane(error.to_string(), Duration::ZERO))?;
        others.retain(|other| !ours.contains(other));
        others.extend(ours);
        Ok(others)
    }

    /// That the core is what the bytes say, from earlier in this process or from the bytes; else the end of the entry.
    pub(super) fn sound(&self) -> Result<Result<Sound, Event>, Setback> {
        if let Some(sound) = self.shared.known.sound(&self.shared.store_dir, self.core()) {
            return Ok(Ok(sound));
        }
        let mut search = self.search()?;
        let (nar_hash, nar_size) = {
            let _permit = self.shared.packing.take();
            measure(|out| self.dump(&mut search.beside(out)), &self.shared.stopping)?
        };
        Ok(self.judge(nar_hash, nar_size, &search))
    }

    /// A search for what the path refers to.
    pub(super) fn search(&self) -> Result<Search, Setback> {
        let (recorded, deriver) = (&self.core().references, self.info.deriver.as_ref());
        Ok(self.shared.known.search(&mut &self.shared.link, self.path(), recorded, deriver)?)
    }

    /// Whether the bytes that were searched and hashed are those of the core; the end of the entry if not.
    pub(super) fn judge(&self, nar_hash: NarHash, nar_size: u64, search: &Search) -> Result<Sound, Event> {
        if let Some(event) = self.differs(nar_hash, nar_size) {
            return Err(event);
        }
        match search.difference(&self.core().references) {
            Some(difference) => Err(Event::GivenUp(format!("{difference}: nothing of it is signed"))),
            None => Ok(self.shared.known.note(&self.shared.store_dir, self.core())),
        }
    }

    pub(super) fn dump(&self, mut out: &mut dyn Write) -> Result<(), DumpError> {
        dump(&self.shared.link.physical(&self.row.path), &mut out).map(drop)
    }

    /// The end of an entry whose bytes are not what the store recorded.
    pub(super) fn differs(&self, nar_hash: NarHash, nar_size: u64) -> Option<Event> {
        let core = self.core();
        (nar_hash != core.nar_hash || nar_size != core.nar_size).then(|| {
            Event::GivenUp(format!(
                "its files are not what the store recorded ({nar_hash} instead of {}): run `nix-store --verify-path`, \
                 and find out who changed them",
                core.nar_hash
            ))
        })
    }
}
