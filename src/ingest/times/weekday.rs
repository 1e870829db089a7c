//! Parses weekdays: `on Wednesday`, `Tuesday at 6 p.m.`, `last Friday`.
//!
//! A weekday means the latest such day on or before the page's date. The weekday of a change also has to be the first
//! such day on or after the publication, since nothing is changed before it is published. If the two days differ, the
//! weekday is ambiguous.

use jiff::Span;
use jiff::civil::{Date, Weekday};

use crate::model::Precision;

use super::absolute;
use super::words::{TimeToken, weekday};

/// A weekday as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NamedWeekday {
    weekday: Weekday,
    /// Whether the word `last` precedes the weekday: `last Friday`.
    last: bool,
}

impl NamedWeekday {
    /// The date that the words mean on `day`; `None` if that is ambiguous or before the year 1.
    pub(super) fn before(self, day: Date) -> Option<(Date, Precision)> {
        let days = i64::from(day.weekday().since(self.weekday));
        let latest = days_before(day, days)?;
        if !self.last {
            return Some((latest, Precision::Day));
        }
        let week_before = days_before(latest, 7)?;
        match days {
            // On a Friday, "last Friday" can only be a week ago.
            0 => Some((week_before, Precision::Day)),
            // On a Monday, "last Friday" can be three or ten days ago.
            _ => (latest.first_of_month() == week_before.first_of_month()).then_some((latest, Precision::Month)),
        }
    }

    /// The date that the words mean as the time of a change, on a page dated `page_date`, to an article that was
    /// published on `published`; `None` if that is ambiguous.
    pub(super) fn between(self, published: Date, page_date: Option<Date>) -> Option<(Date, Precision)> {
        let days = i64::from(self.weekday.since(published.weekday()));
        let first = published.checked_add(Span::new().try_days(days).ok()?).ok()?;
        let Some(page_date) = page_date else { return (!self.last).then_some((first, Precision::Day)) };
        let (latest, precision) = self.before(page_date)?;
        match precision {
            Precision::Month | Precision::Year => Some((latest, precision)),
            Precision::Instant | Precision::Day => (first == latest).then_some((latest, precision)),
        }
    }
}

fn days_before(day: Date, days: i64) -> Option<Date> {
    let date = day.checked_sub(Span::new().try_days(days).ok()?).ok()?;
    Some(date).filter(|date| *date >= Date::constant(1, 1, 1))
}

/// Reads a line that consists of a weekday, with or without a part of the day or a time of day.
pub(super) fn read(tokens: &[TimeToken]) -> Option<NamedWeekday> {
    let rest = match tokens {
        [TimeToken::Word(word), rest @ ..] if word == "on" => rest,
        _ => tokens,
    };
    let (last, rest) = match rest {
        [TimeToken::Word(word), rest @ ..] if word == "last" => (true, rest),
        _ => (false, rest),
    };
    let [TimeToken::Word(name), rest @ ..] = rest else { return None };
    let weekday = weekday(name)?;
    (is_part_of_day(rest) || absolute::time_of_day(rest).is_some()).then_some(NamedWeekday { weekday, last })
}

/// Whether the tokens are a part of the day, or empty.
fn is_part_of_day(rest: &[TimeToken]) -> bool {
    match rest {
        [] => true,
        [TimeToken::Word(part)] => matches!(part.as_str(), "morning" | "afternoon" | "evening" | "night"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::super::words::tokens;
    use super::*;

    fn named(words: &str) -> NamedWeekday {
        read(&tokens(words)).unwrap()
    }

    #[test]
    fn a_weekday_means_the_latest_such_day() {
        // A Saturday.
        let day = date(2025, 11, 8);
        for (words, expected) in [
            ("Saturday", Some((date(2025, 11, 8), Precision::Day))),
            ("on Friday", Some((date(2025, 11, 7), Precision::Day))),
            ("Sunday", Some((date(2025, 11, 2), Precision::Day))),
            ("last Saturday", Some((date(2025, 11, 1), Precision::Day))),
            // 7 November, or 31 October.
            ("last Friday", None),
        ] {
            assert_eq!(named(words).before(day), expected, "{words:?}");
        }
        // Both Fridays are in the same month.
        assert_eq!(named("last Friday").before(date(2025, 11, 22)), Some((date(2025, 11, 21), Precision::Month)));
        assert_eq!(named("Sunday").before(date(1, 1, 1)), None);
    }

    #[test]
    fn a_change_is_never_before_the_publication() {
        // A Monday, and the Saturday after it.
        let (published, page) = (date(2025, 11, 3), date(2025, 11, 8));
        let wednesday = Some((date(2025, 11, 5), Precision::Day));
        assert_eq!(named("Wednesday").between(published, Some(page)), wednesday);
        assert_eq!(named("Wednesday").between(published, None), wednesday);
        assert_eq!(named("Monday").between(published, Some(page)), Some((published, Precision::Day)));
        // After the page's date, or one of several weeks since publication.
        assert_eq!(named("Sunday").between(published, Some(page)), None);
        assert_eq!(named("Wednesday").between(date(2025, 9, 1), Some(page)), None);
        assert_eq!(named("last Friday").between(published, None), None);
    }
}
