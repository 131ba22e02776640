//! One step of one entry: look, do one thing that may be done again, and say what happened.
//!
//! *Examine* what is queued: is it there already, may it go, may our key sign it; then pack it, compare its hash
//! with the store's record, and store its NAR. *Publish* what is stored: once every reference is there, sign the
//! store's record as it is now and put the narinfo. A path is signed only after this process hashed its bytes
//! with the result that the store has recorded. Where claims alone are sent, [`claim`] does all of it.

use crate::config::{Inputs, Publish};
use crate::crash;
use crate::destination::{
    NarFile, OurClaim, Place, PlaceError, PlaceErrorKind, Published, There, find_nar, look, publish_nar,
    publish_narinfo,
};
use crate::format::{Core, Signature, StorePath};
use crate::pack::{PackError, Packed, pack_in};
use crate::queue::{Event, Origin, Row, State, StoredNar, Wish};
use crate::store::{DumpError, PathInfo, StoreError};
use crate::upload::ahead::deepest_first;
use crate::upload::builds::Build;
use crate::upload::folder::Folder;
use crate::upload::inputs;
use crate::upload::intake::may_leave;
use crate::upload::keeping::KeepError;
use crate::upload::lane::Lane;
use crate::upload::licence::{Circumstances, Licence, licence};
use crate::upload::uploader::Shared;
use std::io::Write;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

mod claim;
mod signing;

/// Why a step was not made.
#[derive(Debug)]
pub(super) enum Setback {
    /// Something about this entry; try again, not before so long.
    Entry(String, Duration),
    /// Something about the destination as a whole, or about this machine: no other entry of the lane would fare
    /// better now.
    Lane(String, Duration),
}

/// Makes one step.
pub(super) fn step(shared: &Shared, lane: &Lane, row: &Row) -> Result<Event, Setback> {
    let place = lane.place(&shared.store_dir, &shared.runtime).map_err(|error| as_a_whole(&error))?;
    let Some(info) = shared.link.ask(|store| store.path_info(&row.path))? else {
        return Ok(Event::GivenUp("it is no longer in the store: somebody deleted it".to_owned()));
    };
    if row.entry.origin != Origin::Built && row.entry.state == State::Queued {
        note_build(shared, &info, row.derivation.as_ref());
    }
    let work = Work { shared, lane, row, place: &place, info: &info };
    if lane.destination.publish == Publish::Claims && !row.entry.is_finished() {
        return work.claim();
    }
    match &row.entry.state {
        State::Queued => work.examine(),
        State::Stored(nar) => work.publish(nar),
        State::Done | State::Skipped | State::Dead => Ok(Event::Woken),
    }
}

/// What a step works with.
struct Work<'a> {
    shared: &'a Shared,
    lane: &'a Lane,
    row: &'a Row,
    place: &'a Place,
    info: &'a PathInfo,
}

