//! How a page was had over HTTP: what a later look needs in order to ask only for what is new.

/// How a page was had over HTTP. It is kept with the observation, and is no part of what the article says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The address at which the bytes were found in the end, after redirects: http or https, as it was given.
    pub url: String,
    /// The `ETag` header, verbatim; empty for none.
    pub etag: String,
    /// The `Last-Modified` header, verbatim; empty for none.
    pub last_modified: String,
}

impl Fetch {
    /// Bytes of its texts.
    pub fn text_bytes(&self) -> usize {
        self.url.len() + self.etag.len() + self.last_modified.len()
    }
}
