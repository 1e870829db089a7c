//! Parses absolute dates and instants as pages and front matter write them. A line is split into tokens, and each form
//! is a sequence of tokens.

use jiff::civil::{Date, ISOWeekDate, Time, Weekday};
use jiff::tz::Offset;

use crate::model::Precision;

use super::words::{TimeToken, month, tokens, weekday};

/// A point in time as written, not converted to UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WrittenTime {
    /// The date in the zone in which it is written; the first day of the month or year if no day is given.
    pub(super) date: Date,
    /// Precision of the date alone: day, month or year.
    pub(super) precision: Precision,
    /// The time of day, with its zone if that is unambiguous.
    pub(super) clock: Option<(Time, Option<Offset>)>,
}

/// Reads a line that consists of a date, with or without a time of day.
pub(super) fn read(line: &str) -> Option<WrittenTime> {
    let tokens = tokens(line);
    let mut rest = tokens.as_slice();
    let mut moment = date(&mut rest)?;
    if rest.is_empty() {
        return Some(moment);
    }
    if moment.precision != Precision::Day {
        return None;
    }
    moment.clock = Some(time_of_day(rest)?);
    Some(moment)
}

/// Reads what may follow a date or weekday: a time of day, with its zone if that is unambiguous.
pub(super) fn time_of_day(mut rest: &[TimeToken]) -> Option<(Time, Option<Offset>)> {
    skip_joint(&mut rest);
    let clock = basic_clock(&mut rest).or_else(|| clock(&mut rest))?;
    let zone = zone(rest)?;
    Some((clock.time_in(zone)?, zone))
}

/// A time of day as written. The seconds may be 60.
struct ClockTime {
    hour: u32,
    minute: u32,
    second: u32,
    nanos: i32,
}

impl ClockTime {
    /// The time of day. Second 60 becomes the last microsecond of its minute, and is valid only in the UTC minute
    /// 23:59.
    fn time_in(&self, zone: Option<Offset>) -> Option<Time> {
        let small = |number: u32| i8::try_from(number).ok();
        let (hour, minute) = (small(self.hour)?, small(self.minute)?);
        if self.second != 60 {
            return Time::new(hour, minute, small(self.second)?, self.nanos).ok();
        }
        let time = Time::new(hour, minute, 59, 999_999_000).ok()?;
        // Offsets from UTC are multiples of a quarter of an hour.
        let is_last = match zone {
            Some(zone) => (i32::from(hour) * 60 + i32::from(minute) + 1 - zone.seconds() / 60) % (24 * 60) == 0,
            None => minute % 15 == 14,
        };
        is_last.then_some(time)
    }
}

/// Reads the date at the start of a line and ignores the rest.
pub(super) fn read_leading_date(line: &str) -> Option<WrittenTime> {
    date(&mut tokens(line).as_slice()).filter(|moment| moment.precision == Precision::Day)
}

