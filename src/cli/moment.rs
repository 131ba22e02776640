//! A moment as it is written on a command line: a day, a moment, or how long ago.

use crate::clock;
use crate::trust::Timestamp;
use jiff::SpanRelativeTo;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A moment, or how long ago.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// This moment.
    At(Timestamp),
    /// So many seconds ago.
    Ago(i64),
}

impl Moment {
    /// Reads `7d`, `12h`, a day (in UTC) or a moment as RFC 3339 has it.
    ///
    /// # Errors
    /// What would do, in one line.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let at = |at: jiff::Timestamp| Self::At(Timestamp::from_seconds(at.as_second()));
        if let Ok(moment) = text.parse::<jiff::Timestamp>() {
            return Ok(at(moment));
        }
        // jiff would also read a date with a time behind it, and drop the time.
        if let Some(day) = text.parse::<Date>().ok().filter(|day| day.to_string() == text)
            && let Ok(midnight) = day.to_zoned(TimeZone::UTC)
        {
            return Ok(at(midnight.timestamp()));
        }
        let span = text.parse::<jiff::Span>().ok();
        let length = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
        match length.map(|length| length.as_secs()) {
            Some(seconds @ 0..) => Ok(Self::Ago(seconds)),
            _ => Err("write 7d, 12h, 2026-11-02 or 2026-11-02T10:00:00Z".to_owned()),
        }
    }

    /// When it is by the clock.
    pub(super) fn resolve(self) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(seconds) => Timestamp::from_seconds(clock::now().seconds().saturating_sub(seconds)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_three_forms() {
        let day = 86_400;
        let read = |text: &str| match Moment::parse(text) {
            Ok(Moment::At(at)) => Ok(at.seconds()),
            Ok(Moment::Ago(seconds)) => Err(Some(seconds)),
            Err(_) => Err(None),
        };
        assert_eq!(read("1970-01-03"), Ok(2 * day));
        assert_eq!(read("1970-01-03T01:00:00Z"), Ok(2 * day + 3600));
        assert_eq!(read("7d"), Err(Some(7 * day)));
        assert_eq!(read("1w 12h"), Err(Some(7 * day + 12 * 3600)));
        for wrong in ["", "7", "-7d", "1970-01-03T01:00", "yesterday", "1970-13-01", "2 months"] {
            assert_eq!(read(wrong), Err(None), "{wrong}");
        }
    }
}
