//! Times as people type and read them. How they are parsed is in `model/time_words.rs`.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::count;
use crate::clock::{Clock, SystemClock};
use crate::model::Timestamp;
pub(super) use crate::model::time_words::{TimeEnd, parse};

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

    #[test]
    fn an_age_has_one_unit() {
        for (seconds, expected) in [(0, "just now"), (1, "1 second ago"), (7_300, "2 hours ago"), (86_400, "1 day ago")]
        {
            assert_eq!(ago(seconds * 1_000_000).as_deref(), Some(expected));
        }
        assert_eq!(ago(-1), None);
    }
}
