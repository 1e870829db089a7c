//! Parses absolute dates and times in the forms that pages and front matter use. A line is split into tokens, and each
//! form is a sequence of tokens.
//!
//! A parser takes the tokens that are still unread, `rest`, and moves `rest` past what it reads. If it returns `None`,
//! the position of `rest` is undefined, so a caller that has another form to try passes a copy.

use jiff::civil::{Date, ISOWeekDate, Time, Weekday};
use jiff::tz::Offset;

use crate::model::Precision;

use super::words::{TimeToken, month, tokens, weekday};

/// A date, with or without a time of day, as written: not converted to UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WrittenTime {
    /// The date in the zone it was written in. If the line states no day, the first day of the month or year.
    pub(super) date: Date,
    /// The precision of the date alone: day, month or year.
    pub(super) precision: Precision,
    /// The time of day, and its offset from UTC if the line states an unambiguous one.
    pub(super) time_of_day: Option<(Time, Option<Offset>)>,
}

/// Reads a line that consists of a date, with or without a time of day, and nothing else.
pub(super) fn read(line: &str) -> Option<WrittenTime> {
    let tokens = tokens(line);
    let mut rest = tokens.as_slice();
    let mut written = date(&mut rest)?;
    if rest.is_empty() {
        return Some(written);
    }
    if written.precision != Precision::Day {
        return None;
    }
    written.time_of_day = Some(time_of_day(rest)?);
    Some(written)
}

/// Reads what may follow a date or weekday: a time of day, and its offset from UTC if the rest states an unambiguous
/// one. Nothing else may follow.
pub(super) fn time_of_day(mut rest: &[TimeToken]) -> Option<(Time, Option<Offset>)> {
    skip_separator(&mut rest);
    let clock = basic_clock(&mut rest).or_else(|| clock(&mut rest))?;
    let zone = zone(rest)?;
    Some((clock.validated(zone)?, zone))
}

/// A time of day as written, on the 24-hour clock. Not validated: the fields may be out of range, and second 60 is a
/// leap second.
struct ClockTime {
    hour: u32,
    minute: u32,
    second: u32,
    nanos: i32,
}

impl ClockTime {
    /// Validates the time of day. A leap second, second 60, becomes the last microsecond of its minute. It is valid
    /// only in the UTC minute 23:59.
    fn validated(&self, zone: Option<Offset>) -> Option<Time> {
        let small = |number: u32| i8::try_from(number).ok();
        let (hour, minute) = (small(self.hour)?, small(self.minute)?);
        if self.second != 60 {
            return Time::new(hour, minute, small(self.second)?, self.nanos).ok();
        }
        let time = Time::new(hour, minute, 59, 999_999_000).ok()?;
        // The end of the minute has to be midnight in UTC. Offsets from UTC are multiples of a quarter of an hour, so
        // without a zone, the last minute of any quarter may be 23:59 UTC.
        let ends_utc_day = match zone {
            Some(zone) => (i32::from(hour) * 60 + i32::from(minute) + 1 - zone.seconds() / 60) % (24 * 60) == 0,
            None => minute % 15 == 14,
        };
        ends_utc_day.then_some(time)
    }
}

/// Reads the date at the start of a line and ignores the rest. `None` unless the date has a day.
pub(super) fn read_leading_date(line: &str) -> Option<WrittenTime> {
    date(&mut tokens(line).as_slice()).filter(|written| written.precision == Precision::Day)
}

/// Reads a date, with or without a weekday before it. The weekday is not checked against the date.
fn date(rest: &mut &[TimeToken]) -> Option<WrittenTime> {
    if let [TimeToken::Word(word), after @ ..] = *rest
        && weekday(word).is_some()
    {
        *rest = after;
    }
    // `year_alone` is last, because it would read the start of other forms.
    let forms =
        [year_first, week_date, ordinal, basic, day_month_year, month_day_year, numeric, month_year, year_alone];
    forms.iter().find_map(|form| {
        let mut tokens = *rest;
        let written = form(&mut tokens)?;
        *rest = tokens;
        Some(written)
    })
}

/// `2025-11-08` or `2025/11/08`. Without a day only a hyphen is accepted, as in `2025-11`.
fn year_first(rest: &mut &[TimeToken]) -> Option<WrittenTime> {
    let year = number(rest, 4, 4)?;
    let separator = mark(rest, &['-', '/'])?;
    let month = number(rest, 1, 2)?;
    let mut after = *rest;
    if mark(&mut after, &[separator]).is_some() {
        let day = number(&mut after, 1, 2)?;
        *rest = after;
        return written_date(year, month, day, Precision::Day);
    }
    (separator == '-').then(|| written_date(year, month, 1, Precision::Month))?
}

