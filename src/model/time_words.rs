//! Times as people type them: RFC 3339, a date, a month, a year, `yesterday`, `2 days ago`.
//!
//! A date without a time of day is a day in UTC, whatever the machine's time zone, so it means the same everywhere. The
//! date stands for the last microsecond of that day, so that a read at 2026-05-16 shows the article as it was when the
//! day ended. Today has not ended yet, so today's date stands for the present. The same is true of months and years.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, ToSpan, Zoned};

use super::{TimeTextError, Timestamp};

/// Which end of its day, month or year a date stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeEnd {
    /// The first microsecond.
    First,
    /// The last microsecond, or now if it has not ended.
    Last,
}

/// Parses RFC 3339, a date, a month, a year, `now`, `today`, `yesterday`, or a duration such as `2 days ago`.
pub(crate) fn parse(text: &str, now: Timestamp, end: TimeEnd) -> Result<Timestamp, String> {
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
        Err(TimeTextError::Syntax) => of_month_or_year(text, now, end).ok_or_else(|| {
            "expected a time: 2026-05-16T18:00:00Z, 2026-05-16, 2026-05, now, yesterday or \"2 days ago\"".to_owned()
        }),
        instant => instant.map_err(|error| error.to_string()),
    }
}

fn of_day(date: Date, now: Timestamp, end: TimeEnd) -> Timestamp {
    of_days(date, date.saturating_add(1.day()), now, end)
}

/// Parses a month or a year: `2026-05`, `2026`.
fn of_month_or_year(text: &str, now: Timestamp, end: TimeEnd) -> Option<Timestamp> {
    let (year, month) = text.split_once('-').map_or((text, None), |(year, month)| (year, Some(month)));
    let has_digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if !has_digits(year, 4) || !month.is_none_or(|month| has_digits(month, 2)) {
        return None;
    }
    let first = Date::new(year.parse().ok()?, month.map_or(Some(1), |month| month.parse().ok())?, 1).ok()?;
    if first.year() == 0 {
        return None;
    }
    let length = if month.is_some() { 1.month() } else { 1.year() };
    Some(of_days(first, first.saturating_add(length), now, end))
}

/// The days from `from` on and before `until`.
fn of_days(from: Date, until: Date, now: Timestamp, end: TimeEnd) -> Timestamp {
    let midnight = |date: Date| date.to_datetime(Time::midnight()).to_zoned(TimeZone::UTC);
    let first = midnight(from).map_or(Timestamp::MAX, |start| start.timestamp().into());
    let last = midnight(until).map_or(Timestamp::MAX, |next| next.timestamp().into());
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
            ("2026-02", "2026-02-28T23:59:59.999999Z"),
            ("2025", "2025-12-31T23:59:59.999999Z"),
            ("2026-05", "2026-05-17T06:40:00Z"),
            ("2026", "2026-05-17T06:40:00Z"),
        ] {
            assert_eq!(read(text, TimeEnd::Last), expected, "{text:?}");
        }
        assert_eq!(read("2026-05-17", TimeEnd::First), "2026-05-17T00:00:00Z");
        assert_eq!(read("2026-02", TimeEnd::First), "2026-02-01T00:00:00Z");
        assert_eq!(read("2026", TimeEnd::First), "2026-01-01T00:00:00Z");
    }

    #[test]
    fn an_invalid_time_gets_an_error_that_says_what_is_wrong() {
        for (text, expected) in [
            ("soon", "expected a time"),
            ("", "expected a time"),
            ("2026-13", "expected a time"),
            ("0000", "expected a time"),
            ("2026-5", "expected a time"),
            ("20260", "expected a time"),
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
}
