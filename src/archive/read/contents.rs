//! Reads contents through their delta chains.
//!
//! A content is stored in full (a keyframe) or as the difference from an earlier one. Reading follows the chain down to
//! a keyframe or to a cached content, then applies the differences upwards. A chain only leads to lower positions and
//! has at most [`DEPTH_LIMIT`] links, so damage cannot make it endless.

use bytes::Bytes;

use crate::model::{Content, ContentDigest, Seq};
use crate::store::content::{DEPTH_LIMIT, StoredContent};
use crate::store::engine::Read;
use crate::store::{StoreError, content_encoding};

/// Reads the encoded content of the change at `seq`. `cached` looks up contents in memory, and may always return
/// `None`.
pub(crate) fn load_bytes(
    read: &dyn Read,
    seq: Seq,
    cached: impl Fn(Seq) -> Option<Bytes>,
) -> Result<Bytes, StoreError> {
    load_with_base(read, seq, cached).map(|(bytes, _)| bytes)
}

/// Like [`load_bytes`], with the base that the content is stored as a difference from; `None` if it is a keyframe or
/// was in memory.
fn load_with_base(
    read: &dyn Read,
    seq: Seq,
    cached: impl Fn(Seq) -> Option<Bytes>,
) -> Result<(Bytes, Option<Seq>), StoreError> {
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
    Ok((bytes.unwrap_or_default(), chain.first().and_then(StoredContent::base)))
}

/// Reads an encoded content and checks it against `digest`. Returns it with its base, as [`load_with_base`] does.
pub(crate) fn load(
    read: &dyn Read,
    seq: Seq,
    digest: ContentDigest,
    cached: impl Fn(Seq) -> Option<Bytes>,
) -> Result<(Bytes, Option<Seq>), StoreError> {
    let (bytes, base) = load_with_base(read, seq, cached)?;
    let found = content_encoding::digest(&bytes);
    let found = found.ok_or_else(|| StoreError::damaged_at(seq, "a content cannot be read"))?;
    if found != digest {
        return Err(StoreError::damaged_at(seq, "a content does not have the digest that was recorded"));
    }
    Ok((bytes, base))
}

/// Decodes the content of the change at `seq`.
pub(crate) fn decode(seq: Seq, bytes: &[u8]) -> Result<Content, StoreError> {
    content_encoding::from_bytes(bytes).ok_or_else(|| StoreError::damaged_at(seq, "a content cannot be read"))
}
