//! Package patterns: `*` stands for any run of characters, `?` for one, everything else for itself.
//!
//! They are matched against the name of a store path with version and output and without the hash
//! (`openssl-3.0.14-bin`), and always against the whole of it. There are no character classes and no
//! escapes: a name cannot contain `*`, and the rare `?` in a name is matched by `?`.

use std::fmt;

/// One package pattern.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Glob(Box<str>);

/// Why a text is no package pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// The pattern is empty and would match nothing.
    #[error("an empty pattern matches no package")]
    Empty,
    /// Longer than a store path name can be.
    #[error("the pattern is longer than any package name (211 characters)")]
    TooLong,
    /// A character that no package name contains and that is no wildcard.
    #[error("{0:?} cannot occur in a package name; only `*` and `?` are wildcards")]
    Character(char),
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`GlobError`] if no store path name could ever match it.
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        if text.is_empty() {
            return Err(GlobError::Empty);
        }
        if text.len() > LONGEST {
            return Err(GlobError::TooLong);
        }
        match text.chars().find(|&c| !(c.is_ascii_alphanumeric() || "+-._?=*".contains(c))) {
            Some(c) => Err(GlobError::Character(c)),
            None => Ok(Self(text.into())),
        }
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether every name matches.
    pub fn is_everything(&self) -> bool {
        self.0.bytes().all(|b| b == b'*')
    }

    /// Whether the whole of `name` matches.
    ///
    /// Takes at most pattern length × name length steps: on a mismatch only the last `*` is retried.
    pub fn matches(&self, name: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.as_bytes(), name.as_bytes());
        let mut retry: Option<(&[u8], &[u8])> = None;
        loop {
            match (pattern.split_first(), rest.split_first()) {
                (Some((b'*', after)), _) => {
                    retry = Some((after, rest));
                    pattern = after;
                }
                (Some((p, after)), Some((c, tail))) if *p == b'?' || p == c => {
                    (pattern, rest) = (after, tail);
                }
                (None, None) => return true,
                _ => match retry.take() {
                    Some((after, [_, tail @ ..])) => {
                        retry = Some((after, tail));
                        (pattern, rest) = (after, tail);
                    }
                    _ => return false,
                },
            }
        }
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glob({:?})", self.0)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The longest name of a store path (protocol: at most 211 characters).
const LONGEST: usize = 211;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wildcards_match_as_written() {
        for (pattern, name, expected) in [
            ("linux-*", "linux-6.6.1", true),
            ("linux-*", "linux-firmware-2024", true),
            ("linux-*", "linux", false),
            ("linux-*", "x-linux-6", false),
            ("*", "anything", true),
            ("*-bin", "curl-8.0-bin", true),
            ("*-bin", "curl-8.0-bin-extra", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXcYb", false),
            ("acme-*", "ACME-tool", false),
            ("**", "x", true),
            ("x", "x", true),
        ] {
            assert_eq!(Glob::parse(pattern).unwrap().matches(name), expected, "{pattern} on {name}");
        }
    }

    #[test]
    fn patterns_that_match_nothing_are_refused() {
        assert_eq!(Glob::parse(""), Err(GlobError::Empty));
        assert_eq!(Glob::parse("a/b"), Err(GlobError::Character('/')));
        assert_eq!(Glob::parse("[ab]"), Err(GlobError::Character('[')));
        assert_eq!(Glob::parse(&"a".repeat(212)), Err(GlobError::TooLong));
    }

    #[test]
    fn only_stars_are_everything() {
        assert!(Glob::parse("*").unwrap().is_everything());
        assert!(!Glob::parse("?*").unwrap().is_everything());
    }

    /// The obvious recursive definition, to compare with.
    fn slow(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => {
                slow(rest, name) || matches!(name, [_, tail @ ..] if slow(pattern, tail))
            }
            ([p, rest @ ..], [c, tail @ ..]) => (*p == b'?' || p == c) && slow(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{1,8}", name in "[ab]{0,10}") {
            let glob = Glob::parse(&pattern).unwrap();
            prop_assert_eq!(glob.matches(&name), slow(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
