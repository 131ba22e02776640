//! A closure in the order in which it can be published: what is referred to before what refers to it.

use super::error::StoreError;
use super::path_info::PathInfo;
use crate::format::StorePath;
use std::collections::HashMap;

/// What is recorded of a path and of all that it refers to, references first. `lookup` is asked once for each.
pub(super) fn in_order(
    path: &StorePath,
    limit: usize,
    mut lookup: impl FnMut(&StorePath) -> Result<Option<PathInfo>, StoreError>,
) -> Result<Vec<PathInfo>, StoreError> {
    let mut seen: HashMap<StorePath, Place> = HashMap::new();
    let mut ordered: Vec<PathInfo> = Vec::new();
    // A stack of our own: closures are deeper than a thread's.
    let mut open: Vec<Open> = Vec::new();
    let mut next = Some((path.clone(), None));
    loop {
        if let Some((path, referrer)) = next.take() {
            if seen.len() >= limit {
                return Err(StoreError::TooManyPaths { path: open.first().map_or(path, Open::path), limit });
            }
            let Some(info) = lookup(&path)? else { return Err(StoreError::NotValid { path, referrer }) };
            seen.insert(path, Place::Open);
            open.push(Open { info, looked_at: 0 });
        }
        let Some(last) = open.last_mut() else { return Ok(ordered) };
        let Some(reference) = last.next_reference() else {
            seen.insert(last.path(), Place::Ordered);
            ordered.extend(open.pop().map(|done| done.info));
            continue;
        };
        match seen.get(&reference) {
            Some(Place::Ordered) => {}
            Some(Place::Open) => return Err(StoreError::Circle { path: reference }),
            None => next = Some((reference, Some(last.path()))),
        }
    }
}

/// Where a path stands that was asked for.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// On the way from the first path to the one being looked at.
    Open,
    /// In the answer, behind all its references.
    Ordered,
}

/// A path some of whose references have been looked at.
#[derive(Debug)]
struct Open {
    info: PathInfo,
    looked_at: usize,
}

impl Open {
    fn path(&self) -> StorePath {
        self.info.core.store_path.clone()
    }

    /// The next reference that is not the path itself.
    fn next_reference(&mut self) -> Option<StorePath> {
        loop {
            let reference = self.info.core.references.iter().nth(self.looked_at)?;
            self.looked_at += 1;
            if *reference != self.info.core.store_path {
                return Some(reference.clone());
            }
        }
    }
}
