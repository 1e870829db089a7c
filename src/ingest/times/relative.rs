//! Parses times relative to the page's date: `2 months ago`, `yesterday`, `on Wednesday`.

use jiff::Span;
use jiff::civil::Date;

use crate::model::Precision;

use super::weekday::{self, NamedWeekday};
use super::words::{TimeToken, tokens};

/// A time relative to a day, which is usually the page's date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relative {
    /// A duration before the day, such as `2 months ago`.
    Ago(Ago),
    /// A named weekday, such as `on Wednesday`.
    Weekday(NamedWeekday),
}

impl Relative {
    /// The date that the words mean on `day`; `None` if that is ambiguous or before the year 1.
    pub(super) fn seen_from(self, day: Date) -> Option<(Date, Precision)> {
        match self {
            Self::Ago(ago) => ago.before(day),
            Self::Weekday(named) => named.before(day),
        }
    }
}

/// How long ago, and with what precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ago {
    months: i64,
    days: i64,
    hours: i64,
    precision: Precision,
}

impl Ago {
    const NOW: Self = Self { months: 0, days: 0, hours: 0, precision: Precision::Day };

    /// The date this long before `day`; `None` if that is before the year 1.
    fn before(self, day: Date) -> Option<(Date, Precision)> {
        // Hours are rounded to whole days; 12 hours or more round up.
        let days = self.days.checked_add(self.hours.checked_add(12)?.checked_div(24)?)?;
        let span = Span::new().try_months(self.months).ok()?.try_days(days).ok()?;
        Some((day.checked_sub(span).ok()?, self.precision)).filter(|(date, _)| *date >= Date::constant(1, 1, 1))
    }

    fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            months: self.months.checked_add(other.months)?,
            days: self.days.checked_add(other.days)?,
            hours: self.hours.checked_add(other.hours)?,
            precision: self.precision.min(other.precision),
        })
    }
}

/// Reads a line that consists of a relative time.
pub(super) fn read(line: &str) -> Option<Relative> {
    let tokens = tokens(line);
    let weekday = || weekday::read(&tokens).map(Relative::Weekday);
    span(&tokens).map(Relative::Ago).or_else(weekday)
}

/// `2 months ago`, `yesterday`.
fn span(tokens: &[TimeToken]) -> Option<Ago> {
    let pieces: Option<Vec<&str>> = tokens.iter().map(piece).collect();
    let pieces = pieces?;
    match without_hedge(&pieces) {
        ["today"] | ["now"] | ["just", "now"] | ["moments", "ago"] | ["earlier", "today"] => Some(Ago::NOW),
        ["yesterday"] => ago("1", "day"),
        ["last", unit @ ("week" | "month" | "year")] => ago("1", unit),
        [spans @ .., "ago"] => total(spans),
        _ => None,
    }
}

fn piece(token: &TimeToken) -> Option<&str> {
    match token {
        TimeToken::Number(text) | TimeToken::Word(text) => Some(text),
        TimeToken::Mark(_) => None,
    }
}

/// Strips a leading hedge such as `about`, which does not change how the words are read.
fn without_hedge<'a>(pieces: &'a [&'a str]) -> &'a [&'a str] {
    match pieces {
        ["about" | "around" | "over" | "almost" | "nearly" | "roughly", rest @ ..] => rest,
        ["more" | "less", "than", rest @ ..] => rest,
        _ => pieces,
    }
}

/// The sum of durations such as `1 year 2 months` or `1 hour and 5 minutes`, with the precision of the finest unit.
fn total(spans: &[&str]) -> Option<Ago> {
    match spans {
        [count, unit] => ago(count, unit),
        [count, unit, "and", rest @ ..] | [count, unit, rest @ ..] => ago(count, unit)?.plus(total(rest)?),
        _ => None,
    }
}

fn ago(count: &str, unit: &str) -> Option<Ago> {
    let count = number(count)?;
    let days = |days, precision| Some(Ago { days, precision, ..Ago::NOW });
    let months = |months, precision| Some(Ago { months, precision, ..Ago::NOW });
    match unit {
        "second" | "seconds" | "sec" | "secs" | "s" => Some(Ago { hours: count / 3_600, ..Ago::NOW }),
        "minute" | "minutes" | "min" | "mins" | "m" => Some(Ago { hours: count / 60, ..Ago::NOW }),
        "hour" | "hours" | "hr" | "hrs" | "h" => Some(Ago { hours: count, ..Ago::NOW }),
        "day" | "days" | "d" => days(count, Precision::Day),
        "week" | "weeks" | "wk" | "wks" | "w" => days(count.checked_mul(7)?, Precision::Month),
        "month" | "months" | "mo" | "mos" | "mth" | "mths" => months(count, Precision::Month),
        "year" | "years" | "yr" | "yrs" | "y" => months(count.checked_mul(12)?, Precision::Year),
        _ => None,
    }
}

fn number(word: &str) -> Option<i64> {
    const NUMBERS: [&str; 12] =
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    if matches!(word, "a" | "an") {
        return Some(1);
    }
    match NUMBERS.iter().position(|name| *name == word) {
        Some(index) => i64::try_from(index + 1).ok(),
        None => word.parse().ok(),
    }
}
