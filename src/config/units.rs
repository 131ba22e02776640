//! Quantities with their units: "10s", "400d", "1 MiB", "16 KiB/s", and moments and days.
//!
//! Pure: text in, value or complaint out. What is printed can be read back as the same value.

use crate::config::fault::Complaint;
use crate::trust::Timestamp;
use jiff::SpanRelativeTo;
use jiff::civil::Date;
use jiff::fmt::friendly::SpanParser;
use jiff::tz::TimeZone;
use std::fmt;
use std::time::Duration;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// So many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Reads a whole number and a binary unit.
    pub(super) fn parse(text: &str) -> Result<Self, Complaint> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
        let unit = unit.trim();
        let wrong = |found: String| Complaint::new(found, SIZE_HINT);
        let Some(&(_, factor)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(match unit {
                "" => wrong(format!("{text:?} has no unit")),
                "KB" | "kB" | "MB" | "GB" | "TB" | "K" | "M" | "G" | "T" => Complaint::new(
                    format!("{unit:?} may mean two sizes"),
                    format!("write {}iB, which is a power of 1024", unit.to_uppercase().replace('B', "")),
                ),
                _ => wrong(format!("{text:?} is no size")),
            });
        };
        let number: u64 =
            number.parse().map_err(|_| wrong(format!("{text:?} does not begin with a whole number")))?;
        number.checked_mul(factor).map(Self).ok_or_else(|| wrong(format!("{text:?} is too large")))
    }
}

impl fmt::Display for ByteSize {
    /// In the largest unit that needs no fraction: `1 MiB`, `1025 B`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |&&(_, factor): &&(&str, u64)| self.0 >= factor && self.0.is_multiple_of(factor);
        let (name, factor) = SIZE_UNITS.iter().rev().find(fits).copied().unwrap_or(("B", 1));
        write!(f, "{} {name}", self.0 / factor)
    }
}

/// A number of bytes per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteRate(ByteSize);

impl ByteRate {
    /// So many bytes every second.
    pub const fn from_bytes_per_second(bytes: u64) -> Self {
        Self(ByteSize(bytes))
    }

    /// The number of bytes in a second.
    pub const fn bytes_per_second(self) -> u64 {
        self.0.0
    }

    /// Reads a size followed by `/s`.
    pub(super) fn parse(text: &str) -> Result<Self, Complaint> {
        let wrong = || Complaint::new(format!("{text:?} is no rate"), RATE_HINT);
        let size = text.trim().strip_suffix("/s").ok_or_else(wrong)?;
        ByteSize::parse(size).map(Self)
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

/// Reads a length of time; days have 24 hours.
pub(super) fn parse_duration(text: &str) -> Result<Duration, Complaint> {
    let wrong = |found: String| Complaint::new(found, DURATION_HINT);
    let span = SpanParser::new().parse_span(text.trim()).map_err(|_| match text.trim().parse::<u64>() {
        Ok(_) => wrong(format!("{text:?} has no unit")),
        Err(_) => wrong(format!("{text:?} is no length of time")),
    })?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err(wrong(format!("{text:?} is not always equally long")));
    }
    let duration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| wrong(format!("{text:?} is too long")))?;
    Duration::try_from(duration).map_err(|_| wrong(format!("{text:?} lies in the past")))
}

/// A length of time as it is written in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spelled(pub Duration);

impl fmt::Display for Spelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut left, mut first) = (self.0.as_nanos(), true);
        for (name, length) in DURATION_UNITS {
            let count = left / length;
            left %= length;
            if count > 0 {
                write!(f, "{}{count}{name}", if first { "" } else { " " })?;
                first = false;
            }
        }
        if first { f.write_str("0s") } else { Ok(()) }
    }
}

/// Reads a moment in the form of RFC 3339, with its offset from UTC. Fractions of a second are dropped.
pub(super) fn parse_moment(text: &str) -> Result<Timestamp, Complaint> {
    let wrong = || Complaint::new(format!("{text} is no moment"), MOMENT_HINT);
    let moment: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    Ok(Timestamp::from_seconds(moment.as_second()))
}

/// Reads a day and gives the moment, in UTC, at which it is over.
pub(super) fn parse_end_of_day(text: &str) -> Result<Timestamp, Complaint> {
    let wrong = || Complaint::new(format!("{text} is no day"), DAY_HINT);
    // jiff would also read a date with a time behind it, and drop the time.
    let day: Date = text.parse().ok().filter(|day: &Date| day.to_string() == text).ok_or_else(wrong)?;
    let next = day.tomorrow().map_err(|_| wrong())?;
    let midnight = next.to_zoned(TimeZone::UTC).map_err(|_| wrong())?;
    Ok(Timestamp::from_seconds(midnight.timestamp().as_second()))
}

/// A moment for people: `2027-01-31T00:00:00Z`; the bare number of seconds where no calendar reaches.
pub(super) fn show_moment(moment: Timestamp) -> String {
    match jiff::Timestamp::from_second(moment.seconds()) {
        Ok(time) => time.to_string(),
        Err(_) => format!("@{moment}"),
    }
}

