//! Reads contents through their delta chains.
//!
//! A content is stored in full (a keyframe) or as the difference from an earlier one. Reading follows the chain down to
//! a keyframe or to a cached content, then applies the differences upwards. A chain only leads to lower positions and
//! has at most [`DEPTH_LIMIT`] links, so damage cannot make it endless.

use std::sync::Arc;

use bytes::Bytes;

use crate::model::{Content, ContentDigest, Seq};
use crate::store::content::{DEPTH_LIMIT, StoredContent};
use crate::store::engine::Read;
use crate::store::{StoreError, content_encoding};

/// A content in both forms: encoded, as deltas need it, and decoded.
#[derive(Clone, Debug)]
pub(crate) struct LoadedContent {
    /// The content in the encoding in which it is stored, unpacked, and sent.
    pub(crate) bytes: Bytes,
    /// The same content, decoded.
    pub(crate) content: Arc<Content>,
}

impl LoadedContent {
    /// The approximate memory that both forms occupy, in bytes.
    pub(crate) fn weight_bytes(&self) -> usize {
        self.bytes.len() + self.content.weight_bytes() + 256
    }
}

/// Reads the encoded content of the change at `seq`. `cached` looks up contents in memory, and may always return
/// `None`.
pub(crate) fn load_bytes(
    read: &dyn Read,
    seq: Seq,
    cached: impl Fn(Seq) -> Option<Bytes>,
) -> Result<Bytes, StoreError> {
    let mut chain: Vec<StoredContent> = Vec::new();
    let mut next = Some(seq);
    let mut bytes: Option<Bytes> = None;
    while let Some(at) = next {
        bytes = cached(at);
        if bytes.is_some() {
            break;
        }
        let missing = || StoreError::damaged_at(seq, "a content, or one that its delta chain needs, is missing");
        let stored = StoredContent::read(read, at)?.ok_or_else(missing)?;
        next = stored.base();
        if next.is_some_and(|base| base >= at) || chain.len() >= DEPTH_LIMIT as usize {
            return Err(StoreError::damaged_at(seq, "the delta chain of a content is malformed"));
        }
        chain.push(stored);
    }
    for stored in chain.iter().rev() {
        bytes = Some(stored.unpack(bytes.as_deref())?.into());
    }
    Ok(bytes.unwrap_or_default())
}

/// Reads a content and checks it against `digest`.
pub(crate) fn load(
    read: &dyn Read,
    seq: Seq,
    digest: ContentDigest,
    cached: impl Fn(Seq) -> Option<Bytes>,
) -> Result<LoadedContent, StoreError> {
    let bytes = load_bytes(read, seq, cached)?;
    let content = content_encoding::from_bytes(&bytes);
    let content = content.ok_or_else(|| StoreError::damaged_at(seq, "a content cannot be read"))?;
    if ContentDigest::of(&content) != digest {
        return Err(StoreError::damaged_at(seq, "a content does not have the digest that was recorded"));
    }
    Ok(LoadedContent { bytes, content: Arc::new(content) })
}
