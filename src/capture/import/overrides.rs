//! Overrides applied to every document of an import.

use bytes::Bytes;

use crate::model::SourceId;
use crate::wire::pb;

/// What the caller states about every document. It takes precedence over what a document states itself.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The source of the articles; `None` to take the one that a document states, or its site.
    pub source: Option<SourceId>,
    /// Labels to add.
    pub labels: Vec<String>,
    /// Whether the documents' bytes become the revisions' originals; `None` for pages from the web alone.
    pub keep_original: Option<bool>,
}

impl Overrides {
    /// Whether there are no overrides.
    pub(super) fn are_none(&self) -> bool {
        self.source.is_none() && self.labels.is_empty() && self.keep_original.is_none()
    }

    /// Applies the overrides to the request for a document, whose bytes may become its original.
    pub(super) fn apply(&self, request: &mut pb::RecordObservationRequest, media_type: &str, bytes: Bytes) {
        request.labels.extend(self.labels.iter().cloned());
        // Only what was fetched from the web says where it was.
        let is_page = request.fetch.is_some();
        if self.keep_original.unwrap_or(is_page) {
            let media_type = media_type.to_owned();
            request.original = Some(pb::Original { media_type, data: bytes, ..pb::Original::default() });
        }
    }
}
