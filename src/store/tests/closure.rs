//! The order of a closure, over stores that are only a table.

use super::super::closure::in_order;
use super::*;
use crate::format::{Core, NarHash, References};
use std::collections::{BTreeMap, HashMap};

fn info(path: StorePath, references: Vec<StorePath>) -> PathInfo {
    PathInfo {
        core: Core {
            store_path: path,
            nar_hash: NarHash::from_digest([0; 32]),
            nar_size: 120,
            references: References::from_unsorted(references),
        },
        deriver: None,
        registered: 0,
        ultimate: true,
        signatures: Vec::new(),
        malformed_signatures: 0,
        content_address: None,
        unusable_content_address: false,
    }
}

/// A path for a number.
fn numbered(number: usize) -> StorePath {
    StorePath::from_base_name(&format!("{number:032}-p")).unwrap()
}

/// The closure of a path in a table of references, and how often each was asked for.
fn closure(
    table: &BTreeMap<usize, Vec<usize>>,
    of: usize,
    limit: usize,
) -> (Result<Vec<PathInfo>, StoreError>, HashMap<StorePath, usize>) {
    let mut asked = HashMap::new();
    let store: HashMap<StorePath, Vec<StorePath>> = (table.iter())
        .map(|(path, references)| (numbered(*path), references.iter().map(|r| numbered(*r)).collect()))
        .collect();
    let found = in_order(&numbered(of), limit, |path| {
        *asked.entry(path.clone()).or_default() += 1;
        Ok(store.get(path).map(|references| info(path.clone(), references.clone())))
    });
    (found, asked)
}

/// Checks that references stand before referrers and that each path is there once.
fn assert_ordered(found: &[PathInfo]) {
    let place: HashMap<_, _> =
        found.iter().enumerate().map(|(at, info)| (info.core.store_path.clone(), at)).collect();
    assert_eq!(place.len(), found.len());
    for (at, info) in found.iter().enumerate() {
        for reference in info.core.references.iter().filter(|r| **r != info.core.store_path) {
            assert!(place[reference] < at, "{reference} after {}", info.core.store_path);
        }
    }
}

#[test]
fn references_first_and_each_once() {
    let table =
        BTreeMap::from([(0, vec![0, 1, 2]), (1, vec![3]), (2, vec![1, 3, 2]), (3, vec![]), (4, vec![0])]);
    let (found, asked) = closure(&table, 0, 4);
    let found = found.unwrap();
    assert_ordered(&found);
    assert_eq!(found.len(), 4);
    assert_eq!(found.last().unwrap().core.store_path, numbered(0));
    assert!(asked.values().all(|times| *times == 1));
}

#[test]
fn the_limit_holds_exactly() {
    let table = BTreeMap::from([(0, vec![1, 2]), (1, vec![]), (2, vec![])]);
    assert_eq!(closure(&table, 0, 3).0.unwrap().len(), 3);
    for limit in 0..3 {
        let error = closure(&table, 0, limit).0.unwrap_err();
        assert!(
            matches!(error, StoreError::TooManyPaths { path, limit: l } if path == numbered(0) && l == limit)
        );
    }
}

#[test]
fn what_is_missing_is_named_with_its_referrer() {
    let table = BTreeMap::from([(0, vec![1]), (1, vec![2])]);
    let error = closure(&table, 0, 9).0.unwrap_err();
    assert!(
        error.to_string().contains("although 00000000000000000000000000000001-p refers to it"),
        "{error}"
    );
    assert!(
        matches!(error, StoreError::NotValid { path, referrer } if path == numbered(2) && referrer == Some(numbered(1)))
    );
    let error = closure(&table, 7, 9).0.unwrap_err();
    assert!(matches!(error, StoreError::NotValid { path, referrer: None } if path == numbered(7)));
}

#[test]
fn a_circle_ends() {
    let table = BTreeMap::from([(0, vec![1]), (1, vec![2]), (2, vec![1])]);
    assert!(matches!(closure(&table, 0, 9).0, Err(StoreError::Circle { path }) if path == numbered(1)));
}

#[test]
fn a_chain_deeper_than_any_stack() {
    let table: BTreeMap<usize, Vec<usize>> =
        (0..20_000).map(|n| (n, if n == 19_999 { vec![] } else { vec![n + 1] })).collect();
    let found = closure(&table, 0, 20_000).0.unwrap();
    assert_ordered(&found);
    assert_eq!(found.len(), 20_000);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_store_is_ordered(edges in proptest::collection::vec((0usize..20, 0usize..20), 0..60)) {
        let mut table: BTreeMap<usize, Vec<usize>> = (0..20).map(|n| (n, vec![])).collect();
        // Upwards only, or to itself: no circles.
        for (one, other) in edges {
            table.get_mut(&one.min(other)).unwrap().push(one.max(other));
        }
        let (found, asked) = closure(&table, 0, 20);
        let found = found.unwrap();
        assert_ordered(&found);
        proptest::prop_assert_eq!(found.len(), asked.len());
        proptest::prop_assert!(asked.values().all(|times| *times == 1));
    }
}
