//! What a filter admits, the same for every storage. Pure.

use crate::evidence::{ClaimRow, EventRow, Filter, VerdictRow, Word};
use crate::trust::{Glob, Timestamp};

/// A filter that is ready to be asked.
#[derive(Debug)]
pub(super) struct Sieve<'a> {
    filter: &'a Filter,
    /// `None`: every package; a pattern that is none admits no package.
    package: Option<Option<Glob>>,
}

impl<'a> Sieve<'a> {
    pub(super) fn new(filter: &'a Filter) -> Self {
        let package = filter.package.as_ref().map(|text| Glob::parse(text).ok());
        Self { filter, package }
    }

    pub(super) fn admits_verdict(&self, row: &VerdictRow) -> bool {
        let Filter { path, cache, signer, reason, outcome, .. } = self.filter;
        let vouches = |signer: &str| {
            row.heard.iter().any(|heard| match &heard.word {
                Word::Claim { signers, .. } => signers.iter().any(|name| **name == *signer),
                Word::NotFound | Word::Nothing => false,
            })
        };
        self.admits_time(row.at)
            && path.is_none_or(|path| row.asked == Some(path))
            && self.admits_package(row.name.as_deref())
            && cache.as_ref().is_none_or(|cache| row.heard.iter().any(|heard| heard.cache == *cache))
            && signer.as_ref().is_none_or(|signer| vouches(signer))
            && reason.as_ref().is_none_or(|reason| row.label == *reason)
            && outcome.is_none_or(|outcome| row.outcome == outcome)
    }

    /// By time, path, package and cache.
    pub(super) fn admits_claim(&self, row: &ClaimRow) -> bool {
        let Filter { path, cache, .. } = self.filter;
        let of = &row.core.store_path;
        self.admits_time(row.last_seen)
            && path.is_none_or(|path| of.hash_part() == path)
            && self.admits_package(Some(of.name()))
            && cache.as_ref().is_none_or(|cache| row.cache == *cache)
    }

    /// By time, path, package and kind, and by cache or signer the party.
    pub(super) fn admits_event(&self, row: &EventRow) -> bool {
        let Filter { path, cache, signer, event, .. } = self.filter;
        self.admits_time(row.last_seen)
            && path.is_none_or(|path| row.path == path)
            && self.admits_package(row.name.as_deref())
            && event.is_none_or(|kind| row.kind == kind)
            && cache.as_ref().is_none_or(|cache| row.party == *cache)
            && signer.as_ref().is_none_or(|signer| row.party == *signer)
    }

    pub(super) fn admits_package(&self, name: Option<&str>) -> bool {
        match &self.package {
            None => true,
            Some(glob) => name.is_some_and(|name| glob.as_ref().is_some_and(|glob| glob.matches(name))),
        }
    }

    pub(super) fn admits_time(&self, at: Timestamp) -> bool {
        let Filter { since, until, .. } = self.filter;
        since.is_none_or(|since| at >= since) && until.is_none_or(|until| at < until)
    }
}
