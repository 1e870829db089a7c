//! Times as web archives write them: 14 digits in addresses, or fewer, and HTTP dates in headers.

use jiff::civil::{Date, Time};
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};

use crate::model::Timestamp;

/// The digits of a whole time: `20260501093000`.
pub(in crate::web) const DIGITS: usize = 14;
/// What the missing digits of a time become to give its last second. The day is lowered to the last of the month.
const LATEST: &str = "99991231235959";
/// What they become to give its first second.
const EARLIEST: &str = "00010101000000";

/// The end of the period that the first digits of a time name, to the second; `None` if there is no such time.
pub(in crate::web) fn last_second(digits: &str) -> Option<Timestamp> {
    padded(digits, LATEST)
}

/// The beginning of the period that the first digits of a time name.
pub(in crate::web) fn first_second(digits: &str) -> Option<Timestamp> {
    padded(digits, EARLIEST)
}

fn padded(digits: &str, rest: &str) -> Option<Timestamp> {
    if digits.is_empty() || digits.len() > DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole = format!("{digits}{}", rest.get(digits.len()..)?);
    let part = |from: usize, to: usize| whole.get(from..to)?.parse::<i16>().ok();
    let small = |from: usize| i8::try_from(part(from, from + 2)?).ok();
    let (year, month, day) = (part(0, 4)?, small(4)?, small(6)?);
    let length = Date::new(year, month, 1).ok()?.days_in_month();
    let day = if digits.len() < 8 { day.min(length) } else { day };
    let time = Time::new(small(8)?, small(10)?, small(12)?, 0).ok()?;
    let time = jiff::tz::TimeZone::UTC.to_timestamp(Date::new(year, month, day).ok()?.to_datetime(time));
    // The last days of the year 9999 are after the end of the axis.
    Some(time.map_or(Timestamp::MAX, Timestamp::from))
}

/// An instant in 14 digits.
pub(in crate::web) fn digits(at: Timestamp) -> String {
    at.to_jiff().strftime("%Y%m%d%H%M%S").to_string()
}

/// An instant as an HTTP date: `Fri, 01 May 2026 09:30:00 GMT`.
pub(in crate::web) fn http_date(at: Timestamp) -> String {
    // It fails for years before 0 only, and the axis begins after them.
    DateTimePrinter::new().timestamp_to_rfc9110_string(&at.to_jiff()).unwrap_or_default()
}

/// Reads an HTTP date.
pub(super) fn from_http_date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text.trim()).ok().map(Timestamp::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(digits: &str) -> Option<String> {
        last_second(digits).map(|at| at.to_string())
    }

    #[test]
    fn missing_digits_are_those_of_the_end_of_the_period() {
        assert_eq!(last("20260501093001").as_deref(), Some("2026-05-01T09:30:01Z"));
        assert_eq!(last("202605010930").as_deref(), Some("2026-05-01T09:30:59Z"));
        assert_eq!(last("20260501").as_deref(), Some("2026-05-01T23:59:59Z"));
        assert_eq!(last("202602").as_deref(), Some("2026-02-28T23:59:59Z"));
        assert_eq!(last("2026").as_deref(), Some("2026-12-31T23:59:59Z"));
        assert_eq!(last("202").as_deref(), Some("2029-12-31T23:59:59Z"));
        assert_eq!(last_second("9999"), Some(Timestamp::MAX));
        assert_eq!(first_second("202602").map(|at| at.to_string()).as_deref(), Some("2026-02-01T00:00:00Z"));
        assert!(first_second("0") < first_second("2"));
    }

    #[test]
    fn what_is_no_time_is_not_read() {
        for text in ["", "20261301", "20260230", "20260501250000", "2026050109300100", "2026-05", "x"] {
            assert_eq!(last_second(text), None, "{text}");
        }
    }

    #[test]
    fn http_dates_are_read_as_they_are_written() {
        let at: Timestamp = "2026-05-01T09:30:01Z".parse().unwrap();
        assert_eq!(http_date(at), "Fri, 01 May 2026 09:30:01 GMT");
        assert_eq!(from_http_date("Fri, 01 May 2026 09:30:01 GMT"), Some(at));
        assert_eq!(digits(at), "20260501093001");
        assert_eq!(
            (digits(Timestamp::MIN).as_str(), http_date(Timestamp::MIN).as_str()),
            ("00010101000000", "Mon, 01 Jan 0001 00:00:00 GMT")
        );
        for text in ["", "yesterday", "2026-05-01T09:30:01Z", "Fri, 31 Feb 2026 09:30:01 GMT"] {
            assert_eq!(from_http_date(text), None, "{text}");
        }
    }
}
