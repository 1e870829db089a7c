//! Checks a change's payload, its content and its original, against what the change records of it.

use crate::model::{Change, Seq};
use crate::store::StoreError;
use crate::store::content::{DEPTH_LIMIT, StoredContent, StoredOriginal};
use crate::store::engine::Read;

/// Checks that a content records its depth in the delta chain correctly. The depth that its base records is trusted;
/// the base must be in `read`.
pub(crate) fn check_depth(read: &dyn Read, seq: Seq, content: Option<&StoredContent>) -> Result<(), StoreError> {
    let Some(content) = content else { return Ok(()) };
    let depth = match content.base() {
        None => 0,
        Some(base) => {
            let missing = || StoreError::damaged_at(seq, "the base of a content is missing");
            StoredContent::read(read, base)?.ok_or_else(missing)?.depth() + 1
        }
    };
    if depth != content.depth() || depth >= DEPTH_LIMIT {
        return Err(StoreError::damaged_at(seq, "a content records a wrong depth in its delta chain"));
    }
    Ok(())
}

/// Checks an original against the size and the SHA-256 that the change records.
pub(crate) fn check_original(change: &Change, original: Option<&StoredOriginal>) -> Result<(), StoreError> {
    let record = change.entry.revision_with_content().and_then(|revision| revision.original.as_ref());
    let Some((record, original)) = record.zip(original) else { return Ok(()) };
    if original.is(record) {
        return Ok(());
    }
    Err(StoreError::damaged_at(change.seq, "an original is not the one that was recorded"))
}
