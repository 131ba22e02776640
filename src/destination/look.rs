//! What is at a place already, seen before anything is sent there.

use crate::destination::merge::LIMITS;
use crate::destination::publish::{NarFile, parse, their_nar_is_there};
use crate::destination::{Place, PlaceError};
use crate::format::{Compression, FileHash, HashPart, NarInfo};

/// A narinfo that is at a place.
#[derive(Clone, Debug)]
pub struct There {
    /// What it says. Its signatures are not verified.
    pub narinfo: NarInfo,
    /// Whether the NAR that it points to is there, by its length.
    pub is_complete: bool,
}

impl There {
    /// Its NAR, for a claim of our own beside it; `None` if it is not there, or if too little is said of it.
    pub fn nar(&self) -> Option<NarFile> {
        let hints = &self.narinfo.hints;
        let (file_hash, file_size) = (hints.file_hash?, hints.file_size?);
        let (url, compression) = (hints.url.clone(), hints.compression.clone());
        self.is_complete.then_some(NarFile { url, compression, file_hash, file_size, is_there: true })
    }
}

/// The narinfo of a path at a place, if there is one.
///
/// # Errors
/// [`PlaceError`]; of the kind `Malformed` if what is there is no narinfo.
pub async fn look(place: &Place, path: HashPart) -> Result<Option<There>, PlaceError> {
    let name = format!("{path}.narinfo");
    let Some(found) = place.get(&name, LIMITS.bytes as u64).await? else { return Ok(None) };
    let narinfo = parse(place, &name, &found)?;
    let is_complete = their_nar_is_there(place, &narinfo).await?;
    Ok(Some(There { narinfo, is_complete }))
}

/// A NAR that was stored earlier, if it is still there in full length.
///
/// # Errors
/// [`PlaceError`] if the place cannot be asked.
pub async fn find_nar(
    place: &Place,
    url: &str,
    compression: Compression,
    file_hash: FileHash,
    file_size: u64,
) -> Result<Option<NarFile>, PlaceError> {
    let is_there = place.size(url).await? == Some(file_size);
    Ok(is_there.then(|| NarFile {
        url: url.to_owned(),
        compression,
        file_hash: file_hash.into(),
        file_size,
        is_there,
    }))
}