/// ISO 8601's week date: `2025-W45-6`, the Saturday of week 45.
fn week_date(rest: &mut &[TimeToken]) -> Option<WrittenTime> {
    let year = number(rest, 4, 4)?;
    mark(rest, &['-'])?;
    skip_word(rest, &["w"])?;
    let week = number(rest, 2, 2)?;
    mark(rest, &['-'])?;
    let weekday = Weekday::from_monday_one_offset(i8::try_from(number(rest, 1, 1)?).ok()?).ok()?;
    let date = ISOWeekDate::new(i16::try_from(year).ok()?, i8::try_from(week).ok()?, weekday).ok()?.date();
    (date.year() > 0).then_some(WrittenTime { date, precision: Precision::Day, time_of_day: None })
}

/// ISO 8601's ordinal date: `2025-312`, day 312 of the year.
fn ordinal(rest: &mut &[TimeToken]) -> Option<WrittenTime> {
    let year = i16::try_from(number(rest, 4, 4)?).ok()?;
    mark(rest, &['-'])?;
    let day = i16::try_from(number(rest, 3, 3)?).ok()?;
    let date = Date::new(year, 1, 1).ok()?.with().day_of_year(day).build().ok()?;
    (year > 0).then_some(WrittenTime { date, precision: Precision::Day, time_of_day: None })
}

/// ISO 8601's basic form, `20251108`.
fn basic(rest: &mut &[TimeToken]) -> Option<WrittenTime> {
    let digits = number(rest, 8, 8)?;
    written_date(digits / 10_000, digits / 100 % 100, digits % 100, Precision::Day)
}

/// `8 November 2025`, `8th of November, 2025`.
fn day_month_year(rest: &mut &[TimeToken]) -> Option<WrittenTime> {
    let day = day(rest)?;
    skip_word(rest, &["of"]);
    let month = month_word(rest)?;
    let year = number(rest, 4, 4)?;
    written_date(year, month, day, Precision::Day)
}

/// `November 8, 2025`, `Nov. 8th 2025`.
fn month_day_year(rest: &mut &[TimeToken]) -> Option<WrittenTime> {
    let month = month_word(rest)?;
    let day = day(rest)?;
    let year = number(rest, 4, 4)?;
    written_date(year, month, day, Precision::Day)
}

/// `08.11.2025`, the day first. With slashes, such as `28/11/2025` or `11/28/2025`, only if both orders of day and
/// month give the same date, or just one gives a valid date.
fn numeric(rest: &mut &[TimeToken]) -> Option<WrittenTime> {
    let first = number(rest, 1, 2)?;
    let separator = mark(rest, &['.', '/'])?;
    let second = number(rest, 1, 2)?;
    mark(rest, &[separator])?;
    let year = number(rest, 4, 4)?;
    let day_first = written_date(year, second, first, Precision::Day);
    let month_first = written_date(year, first, second, Precision::Day);
    match (day_first, month_first) {
        (day_first, _) if separator == '.' => day_first,
        (Some(day_first), Some(month_first)) => (day_first == month_first).then_some(day_first),
        (one, other) => one.or(other),
    }
}

fn month_year(rest: &mut &[TimeToken]) -> Option<WrittenTime> {
    let month = month_word(rest)?;
    let year = number(rest, 4, 4)?;
    written_date(year, month, 1, Precision::Month)
}

fn year_alone(rest: &mut &[TimeToken]) -> Option<WrittenTime> {
    let year = number(rest, 4, 4)?;
    written_date(year, 1, 1, Precision::Year)
}

