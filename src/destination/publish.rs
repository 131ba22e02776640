//! How a path gets to a place: first the NAR, read back; then the narinfo, merged with what is there, read back.

use crate::destination::error::Act;
use crate::destination::merge::{LIMITS, Merged, alone, holds, merge, plain_name};
use crate::destination::{
    Body, Condition, ContentType, Found, Place, PlaceError, PlaceErrorKind, Put, ROUNDS,
};
use crate::format::narinfo::{Core, NarInfo};
use crate::format::{Compression, ContentAddress, NixHash, Signature, StorePath};
use crate::pack::Packed;
use std::path::Path;

/// A NAR at a place. Made by [`publish_nar`] once it was read back; so no narinfo of ours points to nothing.
#[derive(Clone, Debug)]
pub struct NarFile {
    pub(super) url: String,
    pub(super) compression: Compression,
    pub(super) file_hash: NixHash,
    pub(super) file_size: u64,
    /// False for a witness, which sends no bytes.
    pub(super) is_there: bool,
}

impl NarFile {
    /// For a destination that takes claims alone: where the NAR would be, uncompressed.
    pub fn withheld(core: &Core) -> Self {
        Self {
            url: format!("nar/{}.nar", core.nar_hash.nixbase32()),
            compression: Compression::None,
            file_hash: NixHash::Sha256(*core.nar_hash.digest()),
            file_size: core.nar_size,
            is_there: false,
        }
    }

    /// The name of the file at the place.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// What this machine says of a path it built.
#[derive(Clone, Debug)]
pub struct OurClaim {
    /// What the signatures cover.
    pub core: Core,
    /// Its NAR.
    pub nar: NarFile,
    /// The derivation that made it.
    pub deriver: Option<StorePath>,
    /// What it is bound to; only one that [certifies](ContentAddress::certifies) the core.
    pub content_address: Option<ContentAddress>,
    /// Our signatures, over the core.
    pub signatures: Vec<Signature>,
}

/// What came of publishing a narinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// Nothing was there; ours is.
    Created,
    /// The same core was there; our signatures are now beside theirs.
    SignaturesAdded,
    /// The same core was there with our signatures, but its NAR was not; it now points to ours.
    Repointed,
    /// All that we say was there.
    AlreadyThere,
    /// Another core is there. Nothing was written.
    Dissent {
        /// What it says.
        theirs: Core,
        /// Its signatures, none of them verified.
        signatures: Vec<Signature>,
    },
}

/// Puts a packed NAR where it is missing, and reads back that it is there in full length.
///
/// # Errors
/// [`PlaceError`]; [`PlaceErrorKind::Lost`] if it was stored and is not there.
pub async fn publish_nar(place: &Place, packed: &Packed, packed_file: &Path) -> Result<NarFile, PlaceError> {
    let name = packed.name();
    let nar = NarFile {
        url: name.clone(),
        compression: packed.stated(),
        file_hash: packed.file_hash.into(),
        file_size: packed.file_size,
        is_there: true,
    };
    // The name is the file's hash: what has it and its length need not be sent again.
    if place.size(&name).await? == Some(packed.file_size) {
        return Ok(nar);
    }
    let body = Body::File { path: packed_file.to_owned(), length: packed.file_size };
    place.put(&name, body, ContentType::Nar, Condition::Always).await?;
    match place.size(&name).await? {
        Some(size) if size == packed.file_size => Ok(nar),
        Some(size) => {
            let what = format!("it was stored, and has {size} bytes instead of {}", packed.file_size);
            Err(lost(place, &name, what))
        }
        None => Err(lost(place, &name, NOT_THERE)),
    }
}

