//! Reads one page of the feed: the matching changes from a position on, encoded, and the position to continue from.
//!
//! Invariants:
//! - A page always makes progress: it examines at least one change, or everything below `end`.
//! - A page is bounded in changes, in bytes and in changes examined. The last bound keeps a filter that matches nothing
//!   from reading the whole log in one call.
//! - `batch_end` is exact: once the page is full, reading continues until it is known whether the atomic batch of the
//!   last change has another match.
//! - A gap in the log is an error. It is never skipped.
//!
//! Changes from the ring share their encoded bytes with all subscribers. Changes from storage are encoded into one
//! buffer per page, because nobody else will read them.

use std::sync::Arc;

use bytes::Bytes;

use crate::archive::changefeed::entry::FeedEntry;
use crate::archive::changefeed::filter::filter_match;
use crate::archive::changefeed::view::{ChangeAt, change_at};
use crate::archive::changefeed::{FeedItem, FeedPage, FeedView};
use crate::archive::position::snapshot_after;
use crate::archive::read::reader::{ReadError, Reader};
use crate::model::{FeedQuery, Limits, Seq, Snapshot};
use crate::store::StoreError;

/// Encodes a change and appends the bytes.
pub type Render = fn(&ChangeAt, &mut Vec<u8>);

/// What a page contains, and when it ends. Each maximum must be at least 1, so that a page makes progress.
#[derive(Clone)]
pub struct PagePlan {
    /// Selects the changes that the page contains.
    pub query: Arc<FeedQuery>,
    /// How much of each change is delivered.
    pub view: FeedView,
    /// Encodes each change when it is added to the page.
    pub render: Render,
    /// The maximum number of changes.
    pub changes_max: usize,
    /// The page ends with the change that takes it to this many bytes.
    pub bytes_max: usize,
    /// The maximum number of changes examined. It may be exceeded to examine the rest of an atomic batch.
    pub examined_max: usize,
}

/// Reads a page of the changes from `from` on and below `end`, which must have been announced as the durable tail. A
/// gap in the log is [`StoreError::Damaged`].
pub(crate) fn page(reader: &Reader<'_>, from: Snapshot, end: Seq, plan: &PagePlan) -> Result<FeedPage, ReadError> {
    let mut builder = PageBuilder::new(from);
    // Enough for any page: what it may examine, then the rest of the atomic batch, then the change that ends the page.
    let entries_max = plan.examined_max.saturating_add(Limits::COMMIT_CHANGES_MAX + 1);
    match reader.recent(from.next_seq, end, entries_max) {
        Some(entries) => {
            for entry in entries {
                if builder.take(reader, plan, &entry)?.is_done() {
                    return Ok(builder.finish());
                }
            }
        }
        None => {
            builder.page.from_storage = true;
            builder.unshared.reserve(plan.bytes_max.min(UNSHARED_BYTES_INITIAL));
            for entry in reader.log(from.next_seq, end)? {
                if builder.take(reader, plan, &entry?)?.is_done() {
                    return Ok(builder.finish());
                }
            }
        }
    }
    let next_seq = builder.page.next.next_seq;
    if next_seq < end {
        return Err(StoreError::damaged_at(next_seq, "a change of the log is missing").into());
    }
    // An announced tail is never inside an atomic batch.
    builder.set_batch_end(true);
    Ok(builder.finish())
}

/// The initial capacity, in bytes, of the buffer for changes from storage. Growing the buffer step by step would take
/// longer than filling it.
const UNSHARED_BYTES_INITIAL: usize = 112 << 10;
/// The maximum number of changes that [`without_match`] examines. It runs on an async thread, which it must not block.
const WITHOUT_MATCH_EXAMINED_MAX: usize = 512;

/// Returns the snapshot at `end` if the data in memory shows that no change from `from` on and below `end` matches.
/// `None` if one matches, or if that cannot be decided from memory.
pub(crate) fn without_match(reader: &Reader<'_>, from: Snapshot, end: Seq, query: &FeedQuery) -> Option<Snapshot> {
    let entries = reader.recent(from.next_seq, end, WITHOUT_MATCH_EXAMINED_MAX)?;
    let last = entries.last().filter(|last| last.change.seq.next() == end)?;
    let matches_none = entries.iter().all(|entry| matches!(filter_match(reader, query, entry), Ok(None)));
    matches_none.then(|| snapshot_after(&last.change))
}

