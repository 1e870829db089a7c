//! Times as people type and read them.
//!
//! A date without a time of day is a day in UTC, whatever the machine's time zone, so a command means the same
//! everywhere. The date stands for the last microsecond of that day, so that `--at 2026-05-16` shows the article as it
//! was when the day ended. Today has not ended yet, so today's date stands for the present.

use std::sync::Arc;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, ToSpan, Zoned};

use super::count;
use crate::clock::{Clock, SystemClock};
use crate::model::{TimeTextError, Timestamp};

/// Which end of its day a date stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeEnd {
    /// The first microsecond of the day.
    First,
    /// The last microsecond of the day, or now if the day is today.
    Last,
}

/// A time from the command line.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    /// The words as typed, such as `2 days ago`. They mean a different time on a later run.
    pub(super) words: String,
    /// The time that the words meant when the command started.
    pub(super) time: Timestamp,
}

impl Moment {
    /// Parses `text` with [`parse`], relative to now.
    pub(super) fn parse(text: &str, end: TimeEnd) -> Result<Self, String> {
        Ok(Self { words: text.to_owned(), time: parse(text, now(), end)? })
    }
}

/// The clock of this machine.
pub(super) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// The current time, to the microsecond.
pub(super) fn now() -> Timestamp {
    SystemClock.now()
}

/// Parses RFC 3339, a date, `now`, `today`, `yesterday`, or a duration such as `2 days ago`.
pub(super) fn parse(text: &str, now: Timestamp, end: TimeEnd) -> Result<Timestamp, String> {
    let text = text.trim();
    let today = now.to_jiff().to_zoned(TimeZone::UTC);
    match text.to_ascii_lowercase().as_str() {
        "now" => return Ok(now),
        "today" => return Ok(of_day(today.date(), now, end)),
        "yesterday" => return Ok(of_day(today.date().saturating_sub(1.day()), now, end)),
        _ => {}
    }
    if let Some(span) = text.strip_suffix("ago") {
        return before(&today, span.trim());
    }
    match text.parse() {
        Err(TimeTextError::NoTimeOfDay) => match text.parse::<Date>() {
            Ok(date) if !text.contains('[') => Ok(of_day(date, now, end)),
            Ok(_) | Err(_) => Err("a date is a day in UTC: remove the brackets, or add a time of day".to_owned()),
        },
        Err(TimeTextError::Syntax) => {
            Err("expected a time: 2026-05-16T18:00:00Z, 2026-05-16, now, yesterday or \"2 days ago\"".to_owned())
        }
        instant => instant.map_err(|error| error.to_string()),
    }
}

fn of_day(date: Date, now: Timestamp, end: TimeEnd) -> Timestamp {
    let midnight = |date: Date| date.to_datetime(Time::midnight()).to_zoned(TimeZone::UTC);
    let first = midnight(date).map_or(Timestamp::MAX, |start| start.timestamp().into());
    let last = midnight(date.saturating_add(1.day())).map_or(Timestamp::MAX, |next| next.timestamp().into());
    match end {
        TimeEnd::First => first,
        TimeEnd::Last if (first..last).contains(&now) => now,
        TimeEnd::Last => last.saturating_add_micros(-1),
    }
}

fn before(now: &Zoned, span: &str) -> Result<Timestamp, String> {
    let not_a_duration = || format!("{span:?} is not a duration such as \"90 minutes\", \"2 days\" or \"3 months\"");
    let spelled = match span.split_once(' ') {
        Some(("a" | "an", unit)) => format!("1 {unit}"),
        _ => span.to_owned(),
    };
    let span = fractional_days(&spelled).or_else(|| spelled.parse().ok()).ok_or_else(not_a_duration)?;
    if span.is_negative() {
        return Err(not_a_duration());
    }
    now.checked_sub(span).map(|then| then.timestamp().into()).map_err(|_| "that is too long ago".to_owned())
}

/// Parses fractions of days and weeks, such as `1.5 days`: a day in UTC has 24 hours. jiff accepts fractions of hours
/// and smaller units only.
fn fractional_days(span: &str) -> Option<Span> {
    let (number, unit) = span.split_at(span.find(char::is_alphabetic)?);
    let hours = match unit {
        "d" | "day" | "days" => 24,
        "w" | "wk" | "wks" | "week" | "weeks" => 7 * 24,
        _ => return None,
    };
    let number = number.trim();
    if !number.contains(['.', ',']) {
        return None;
    }
    let part: SignedDuration = format!("{number} hours").parse().ok()?;
    Span::try_from(part.checked_mul(hours)?).ok()
}

