//! In which order the references of a path are asked for: what refers to nothing first.
//!
//! Each entry asks for its own references when its turn comes, so one that is pushed alone would send its NAR
//! first and every narinfo below it last, one after the other. Asked for ahead, the deepest goes first, and the
//! narinfo of one is stored while the NAR of the next is packed.

use crate::format::StorePath;
use std::collections::HashSet;

/// What lies below a path, each once and after everything below itself. `below` says what a path refers to, and
/// nothing for one that is not looked behind.
pub(super) fn deepest_first<E>(
    path: &StorePath,
    mut below: impl FnMut(&StorePath) -> Result<Vec<StorePath>, E>,
) -> Result<Vec<StorePath>, E> {
    let mut seen = HashSet::from([path.clone()]);
    let mut found = Vec::new();
    // A way down, and what is still to be seen at each point of it.
    let mut way = vec![(path.clone(), below(path)?)];
    while let Some((_, left)) = way.last_mut() {
        match left.pop() {
            Some(next) if seen.insert(next.clone()) => {
                let left = below(&next)?;
                way.push((next, left));
            }
            Some(_) => {}
            None => found.extend(way.pop().map(|(path, _)| path)),
        }
    }
    // The path itself, which came last.
    found.pop();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn path(n: u32) -> StorePath {
        StorePath::from_base_name(&format!("{n:032}-{n}")).unwrap()
    }

    fn order(edges: &[(u32, &[u32])]) -> Vec<StorePath> {
        let below = |of: &StorePath| {
            let to = edges.iter().find(|(from, _)| path(*from) == *of).map_or(&[][..], |(_, to)| to);
            Ok::<_, Infallible>(to.iter().copied().map(path).collect())
        };
        deepest_first(&path(0), below).unwrap()
    }

    #[test]
    fn a_chain_comes_from_its_end() {
        assert_eq!(order(&[(0, &[1]), (1, &[2]), (2, &[3])]), [path(3), path(2), path(1)]);
    }

    #[test]
    fn what_is_shared_comes_once_and_before_all_that_refer_to_it() {
        let edges: [(u32, &[u32]); 4] = [(0, &[1, 2, 3]), (1, &[3]), (2, &[1, 4]), (4, &[3])];
        let order = order(&edges);
        assert_eq!(order.len(), 4);
        let at = |n| order.iter().position(|found| *found == path(n)).unwrap();
        for (from, to) in edges.iter().filter(|(from, _)| *from != 0) {
            assert!(to.iter().all(|to| at(*to) < at(*from)), "{order:?}");
        }
    }

    #[test]
    fn what_is_not_looked_behind_comes_alone() {
        assert_eq!(order(&[(0, &[2, 1])]), [path(1), path(2)]);
        assert_eq!(order(&[]), []);
    }
}
