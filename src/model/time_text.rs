//! Parses instants from text: RFC 3339, optionally with the zone in brackets that RFC 9557 adds.
//!
//! jiff implements the syntax. This module adds three rules, because a misread time puts a revision at the wrong place
//! in a history:
//!
//! - An offset is at most 23:59 (RFC 3339 §5.6), and a zone in brackets must agree with the offset (RFC 9557 §3.4).
//! - Second 60 exists only in the UTC minute 23:59 (RFC 3339 §5.7). The whole second maps to the last microsecond of
//!   that minute, so that it never sorts before second 59.
//! - A time of day needs an offset or a zone. A zone in which that time of day is skipped or occurs twice is rejected.

use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::Time;
use jiff::fmt::temporal::{DateTimeParser, Pieces, TimeZoneAnnotationKind};
use jiff::tz::{Disambiguation, Offset};

use super::Timestamp;

/// Why a text is not an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeTextError {
    /// It does not have the syntax of RFC 3339.
    #[error("expected an RFC 3339 time, such as 2026-05-16T18:00:00Z")]
    Syntax,
    /// The calendar has no such day, such as 29 February 2026.
    #[error("there is no such day")]
    NoSuchDay,
    /// It has no time of day.
    #[error("a day is not an instant; add a time of day and a zone")]
    NoTimeOfDay,
    /// It has a time of day, and neither an offset nor a zone.
    #[error("a time of day needs a zone; append Z or an offset such as +01:00")]
    NoZone,
    /// Its offset is 24 hours or more.
    #[error("an offset from UTC must be less than 24 hours")]
    OffsetTooLarge,
    /// The zone in brackets is unknown, has another offset at that time, or skips or repeats that time of day.
    #[error("the zone in brackets is unknown, or has no such offset or time of day on that day")]
    ZoneConflict,
    /// It has a second 60 outside the UTC minute 23:59.
    #[error("second 60 exists in the UTC minute 23:59 only")]
    NotALeapSecond,
}

impl FromStr for Timestamp {
    type Err = TimeTextError;

    fn from_str(text: &str) -> Result<Self, TimeTextError> {
        const PARSER: DateTimeParser = DateTimeParser::new().disambiguation(Disambiguation::Reject);
        let pieces = Pieces::parse(text)
            .map_err(|_| if is_impossible_day(text) { TimeTextError::NoSuchDay } else { TimeTextError::Syntax })?;
        if pieces.time().is_none() {
            return Err(TimeTextError::NoTimeOfDay);
        }
        let instant = match (pieces.time_zone_annotation(), pieces.to_numeric_offset()) {
            (None, None) => return Err(TimeTextError::NoZone),
            (_, Some(offset)) if is_too_large(offset) => return Err(TimeTextError::OffsetTooLarge),
            (Some(zone), _) => {
                if let TimeZoneAnnotationKind::Offset(offset) = zone.kind()
                    && is_too_large(*offset)
                {
                    return Err(TimeTextError::OffsetTooLarge);
                }
                PARSER.parse_zoned(text).map_err(|_| TimeTextError::ZoneConflict)?.timestamp()
            }
            (None, Some(_)) => PARSER.parse_timestamp(text).map_err(|_| TimeTextError::Syntax)?,
        };
        if !has_second_60(text) {
            return Ok(instant.into());
        }
        leap_second(instant).ok_or(TimeTextError::NotALeapSecond)
    }
}

/// The instant that a second 60 stands for: the last microsecond of its minute. `second_59` is the same time with
/// second 59 instead. `None` unless that time is in the UTC minute 23:59.
pub(crate) fn leap_second(second_59: jiff::Timestamp) -> Option<Timestamp> {
    let clock = Offset::UTC.to_datetime(second_59).time();
    let second = second_59.checked_sub(SignedDuration::from_nanos(clock.subsec_nanosecond().into())).ok()?;
    let is_last = clock >= Time::constant(23, 59, 59, 0);
    is_last.then(|| Timestamp::from(second).saturating_add_micros(999_999))
}

/// Whether an offset exceeds what RFC 3339 allows. jiff accepts offsets of up to 25:59:59.
pub(crate) fn is_too_large(offset: Offset) -> bool {
    offset.seconds().unsigned_abs() >= 24 * 60 * 60
}

/// Whether a text that jiff accepts has a second 60, which jiff reads as 59.
fn has_second_60(text: &str) -> bool {
    let clock = text.split_once(['T', 't', ' ']).map_or("", |(_, clock)| clock);
    let digits = clock.chars().take_while(|c| c.is_ascii_digit() || *c == ':').filter(char::is_ascii_digit);
    digits.skip(4).take(2).eq("60".chars())
}

