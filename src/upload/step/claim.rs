//! A destination that takes claims alone: our signed narinfo of what this machine built or rebuilt, and nothing else.
//!
//! No NAR goes, and nobody else's word: what was merely downloaded is skipped, whoever signed it. References need not be
//! there first. That order is about NARs: whoever finds a narinfo should find all that it takes to install the path.
//! Nothing is installed from here, and a claim is about its own path alone; a witness of one path would else have to
//! rebuild everything below it.
//!
//! What may be signed is told by the licence, as everywhere: `ultimate` in the store's own record. Nix sets that where it
//! built a path, and where it built one again and found the result equal bit for bit (`nix-store --realise --check`, which
//! is what `countersign witness` has it do). The record is Nix's database, which root and the daemon alone write, and it
//! goes with the path. So neither the queue, nor the spool, nor the ledger, nor the command that asks has to be believed:
//! what they name is signed if Nix says that it was built here and its bytes, hashed here now, are what Nix recorded. Of
//! the core that leaves the References, which Nix does not compare: [`crate::upload::references`] looks for them.
//!
//! Source: NixOS/nix `registerOutputs` ("since we verified the build, it's now ultimately trusted"); 2.8.0, 2.26.3 and
//! 2.34.8 do it.

use super::{Setback, Work};
use crate::destination::{NarFile, look};
use crate::queue::Event;
use crate::upload::intake::may_leave;
use crate::upload::licence::Licence;

impl Work<'_> {
    /// Publishes our claim of a path, after hashing its bytes, unless it is there.
    pub(super) fn claim(&self) -> Result<Event, Setback> {
        if !may_leave(&self.lane.destination, &self.row.path) {
            let why = format!(
                "it may not leave this machine: no `packages` of [destinations.{}] matches it",
                self.lane.name()
            );
            return Ok(Event::Held(why, None));
        }
        let licence = self.licence();
        match &licence {
            Licence::Sign(_) => {}
            Licence::Forward(_) | Licence::Withheld(_) if !self.info.ultimate => {
                return Ok(Event::Skipped(NOT_OURS.to_owned()));
            }
            Licence::Withheld(why) => return Ok(Event::Held((*why).to_owned(), None)),
            Licence::Forward(_) => return Ok(Event::Held(NO_KEY.to_owned(), None)),
        }
        if let Some(unendorsed) = self.unendorsed_inputs(&licence)? {
            return Ok(Event::Held(unendorsed, None));
        }
        let there = self.shared.runtime.block_on(look(self.place, self.core().store_path.hash_part()))?;
        if let Some(there) = there {
            if there.narinfo.core != *self.core() {
                return Ok(self.dissent(&there.narinfo.core, &there.narinfo.signatures));
            }
            if self.has_ours(&there) {
                return Ok(Event::Published);
            }
        }
        match self.sound()? {
            Ok(sound) => self.put_narinfo(NarFile::withheld(self.core()), self.signed(Vec::new(), &sound)?),
            Err(event) => Ok(event),
        }
    }
}

const NOT_OURS: &str = "it was not built here, and a claim is our own word: `countersign witness` builds it again, and \
                        claims it where the result is the same";

const NO_KEY: &str = "a claim is our own word, and none of our keys may sign it: it has a content address that does not \
                      recompute, or `upload.signing-key-files` is empty";
