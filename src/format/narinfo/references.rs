//! The references of a store path: a set, in the order that signatures cover.

use crate::format::store_path::StorePath;

/// A set of store paths, in ascending order of their base names.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct References(Vec<StorePath>);

impl References {
    /// Sorts, and drops repeats.
    pub fn from_unsorted(mut paths: Vec<StorePath>) -> Self {
        paths.sort_unstable();
        paths.dedup();
        Self(paths)
    }

    /// In ascending order.
    pub fn iter(&self) -> std::slice::Iter<'_, StorePath> {
        self.0.iter()
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a path is among them.
    pub fn contains(&self, path: &StorePath) -> bool {
        self.0.binary_search(path).is_ok()
    }
}

impl FromIterator<StorePath> for References {
    fn from_iter<I: IntoIterator<Item = StorePath>>(paths: I) -> Self {
        Self::from_unsorted(paths.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a References {
    type Item = &'a StorePath;
    type IntoIter = std::slice::Iter<'a, StorePath>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