/// What a length of time looks like.
pub(super) const DURATION_HINT: &str = "a number and a unit in quotes, such as \"5s\", \"1m 30s\" or \"14d\"";
/// What a size looks like.
pub(super) const SIZE_HINT: &str =
    "a whole number and a unit in quotes, such as \"512 B\", \"64 KiB\" or \"1 MiB\"";
/// What a rate looks like.
pub(super) const RATE_HINT: &str = "a size per second in quotes, such as \"16 KiB/s\"";
/// What a moment looks like.
pub(super) const MOMENT_HINT: &str = "a date, a time and an offset, such as 2027-06-01T00:00:00Z";
/// What a day looks like.
pub(super) const DAY_HINT: &str = "a day alone, such as 2027-01-31";

const SIZE_UNITS: [(&str, u64); 5] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Units and their nanoseconds, longest first.
const DURATION_UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_whole_numbers_of_binary_units() {
        for (text, bytes) in [
            ("0 B", 0),
            ("512B", 512),
            ("1 KiB", 1024),
            (" 16  MiB ", 16 << 20),
            ("64 GiB", 64 << 30),
            ("1 TiB", 1 << 40),
        ] {
            assert_eq!(ByteSize::parse(text), Ok(ByteSize(bytes)), "{text}");
        }
        for (text, found) in [
            ("1024", "\"1024\" has no unit"),
            ("1 MB", "\"MB\" may mean two sizes"),
            ("1.5 GiB", "\"1.5 GiB\" is no size"),
            ("-1 B", "\"-1 B\" is no size"),
            ("MiB", "\"MiB\" does not begin with a whole number"),
            ("99999999 TiB", "\"99999999 TiB\" is too large"),
            ("", "\"\" has no unit"),
        ] {
            assert_eq!(ByteSize::parse(text).unwrap_err().found, found, "{text}");
        }
        assert_eq!(ByteSize::parse("1 MB").unwrap_err().would_do, "write MiB, which is a power of 1024");
    }

    #[test]
    fn rates_are_sizes_per_second() {
        assert_eq!(ByteRate::parse("16 KiB/s"), Ok(ByteRate::from_bytes_per_second(16 << 10)));
        assert!(ByteRate::parse("16 KiB").is_err());
        assert!(ByteRate::parse("16/s").is_err());
    }

    #[test]
    fn durations_have_units_of_fixed_length() {
        for (text, seconds) in [
            ("5s", 5),
            ("1m 30s", 90),
            ("5m30s", 330),
            ("14d", 1_209_600),
            ("400d", 34_560_000),
            ("2 weeks", 1_209_600),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        for (text, found) in [
            ("5", "\"5\" has no unit"),
            ("soon", "\"soon\" is no length of time"),
            ("", "\"\" is no length of time"),
            ("1 year", "\"1 year\" is not always equally long"),
            ("2mo", "\"2mo\" is not always equally long"),
            ("-5s", "\"-5s\" lies in the past"),
            ("5s ago", "\"5s ago\" lies in the past"),
        ] {
            assert_eq!(parse_duration(text).unwrap_err().found, found, "{text}");
        }
    }

    #[test]
    fn moments_need_an_offset_and_days_have_no_time() {
        let seconds = |text| parse_moment(text).map(Timestamp::seconds).ok();
        assert_eq!(seconds("1970-01-02T00:00:00Z"), Some(86_400));
        assert_eq!(seconds("1970-01-02T01:00:00+01:00"), Some(86_400));
        assert_eq!(seconds("1970-01-02T00:00Z"), Some(86_400));
        assert_eq!(seconds("1970-01-02T00:00:00.9Z"), Some(86_400));
        assert_eq!(seconds("1970-01-02T00:00:00"), None);
        assert_eq!(seconds("1970-01-02"), None);
        let end = |text| parse_end_of_day(text).map(Timestamp::seconds).ok();
        assert_eq!(end("1970-01-01"), Some(86_400));
        assert_eq!(end("1970-01-01T10:00:00"), None);
        assert_eq!(end("1970-02-30"), None);
        assert_eq!(end("9999-12-31"), None);
        assert_eq!(show_moment(Timestamp::from_seconds(86_400)), "1970-01-02T00:00:00Z");
        assert_eq!(show_moment(Timestamp::from_seconds(i64::MAX)), format!("@{}", i64::MAX));
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(bytes in any::<u64>(), nanos in 0_u64..u64::MAX / 2) {
            let size = ByteSize(bytes);
            prop_assert_eq!(ByteSize::parse(&size.to_string()), Ok(size));
            let rate = ByteRate(size);
            prop_assert_eq!(ByteRate::parse(&rate.to_string()), Ok(rate));
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse_duration(&Spelled(duration).to_string()), Ok(duration));
        }
    }
}