impl Work<'_> {
    fn examine(&self) -> Result<Event, Setback> {
        let licence = self.licence();
        let there = self.shared.runtime.block_on(look(self.place, self.core().store_path.hash_part()))?;
        if let Some(there) = there {
            return self.examine_there(&there, licence);
        }
        if !may_leave(&self.lane.destination, &self.row.path) {
            return self.vouched_elsewhere(Event::Held(
                format!(
                    "it may not leave this machine: no `packages` of [destinations.{}] matches it, and it is not there",
                    self.lane.name()
                ),
                None,
            ));
        }
        if let Licence::Withheld(why) = licence {
            return Ok(Event::Held(why.to_owned(), None));
        }
        if let Some(unendorsed) = self.unendorsed_inputs(&licence)? {
            return Ok(Event::Held(unendorsed, None));
        }
        let pack = Event::Woken;
        match self.vouched_elsewhere(pack)? {
            Event::Woken => self.store_nar(&licence),
            event => Ok(event),
        }
    }

    /// A narinfo of the path is at the destination.
    fn examine_there(&self, there: &There, licence: Licence) -> Result<Event, Setback> {
        if there.narinfo.core != *self.core() {
            return Ok(self.dissent(&there.narinfo.core, &there.narinfo.signatures));
        }
        let Licence::Sign(others) = licence else {
            return match there.is_complete {
                true => Ok(Event::Published),
                false => self.examine_incomplete(licence),
            };
        };
        if !there.is_complete {
            return self.examine_incomplete(Licence::Sign(others));
        }
        // Ours beside theirs: only over bytes that were hashed here.
        if self.has_ours(there) {
            return Ok(Event::Published);
        }
        if let Some(unendorsed) = self.unendorsed_inputs(&Licence::Sign(others.clone()))? {
            return Ok(Event::Held(unendorsed, None));
        }
        let Some(nar) = there.nar() else { return self.examine_incomplete(Licence::Sign(others)) };
        match self.sound()? {
            Err(event) => Ok(event),
            Ok(sound) => self.put_narinfo(nar, self.signed(others, &sound)?),
        }
    }

    /// Whether each of our keys has signed what is there, which is of our core.
    fn has_ours(&self, there: &There) -> bool {
        let text = crate::format::fingerprint(&self.shared.store_dir, self.core());
        let signatures = &there.narinfo.signatures;
        let has = |key: &crate::format::VerifyingKey| {
            signatures.iter().any(|s| s.key_name() == key.name() && key.verify(text.as_bytes(), s))
        };
        self.shared.keys.public().iter().all(has)
    }

    /// A narinfo is there, of the same core, and its NAR is not: ours takes its place, if it may go.
    fn examine_incomplete(&self, licence: Licence) -> Result<Event, Setback> {
        if !may_leave(&self.lane.destination, &self.row.path) {
            return Ok(Event::Held("its narinfo is at the destination and its NAR is not".to_owned(), None));
        }
        match licence {
            Licence::Withheld(why) => Ok(Event::Held(why.to_owned(), None)),
            licence => match self.unendorsed_inputs(&licence)? {
                Some(unendorsed) => Ok(Event::Held(unendorsed, None)),
                None => self.store_nar(&licence),
            },
        }
    }

    /// Packs the path and stores its NAR; where our key is to sign it, its references are looked for on the way.
    fn store_nar(&self, licence: &Licence) -> Result<Event, Setback> {
        self.ask_references()?;
        crash::point("references asked", &self.row.path);
        let folder = Folder::create(&self.shared.packed).map_err(PackError::File)?;
        let mut search = matches!(licence, Licence::Sign(_)).then(|| self.search()).transpose()?;
        let (packed, file) = self.pack(folder.path(), |out| match &mut search {
            Some(search) => self.dump(&mut search.beside(out)),
            None => self.dump(out),
        })?;
        crash::point("packed", &self.row.path);
        let ended = match &search {
            Some(search) => self.judge(packed.nar_hash, packed.nar_size, search).err(),
            None => self.differs(packed.nar_hash, packed.nar_size),
        };
        match ended {
            Some(event) => Ok(event),
            None => self.put_nar(&packed, &file),
        }
    }

    fn pack(
        &self,
        folder: &Path,
        dump: impl FnOnce(&mut dyn Write) -> Result<(), DumpError>,
    ) -> Result<(Packed, std::path::PathBuf), Setback> {
        let _permit = self.shared.packing.take();
        let compression = self.lane.destination.compression;
        let durability = crate::aside::Durability::Unsynced;
        Ok(pack_in(folder, dump, compression, 1, durability, &self.shared.stopping)?)
    }

    fn put_nar(&self, packed: &Packed, file: &Path) -> Result<Event, Setback> {
        let nar = self.shared.runtime.block_on(publish_nar(self.place, packed, file))?;
        crash::point("nar stored", &self.row.path);
        Ok(Event::NarStored(StoredNar {
            nar_hash: packed.nar_hash,
            nar_size: packed.nar_size,
            file_hash: packed.file_hash,
            file_size: packed.file_size,
            compression: packed.stated().as_str().into(),
            url: nar.url().into(),
        }))
    }

    /// Puts the narinfo of a path whose NAR is there.
    fn publish(&self, stored: &StoredNar) -> Result<Event, Setback> {
        if stored.nar_hash != self.core().nar_hash || stored.nar_size != self.core().nar_size {
            // Another path came in its place since: begin anew.
            return Ok(Event::NarLost);
        }
        if let Some(waiting) = self.waits_for()? {
            return Ok(waiting);
        }
        let licence = self.licence();
        if let Some(unendorsed) = self.unendorsed_inputs(&licence)? {
            return Ok(Event::Held(unendorsed, None));
        }
        let signatures = match licence {
            Licence::Withheld(why) => return Ok(Event::Held(why.to_owned(), None)),
            Licence::Forward(signatures) => {
                tracing::info!(
                    path = %self.row.path,
                    "goes without our signature: it was not built here, or is bound to its own content and needs none"
                );
                signatures
            }
            Licence::Sign(others) => match self.sound()? {
                Ok(sound) => self.signed(others, &sound)?,
                Err(event) => return Ok(event),
            },
        };
        let StoredNar { file_hash, file_size, compression, url, .. } = stored;
        let compression = crate::format::Compression::parse(compression);
        let nar = find_nar(self.place, url, compression, *file_hash, *file_size);
        match self.shared.runtime.block_on(nar)? {
            Some(nar) => self.put_narinfo(nar, signatures),
            None => Ok(Event::NarLost),
        }
    }

    fn put_narinfo(&self, nar: NarFile, signatures: Vec<Signature>) -> Result<Event, Setback> {
        let address = self.info.content_address;
        let ours = OurClaim {
            core: self.core().clone(),
            nar,
            deriver: self.info.deriver.clone(),
            content_address: address.filter(|a| a.certifies(&self.shared.store_dir, self.core())),
            signatures,
        };
        crash::point("narinfo made", &self.row.path);
        let published = self.shared.runtime.block_on(publish_narinfo(self.place, &ours))?;
        crash::point("narinfo stored", &self.row.path);
        Ok(match published {
            Published::Dissent { theirs, signatures } => self.dissent(&theirs, &signatures),
            Published::Created
            | Published::SignaturesAdded
            | Published::Repointed
            | Published::AlreadyThere => Event::Published,
        })
    }

    /// Every reference is wanted at the destination before this path, and with them what they will ask for in turn.
    fn ask_references(&self) -> Result<(), Setback> {
        let mut looked_behind = 0;
        let paths = deepest_first(self.path(), |path| {
            if path == self.path() {
                return Ok(self.references().cloned().collect());
            }
            looked_behind += 1;
            if looked_behind > AHEAD { Ok(Vec::new()) } else { self.will_ask_for(path) }
        })?;
        let destination = &self.row.destination;
        let wish = |path| Wish {
            destination: destination.clone(),
            path,
            origin: Origin::Reference,
            derivation: None,
        };
        let wishes: Vec<Wish> = paths.into_iter().map(wish).collect();
        Ok(self.shared.want(&wishes)?)
    }

    /// What a reference will ask for when its turn comes, if it is sure to go.
    fn will_ask_for(&self, path: &StorePath) -> Result<Vec<StorePath>, Setback> {
        let is_known = || self.shared.queue().find(&self.row.destination, path).map(|row| row.is_some());
        let is_sure = self.shared.upload.inputs == Inputs::Any
            && self.lane.destination.skip_vouched_by.is_empty()
            && may_leave(&self.lane.destination, path)
            && !is_known().map_err(|error| Setback::Lane(error.to_string(), Duration::ZERO))?;
        if !is_sure {
            return Ok(Vec::new());
        }
        let Some(info) = self.shared.link.ask(|store| store.path_info(path))? else { return Ok(Vec::new()) };
        let is_there = || self.shared.runtime.block_on(look(self.place, path.hash_part()));
        if matches!(licence_of(self.shared, &info, false), Licence::Withheld(_)) || is_there()?.is_some() {
            return Ok(Vec::new());
        }
        Ok(info.core.references.iter().cloned().collect())
    }

    /// The first reference that is not there yet.
    fn waits_for(&self) -> Result<Option<Event>, Setback> {
        let queue_error = |error: crate::queue::QueueError| Setback::Lane(error.to_string(), Duration::ZERO);
        for path in self.references() {
            let found = self.shared.queue().find(&self.row.destination, path).map_err(queue_error)?;
            let trouble = match found {
                None => {
                    self.ask_references()?;
                    String::new()
                }
                Some(row) => match row.entry.state {
                    State::Done | State::Skipped => continue,
                    State::Dead => format!(", which was given up: {}", row.entry.trouble),
                    State::Queued | State::Stored(_) if row.entry.trouble.is_empty() => String::new(),
                    State::Queued | State::Stored(_) => format!(": {}", row.entry.trouble),
                },
            };
            return Ok(Some(Event::Held(format!("it waits for {path}{trouble}"), Some(path.clone()))));
        }
        Ok(None)
    }

    fn references(&self) -> impl Iterator<Item = &StorePath> {
        self.core().references.iter().filter(|path| *path != self.path())
    }

    /// `Skipped`, if a signer of `skip-vouched-by` vouches for this core in a source cache; else `otherwise`.
    fn vouched_elsewhere(&self, otherwise: Event) -> Result<Event, Setback> {
        let skipping = self.lane.destination.skip_vouched_by;
        if skipping.is_empty() {
            return Ok(otherwise);
        }
        let mut asker = self.shared.asker.lock().unwrap_or_else(PoisonError::into_inner);
        let told =
            asker.ask(self.row.path.hash_part()).map_err(|error| Setback::Entry(error, Duration::ZERO))?;
        drop(asker);
        let names: Vec<&str> =
            skipping.iter().filter_map(|id| self.shared.policy.signer(id)).map(|s| &*s.name).collect();
        for claim in told.iter().filter(|claim| claim.is_source && claim.is_of(self.core())) {
            if let Some(signer) = claim.signers.iter().find(|signer| names.contains(&signer.as_str())) {
                return Ok(Event::Skipped(format!("{signer} vouches for it in the cache {}", claim.cache)));
            }
        }
        Ok(otherwise)
    }

    /// Why our key may not sign, where the inputs must be endorsed.
    fn unendorsed_inputs(&self, licence: &Licence) -> Result<Option<String>, Setback> {
        if self.shared.upload.inputs == Inputs::Any || !matches!(licence, Licence::Sign(_)) {
            return Ok(None);
        }
        let Some(machine) = &self.shared.machine else {
            return Ok(Some(
                "`inputs = \"endorsed\"` needs the machine key, which does not exist yet".to_owned(),
            ));
        };
        let Some(derivation) = self.row.derivation.as_ref().or(self.info.deriver.as_ref()) else {
            return Ok(Some("the store does not say what it was built from".to_owned()));
        };
        let checked = inputs::check(&mut &self.shared.link, derivation, &self.shared.store_dir, machine)?;
        Ok(checked.err().map(|unendorsed| unendorsed.to_string()))
    }

    fn licence(&self) -> Licence {
        licence_of(self.shared, self.info, self.row.derivation.is_some())
    }

    fn dissent(&self, theirs: &Core, signatures: &[Signature]) -> Event {
        let names: Vec<String> = signatures.iter().map(|s| s.key_name().to_string()).collect();
        let by = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
        Event::GivenUp(format!(
            "dissent: the destination has it as {}, {} bytes, signed by {by}; here it is {}, {} bytes; nothing was \
             overwritten",
            theirs.nar_hash,
            theirs.nar_size,
            self.core().nar_hash,
            self.core().nar_size
        ))
    }

    fn core(&self) -> &Core {
        &self.info.core
    }

    fn path(&self) -> &StorePath {
        &self.core().store_path
    }
}