fn written_date(year: u32, month: u32, day: u32, precision: Precision) -> Option<WrittenTime> {
    let (year, month, day) = (i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    let date = Date::new(year, month, day).ok().filter(|_| year > 0)?;
    Some(WrittenTime { date, precision, time_of_day: None })
}

/// `18:00`, `18:00:30.5`, `18.30`, `6:30 p.m.`, `6 pm`.
fn clock(rest: &mut &[TimeToken]) -> Option<ClockTime> {
    let hour = number(rest, 1, 2)?;
    let mut minute = None;
    let (mut second, mut nanos) = (0, 0);
    if mark(rest, &[':', '.']).is_some() {
        minute = Some(number(rest, 2, 2)?);
        if mark(rest, &[':']).is_some() {
            second = number(rest, 2, 2)?;
            if mark(rest, &['.']).is_some() {
                nanos = fraction(rest)?;
            }
        }
    }
    let hour = match skip_word(rest, &["am", "pm"]).as_deref() {
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some("pm") => hour % 12 + 12,
        Some(_) => hour % 12,
        // A number alone, such as `18`, is not a time of day.
        None => minute.map(|_| hour)?,
    };
    Some(ClockTime { hour, minute: minute.unwrap_or(0), second, nanos })
}

/// The time of day of ISO 8601's basic form: `180000`.
fn basic_clock(rest: &mut &[TimeToken]) -> Option<ClockTime> {
    let mut after = *rest;
    let digits = number(&mut after, 6, 6)?;
    *rest = after;
    Some(ClockTime { hour: digits / 10_000, minute: digits / 100 % 100, second: digits % 100, nanos: 0 })
}

/// The digits after a decimal point, in nanoseconds. Digits after the ninth are ignored.
fn fraction(rest: &mut &[TimeToken]) -> Option<i32> {
    let [TimeToken::Number(digits), after @ ..] = *rest else { return None };
    *rest = after;
    let nanos: String = digits.chars().chain("000000000".chars()).take(9).collect();
    nanos.parse().ok()
}

/// Reads the rest of a line as a time zone. `None` means that it is not a zone. `Some(None)` means that the zone is
/// missing or ambiguous: `EST` is New York or Sydney, `ET` depends on the season. Any one to three words count as the
/// name of an ambiguous zone.
fn zone(rest: &[TimeToken]) -> Option<Option<Offset>> {
    match rest {
        [TimeToken::Mark('('), inner @ .., TimeToken::Mark(')')] => zone(inner),
        [named @ .., TimeToken::Mark(')' | ']')] => zone(before_comment(named)?),
        [TimeToken::Word(word)] if matches!(word.as_str(), "z" | "utc" | "gmt") => Some(Some(Offset::UTC)),
        [TimeToken::Word(word)] if word == "cet" => Some(Offset::from_hours(1).ok()),
        [TimeToken::Word(word)] if word == "cest" => Some(Offset::from_hours(2).ok()),
        [TimeToken::Word(word), offset @ ..] if matches!(word.as_str(), "utc" | "gmt") => {
            numeric_zone(offset).map(Some)
        }
        [TimeToken::Mark(_), ..] => numeric_zone(rest).map(Some),
        words => (words.len() <= 3 && words.iter().all(|token| matches!(token, TimeToken::Word(_)))).then_some(None),
    }
}

/// The part before the brackets that repeat the zone's name: `GMT+0100 (Central European Time)`,
/// `+01:00[Europe/Berlin]`.
fn before_comment(rest: &[TimeToken]) -> Option<&[TimeToken]> {
    let open = rest.iter().rposition(|token| matches!(token, TimeToken::Mark('(' | '[')))?;
    rest.get(..open).filter(|before| !before.is_empty())
}

/// An offset from UTC: `+01:00`, `-0400`, `+2`.
fn numeric_zone(rest: &[TimeToken]) -> Option<Offset> {
    let (sign, digits, minutes) = match rest {
        [TimeToken::Mark(sign), TimeToken::Number(hours), TimeToken::Mark(':'), TimeToken::Number(minutes)] => {
            (sign, hours.clone(), minutes.clone())
        }
        [TimeToken::Mark(sign), TimeToken::Number(digits)] if digits.len() == 4 => {
            let (hours, minutes) = digits.split_at(2);
            (sign, hours.to_owned(), minutes.to_owned())
        }
        [TimeToken::Mark(sign), TimeToken::Number(hours)] => (sign, hours.clone(), String::from("0")),
        _ => return None,
    };
    let sign = match sign {
        '+' => 1,
        '-' | '\u{2212}' => -1,
        _ => return None,
    };
    let (hours, minutes) =
        (digits.parse::<u8>().ok().filter(|h| *h < 24)?, minutes.parse::<u8>().ok().filter(|m| *m < 60)?);
    Offset::from_seconds(sign * (i32::from(hours) * 3_600 + i32::from(minutes) * 60)).ok()
}

/// A number of `digits_min` to `digits_max` digits, leading zeros included.
fn number(rest: &mut &[TimeToken], digits_min: usize, digits_max: usize) -> Option<u32> {
    let [TimeToken::Number(digits), after @ ..] = *rest else { return None };
    *rest = after;
    if (digits_min..=digits_max).contains(&digits.len()) { digits.parse().ok() } else { None }
}

fn day(rest: &mut &[TimeToken]) -> Option<u32> {
    let day = number(rest, 1, 2)?;
    skip_word(rest, &["st", "nd", "rd", "th"]);
    Some(day)
}

fn month_word(rest: &mut &[TimeToken]) -> Option<u32> {
    let [TimeToken::Word(word), after @ ..] = *rest else { return None };
    *rest = after;
    month(word).and_then(|month| u32::try_from(month).ok())
}

/// Reads a punctuation mark that is one of `marks`. Any other token is left unread.
fn mark(rest: &mut &[TimeToken], marks: &[char]) -> Option<char> {
    let [TimeToken::Mark(mark), after @ ..] = *rest else { return None };
    let mark = marks.iter().copied().find(|known| known == mark)?;
    *rest = after;
    Some(mark)
}

/// Skips a word that is one of `words`, and returns it. Any other token is left unread.
fn skip_word(rest: &mut &[TimeToken], words: &[&str]) -> Option<String> {
    let [TimeToken::Word(word), after @ ..] = *rest else { return None };
    let word = words.contains(&word.as_str()).then(|| word.clone())?;
    *rest = after;
    Some(word)
}

/// Skips what may separate a date from a time of day: `T`, `at`, a dash, a vertical bar or a middle dot.
fn skip_separator(rest: &mut &[TimeToken]) {
    if skip_word(rest, &["t", "at"]).is_none() {
        mark(rest, &['-', '–', '—', '|', '·', '•']);
    }
}
