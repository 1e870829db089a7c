//! The addresses below `/web/`: which page of the web, and what of it.
//!
//! The address of the page is part of ours as it is, with its query: `/web/2026/https://example.com/a?b=1`. Clients also
//! percent-encode it, and leave out its scheme; proxies merge its slashes. All of these are read.

use url::{Url, form_urlencoded};

use super::time;
use crate::model::{Timestamp, UrlKey};
use crate::web::Site;
use crate::web::problem::Problem;

/// The most bytes of a page's address. Responses repeat it.
const ADDRESS_BYTES_MAX: usize = 4 << 10;

/// A page of the web, as a client names it.
#[derive(Clone, Debug)]
pub(in crate::web) struct Original {
    /// Its address in normal form, without credentials and fragment.
    url: String,
    /// The key under which the archive has it.
    pub(in crate::web) key: UrlKey,
}

/// What an address below `/web/` asks for.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    /// The capture that fits the request best.
    Gate(Original),
    /// The capture at a time, which is the end of the period that these digits name.
    Capture { digits: String, at: Timestamp, is_raw: bool, original: Original },
    /// All captures, for readers: of a year if one is given.
    Calendar { year: Option<String>, original: Original },
    /// The list of captures, for programs.
    TimeMap { format: Format, from: Option<Timestamp>, original: Original },
}

/// The format of a list of captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Link,
    Json,
    Cdxj,
}

impl Format {
    pub(super) const ALL: [Self; 3] = [Self::Link, Self::Json, Self::Cdxj];

    /// Its name in addresses.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Json => "json",
            Self::Cdxj => "cdxj",
        }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Link => "application/link-format",
            Self::Json => "application/json",
            Self::Cdxj => "application/cdxj+ors",
        }
    }
}

impl Wanted {
    /// Reads the path after `/web/`, and the query, which belongs to the page.
    pub(super) fn parse(path: &str, query: &str) -> Result<Self, Problem> {
        let rest = format!("{path}{query}");
        let (first, after) = rest.split_once('/').unwrap_or((&rest, ""));
        if first == "timemap" {
            let (format, after) = after.split_once('/').ok_or_else(Problem::not_found)?;
            let format = Format::ALL.into_iter().find(|known| known.name() == format).ok_or_else(Problem::not_found)?;
            let from = after.split_once('/').and_then(|(digits, rest)| Some((whole_time(digits)?, rest)));
            let (from, after) = from.map_or((None, after), |(from, rest)| (Some(from), rest));
            return Ok(Self::TimeMap { format, from, original: Original::parse(after)? });
        }
        let (digits, flag) = first.split_at(first.bytes().take_while(u8::is_ascii_digit).count());
        match flag {
            "*" => {
                let year = digits.get(..4).map(str::to_owned);
                Ok(Self::Calendar { year, original: Original::parse(after)? })
            }
            "" | "id_" | "if_" | "mp_" if !digits.is_empty() => {
                let at = time::last_second(digits).ok_or_else(|| {
                    Problem::malformed(format!("{digits} is not a time, or the first digits of one, such as 20260501."))
                })?;
                let original = Original::parse(after)?;
                Ok(Self::Capture { digits: digits.to_owned(), at, is_raw: flag == "id_", original })
            }
            _ => Original::parse(&rest).map(Self::Gate),
        }
    }
}

/// A time with all its digits.
fn whole_time(digits: &str) -> Option<Timestamp> {
    time::first_second(digits).filter(|_| digits.len() == time::DIGITS)
}

impl Original {
    /// Reads the address of a page.
    pub(in crate::web) fn parse(text: &str) -> Result<Self, Problem> {
        if text.len() > ADDRESS_BYTES_MAX {
            let detail = format!("The URL has {} bytes; at most {ADDRESS_BYTES_MAX} are read.", text.len());
            return Err(Problem::malformed(detail));
        }
        let text = with_scheme(&decoded(text));
        let malformed = |error: &dyn std::fmt::Display| Problem::malformed(format!("{error}."));
        let key = UrlKey::of(&text).map_err(|error| malformed(&error))?;
        let mut url = Url::parse(&text).map_err(|error| malformed(&error))?;
        url.set_fragment(None);
        // It has a host, so neither can fail.
        let (user, password) = (url.set_username(""), url.set_password(None));
        debug_assert!(user.is_ok() && password.is_ok(), "a URL with a host can have no credentials");
        Ok(Self { url: url.into(), key })
    }

