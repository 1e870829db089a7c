//! The result of a fetch: a page, or the statement that it has not changed.

use std::fmt;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED};
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use url::Url;

/// The result of a successful fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The site sent a page.
    Page(Page),
    /// The site says that the page has not changed since the validators were received (304).
    NotModified(NotModified),
}

/// A complete page as the site sent it, decompressed.
#[derive(Clone, PartialEq, Eq)]
pub struct Page {
    /// The requested URL, without its fragment.
    pub requested: Url,
    /// The URL that served the page, after all redirects.
    pub url: Url,
    /// The redirects from `requested` to `url`, in order; empty if the two are equal.
    pub redirects: Vec<Redirect>,
    /// The media type from the Content-Type header, in lower case and without parameters: `text/html`.
    pub content_type: Option<String>,
    /// The charset parameter of the Content-Type header, as written.
    pub charset: Option<String>,
    /// The bytes of the page, with any Content-Encoding undone.
    pub body: Bytes,
    /// Validators for the next conditional request; `None` if the site sent none.
    pub validators: Option<Validators>,
}

/// A page that has not changed since an earlier fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotModified {
    /// The requested URL, without its fragment.
    pub requested: Url,
    /// The URL that answered, after all redirects: the one that the validators belong to.
    pub url: Url,
    /// The redirects from `requested` to `url`, in order; empty if the two are equal.
    pub redirects: Vec<Redirect>,
    /// Validators for the next conditional request: the ones passed to the fetch, updated from the response.
    pub validators: Validators,
}

/// One redirect that was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The URL that answered with the redirect.
    pub from: Url,
    /// The target, absolute and without a fragment.
    pub to: Url,
    /// The status of the redirect; 301 and 308 are permanent.
    pub status: StatusCode,
}

impl Redirect {
    /// Whether the redirect leads from https to http, where anyone on the network path could have changed the page.
    pub fn is_downgrade(&self) -> bool {
        self.from.scheme() == "https" && self.to.scheme() == "http"
    }
}

/// What a site said about the state of a page, for a later conditional request.
///
/// Validators belong to one URL and are sent to no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// The URL that sent them.
    pub url: Url,
    /// The ETag header as sent, with its quotes, and with `W/` if it is weak.
    pub etag: Option<String>,
    /// The Last-Modified header as sent.
    pub last_modified: Option<String>,
}

impl Validators {
    /// Reads the validators from the headers of a response from `url`; `None` if there are none.
    pub(super) fn read(url: &Url, headers: &HeaderMap) -> Option<Self> {
        let (etag, last_modified) = (text(headers, &ETAG), text(headers, &LAST_MODIFIED));
        (etag.is_some() || last_modified.is_some()).then(|| Self { url: url.clone(), etag, last_modified })
    }

    /// Replaces each validator that the headers of a 304 contain, and keeps the others.
    pub(super) fn updated(&self, headers: &HeaderMap) -> Self {
        Self {
            url: self.url.clone(),
            etag: text(headers, &ETAG).or_else(|| self.etag.clone()),
            last_modified: text(headers, &LAST_MODIFIED).or_else(|| self.last_modified.clone()),
        }
    }

    /// The conditional headers for a request to `url`; empty unless the validators belong to it. A value that is not
    /// valid in a header is left out, since an unconditional request is always correct.
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

/// What a Content-Type header states.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ContentType {
    /// The media type without parameters, in lower case.
    pub(super) media_type: Option<String>,
    pub(super) charset: Option<String>,
}

impl ContentType {
    /// Reads the Content-Type header as leniently as browsers do.
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let Some(value) = text(headers, &CONTENT_TYPE) else { return Self::default() };
        let mut parts = value.split(';');
        let media_type = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let charset = parts
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
            .map(|(_, value)| value.trim().trim_matches(['"', '\'']).trim().to_owned());
        Self {
            media_type: Some(media_type).filter(|media_type| !media_type.is_empty()),
            charset: charset.filter(|charset| !charset.is_empty()),
        }
    }
}

/// Returns a header's trimmed value, unless it is empty or not ASCII text.
pub(super) fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> ContentType {
        ContentType::read(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_str(value).unwrap())]))
    }

    #[test]
    fn content_types_are_read_as_sites_send_them() {
        let stated = |media_type: Option<&str>, charset: Option<&str>| ContentType {
            media_type: media_type.map(str::to_owned),
            charset: charset.map(str::to_owned),
        };
        let html = |charset: &str| stated(Some("text/html"), Some(charset));
        assert_eq!(read("text/html; charset=utf-8"), html("utf-8"));
        assert_eq!(read("Text/HTML;CHARSET=\"ISO-8859-1\""), html("ISO-8859-1"));
        assert_eq!(read("text/html;; x=y ; charset = windows-1252 ;z"), html("windows-1252"));
        assert_eq!(read("text/html; charset="), stated(Some("text/html"), None));
        assert_eq!(read("text/html; charset='"), stated(Some("text/html"), None));
        assert_eq!(read("; charset=utf-8"), stated(None, Some("utf-8")));
        assert_eq!(read(""), stated(None, None));
        assert_eq!(ContentType::read(&HeaderMap::new()), stated(None, None));
    }

    #[test]
    fn validators_are_sent_only_to_their_own_url() {
        let url = |text: &str| Url::parse(text).unwrap();
        let etag = Some("\"a\"".to_owned());
        let validators = Validators { url: url("https://news.example/a#b"), etag, last_modified: Some("x\ny".into()) };
        assert_eq!(validators.conditions(&url("https://news.example/a")).len(), 1);
        assert_eq!(validators.conditions(&url("http://news.example/a")), []);
        assert_eq!(validators.conditions(&url("https://news.example/a?")), []);
    }
}
