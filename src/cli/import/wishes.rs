//! What is wished for all documents of a collection.

use bytes::Bytes;

use crate::model::SourceId;
use crate::wire::pb;

/// What the command was told of all documents.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    pub(super) source: Option<SourceId>,
    pub(super) labels: Vec<String>,
    pub(super) keep_original: bool,
}

impl Wishes {
    /// Whether nothing is wished.
    pub(super) fn are_none(&self) -> bool {
        self.source.is_none() && self.labels.is_empty() && !self.keep_original
    }

    /// Adds what is wished to a request, which is made of the bytes of a document.
    pub(super) fn apply(&self, request: &mut pb::RecordObservationRequest, media_type: &str, bytes: Bytes) {
        if let Some(content) = &mut request.content {
            content.labels.extend(self.labels.iter().cloned());
        }
        if self.keep_original {
            let media_type = media_type.to_owned();
            request.original = Some(pb::Original { media_type, data: bytes, ..pb::Original::default() });
        }
    }
}
