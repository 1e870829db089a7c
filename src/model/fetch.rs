//! The HTTP facts of an observation, from which the next conditional request is built.

/// How a page was fetched. It is stored with the observation and is not part of the article's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetch {
    /// The final address after redirects, unchanged: http or https.
    pub url: String,
    /// The `ETag` header, verbatim; empty if there was none.
    pub etag: String,
    /// The `Last-Modified` header, verbatim; empty if there was none.
    pub last_modified: String,
}

impl Fetch {
    /// The total length of the three texts, in bytes.
    pub fn text_bytes(&self) -> usize {
        self.url.len() + self.etag.len() + self.last_modified.len()
    }
}