fn date(rest: &mut &[TimeToken]) -> Option<WrittenTime> {
    if let [TimeToken::Word(word), after @ ..] = *rest
        && weekday(word).is_some()
    {
        *rest = after;
    }
    let forms =
        [year_first, week_date, ordinal, basic, day_month_year, month_day_year, numeric, month_year, year_alone];
    forms.iter().find_map(|form| {
        let mut tokens = *rest;
        let moment = form(&mut tokens)?;
        *rest = tokens;
        Some(moment)
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
        return moment(year, month, day, Precision::Day);
    }
    (separator == '-').then(|| moment(year, month, 1, Precision::Month))?
}

/// ISO 8601's `2025-W45-6`, the Saturday of week 45.
fn week_date(rest: &mut &[TimeToken]) -> Option<WrittenTime> {
    let year = number(rest, 4, 4)?;
    mark(rest, &['-'])?;
    skip_word(rest, &["w"])?;
    let week = number(rest, 2, 2)?;
    mark(rest, &['-'])?;
    let weekday = Weekday::from_monday_one_offset(i8::try_from(number(rest, 1, 1)?).ok()?).ok()?;
    let date = ISOWeekDate::new(i16::try_from(year).ok()?, i8::try_from(week).ok()?, weekday).ok()?.date();
    (date.year() > 0).then_some(WrittenTime { date, precision: Precision::Day, clock: None })
}

/// ISO 8601's `2025-312`, the day of the year.
fn ordinal(rest: &mut &[TimeToken]) -> Option<WrittenTime> {
    let year = i16::try_from(number(rest, 4, 4)?).ok()?;
    mark(rest, &['-'])?;
    let day = i16::try_from(number(rest, 3, 3)?).ok()?;
    let date = Date::new(year, 1, 1).ok()?.with().day_of_year(day).build().ok()?;
    (year > 0).then_some(WrittenTime { date, precision: Precision::Day, clock: None })
}

/// ISO 8601's basic form, `20251108`.
fn basic(rest: &mut &[TimeToken]) -> Option<WrittenTime> {
    let digits = number(rest, 8, 8)?;
    moment(digits / 10_000, digits / 100 % 100, digits % 100, Precision::Day)
}

/// `8 November 2025`, `8th of November, 2025`.
fn day_month_year(rest: &mut &[TimeToken]) -> Option<WrittenTime> {
    let day = day(rest)?;
    skip_word(rest, &["of"]);
    let month = month_word(rest)?;
    let year = number(rest, 4, 4)?;
    moment(year, month, day, Precision::Day)
}

/// `November 8, 2025`, `Nov. 8th 2025`.
fn month_day_year(rest: &mut &[TimeToken]) -> Option<WrittenTime> {
    let month = month_word(rest)?;
    let day = day(rest)?;
    let year = number(rest, 4, 4)?;
    moment(year, month, day, Precision::Day)
}

/// `08.11.2025`, and `28/11/2025` or `11/28/2025` if only one order of day and month is a valid date.
fn numeric(rest: &mut &[TimeToken]) -> Option<WrittenTime> {
    let first = number(rest, 1, 2)?;
    let separator = mark(rest, &['.', '/'])?;
    let second = number(rest, 1, 2)?;
    mark(rest, &[separator])?;
    let year = number(rest, 4, 4)?;
    let day_first = moment(year, second, first, Precision::Day);
    let month_first = moment(year, first, second, Precision::Day);
    match (day_first, month_first) {
        (day_first, _) if separator == '.' => day_first,
        (Some(day_first), Some(month_first)) => (day_first == month_first).then_some(day_first),
        (one, other) => one.or(other),
    }
}

fn month_year(rest: &mut &[TimeToken]) -> Option<WrittenTime> {
    let month = month_word(rest)?;
    let year = number(rest, 4, 4)?;
    moment(year, month, 1, Precision::Month)
}

fn year_alone(rest: &mut &[TimeToken]) -> Option<WrittenTime> {
    let year = number(rest, 4, 4)?;
    moment(year, 1, 1, Precision::Year)
}

fn moment(year: u32, month: u32, day: u32, precision: Precision) -> Option<WrittenTime> {
    let (year, month, day) = (i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    let date = Date::new(year, month, day).ok().filter(|_| year > 0)?;
    Some(WrittenTime { date, precision, clock: None })
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

fn fraction(rest: &mut &[TimeToken]) -> Option<i32> {
    let [TimeToken::Number(digits), after @ ..] = *rest else { return None };
    *rest = after;
    let nanos: String = digits.chars().chain("000000000".chars()).take(9).collect();
    nanos.parse().ok()
}

/// Reads the rest of a line as a zone. `Some(None)` means that the zone is missing or ambiguous (`EST` is New York or
/// Sydney, `ET` depends on the season), and `None` that the rest is not a zone.
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

/// The part before brackets that repeat the zone's name: `GMT+0100 (Central European Time)`, `+01:00[Europe/Berlin]`.
fn before_comment(rest: &[TimeToken]) -> Option<&[TimeToken]> {
    let open = rest.iter().rposition(|token| matches!(token, TimeToken::Mark('(' | '[')))?;
    rest.get(..open).filter(|before| !before.is_empty())
}

/// `+01:00`, `-0400`, `+2`.
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

fn mark(rest: &mut &[TimeToken], marks: &[char]) -> Option<char> {
    let [TimeToken::Mark(mark), after @ ..] = *rest else { return None };
    let mark = marks.iter().copied().find(|known| known == mark)?;
    *rest = after;
    Some(mark)
}

fn skip_word(rest: &mut &[TimeToken], words: &[&str]) -> Option<String> {
    let [TimeToken::Word(word), after @ ..] = *rest else { return None };
    let word = words.contains(&word.as_str()).then(|| word.clone())?;
    *rest = after;
    Some(word)
}

/// Skips what may separate a date from a time of day: `T`, `at`, a dash, a bar or a dot.
fn skip_joint(rest: &mut &[TimeToken]) {
    if skip_word(rest, &["t", "at"]).is_none() {
        mark(rest, &['-', '–', '—', '|', '·', '•']);
    }
}
