//! Which part of a NAR a request asks for. **Pure** (RFC 9110 §14).
//!
//! One range of bytes is honoured. Several, another unit, or what cannot be read is ignored, as the RFC
//! allows: the whole is then the answer.

use http::HeaderMap;
use http::header::{IF_RANGE, RANGE};

/// The part of a NAR that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    All,
    /// The bytes from `first` on, `length` of them; neither empty nor all.
    Part {
        /// The first byte.
        first: u64,
        /// How many; never zero.
        length: u64,
    },
    /// A range that begins behind the last byte.
    Nothing,
}

impl Wanted {
    /// What the headers of a request want of `size` bytes that are known under `tag`.
    pub(super) fn of(headers: &HeaderMap, size: u64, tag: &str) -> Self {
        let mut ranges = headers.get_all(RANGE).iter();
        let (Some(range), None) = (ranges.next(), ranges.next()) else { return Self::All };
        // A condition that does not hold makes the range void; dates never hold, since NARs have none.
        if headers.get(IF_RANGE).is_some_and(|condition| condition.as_bytes() != tag.as_bytes()) {
            return Self::All;
        }
        match range
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix("bytes="))
            .and_then(|spec| spec.split_once('-'))
        {
            Some(("", last)) => number(last).map_or(Self::All, |n| Self::suffix(n, size)),
            Some((first, "")) => {
                number(first).map_or(Self::All, |first| Self::between(first, u64::MAX, size))
            }
            Some((first, last)) => match (number(first), number(last)) {
                (Some(first), Some(last)) if first <= last => Self::between(first, last, size),
                _ => Self::All,
            },
            None => Self::All,
        }
    }

    fn between(first: u64, last: u64, size: u64) -> Self {
        let Some(end) = size.checked_sub(1) else { return Self::Nothing };
        if first > end {
            return Self::Nothing;
        }
        let length = last.min(end).saturating_sub(first).saturating_add(1);
        if length == size { Self::All } else { Self::Part { first, length } }
    }

    fn suffix(last: u64, size: u64) -> Self {
        if last == 0 { Self::Nothing } else { Self::between(size.saturating_sub(last), u64::MAX, size) }
    }
}

/// Digits alone; more than a size can have count as the largest.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn wanted(range: &str) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_str(range).unwrap());
        Wanted::of(&headers, 100, "\"tag\"")
    }

    #[test]
    fn one_range_is_honoured() {
        for (range, first, length) in [
            ("bytes=10-", 10, 90),
            ("bytes=10-19", 10, 10),
            ("bytes=0-0", 0, 1),
            ("bytes=99-", 99, 1),
            ("bytes=90-1000", 90, 10),
            ("bytes=-1", 99, 1),
            ("bytes=-99", 1, 99),
            ("bytes=5-99999999999999999999999", 5, 95),
        ] {
            assert_eq!(wanted(range), Wanted::Part { first, length }, "{range}");
        }
    }

    #[test]
    fn the_whole_is_the_whole() {
        for range in ["bytes=0-", "bytes=0-99", "bytes=0-1000", "bytes=-100", "bytes=-1000"] {
            assert_eq!(wanted(range), Wanted::All, "{range}");
        }
        assert_eq!(Wanted::of(&HeaderMap::new(), 100, ""), Wanted::All);
    }

    #[test]
    fn what_lies_behind_the_end_is_nothing() {
        for range in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(wanted(range), Wanted::Nothing, "{range}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_ignored() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=20-10",
            "bytes=0-1,3-4",
            "lines=1-2",
            "bytes=+1-2",
        ] {
            assert_eq!(wanted(range), Wanted::All, "{range}");
        }
    }

    #[test]
    fn a_condition_that_does_not_hold_makes_the_range_void() {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_static("bytes=10-"));
        for (condition, holds) in
            [("\"tag\"", true), ("\"other\"", false), ("Sun, 22 Nov 2026 10:00:00 GMT", false)]
        {
            headers.insert(IF_RANGE, HeaderValue::from_static(condition));
            assert_eq!(Wanted::of(&headers, 100, "\"tag\"") != Wanted::All, holds, "{condition}");
        }
    }
}