/// A page that is being read.
struct PageBuilder {
    page: FeedPage,
    /// The number of changes examined so far.
    examined: usize,
    /// The size of the page's encoded changes so far.
    bytes: usize,
    /// The encoded changes from storage, one after the other.
    unshared: Vec<u8>,
    /// Where in `unshared` each change ends.
    ends: Vec<usize>,
    /// The first position of the atomic batch that the last matching change belongs to.
    last_batch: Option<Seq>,
}

/// Whether the page has room for more.
#[derive(PartialEq, Eq)]
enum PageStatus {
    More,
    Done,
}

impl PageStatus {
    fn is_done(&self) -> bool {
        *self == Self::Done
    }
}

impl PageBuilder {
    fn new(from: Snapshot) -> Self {
        let page = FeedPage { items: Vec::new(), next: from, from_storage: false };
        Self { page, examined: 0, bytes: 0, unshared: Vec::new(), ends: Vec::new(), last_batch: None }
    }

    /// Examines the next change of the log and adds it to the page if it matches. Once the page is full, this only
    /// checks whether the atomic batch of the page's last change has another match, to set `batch_end`.
    fn take(&mut self, reader: &Reader<'_>, plan: &PagePlan, entry: &FeedEntry) -> Result<PageStatus, ReadError> {
        let first = entry.change.entry.batch_first;
        let same_batch = self.last_batch == Some(first);
        let is_full = self.is_full(plan);
        if is_full && !same_batch {
            self.set_batch_end(true);
            return Ok(PageStatus::Done);
        }
        let filter_match = filter_match(reader, &plan.query, entry)?;
        if is_full && filter_match.is_some() {
            self.set_batch_end(false);
            return Ok(PageStatus::Done);
        }
        if let Some(filter_match) = filter_match {
            self.set_batch_end(!same_batch);
            let bytes = self.encode(reader, plan, entry)?;
            self.page.items.push(FeedItem { bytes, left_filter: filter_match.left_filter, batch_end: false });
            self.last_batch = Some(first);
        }
        self.examined += 1;
        self.page.next = snapshot_after(&entry.change);
        Ok(PageStatus::More)
    }

    /// Encodes a change. For a change from the ring, this returns the bytes that all subscribers share. The bytes of a
    /// change from storage are appended to the page's buffer; this returns no bytes, and [`Self::finish`] fills them
    /// in.
    fn encode(&mut self, reader: &Reader<'_>, plan: &PagePlan, entry: &FeedEntry) -> Result<Bytes, ReadError> {
        if self.page.from_storage {
            let before = self.unshared.len();
            (plan.render)(&change_at(reader, entry, plan.view)?, &mut self.unshared);
            self.ends.push(self.unshared.len());
            self.bytes += self.unshared.len() - before;
            return Ok(Bytes::new());
        }
        let bytes = entry.rendering(reader, plan.view, || {
            let mut bytes = Vec::new();
            (plan.render)(&change_at(reader, entry, plan.view)?, &mut bytes);
            Ok(bytes.into())
        })?;
        self.bytes += bytes.len();
        Ok(bytes)
    }

    /// Finishes the page: assigns each change from storage its part of the buffer.
    fn finish(mut self) -> FeedPage {
        let (unshared, mut start) = (Bytes::from(self.unshared), 0);
        for (item, end) in self.page.items.iter_mut().zip(self.ends) {
            item.bytes = unshared.slice(start..end);
            start = end;
        }
        self.page
    }

    fn is_full(&self, plan: &PagePlan) -> bool {
        self.page.items.len() >= plan.changes_max || self.bytes >= plan.bytes_max || self.examined >= plan.examined_max
    }

    /// Sets whether the page's last change is the last match of its atomic batch.
    fn set_batch_end(&mut self, batch_end: bool) {
        if let Some(last) = self.page.items.last_mut() {
            last.batch_end = batch_end;
        }
    }
}
