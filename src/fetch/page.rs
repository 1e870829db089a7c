//! What a fetch answers: a page, or that it is still the one known.

use std::fmt;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED};
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use url::Url;

/// The answer to a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The page.
    Page(Page),
    /// The site says that the page is still what the validators came with.
    NotModified(NotModified),
}

/// A page as the site sent it, whole and decompressed.
#[derive(Clone, PartialEq, Eq)]
pub struct Page {
    /// The address that was asked for, without its fragment.
    pub requested: Url,
    /// The address that the page came from, after all redirects.
    pub url: Url,
    /// How `requested` led to `url`, in order; empty when they are one.
    pub redirects: Vec<Redirect>,
    /// The type that the site says the page has, in lower case and without parameters: `text/html`.
    pub content_type: Option<String>,
    /// The charset that the site says the page is in, as written.
    pub charset: Option<String>,
    /// The page, with any Content-Encoding undone.
    pub body: Bytes,
    /// What to ask with next time; `None` when the site gave nothing.
    pub validators: Option<Validators>,
}

/// That a page is still what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotModified {
    /// The address that was asked for, without its fragment.
    pub requested: Url,
    /// The address that the answer came from, after all redirects: that of the validators.
    pub url: Url,
    /// How `requested` led to `url`, in order; empty when they are one.
    pub redirects: Vec<Redirect>,
    /// What to ask with next time: as given, save for what the site says anew.
    pub validators: Validators,
}

/// One redirect that was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The address that redirects.
    pub from: Url,
    /// Where to.
    pub to: Url,
    /// With which status: 301 and 308 are for good.
    pub status: StatusCode,
}

impl Redirect {
    /// Whether it leads from https to http, where anybody on the way may have changed the page.
    pub fn is_downgrade(&self) -> bool {
        self.from.scheme() == "https" && self.to.scheme() == "http"
    }
}

/// What a site said about the state of a page, so that it can be asked whether there is a newer one.
///
/// They belong to one address, and are sent to no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// The address that they came from.
    pub url: Url,
    /// The entity tag as sent, with its quotes and a `W/` if it is weak.
    pub etag: Option<String>,
    /// The Last-Modified date as sent.
    pub last_modified: Option<String>,
}

impl Validators {
    /// What the headers of an answer from `url` say; `None` when they say nothing.
    pub(super) fn read(url: &Url, headers: &HeaderMap) -> Option<Self> {
        let (etag, last_modified) = (text(headers, &ETAG), text(headers, &LAST_MODIFIED));
        (etag.is_some() || last_modified.is_some()).then(|| Self { url: url.clone(), etag, last_modified })
    }

    /// Those of a 304 where it has any, these where it doesn't.
    pub(super) fn updated(&self, headers: &HeaderMap) -> Self {
        Self {
            url: self.url.clone(),
            etag: text(headers, &ETAG).or_else(|| self.etag.clone()),
            last_modified: text(headers, &LAST_MODIFIED).or_else(|| self.last_modified.clone()),
        }
    }

    /// The conditions to ask `url` with: none unless they belong there. What can't stand in a header is left out, since
    /// asking without is always right.
    pub(super) fn conditions(&self, url: &Url) -> Vec<(HeaderName, HeaderValue)> {
        let mut own = self.url.clone();
        own.set_fragment(None);
        if own != *url {
            return Vec::new();
        }
        let value = |text: &Option<String>| text.as_deref().and_then(|text| HeaderValue::from_str(text).ok());
        let etag = value(&self.etag).map(|value| (http::header::IF_NONE_MATCH, value));
        let date = value(&self.last_modified).map(|value| (http::header::IF_MODIFIED_SINCE, value));
        etag.into_iter().chain(date).collect()
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("requested", &self.requested.as_str())
            .field("url", &self.url.as_str())
            .field("redirects", &self.redirects)
            .field("content_type", &self.content_type)
            .field("charset", &self.charset)
            .field("body_bytes", &self.body.len())
            .field("validators", &self.validators)
            .finish()
    }
}

/// The type and the charset of a Content-Type header, read as leniently as browsers do.
pub(super) fn content_type(headers: &HeaderMap) -> (Option<String>, Option<String>) {
    let Some(value) = text(headers, &CONTENT_TYPE) else { return (None, None) };
    let mut parts = value.split(';');
    let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let charset = parts
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value.trim().trim_matches(['"', '\'']).trim().to_owned());
    (Some(essence).filter(|essence| !essence.is_empty()), charset.filter(|charset| !charset.is_empty()))
}

/// A header's value, if it is text and says something.
pub(super) fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> (Option<String>, Option<String>) {
        content_type(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_str(value).unwrap())]))
    }

    #[test]
    fn content_types_are_read_as_they_occur() {
        let both = |essence: &str, charset: &str| (Some(essence.to_owned()), Some(charset.to_owned()));
        assert_eq!(read("text/html; charset=utf-8"), both("text/html", "utf-8"));
        assert_eq!(read("Text/HTML;CHARSET=\"ISO-8859-1\""), both("text/html", "ISO-8859-1"));
        assert_eq!(read("text/html;; x=y ; charset = windows-1252 ;z"), both("text/html", "windows-1252"));
        assert_eq!(read("text/html; charset="), (Some("text/html".to_owned()), None));
        assert_eq!(read("text/html; charset='"), (Some("text/html".to_owned()), None));
        assert_eq!(read("; charset=utf-8"), (None, Some("utf-8".to_owned())));
        assert_eq!(read(""), (None, None));
        assert_eq!(content_type(&HeaderMap::new()), (None, None));
    }

    #[test]
    fn validators_go_to_their_own_address_only() {
        let url = |text: &str| Url::parse(text).unwrap();
        let etag = Some("\"a\"".to_owned());
        let validators = Validators { url: url("https://news.example/a#b"), etag, last_modified: Some("x\ny".into()) };
        assert_eq!(validators.conditions(&url("https://news.example/a")).len(), 1);
        assert_eq!(validators.conditions(&url("http://news.example/a")), []);
        assert_eq!(validators.conditions(&url("https://news.example/a?")), []);
    }
}
