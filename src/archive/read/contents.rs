//! Reading contents through their delta chains.

use std::sync::Arc;

use bytes::Bytes;

use crate::model::{Content, ContentDigest, Seq};
use crate::store::StoreError;
use crate::store::content::{self, DEPTH_LIMIT, StoredContent};
use crate::store::engine::Read;

/// A content as it was read: its encoded bytes, which deltas build on, and what they say.
#[derive(Clone, Debug)]
pub(crate) struct LoadedContent {
    /// The encoded bytes.
    pub(crate) bytes: Bytes,
    /// The content.
    pub(crate) content: Arc<Content>,
}

impl LoadedContent {
    /// Bytes of memory that it takes, roughly: the encoded bytes, and as much again in strings.
    pub(crate) fn weight_bytes(&self) -> usize {
        self.bytes.len() + self.content.weight_bytes() + 256
    }
}

/// Reads the encoded bytes of the content that the change at `seq` brought. `cached` may know some already.
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
        let missing = || StoreError::damaged_at(seq, "a content, or one that it builds on, is missing");
        let stored = StoredContent::read(read, at)?.ok_or_else(missing)?;
        next = stored.base();
        if next.is_some_and(|base| base >= at) || chain.len() >= DEPTH_LIMIT as usize {
            return Err(StoreError::damaged_at(seq, "the chain of contents below is malformed"));
        }
        chain.push(stored);
    }
    for stored in chain.iter().rev() {
        bytes = Some(stored.unpack(bytes.as_deref())?.into());
    }
    Ok(bytes.unwrap_or_default())
}

/// Reads a content and checks that it is the one that was archived.
pub(crate) fn load(
    read: &dyn Read,
    seq: Seq,
    digest: ContentDigest,
    cached: impl Fn(Seq) -> Option<Bytes>,
) -> Result<LoadedContent, StoreError> {
    let bytes = load_bytes(read, seq, cached)?;
    let content = content::from_bytes(&bytes);
    let content = content.ok_or_else(|| StoreError::damaged_at(seq, "a content cannot be read"))?;
    if ContentDigest::of(&content) != digest {
        return Err(StoreError::damaged_at(seq, "a content does not have the digest that was recorded"));
    }
    Ok(LoadedContent { bytes, content: Arc::new(content) })
}
