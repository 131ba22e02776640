//! Which paths a sweep has looked at, and which it has still to look at: compact, since a store may have a million.
//!
//! Known by their hash parts alone, and not by the times at which they were registered: a clock that was set back or
//! forward hides no build. A path that is gone is forgotten, so that it is looked at again when it comes back. One that
//! was gone and came back between two sweeps is not noticed; so now and then all are looked at again.

use crate::format::{HashPart, StorePath};

/// The paths that were looked at: 20 bytes each.
#[derive(Debug, Default)]
pub(super) struct Looked(Vec<[u8; HashPart::DIGEST_LEN]>);

/// Paths that are still to be looked at: their base names, one a line.
#[derive(Debug, Default)]
pub(super) struct Open(String);

/// What one listing of the store leads to.
#[derive(Debug, Default)]
pub(super) struct Listing {
    looked: Vec<[u8; HashPart::DIGEST_LEN]>,
    open: Open,
}

impl Looked {
    /// Before the store is listed. What was added comes into its order here, once, and not with every step.
    pub(super) fn begin(&mut self) -> Listing {
        self.0.sort_unstable();
        Listing::default()
    }

    /// Adds a path that is in the store: to what was looked at, or to what is open.
    pub(super) fn list(&self, path: &StorePath, listing: &mut Listing) {
        let digest = *path.hash_part().digest();
        match self.0.binary_search(&digest) {
            Ok(_) => listing.looked.push(digest),
            Err(_) => listing.open.push(path),
        }
    }

    /// Adds paths that were looked at since the listing.
    pub(super) fn add(&mut self, paths: impl Iterator<Item = StorePath>) {
        self.0.extend(paths.map(|path| *path.hash_part().digest()));
    }
}

impl Listing {
    /// What is left of what was looked at, and what is to be looked at now.
    pub(super) fn split(self) -> (Looked, Open) {
        (Looked(self.looked), self.open)
    }
}

impl Open {
    fn push(&mut self, path: &StorePath) {
        use std::fmt::Write;
        // Writing to a String cannot fail.
        writeln!(self.0, "{path}").unwrap_or_default();
    }

    /// The paths.
    pub(super) fn iter(&self) -> impl Iterator<Item = StorePath> {
        self.0.lines().filter_map(|line| StorePath::from_base_name(line).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_looked_at_is_open_no_more_until_it_was_gone() {
        let mut looked = Looked::default();
        assert_eq!(pass(&mut looked, &[3, 1, 2]), [3, 1, 2]);
        assert_eq!(pass(&mut looked, &[1, 2, 3]), [0; 0]);
        assert_eq!(pass(&mut looked, &[4, 1, 3]), [4]);
        assert_eq!(pass(&mut looked, &[4, 3, 2, 1]), [2], "it came back");
    }

    #[test]
    fn what_was_not_reached_stays_open() {
        let mut looked = Looked::default();
        let listed = |looked: &mut Looked| {
            let mut listing = looked.begin();
            (1..5).for_each(|n| looked.list(&path(n), &mut listing));
            listing.split()
        };
        let (mut left, open) = listed(&mut looked);
        left.add(open.iter().take(2));
        looked = left;
        assert_eq!(listed(&mut looked).1.iter().collect::<Vec<_>>(), [path(3), path(4)]);
    }

    /// Lists these and looks at all that is open; which those were.
    fn pass(looked: &mut Looked, store: &[u8]) -> Vec<u8> {
        let mut listing = looked.begin();
        store.iter().for_each(|n| looked.list(&path(*n), &mut listing));
        let (left, open) = listing.split();
        *looked = left;
        looked.add(open.iter());
        store.iter().copied().filter(|n| open.iter().any(|found| found == path(*n))).collect()
    }

    fn path(n: u8) -> StorePath {
        StorePath::from_base_name(&format!("{n}0000000000000000000000000000000-p{n}")).unwrap()
    }
}
