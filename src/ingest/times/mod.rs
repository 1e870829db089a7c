//! Reads claimed times as pages write them, in English: `2 months ago`, `Nov. 8, 2025, 6 p.m. ET`, `2025-11-08`.
//!
//! A claim never becomes more precise than its words:
//!
//! | words | precision |
//! | --- | --- |
//! | a date with a time of day and an unambiguous zone | instant |
//! | a date, alone or with a time of day whose zone is missing or ambiguous ("ET") | day |
//! | a month and year; a year | month; year |
//! | seconds, minutes, hours ago; today | day, since the page's date has no time of day; hours are rounded to days |
//! | days ago, yesterday | day |
//! | weeks ago, last week | month, since "3 weeks ago" can be anything from 18 to 27 days |
//! | months ago, last month | month |
//! | years ago, last year | year |
//! | a weekday, with or without a part or time of the day | day: the latest such day, which may be the page's own |
//! | last Friday, on a Friday | day: one week before |
//! | last Friday, on another day | month, if the last two Fridays are in the same month; otherwise not read |
//! | next Friday, Friday week, a day and month without a year | not read |
//!
//! If the words say on which weekday an article was changed ([`claimed_change`]), the day is also counted from the
//! article's publication, and the words are not read if the two results differ.

mod absolute;
mod relative;
mod weekday;
mod words;

use jiff::civil::{Date, Time};
use jiff::tz::Offset;

use crate::model::{ClaimedTime, Precision, Timestamp};

use absolute::WrittenTime;
use relative::Relative;

/// Reads a claimed time. `None` if `words` has anything that is not part of the time.
///
/// Relative words count from `reference`, the page's date; without that date, they give `None`. `found_in` says where
/// in the document the words were, and is copied into the claim.
pub fn claimed_time(words: &str, reference: Option<Date>, found_in: &str) -> Option<ClaimedTime> {
    claimed_change(words, reference, None, found_in)
}

/// Like [`claimed_time`], for the time at which an article was changed. A weekday is also checked against the
/// publication time, if that is precise to the day, and counts from it if there is no `reference`.
pub fn claimed_change(
    words: &str,
    reference: Option<Date>,
    published: Option<&ClaimedTime>,
    found_in: &str,
) -> Option<ClaimedTime> {
    let words = words.trim();
    let absolute = absolute::read(words).and_then(instant_of);
    let relative = || match (relative::read(words)?, published.and_then(day_of)) {
        (Relative::Weekday(named), Some(published)) => {
            let (date, precision) = named.between(published, reference)?;
            start_of(date, precision)
        }
        (relative, _) => {
            let (date, precision) = relative.seen_from(reference?)?;
            start_of(date, precision)
        }
    };
    let ((time, precision), is_relative) = match absolute {
        Some(claim) => (claim, false),
        None => (relative()?, true),
    };
    Some(claimed(time, precision, words, found_in, is_relative))
}

/// The day of a claim, in UTC, if it is precise to the day.
fn day_of(claim: &ClaimedTime) -> Option<Date> {
    (claim.precision <= Precision::Day).then(|| Offset::UTC.to_datetime(claim.time.to_jiff()).date())
}

/// Reads the date at the start of `words` and ignores what follows. The claim is always precise to the day, never to
/// the instant; `None` if the date has no day.
pub fn leading_date(words: &str, found_in: &str) -> Option<ClaimedTime> {
    let written = absolute::read_leading_date(words)?;
    let (time, precision) = start_of(written.date, written.precision)?;
    Some(claimed(time, precision, words.trim(), found_in, false))
}

/// Whether all of `words` is a relative time, such as `2 months ago` or a weekday.
pub fn is_relative(words: &str) -> bool {
    relative::read(words).is_some()
}

/// Whether all of `words` is a weekday, such as `on Wednesday` or `Tuesday at 6 p.m.`. Names and headlines also end in
/// such words, so they count as a claim only with further evidence.
pub fn is_weekday(words: &str) -> bool {
    matches!(relative::read(words), Some(Relative::Weekday(_)))
}

/// Whether the words have a time of day that the claim leaves out, because the time zone is missing or ambiguous.
pub fn has_unplaced_clock(words: &str) -> bool {
    absolute::read(words).is_some_and(|written| matches!(written.time_of_day, Some((_, None))))
}

/// The date of a line that consists of a date, with or without a time of day, such as the line that pages print under
/// their masthead.
pub fn page_date(line: &str) -> Option<Date> {
    absolute::read(line).filter(|written| written.precision == Precision::Day).map(|written| written.date)
}

/// Formats a claim for people, with the claim's own precision: `September 2025`.
pub fn describe(claim: &ClaimedTime) -> String {
    let date = Offset::UTC.to_datetime(claim.time.to_jiff()).date();
    match claim.precision {
        Precision::Instant => claim.time.to_string(),
        Precision::Day => describe_date(date),
        Precision::Month => format!("{} {}", words::month_name(date.month()), date.year()),
        Precision::Year => date.year().to_string(),
    }
}