/// Publishes a narinfo, keeping what others say of the same core.
///
/// # Errors
/// [`PlaceError`]; [`PlaceErrorKind::Malformed`] if what is there is no narinfo of the path, or holds what could
/// not be kept; [`PlaceErrorKind::Contested`] if others kept changing it; [`PlaceErrorKind::Lost`] if ours was
/// stored and is not there.
pub async fn publish_narinfo(place: &Place, ours: &OurClaim) -> Result<Published, PlaceError> {
    let name = format!("{}.narinfo", ours.core.store_path.hash_part());
    let mut stored = None;
    for _ in 0..ROUNDS {
        let step = next_step(place, &name, ours).await?;
        let (text, condition, outcome) = match step {
            // Had we put it in an earlier round, that is what came of it.
            Step::Done(Published::AlreadyThere) => return Ok(stored.unwrap_or(Published::AlreadyThere)),
            Step::Done(published) => return Ok(published),
            Step::Write { text, condition, outcome } => (text, condition, outcome),
        };
        let body = Body::Bytes(text.into());
        match place.put(&name, body, ContentType::NarInfo, condition).await? {
            Put::Conflict => continue,
            Put::Stored => {}
        }
        if reads_back(place, &name, ours).await? {
            return Ok(outcome);
        }
        // Another signer who saw what we saw wrote after us: the place knows no conditions.
        stored.get_or_insert(outcome);
    }
    match stored {
        Some(_) => Err(lost(place, &name, "it was stored, and our signature is not there")),
        None => {
            let what = format!("it was changed by others {ROUNDS} times in a row");
            Err(PlaceError::new(PlaceErrorKind::Contested, Act::Store, what).at(place.name(), &name))
        }
    }
}

enum Step {
    Done(Published),
    Write { text: String, condition: Condition, outcome: Published },
}

/// Looks at what is there and says what to do.
async fn next_step(place: &Place, name: &str, ours: &OurClaim) -> Result<Step, PlaceError> {
    let dir = place.store_dir();
    let Some(found) = place.get(name, LIMITS.bytes as u64).await? else {
        let (text, condition) = (alone(ours, dir), Condition::IfAbsent);
        return Ok(Step::Write { text, condition, outcome: Published::Created });
    };
    let theirs = parse(place, name, &found)?;
    if theirs.core.store_path.hash_part() != ours.core.store_path.hash_part() {
        return Err(malformed(place, name, format!("it is about {}", theirs.core.store_path)));
    }
    if theirs.core != ours.core {
        let NarInfo { core, signatures, .. } = theirs;
        return Ok(Step::Done(Published::Dissent { theirs: core, signatures }));
    }
    let is_there = their_nar_is_there(place, &theirs).await?;
    match merge(ours, &theirs, is_there, dir) {
        Merged::Same => Ok(Step::Done(Published::AlreadyThere)),
        Merged::Lossy => {
            let what = "it has lines that are not understood and would be lost with our signature added";
            Err(malformed(place, name, what))
        }
        Merged::Text { text, adds_signatures } => {
            let condition = found.tag.map_or(Condition::Always, Condition::IfMatches);
            let outcome = if adds_signatures { Published::SignaturesAdded } else { Published::Repointed };
            Ok(Step::Write { text, condition, outcome })
        }
    }
}

/// Whether the NAR that a narinfo points to is at the place, by its length.
pub(super) async fn their_nar_is_there(place: &Place, theirs: &NarInfo) -> Result<bool, PlaceError> {
    let Some(name) = plain_name(&theirs.hints.url) else { return Ok(false) };
    let unpacked = (theirs.hints.compression == Compression::None).then_some(theirs.core.nar_size);
    let size = place.size(name).await?;
    Ok(size.is_some_and(|size| theirs.hints.file_size.or(unpacked).is_none_or(|stated| stated == size)))
}

/// Whether our claim is there now; false if another text of the same core took its place.
async fn reads_back(place: &Place, name: &str, ours: &OurClaim) -> Result<bool, PlaceError> {
    let found = place.get(name, LIMITS.bytes as u64).await?.ok_or_else(|| lost(place, name, NOT_THERE))?;
    let other =
        |what: String| lost(place, name, format!("it was stored, and something else is there: {what}"));
    let read = NarInfo::parse(&found.bytes, place.store_dir(), &LIMITS).map_err(|e| other(e.to_string()))?;
    if read.core != ours.core {
        return Err(other("another core".to_owned()));
    }
    Ok(holds(&read, &ours.signatures))
}

pub(super) fn parse(place: &Place, name: &str, found: &Found) -> Result<NarInfo, PlaceError> {
    NarInfo::parse(&found.bytes, place.store_dir(), &LIMITS)
        .map_err(|error| malformed(place, name, format!("what is there is left alone: {error}")))
}

fn malformed(place: &Place, name: &str, what: impl Into<String>) -> PlaceError {
    PlaceError::new(PlaceErrorKind::Malformed, Act::Store, what).at(place.name(), name)
}

fn lost(place: &Place, name: &str, what: impl Into<String>) -> PlaceError {
    PlaceError::new(PlaceErrorKind::Lost, Act::Store, what).at(place.name(), name)
}

const NOT_THERE: &str = "it was stored, and is not there";
