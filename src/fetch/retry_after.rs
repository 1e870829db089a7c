//! The Retry-After header (RFC 9110, 10.2.3).

use std::time::Duration;

use http::header::{DATE, HeaderMap, RETRY_AFTER};

use super::page::text;

/// How long to wait, counted from the response. A date is compared with the response's own Date header, so that the
/// site's clock need not be right. A date in a response without a Date header is ignored.
pub(super) fn read(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, &RETRY_AFTER)?;
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        return value.parse().ok().map(Duration::from_secs);
    }
    let then = httpdate::parse_http_date(&value).ok()?;
    let now = httpdate::parse_http_date(&text(headers, &DATE)?).ok()?;
    Some(then.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(retry_after: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
        headers.extend(date.map(|date| (DATE, date.parse().unwrap())));
        read(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_and_dates_are_read() {
        let date = Some("Sun, 02 Nov 2025 10:00:00 GMT");
        assert_eq!(wait("120", date), Some(120));
        assert_eq!(wait(" 0 ", None), Some(0));
        assert_eq!(wait("Sun, 02 Nov 2025 10:05:00 GMT", date), Some(300));
        assert_eq!(wait("Sun, 02 Nov 2025 09:00:00 GMT", date), Some(0));
        assert_eq!(wait("Sun, 02 Nov 2025 10:05:00 GMT", None), None);
        assert_eq!(wait("soon", date), None);
        assert_eq!(wait("-5", date), None);
        assert_eq!(wait("99999999999999999999", date), None);
        assert_eq!(read(&HeaderMap::new()), None);
    }
}
