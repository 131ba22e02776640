//! Any chunking gives the same answer, and whatever is accepted here, another implementation accepts too.

use proptest::prelude::*;

use super::super::writer::{any_tree, tokens};
use super::*;

/// Archives that are correct, nearly correct, or tokens in any order.
fn any_archive() -> impl Strategy<Value = Vec<u8>> {
    let correct = any_tree().prop_map(|tree| tree.nar());
    let flipped = (any_tree(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(tree, at, value)| {
        let mut nar = tree.nar();
        let at = at.index(nar.len());
        nar[at] = value;
        nar
    });
    let cut = (any_tree(), any::<prop::sample::Index>()).prop_map(|(tree, at)| {
        let mut nar = tree.nar();
        nar.truncate(at.index(nar.len()));
        nar
    });
    prop_oneof![correct, flipped, cut, any_reordering()]
}

/// A correct tree with one token left out, repeated, replaced or swapped with its neighbour.
fn any_reordering() -> impl Strategy<Value = Vec<u8>> {
    let words =
        ["(", ")", "type", "regular", "contents", "executable", "", "entry", "name", "node", "target", "a"];
    let word = prop::sample::select(words.to_vec());
    (any_tree(), any::<prop::sample::Index>(), 0..4, word).prop_map(|(tree, at, change, word)| {
        let mut all = tree.tokens();
        let at = at.index(all.len());
        match change {
            0 => drop(all.remove(at)),
            1 => all.insert(at, all[at]),
            2 => all[at] = word.as_bytes(),
            _ => all.swap(at, at.saturating_sub(1)),
        }
        [tokens(&["nix-archive-1"]), tokens(&all)].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_correct_tree_is_accepted(tree in any_tree()) {
        prop_assert!(verify(&tree.nar()).is_ok());
    }

    #[test]
    fn chunks_do_not_matter(nar in any_archive(), sizes in prop::collection::vec(0usize..70, 1..30), slack in -9i64..9) {
        let nar_size = (nar.len() as u64).saturating_add_signed(slack);
        let whole = verify_in_chunks(&nar, nar_size, [nar.len()]);
        let cut = verify_in_chunks(&nar, nar_size, sizes.into_iter().cycle());
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn another_implementation_accepts_what_we_accept(nar in any_archive()) {
        if verify(&nar).is_ok() {
            prop_assert!(nix_archive::nar::decode(&nar).is_ok());
        }
    }

    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(verify(&bytes).is_err());
    }
}
