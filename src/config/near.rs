//! The known word nearest to a misspelt one.

/// The one of `known` that `word` was most likely meant to be, if any is near enough to suggest.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong, as in rustc's own suggestions, and one always.
    let allowed = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(&plain(word), &plain(candidate)), candidate))
        .filter(|&(distance, _)| distance <= allowed)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// Letters as they are compared: case and the choice of dash are no mistakes worth counting.
fn plain(word: &str) -> Vec<char> {
    word.chars().flat_map(char::to_lowercase).map(|c| if c == '_' { '-' } else { c }).collect()
}

/// How many letters must be put in, taken out, replaced or swapped with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous_a = None;
    for (row, &letter) in a.iter().enumerate() {
        let mut current = vec![row.saturating_add(1)];
        let mut previous_b = None;
        for (column, &other) in b.iter().enumerate() {
            let at = |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX);
            let replaced = at(&last, column).saturating_add(usize::from(letter != other));
            let removed = at(&last, column.saturating_add(1)).saturating_add(1);
            let inserted = at(&current, column).saturating_add(1);
            let swapped =
                match (column.checked_sub(1), previous_a == Some(other) && previous_b == Some(letter)) {
                    (Some(before), true) => at(&before_last, before).saturating_add(1),
                    _ => usize::MAX,
                };
            current.push(replaced.min(removed).min(inserted).min(swapped));
            previous_b = Some(other);
        }
        previous_a = Some(letter);
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
        let known = ["accept-signers", "claim-timeout", "operator", "priority", "role", "url"];
        for (word, expected) in [
            ("prioritty", Some("priority")),
            ("accept_signers", Some("accept-signers")),
            ("URL", Some("url")),
            ("ulr", Some("url")),
            ("rol", Some("role")),
            ("operators", Some("operator")),
            ("timeout", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }

    #[test]
    fn distances_are_those_of_the_definition() {
        for (a, b, expected) in
            [("", "", 0), ("abc", "", 3), ("abc", "abd", 1), ("abc", "acb", 1), ("ab", "xaby", 2)]
        {
            assert_eq!(distance(&plain(a), &plain(b)), expected, "{a} {b}");
            assert_eq!(distance(&plain(b), &plain(a)), expected, "{b} {a}");
        }
    }
}
