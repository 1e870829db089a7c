//! What a change brought, held to what it is recorded as.

use crate::model::{Change, Seq};
use crate::store::StoreError;
use crate::store::content::{DEPTH_LIMIT, StoredContent, StoredOriginal};
use crate::store::engine::Read;

/// Checks that a content says truly how many must be read before it. The content that it builds on, which is in `read`,
/// is taken to say so.
pub(crate) fn check_depth(read: &dyn Read, seq: Seq, content: Option<&StoredContent>) -> Result<(), StoreError> {
    let Some(content) = content else { return Ok(()) };
    let depth = match content.base() {
        None => 0,
        Some(base) => {
            let missing = || StoreError::damaged_at(seq, "the content that a content builds on is missing");
            StoredContent::read(read, base)?.ok_or_else(missing)?.depth() + 1
        }
    };
    if depth != content.depth() || depth >= DEPTH_LIMIT {
        return Err(StoreError::damaged_at(seq, "a content says otherwise how many must be read before it"));
    }
    Ok(())
}

/// Checks an original against the size and the SHA-256 that were recorded.
pub(crate) fn check_original(change: &Change, original: Option<&StoredOriginal>) -> Result<(), StoreError> {
    let record = change.entry.new_revision.as_ref().and_then(|made| made.original.as_ref());
    let Some((record, original)) = record.zip(original) else { return Ok(()) };
    if original.is(record) {
        return Ok(());
    }
    Err(StoreError::damaged_at(change.seq, "an original is not the one that was recorded"))
}
