//! Divides a large commit into parts that may be written before it, so that no single write to the engine is large.
//!
//! sled's log consists of segments of 8 MiB. A write that spans several of them is not safe from a power cut: until it
//! is synced, the drive may have stored a later segment without an earlier one, although sled takes a later segment as
//! evidence that the earlier ones are complete. So the chunks of contents and originals in a large commit are written
//! first, in parts, each durable before the next, under the positions that their changes will have. The log records and
//! everything projected from them come last, in a single write. That write is the commit. Until it is done, the chunks
//! are after the end of the log, where no reader looks. If it never happens, they are orphan chunks: [`beyond`] finds
//! them, and they must be removed before their positions are used.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::engine::{Direction, KeyRange, Read};
use super::key::Kind;
use super::key::content::{ContentKey, OriginalKey};
use super::key::prefix_range;
use super::{Batch, EngineError};
use crate::model::Seq;

/// The maximum size of a part's keys and values, in bytes. sled writes more than three times as much to its log, which
/// must stay well below a segment.
pub const PART_BYTES_MAX: u64 = 1 << 20;
/// The number of chunks that one batch removes. It is small, because sled rewrites the rest of each chunk's page.
const REMOVALS_PER_BATCH: usize = 16;

/// Divides a large commit. Returns the parts to write first, in order, which contain only chunks, and the batch to
/// write last, which contains everything else. Returns `None` for a commit that is small or has no chunks.
pub fn divided(batch: &Batch) -> Option<(impl Iterator<Item = Batch>, Batch)> {
    if batch.bytes() <= PART_BYTES_MAX || !batch.writes.keys().any(|key| is_chunk(key)) {
        return None;
    }
    let others = batch.writes.iter().filter(|(key, _)| !is_chunk(key));
    let last = Batch {
        writes: others.map(|(key, value)| (key.clone(), value.clone())).collect(),
        maintenance: batch.maintenance,
    };
    Some((first_parts(batch), last))
}

fn first_parts(batch: &Batch) -> impl Iterator<Item = Batch> {
    let mut chunks = batch.writes.iter().filter(|(key, _)| is_chunk(key)).peekable();
    std::iter::from_fn(move || {
        let mut part = Batch { writes: BTreeMap::new(), maintenance: batch.maintenance };
        let mut bytes = 0;
        while let Some((key, value)) = chunks.next_if(|(key, value)| {
            bytes += (key.len() + value.as_ref().map_or(0, Vec::len)) as u64;
            part.writes.is_empty() || bytes <= PART_BYTES_MAX
        }) {
            part.writes.insert(key.clone(), value.clone());
        }
        (!part.writes.is_empty()).then_some(part)
    })
}

/// The keys of all orphan chunks: those at or after `end`, the end of the log.
pub fn beyond(read: &dyn Read, end: Seq) -> Result<Vec<Vec<u8>>, EngineError> {
    let firsts = [
        (Kind::Content, ContentKey { seq: end, chunk: 0 }.encode()),
        (Kind::Original, OriginalKey { seq: end, chunk: 0 }.encode()),
    ];
    let chunks = firsts.into_iter().flat_map(|(kind, first)| {
        let range = KeyRange { start: Bound::Included(first), ..prefix_range(vec![kind as u8]) };
        read.scan(range, Direction::Forward)
    });
    chunks.map(|entry| Ok(entry?.0)).collect()
}

/// Batches that remove `keys`. The batches are maintenance writes, so that orphan chunks can be removed from a full
/// disk.
pub fn removals(keys: &[Vec<u8>]) -> impl Iterator<Item = Batch> {
    keys.chunks(REMOVALS_PER_BATCH)
        .map(|keys| Batch { writes: keys.iter().map(|key| (key.clone(), None)).collect(), maintenance: true })
}

fn is_chunk(key: &[u8]) -> bool {
    key.first().is_some_and(|kind| [Kind::Content as u8, Kind::Original as u8].contains(kind))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;
    use crate::store::engine::Engine;
    use crate::store::engine::memory::MemoryEngine;
    use crate::store::key::log::LogKey;

    /// A change at `seq` with its content, and an original of `chunks` chunks of 60,000 bytes each.
    fn commit(seq: u64, chunks: u16) -> Batch {
        let seq = Seq(seq);
        let mut batch = Batch::default();
        batch.writes.insert(LogKey(seq).encode(), Some(vec![1; 300]));
        batch.writes.insert(ContentKey { seq, chunk: 0 }.encode(), Some(vec![2; 300]));
        for chunk in 0..chunks {
            batch.writes.insert(OriginalKey { seq, chunk }.encode(), Some(vec![3; 60_000]));
        }
        batch
    }

    #[test]
    fn a_divided_commit_is_complete_and_ends_with_the_log() {
        for chunks in [0, 1, 17, 18, 60, 273] {
            let batch = commit(7, chunks);
            let mut all = BTreeMap::new();
            let mut count = 0;
            let (parts, last) = divided(&batch).unzip();
            for part in parts.into_iter().flatten() {
                assert!(part.bytes() <= PART_BYTES_MAX && !part.writes.is_empty());
                assert!(part.writes.keys().all(|key| is_chunk(key)));
                all.extend(part.writes);
                count += 1;
            }
            // 17 chunks of 60,000 bytes fit into one part.
            assert_eq!(count, if batch.bytes() > PART_BYTES_MAX { usize::from(chunks).div_ceil(17) } else { 0 });
            assert_eq!(last.is_some(), count > 0);
            all.extend(last.unwrap_or_else(|| batch.clone()).writes);
            assert_eq!(all, batch.writes);
        }
    }

    #[test]
    fn orphan_chunks_are_found_and_removed() {
        let engine = MemoryEngine::new();
        for seq in 0..5 {
            engine.commit(&commit(seq, 20)).unwrap();
        }
        assert_eq!(beyond(&engine, Seq(5)).unwrap(), Vec::<Vec<u8>>::new());
        let orphan_chunks = beyond(&engine, Seq(3)).unwrap();
        assert_eq!(orphan_chunks.len(), 2 * 21);
        for removal in removals(&orphan_chunks) {
            engine.commit(&removal).unwrap();
        }
        assert!(beyond(&engine, Seq(3)).unwrap().is_empty());
        assert_eq!(beyond(&engine, Seq(2)).unwrap().len(), 21);
    }
}