/// Whether a text begins with a well-formed date that does not exist in the calendar.
fn is_impossible_day(text: &str) -> bool {
    let day = text.split(|c: char| !c.is_ascii_digit() && c != '-').next().unwrap_or_default();
    let parts: Vec<&str> = day.split('-').collect();
    let (year, month, day) = match parts.as_slice() {
        [year, month, day] if (year.len(), month.len(), day.len()) == (4, 2, 2) => (*year, *month, *day),
        [digits] if digits.len() == 8 => {
            let (year, rest) = digits.split_at(4);
            let (month, day) = rest.split_at(2);
            (year, month, day)
        }
        _ => return false,
    };
    let date = year.parse().ok().zip(month.parse().ok()).zip(day.parse().ok());
    date.is_some_and(|((year, month), day)| jiff::civil::Date::new(year, month, day).is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        text.parse::<Timestamp>().map_or_else(|error| format!("{error:?}"), |time| time.to_string())
    }

    #[test]
    fn a_leap_second_sorts_after_second_59_and_occurs_only_at_the_end_of_a_utc_day() {
        for (text, expected) in [
            ("2016-12-31T23:59:59.5Z", "2016-12-31T23:59:59.5Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999Z"),
            ("2016-12-31T23:59:60.2Z", "2016-12-31T23:59:59.999999Z"),
            ("20161231T235960.2Z", "2016-12-31T23:59:59.999999Z"),
            ("2017-01-01 05:29:60+05:30", "2016-12-31T23:59:59.999999Z"),
            ("2016-12-31T18:59:60-05:00[America/New_York]", "2016-12-31T23:59:59.999999Z"),
            ("2026-01-05T12:00:60Z", "NotALeapSecond"),
            ("2026-01-05T23:59:60+01:00", "NotALeapSecond"),
            ("2026-01-05T23:60:00Z", "Syntax"),
            ("2026-01-05T23:59:61Z", "Syntax"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn a_zone_in_brackets_is_honoured_or_rejected() {
        for (text, expected) in [
            ("2026-07-01T12:00:00+02:00[Europe/Berlin]", "2026-07-01T10:00:00Z"),
            ("2026-07-01T12:00:00[!Europe/Berlin]", "2026-07-01T10:00:00Z"),
            ("2026-07-01T12:00:00Z[Europe/Berlin]", "2026-07-01T12:00:00Z"),
            ("2026-07-01T12:00:00+02:00[+02:00]", "2026-07-01T10:00:00Z"),
            ("2026-07-01T12:00:00Z[u-ca=hebrew]", "2026-07-01T12:00:00Z"),
            ("2026-07-01T12:00:00+05:00[!Europe/Berlin]", "ZoneConflict"),
            ("2026-07-01T12:00:00+05:00[Europe/Berlin]", "ZoneConflict"),
            ("2026-07-01T12:00:00Z[!Nowhere/Atlantis]", "ZoneConflict"),
            ("2026-07-01T12:00:00Z[Nowhere/Atlantis]", "ZoneConflict"),
            ("2026-03-29T02:30:00[Europe/Berlin]", "ZoneConflict"),
            ("2026-10-25T02:30:00[Europe/Berlin]", "ZoneConflict"),
            ("2026-10-25T02:30:00+01:00[Europe/Berlin]", "2026-10-25T01:30:00Z"),
            ("2026-07-01T12:00:00Z[!u-ca=hebrew]", "Syntax"),
            ("2026-07-01T12:00:00Z[!foo=bar]", "Syntax"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn an_offset_is_less_than_a_day() {
        assert_eq!(read("2026-07-01T12:00:00+23:59"), "2026-06-30T12:01:00Z");
        for text in ["+24:00", "-24:00", "+25:59", "+2400"].map(|offset| format!("2026-07-01T12:00:00{offset}")) {
            assert_eq!(read(&text), "OffsetTooLarge", "{text}");
        }
        assert_eq!(read("2026-07-01T12:00:00[+24:30]"), "OffsetTooLarge");
    }

    #[test]
    fn an_error_names_what_is_missing_or_impossible() {
        for (text, expected) in [
            ("2026-01-05", "NoTimeOfDay"),
            ("2026-01-05[Europe/Berlin]", "NoTimeOfDay"),
            ("2026-01-05T12", "NoZone"),
            ("2026-01-05 12", "NoZone"),
            ("20260105T12", "NoZone"),
            ("2026-02-29", "NoSuchDay"),
            ("20260229", "NoSuchDay"),
            ("2026-02-29T12:00:00Z", "NoSuchDay"),
            ("2026-13-01", "NoSuchDay"),
            ("2024-02-29T25:00:00Z", "Syntax"),
            ("soon", "Syntax"),
            ("", "Syntax"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
