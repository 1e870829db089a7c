//! Weekdays: `on Wednesday`, `Tuesday at 6 p.m.`, `last Friday`.
//!
//! A weekday is the latest one at or before the day that it is told from. What was changed can't have been changed
//! before it was published: of a change, the weekday is also the first one at or after the publication, and where
//! the two are not the same day, nobody can say which is meant.

use jiff::Span;
use jiff::civil::{Date, Weekday};

use crate::model::Precision;

use super::absolute;
use super::words::{Token, weekday};

/// A weekday as named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named {
    weekday: Weekday,
    /// Whether it is the last one: `last Friday`.
    last: bool,
}

impl Named {
    /// The date that is meant on `day`.
    pub(super) fn before(self, day: Date) -> Option<(Date, Precision)> {
        let days = i64::from(day.weekday().since(self.weekday));
        let latest = days_before(day, days)?;
        if !self.last {
            return Some((latest, Precision::Day));
        }
        let week_before = days_before(latest, 7)?;
        match days {
            // Said on a Friday, "last Friday" is no other.
            0 => Some((week_before, Precision::Day)),
            // Said on a Monday, it is three days ago or ten.
            _ => (latest.first_of_month() == week_before.first_of_month()).then_some((latest, Precision::Month)),
        }
    }

    /// The date that is meant for a change to what was published on `published`, on a page seen on `day`.
    pub(super) fn between(self, published: Date, day: Option<Date>) -> Option<(Date, Precision)> {
        let days = i64::from(self.weekday.since(published.weekday()));
        let first = published.checked_add(Span::new().try_days(days).ok()?).ok()?;
        let Some(day) = day else { return (!self.last).then_some((first, Precision::Day)) };
        let (latest, precision) = self.before(day)?;
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

/// Reads a line that names a weekday, with or without a part or a time of the day, and says nothing else.
pub(super) fn read(tokens: &[Token]) -> Option<Named> {
    let rest = match tokens {
        [Token::Word(word), rest @ ..] if word == "on" => rest,
        _ => tokens,
    };
    let (last, rest) = match rest {
        [Token::Word(word), rest @ ..] if word == "last" => (true, rest),
        _ => (false, rest),
    };
    let [Token::Word(name), rest @ ..] = rest else { return None };
    let weekday = weekday(name)?;
    (is_part_of_day(rest) || absolute::time_of_day(rest).is_some()).then_some(Named { weekday, last })
}

/// Whether the tokens name a part of the day, or nothing.
fn is_part_of_day(rest: &[Token]) -> bool {
    match rest {
        [] => true,
        [Token::Word(part)] => matches!(part.as_str(), "morning" | "afternoon" | "evening" | "night"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::super::words::tokens;
    use super::*;

    fn named(words: &str) -> Named {
        read(&tokens(words)).unwrap()
    }

    #[test]
    fn a_weekday_is_the_latest_one() {
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
        // Both Fridays are of one month.
        assert_eq!(named("last Friday").before(date(2025, 11, 22)), Some((date(2025, 11, 21), Precision::Month)));
        assert_eq!(named("Sunday").before(date(1, 1, 1)), None);
    }

    #[test]
    fn a_change_follows_what_it_changes() {
        // A Monday, and the Saturday after it.
        let (published, page) = (date(2025, 11, 3), date(2025, 11, 8));
        let wednesday = Some((date(2025, 11, 5), Precision::Day));
        assert_eq!(named("Wednesday").between(published, Some(page)), wednesday);
        assert_eq!(named("Wednesday").between(published, None), wednesday);
        assert_eq!(named("Monday").between(published, Some(page)), Some((published, Precision::Day)));
        // Not yet on the day of the page, or one of several since.
        assert_eq!(named("Sunday").between(published, Some(page)), None);
        assert_eq!(named("Wednesday").between(date(2025, 9, 1), Some(page)), None);
        assert_eq!(named("last Friday").between(published, None), None);
    }
}