/// Writes a path that was built here and that no hook reported into the ledger, as far as that can be done now.
fn note_build(shared: &Shared, info: &PathInfo, derivation: Option<&StorePath>) {
    let now = shared.now();
    let Some(build) = Build::of(info, derivation, now) else { return };
    if let Err(trouble) = shared.builds.report(&[build], now) {
        tracing::warn!(path = %info.core.store_path, trouble, "this build was not written into the ledger");
    }
}

/// What may be done with a path; `reported` if the hook reported its build.
fn licence_of(shared: &Shared, info: &PathInfo, reported: bool) -> Licence {
    let own = shared.keys.public();
    let circumstances = Circumstances {
        store_dir: &shared.store_dir,
        policy: &shared.policy,
        own: &own,
        machine: &shared.machines,
        reported,
        sign_remote_builds: shared.upload.sign_remote_builds,
        now: shared.now(),
    };
    licence(info, &circumstances)
}

/// A destination that cannot be used at all.
fn as_a_whole(error: &PlaceError) -> Setback {
    let least = match error.kind() {
        PlaceErrorKind::Busy { retry_after } => retry_after.unwrap_or_default().min(LONGEST_PATIENCE),
        _ => Duration::ZERO,
    };
    Setback::Lane(error.to_string(), least)
}