/// Formats a date for people: `8 November 2025`.
pub fn describe_date(date: Date) -> String {
    format!("{} {} {}", date.day(), words::month_name(date.month()), date.year())
}

fn claimed(time: Timestamp, precision: Precision, words: &str, found_in: &str, relative: bool) -> ClaimedTime {
    ClaimedTime { time, precision, words: words.to_owned(), found_in: found_in.to_owned(), relative }
}

fn instant_of(written: WrittenTime) -> Option<(Timestamp, Precision)> {
    match written.time_of_day {
        Some((clock, Some(offset))) => {
            let instant = offset.to_timestamp(written.date.to_datetime(clock)).ok()?;
            Some((Timestamp::from(instant), Precision::Instant))
        }
        _ => start_of(written.date, written.precision),
    }
}

/// The start, in UTC, of the day, month or year that contains the date.
fn start_of(date: Date, precision: Precision) -> Option<(Timestamp, Precision)> {
    let start = match precision {
        Precision::Instant | Precision::Day => date,
        Precision::Month => date.first_of_month(),
        Precision::Year => date.first_of_year(),
    };
    let instant = Offset::UTC.to_timestamp(start.to_datetime(Time::midnight())).ok()?;
    Some((Timestamp::from(instant), precision))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn read(words: &str) -> Option<String> {
        let claim = claimed_time(words, Some(date(2025, 11, 8)), "a test")?;
        assert_eq!(claim.words, words.trim());
        assert_eq!(claim.relative, is_relative(words), "{words:?}");
        Some(describe(&claim))
    }

    #[test]
    fn each_form_is_read_with_its_own_precision() {
        for (words, expected) in [
            ("2 months ago", "September 2025"),
            ("two months ago", "September 2025"),
            ("about 2 mo ago", "September 2025"),
            ("last month", "October 2025"),
            ("1 year, 2 months ago", "September 2024"),
            ("a year ago", "2024"),
            ("Over 3 years ago", "2022"),
            ("last year", "2024"),
            ("3 weeks ago", "October 2025"),
            ("last week", "November 2025"),
            ("10 days ago", "29 October 2025"),
            ("3d ago", "5 November 2025"),
            ("yesterday", "7 November 2025"),
            ("Today", "8 November 2025"),
            ("just now", "8 November 2025"),
            ("an hour ago", "8 November 2025"),
            ("45 mins ago", "8 November 2025"),
            ("20 hours ago", "7 November 2025"),
            ("Saturday, November 8, 2025", "8 November 2025"),
            ("8 November 2025", "8 November 2025"),
            ("8th of November, 2025", "8 November 2025"),
            ("Sat 8 Nov 2025", "8 November 2025"),
            ("Nov. 8, 2025", "8 November 2025"),
            ("Sept. 3rd 2025", "3 September 2025"),
            ("2025-11-08", "8 November 2025"),
            ("2025/11/08", "8 November 2025"),
            ("08.11.2025", "8 November 2025"),
            ("11/28/2025", "28 November 2025"),
            ("28/11/2025", "28 November 2025"),
            ("November 2025", "November 2025"),
            ("2025-11", "November 2025"),
            ("2025", "2025"),
            ("2025-11-08T18:00:00Z", "2025-11-08T18:00:00Z"),
            ("2025-11-08T18:00:00.25+01:00", "2025-11-08T17:00:00.25Z"),
            ("2014-10-09 9:08:02 -0400", "2014-10-09T13:08:02Z"),
            ("Sat, 08 Nov 2025 18:00:00 GMT", "2025-11-08T18:00:00Z"),
            ("8 November 2025 at 18.30 GMT", "2025-11-08T18:30:00Z"),
            ("8 November 2025, 12:05 a.m. UTC+2", "2025-11-07T22:05:00Z"),
            ("Nov. 8, 2025, 6 p.m. ET", "8 November 2025"),
            ("Nov. 8, 2025, 6:10 PM Eastern Time", "8 November 2025"),
            ("2025-11-08 18:00:00", "8 November 2025"),
            ("2025-W45-6", "8 November 2025"),
            ("2025-312", "8 November 2025"),
            ("20251108", "8 November 2025"),
            ("20251108T180000Z", "2025-11-08T18:00:00Z"),
            ("2025-11-08T18:00+01:00[Europe/Berlin]", "2025-11-08T17:00:00Z"),
            ("Sat Nov 08 2025 18:00:00 GMT+0100 (Central European Standard Time)", "2025-11-08T17:00:00Z"),
            ("Wednesday", "5 November 2025"),
            ("on Wednesday", "5 November 2025"),
            ("Wed.", "5 November 2025"),
            ("Weds", "5 November 2025"),
            ("Saturday", "8 November 2025"),
            ("Tuesday at 6 p.m.", "4 November 2025"),
            ("Tuesday, 18:30 GMT", "4 November 2025"),
            ("On Thursday evening", "6 November 2025"),
            ("last Saturday", "1 November 2025"),
            ("8 November 2025 - 18:00 BST", "8 November 2025"),
        ] {
            assert_eq!(read(words).as_deref(), Some(expected), "{words:?}");
        }
    }

    #[test]
    fn words_that_are_not_a_time_are_not_read() {
        for words in [
            "",
            "next Wednesday",
            "Wednesday week",
            "Wednesdays",
            "last Friday",
            "on",
            "Wednesday, November 5",
            "Black Friday",
            "2025-W54-1",
            "2025-366",
            "20251308",
            "soon",
            "ago",
            "months ago",
            "2 months",
            "2 fortnights ago",
            "99999999999999999999 years ago",
            "99999 years ago",
            "31 November 2025",
            "November 8",
            "8/11/2025",
            "2025-13-01",
            "2025-11-08T25:00:00Z",
            "Nov. 8, 2025, 13 p.m.",
            "8 November 2025 was a Saturday, and so the ferry stayed in port",
            "12",
            "20255",
        ] {
            assert_eq!(read(words), None, "{words:?}");
        }
    }

    #[test]
    fn a_leap_second_is_the_end_of_the_last_minute_of_a_utc_day_and_invalid_elsewhere() {
        for (words, expected) in [
            ("2016-12-31T23:59:60Z", Some("2016-12-31T23:59:59.999999Z")),
            ("2016-12-31T23:59:60.2Z", Some("2016-12-31T23:59:59.999999Z")),
            ("20161231T235960Z", Some("2016-12-31T23:59:59.999999Z")),
            ("Sun, 01 Jan 2017 00:59:60 +0100", Some("2016-12-31T23:59:59.999999Z")),
            ("2017-01-01T05:29:60+05:30", Some("2016-12-31T23:59:59.999999Z")),
            ("31 December 2016, 18:59:60 ET", Some("31 December 2016")),
            ("2016-12-31T12:00:60Z", None),
            ("2016-12-31T23:59:60+01:00", None),
            ("2016-12-31 12:00:60", None),
            ("2016-12-31T23:59:61Z", None),
        ] {
            assert_eq!(read(words).as_deref(), expected, "{words:?}");
        }
    }

    #[test]
    fn an_offset_of_a_day_or_more_is_invalid() {
        assert_eq!(read("2025-11-08T18:00:00+23:59").as_deref(), Some("2025-11-07T18:01:00Z"));
        for words in ["2025-11-08T18:00:00+24:00", "2025-11-08T18:00:00-2559", "8 November 2025, 18:00 UTC+24"] {
            assert_eq!(read(words), None, "{words:?}");
        }
    }

    #[test]
    fn relative_words_need_a_page_date() {
        assert_eq!(claimed_time("2 months ago", None, "a test"), None);
        assert!(claimed_time("8 November 2025", None, "a test").is_some());
    }

    #[test]
    fn a_clock_without_an_unambiguous_zone_is_reported() {
        assert!(has_unplaced_clock("Nov. 8, 2025, 6 p.m. ET"));
        assert!(has_unplaced_clock("2025-11-08 18:00"));
        assert!(!has_unplaced_clock("2025-11-08 18:00 UTC"));
        assert!(!has_unplaced_clock("2025-11-08"));
    }

    #[test]
    fn a_date_is_read_even_if_an_invalid_clock_follows() {
        let claim = leading_date("2014-10-09 10:000:00 -0400", "a test").unwrap();
        assert_eq!((describe(&claim).as_str(), claim.precision), ("9 October 2014", Precision::Day));
        assert_eq!(leading_date("draft", "a test"), None);
    }

    #[test]
    fn page_dates_are_whole_lines() {
        for line in ["Saturday, November 8, 2025", "8 November 2025", "Nov. 8, 2025", "2025-11-08"] {
            assert_eq!(page_date(line), Some(date(2025, 11, 8)), "{line:?}");
        }
        for line in ["November 2025", "2025", "2 months ago", "On 8 November 2025"] {
            assert_eq!(page_date(line), None, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn no_words_panic(words in "\\PC{0,40}", parts in prop::collection::vec(0..PARTS.len(), 0..8)) {
            let built: String = parts.iter().map(|&part| PARTS[part]).collect();
            for words in [words, built] {
                let claim = claimed_time(&words, Some(date(2025, 11, 8)), "");
                prop_assert_eq!(claim.is_some(), absolute::read(&words).is_some() || claim.is_some_and(|c| c.relative));
                let _ = (leading_date(&words, ""), page_date(&words), has_unplaced_clock(&words));
            }
        }

        #[test]
        fn dates_round_trip(year in 1000i16..=9999, day in 1i16..=365) {
            let day = date(year, 1, 1).with().day_of_year(day).build().unwrap();
            prop_assume!(day < date(9999, 12, 30));
            prop_assert_eq!(page_date(&describe_date(day)), Some(day));
            prop_assert_eq!(page_date(&day.to_string()), Some(day));
        }
    }

    const PARTS: [&str; 20] = [
        "2025",
        "-",
        "11",
        "8",
        " ",
        "Nov",
        "T",
        ":",
        "30",
        "Z",
        "+",
        "pm",
        ".",
        "/",
        "days",
        " ago",
        "9999999999",
        "a ",
        "at",
        "é",
    ];
}
