//! The automaton against the definition: every short name, tried by hand.

use super::*;
use crate::format::store_path::validate_name;
use proptest::prelude::*;

fn globs(texts: &[&str]) -> Vec<Glob> {
    texts.iter().map(|text| Glob::parse(text).unwrap()).collect()
}

fn exists(inside: &[&str], outside: &[&str]) -> bool {
    let (inside, outside) = (globs(inside), globs(outside));
    let question = Question { inside: Some(&inside), outside: vec![&outside], watched: vec![] };
    !answers(&question, &mut Budget::usual()).unwrap().is_empty()
}

#[test]
fn earlier_patterns_take_what_they_match() {
    for (inside, outside, expected) in [
        (&["linux-*"][..], &["linux-firmware-*"][..], true),
        (&["linux-firmware-*"], &["linux-*"], false),
        (&["linux-?*"], &["linux-*"], false),
        (&["linux-*"], &["linux-?*"], true),
        (&["*-bin"], &["*-*"], false),
        (&["a*b"], &["a*", "*b"], false),
        (&["a*b"], &["a?*b"], true),
        (&["a*b"], &["a?*b", "ab"], false),
        (&["x", "y"], &["x"], true),
        (&["x", "y"], &["y", "x"], false),
        (&["*"], &["?*"], false),
        (&["*"], &["??*"], true),
        (&["*"], &["*a*"], true),
        (&["?"], &["a", "b"], true),
    ] {
        assert_eq!(exists(inside, outside), expected, "{inside:?} without {outside:?}");
    }
}

#[test]
fn names_that_no_store_path_has_do_not_count() {
    for (inside, expected) in [
        (".", false),
        ("..", false),
        ("...", true),
        (".-*", false),
        ("..-x", false),
        (".a", true),
        (".?", true),
    ] {
        assert_eq!(exists(&[inside], &[]), expected, "{inside}");
    }
    assert!(exists(&["?*"], &["a*"]));
    let longest = "?".repeat(211);
    assert!(exists(&[&longest], &[]));
    let (inside, watched) = (globs(&[&longest]), globs(&["*"]));
    let question = Question { inside: Some(&inside), outside: vec![], watched: vec![&watched] };
    assert_eq!(answers(&question, &mut Budget::usual()).unwrap()[&1].len(), 211);
    // Either would do alone; together they need 212 letters.
    let (head, tail) = (format!("{}*", "a".repeat(106)), format!("*{}", "b".repeat(106)));
    let (head, tail) = (globs(&[&head]), globs(&[&tail]));
    let question = Question { inside: Some(&head), outside: vec![], watched: vec![&tail] };
    assert_eq!(answers(&question, &mut Budget::usual()).unwrap().into_keys().collect::<Vec<_>>(), [0]);
}

#[test]
fn nothing_is_claimed_past_the_budget() {
    let inside = globs(&["*a*b*c*"]);
    let question = Question { inside: Some(&inside), outside: vec![], watched: vec![] };
    assert!(answers(&question, &mut Budget::of(1)).is_none());
    // Subsets of which of twenty words occurred: a million states.
    let words: Vec<Vec<Glob>> =
        (0..20_u8).map(|i| globs(&[&format!("*{0}{0}*", char::from(b'a' + i))])).collect();
    let question =
        Question { inside: None, outside: vec![], watched: words.iter().map(Vec::as_slice).collect() };
    assert!(answers(&question, &mut Budget::of(2_000)).is_none());
}

#[test]
fn ordinary_policies_are_far_inside_the_budget() {
    let names: Vec<Vec<Glob>> =
        (0..200_u16).map(|i| globs(&[&format!("package-{i}-*"), &format!("*-tool-{i}")])).collect();
    let mut budget = Budget::usual();
    for (index, inside) in names.iter().enumerate().skip(190) {
        let outside = names[..index].iter().map(Vec::as_slice).collect();
        assert!(
            !answers(&Question { inside: Some(inside), outside, watched: vec![] }, &mut budget)
                .unwrap()
                .is_empty()
        );
    }
}

fn pattern() -> impl Strategy<Value = Vec<Glob>> {
    prop::collection::vec("[ab.?*-]{1,5}", 1..3)
        .prop_map(|texts| texts.iter().map(|text| Glob::parse(text).unwrap()).collect())
}

/// Every name of up to five letters over an alphabet that has a letter of no pattern.
fn short_names() -> impl Iterator<Item = String> {
    let letters = ["a", "b", "c", ".", "-"];
    let mut names = vec![String::new()];
    let mut layer = names.clone();
    for _ in 0..5 {
        layer = layer
            .iter()
            .flat_map(|name| letters.iter().map(move |letter| format!("{name}{letter}")))
            .collect();
        names.extend(layer.iter().cloned());
    }
    names.into_iter().filter(|name| validate_name(name).is_ok())
}

fn by_hand(question: &Question<'_>, name: &str) -> Option<u128> {
    let matches = |list: &[Glob]| list.iter().any(|glob| glob.matches(name));
    let asked = question.inside.is_none_or(matches) && !question.outside.iter().any(|list| matches(list));
    let bits = question.watched.iter().enumerate().map(|(i, list)| u128::from(matches(list)) << i);
    asked.then(|| bits.sum())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn answers_are_those_of_the_names(
        inside in prop::option::of(pattern()),
        outside in prop::collection::vec(pattern(), 0..3),
        watched in prop::collection::vec(pattern(), 0..4),
    ) {
        let question = Question {
            inside: inside.as_deref(),
            outside: outside.iter().map(Vec::as_slice).collect(),
            watched: watched.iter().map(Vec::as_slice).collect(),
        };
        let found = answers(&question, &mut Budget::usual()).unwrap();
        for (&answer, name) in &found {
            prop_assert!(validate_name(name).is_ok(), "{name}");
            prop_assert_eq!(by_hand(&question, name), Some(answer), "{}", name);
        }
        for name in short_names() {
            if let Some(answer) = by_hand(&question, &name) {
                let shortest = found.get(&answer);
                prop_assert!(shortest.is_some_and(|s| s.len() <= name.len()), "{name} gives {answer:b}, {shortest:?}");
            }
        }
    }
}