impl From<PlaceError> for Setback {
    fn from(error: PlaceError) -> Self {
        match error.kind() {
            PlaceErrorKind::Refused(_) | PlaceErrorKind::Malformed | PlaceErrorKind::Contested => {
                Self::Entry(error.to_string(), Duration::ZERO)
            }
            PlaceErrorKind::Unreachable
            | PlaceErrorKind::TimedOut
            | PlaceErrorKind::Clock
            | PlaceErrorKind::Credentials
            | PlaceErrorKind::Full
            | PlaceErrorKind::Busy { .. }
            | PlaceErrorKind::Lost
            | PlaceErrorKind::OtherStore
            | PlaceErrorKind::Unsupported
            | PlaceErrorKind::Local(_) => as_a_whole(&error),
        }
    }
}

impl From<KeepError> for Setback {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::Store(error) => error.into(),
            KeepError::Queue(error) => Self::Lane(error.to_string(), Duration::ZERO),
        }
    }
}

impl From<StoreError> for Setback {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Connect { .. } | StoreError::Lost { .. } | StoreError::Unusable => {
                Self::Lane(error.to_string(), Duration::ZERO)
            }
            other => Self::Entry(other.to_string(), Duration::ZERO),
        }
    }
}

impl From<PackError> for Setback {
    fn from(error: PackError) -> Self {
        match error {
            PackError::File(_) => Self::Lane(format!("cannot pack it: {error}"), Duration::ZERO),
            other => Self::Entry(format!("cannot pack it: {other}"), Duration::ZERO),
        }
    }
}

/// However long a destination asks for.
const LONGEST_PATIENCE: Duration = Duration::from_secs(3600);

/// How many references are looked behind, which other entries may have to wait for. A guess: more than most builds
/// have that are not at the destination yet; each costs one question to it.
const AHEAD: usize = 256;