/// Formats a time as `21 May 2026, 18:00 UTC (2 days ago)`.
pub(super) fn for_people(time: Timestamp, now: Timestamp) -> String {
    let calendar = time.to_jiff().to_zoned(TimeZone::UTC);
    let absolute = calendar.strftime("%-d %B %Y, %H:%M UTC");
    match ago(now.micros_since(time)) {
        Some(ago) => format!("{absolute} ({ago})"),
        None => absolute.to_string(),
    }
}

/// Formats a time as `2026-05-21 18:00`, in UTC, for a column.
pub(super) fn brief(time: Timestamp) -> String {
    time.to_jiff().to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M").to_string()
}

/// Formats an age such as `2 days ago`; `None` for a time in the future.
fn ago(micros: i64) -> Option<String> {
    match micros / 1_000_000 {
        _ if micros < 0 => None,
        0 => Some("just now".to_owned()),
        seconds => Some(format!("{} ago", span(seconds))),
    }
}

/// Formats a duration in one unit, such as `2 days`, rounded down.
pub(super) fn span(seconds: i64) -> String {
    const UNITS: [(i64, &str); 5] =
        [(365 * 86_400, "year"), (30 * 86_400, "month"), (86_400, "day"), (3_600, "hour"), (60, "minute")];
    let (length, unit) = UNITS.into_iter().find(|(length, _)| seconds >= *length).unwrap_or((1, "second"));
    count(u64::try_from(seconds / length).unwrap_or_default(), unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, end: TimeEnd) -> String {
        let now = Timestamp::from_micros(1_779_000_000_000_000).unwrap();
        assert_eq!(now.to_string(), "2026-05-17T06:40:00Z");
        parse(text, now, end).map_or_else(|error| error, |time| time.to_string())
    }

    #[test]
    fn times_are_parsed_as_people_write_them() {
        for (text, expected) in [
            ("2026-05-16T18:00:00+02:00", "2026-05-16T16:00:00Z"),
            ("2026-05-16 18:00:00.1234567Z", "2026-05-16T18:00:00.123456Z"),
            ("2026-05-16", "2026-05-16T23:59:59.999999Z"),
            ("2026-05-17", "2026-05-17T06:40:00Z"),
            ("2026-05-18", "2026-05-18T23:59:59.999999Z"),
            ("now", "2026-05-17T06:40:00Z"),
            ("Today", "2026-05-17T06:40:00Z"),
            ("yesterday", "2026-05-16T23:59:59.999999Z"),
            ("2 days ago", "2026-05-15T06:40:00Z"),
            ("an hour ago", "2026-05-17T05:40:00Z"),
            ("3 months ago", "2026-02-17T06:40:00Z"),
            ("1h 30m ago", "2026-05-17T05:10:00Z"),
            ("1.5 hours ago", "2026-05-17T05:10:00Z"),
            ("1.5 days ago", "2026-05-15T18:40:00Z"),
            ("0.5d ago", "2026-05-16T18:40:00Z"),
            ("1.5 weeks ago", "2026-05-06T18:40:00Z"),
            ("2026-05-16T12Z", "2026-05-16T12:00:00Z"),
        ] {
            assert_eq!(read(text, TimeEnd::Last), expected, "{text:?}");
        }
        assert_eq!(read("2026-05-17", TimeEnd::First), "2026-05-17T00:00:00Z");
    }

    #[test]
    fn an_invalid_time_gets_an_error_that_says_what_is_wrong() {
        for (text, expected) in [
            ("soon", "expected a time"),
            ("", "expected a time"),
            ("2026-05-16T18:00:00", "a time of day needs a zone"),
            ("2026-01-05T12", "a time of day needs a zone"),
            ("2026-01-05 12", "a time of day needs a zone"),
            ("20260105T12", "a time of day needs a zone"),
            ("2026-02-29", "there is no such day"),
            ("2026-01-05[Europe/Berlin]", "a date is a day in UTC"),
            ("2026-07-01T12:00:00+05:00[Europe/Berlin]", "the zone in brackets"),
            ("2026-07-01T12:00:00+24:00", "an offset from UTC must be less"),
            ("2026-07-01T12:00:60Z", "second 60 exists"),
            ("1.5 months ago", "\"1.5 months\" is not a duration"),
            ("-1.5 days ago", "\"-1.5 days\" is not a duration"),
            ("2 fortnights ago", "\"2 fortnights\" is not a duration"),
            ("-2 days ago", "\"-2 days\" is not a duration"),
            ("13000 years ago", "that is too long ago"),
        ] {
            assert!(read(text, TimeEnd::Last).starts_with(expected), "{text:?}: {}", read(text, TimeEnd::Last));
        }
    }

    #[test]
    fn an_age_has_one_unit() {
        for (seconds, expected) in [(0, "just now"), (1, "1 second ago"), (7_300, "2 hours ago"), (86_400, "1 day ago")]
        {
            assert_eq!(ago(seconds * 1_000_000).as_deref(), Some(expected));
        }
        assert_eq!(ago(-1), None);
    }
}
