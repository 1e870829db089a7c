//! Writes every entry of the old database to the new one, in order of key.

use std::ops::{Bound, ControlFlow};

use super::contents::unwritten;
use super::staging::{Staging, StagingError};
use super::{CompactError, CompactListener, CompactPhase, CompactProgress, Stop};
use crate::model::Seq;
use crate::store::engine::sled::{CompactDatabase, SledEngine};
use crate::store::engine::{Direction, Entry, KeyRange, Read};
use crate::store::head::ArticleHead;
use crate::store::key::article::ArticleIndexKey;
use crate::store::key::content::{ContentKey, OriginalKey};
use crate::store::key::meta::MetaKey;
use crate::store::seal::unseal;
use crate::store::{Batch, StoreError};

/// The number of entries between two reports of progress.
const PROGRESS_EVERY: u64 = 1024;

/// Copies all entries. The payloads of `staging`, if there is one, take the place of the old ones.
pub(super) fn copy(
    old: &SledEngine,
    staging: Option<&Staging>,
    new: &mut CompactDatabase,
    listener: &mut CompactListener<'_>,
) -> Result<(), Stop> {
    let everything = || KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };
    let total = old.scan(everything(), Direction::Forward).count() as u64;
    for (done, entry) in (0..).zip(old.scan(everything(), Direction::Forward)) {
        let entry = entry.map_err(StoreError::from)?;
        let progress = CompactProgress { phase: CompactPhase::Writing, done, total };
        if done.is_multiple_of(PROGRESS_EVERY) && listener(progress) == ControlFlow::Break(()) {
            return Err(Stop::Requested);
        }
        for (key, value) in replaced(entry, staging)? {
            new.insert(key, value)?;
        }
    }
    Ok(())
}

/// The entries that take the place of an entry.
fn replaced((key, value): Entry, staging: Option<&Staging>) -> Result<Vec<Entry>, CompactError> {
    unseal(&key, &value)?;
    if key == MetaKey::DestructionPending.encode() {
        return Ok(Vec::new());
    }
    let Some(staging) = staging else { return Ok(vec![(key, value)]) };
    if let Some(ContentKey { seq, chunk }) = ContentKey::decode(&key) {
        return if chunk > 0 { Ok(Vec::new()) } else { content(seq, staging) };
    }
    if let Some(OriginalKey { seq, chunk }) = OriginalKey::decode(&key) {
        return if chunk > 0 { Ok(Vec::new()) } else { original(seq, staging) };
    }
    if let Some(ArticleIndexKey::Head(article)) = ArticleIndexKey::decode(&key) {
        let mut head = ArticleHead::decode(&key, &value)?;
        for recent in &mut head.recent {
            recent.depth = staged_content(recent.seq, staging)?.depth();
        }
        return Ok(vec![head.encode(article)]);
    }
    Ok(vec![(key, value)])
}

fn content(seq: Seq, staging: &Staging) -> Result<Vec<Entry>, CompactError> {
    let mut batch = Batch::default();
    staged_content(seq, staging)?.write(&mut batch);
    Ok(entries(batch))
}

fn original(seq: Seq, staging: &Staging) -> Result<Vec<Entry>, CompactError> {
    let missing = || StoreError::damaged_at(seq, "an original belongs to no revision");
    let original = staging.original(seq).map_err(unwritten)?.ok_or_else(missing)?;
    let mut batch = Batch::default();
    original.write(seq, &mut batch);
    Ok(entries(batch))
}

fn staged_content(seq: Seq, staging: &Staging) -> Result<crate::store::content::StoredContent, CompactError> {
    let missing = || StoreError::damaged_at(seq, "a content belongs to no revision");
    Ok(staging.content(seq)?.ok_or_else(missing)?)
}

fn entries(batch: Batch) -> Vec<Entry> {
    batch.writes.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

impl From<StagingError> for CompactError {
    fn from(error: StagingError) -> Self {
        match error {
            StagingError::Io(error) => unwritten(error),
            StagingError::Malformed(error) => Self::Write(error.to_string()),
        }
    }
}