    /// The address. It has no white space, no quotes and no angle brackets, so it can be written into a header.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The address at which captures are chosen by time.
    pub(super) fn gate(&self, site: &Site) -> String {
        site.address(&format!("/web/{}", self.url))
    }

    /// The address of a capture.
    pub(super) fn capture(&self, site: &Site, at: Timestamp) -> String {
        site.address(&format!("/web/{}/{}", time::digits(at), self.url))
    }

    /// The address of the list of captures, or of a later page of it.
    pub(super) fn time_map(&self, site: &Site, format: Format, from: Option<Timestamp>) -> String {
        let from = from.map(|from| format!("{}/", time::digits(from))).unwrap_or_default();
        site.address(&format!("/web/timemap/{}/{from}{}", format.name(), self.url))
    }
}

/// The text without percent-encoding, if it was encoded as a whole.
fn decoded(text: &str) -> String {
    let is_encoded = ["http%3a", "https%3a"]
        .iter()
        .any(|start| text.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start)));
    if !is_encoded {
        return text.to_owned();
    }
    let query = format!("url={}", text.replace('+', "%2B").replace('&', "%26"));
    form_urlencoded::parse(query.as_bytes()).next().map(|(_, url)| url.into_owned()).unwrap_or_default()
}

/// The text with its scheme and both slashes.
fn with_scheme(text: &str) -> String {
    for scheme in ["http:", "https:"] {
        let Some((start, rest)) = text.split_at_checked(scheme.len()) else { continue };
        if start.eq_ignore_ascii_case(scheme) && rest.starts_with('/') {
            return format!("{scheme}//{}", rest.trim_start_matches('/'));
        }
    }
    let is_scheme = |scheme: &str| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let has_scheme = text.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme));
    if has_scheme { text.to_owned() } else { format!("http://{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_a_page_are_read() {
        for text in [
            "https://example.com/a?b=1&c=x+y",
            "https:/example.com/a?b=1&c=x+y",
            "https%3A%2F%2Fexample.com%2Fa%3Fb%3D1%26c%3Dx+y",
            "HTTPS://Example.com/a?b=1&c=x+y#top",
            "https://u:p@example.com/a?b=1&c=x+y",
        ] {
            assert_eq!(Original::parse(text).unwrap().url(), "https://example.com/a?b=1&c=x+y", "{text}");
        }
        for text in ["example.com/a", "example.com/a?b=https://example.org/", "example.com:8080/a"] {
            assert_eq!(Original::parse(text).unwrap().url(), format!("http://{text}"));
        }
        for text in ["", "ftp://example.com/", "javascript:alert(1)", "https://a b/", "data:,x"] {
            assert!(Original::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_has_nothing_that_ends_it_in_a_header() {
        for text in
            ["https://example.com/>\"; rel=x, <y", "https://example.com/?a=\">\r\nset-cookie: x", "https://e.com/ü "]
        {
            let url = Original::parse(text).unwrap().url().to_owned();
            assert!(url.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"".contains(&byte)), "{url}");
        }
    }

    #[test]
    fn what_is_wanted_is_in_the_path() {
        let parse = |path| Wanted::parse(path, "?b=1").unwrap();
        assert!(matches!(parse("https://example.com/a"), Wanted::Gate(_)));
        assert!(matches!(parse("example.com/2026/a"), Wanted::Gate(_)));
        let Wanted::Capture { digits, is_raw: true, original, .. } = parse("2026id_/https://example.com/a") else {
            panic!("not a capture")
        };
        assert_eq!((digits.as_str(), original.url()), ("2026", "https://example.com/a?b=1"));
        assert!(matches!(parse("*/https://example.com/a"), Wanted::Calendar { year: None, .. }));
        let Wanted::Calendar { year, .. } = parse("202605*/https://example.com/a") else { panic!("not a calendar") };
        assert_eq!(year.as_deref(), Some("2026"));
        assert!(matches!(
            parse("timemap/json/https://example.com/a"),
            Wanted::TimeMap { format: Format::Json, from: None, .. }
        ));
        assert!(matches!(
            parse("timemap/cdxj/20260501000000/https://example.com/a"),
            Wanted::TimeMap { format: Format::Cdxj, from: Some(_), .. }
        ));
        assert!(Wanted::parse("timemap/xml/https://example.com/a", "").is_err());
        assert!(Wanted::parse("20269999/https://example.com/a", "").is_err());
    }
}
