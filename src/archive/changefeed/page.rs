//! Reads one page of the feed: the matching changes from a position on, encoded, and the position to continue from.
//!
//! Invariants:
//! - A page always makes progress: it examines at least one change, or everything below `end`.
//! - A page is bounded in changes, in bytes and in changes examined. The last bound keeps a filter that matches nothing
//!   from reading the whole log in one call.
//! - `batch_end` is exact: a full page still looks whether the atomic batch of its last change has another match.
//! - A gap in the log is an error. It is never skipped.
//!
//! Changes from the ring share their encoded bytes with all subscribers. Changes from storage are encoded into one
//! buffer per page, because nobody else will read them.

use std::sync::Arc;

use bytes::Bytes;

use crate::archive::changefeed::entry::FeedEntry;
use crate::archive::changefeed::filter::filter_match;
use crate::archive::changefeed::view::ChangeAt;
use crate::archive::changefeed::view::change_at;
use crate::archive::changefeed::{FeedItem, FeedPage, FeedView};
use crate::archive::position::snapshot_after;
use crate::archive::read::reader::{ReadError, Reader};
use crate::model::{FeedQuery, Limits, Seq, Snapshot};
use crate::store::StoreError;

/// Encodes a change and appends the bytes.
pub type Render = fn(&ChangeAt, &mut Vec<u8>);

/// What a page contains, and when it ends.
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
    /// The maximum number of changes examined. The page may exceed it to finish looking through an atomic batch.
    pub examined_max: usize,
}

/// Reads the page from `from` on and below `end`, which was announced as the durable tail.
pub(crate) fn page(reader: &Reader<'_>, from: Snapshot, end: Seq, plan: &PagePlan) -> Result<FeedPage, ReadError> {
    let mut reading = PageBuilder::new(from);
    // Enough for any page: what it may examine, and then the rest of the atomic batch that it is in.
    let most = plan.examined_max.saturating_add(Limits::COMMIT_CHANGES_MAX + 1);
    match reader.recent(from.next_seq, end, most) {
        Some(entries) => {
            for entry in entries {
                if reading.take(reader, plan, &entry)?.is_done() {
                    return Ok(reading.end());
                }
            }
        }
        None => {
            reading.page.from_storage = true;
            reading.unshared.reserve(plan.bytes_max.min(UNSHARED_BYTES));
            for entry in reader.log(from.next_seq, end)? {
                if reading.take(reader, plan, &entry?)?.is_done() {
                    return Ok(reading.end());
                }
            }
        }
    }
    let next_seq = reading.page.next.next_seq;
    if next_seq < end {
        return Err(StoreError::damaged_at(next_seq, "a change of the log is missing").into());
    }
    // A durable tail is always the end of an atomic batch.
    reading.end_batch(true);
    Ok(reading.end())
}

/// The initial capacity, in bytes, of the buffer for changes from storage. Growing it takes longer than filling it.
const UNSHARED_BYTES: usize = 112 << 10;
/// The maximum number of changes that [`without_match`] examines, since it runs on an async thread.
const PASSED_MAX: usize = 512;

/// Returns the snapshot at `end` if the data in memory is enough to know that nothing from `from` up to it matches.
pub(crate) fn without_match(reader: &Reader<'_>, from: Snapshot, end: Seq, query: &FeedQuery) -> Option<Snapshot> {
    let entries = reader.recent(from.next_seq, end, PASSED_MAX)?;
    let last = entries.last().filter(|last| last.change.seq.next() == end)?;
    let matches_none = entries.iter().all(|entry| matches!(filter_match(reader, query, entry), Ok(None)));
    matches_none.then(|| snapshot_after(&last.change))
}

/// A page that is being read.
struct PageBuilder {
    page: FeedPage,
    examined: usize,
    bytes: usize,
    /// The encoded changes from storage, one after the other. `ends` has the end of each.
    unshared: Vec<u8>,
    ends: Vec<usize>,
    /// The atomic batch of the last change that matched, by its first position.
    batch: Option<Seq>,
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
        Self { page, examined: 0, bytes: 0, unshared: Vec::new(), ends: Vec::new(), batch: None }
    }

    /// Takes the next change of the log. Once the page is full, this only looks whether the atomic batch of the page's
    /// last change has another match, to set `batch_end`.
    fn take(&mut self, reader: &Reader<'_>, plan: &PagePlan, entry: &FeedEntry) -> Result<PageStatus, ReadError> {
        let first = entry.change.entry.batch_first;
        let same_batch = self.batch == Some(first);
        let is_full = self.is_full(plan);
        if is_full && !same_batch {
            self.end_batch(true);
            return Ok(PageStatus::Done);
        }
        let filter_match = filter_match(reader, &plan.query, entry)?;
        if is_full && filter_match.is_some() {
            self.end_batch(false);
            return Ok(PageStatus::Done);
        }
        if let Some(filter_match) = filter_match {
            self.end_batch(!same_batch);
            let bytes = self.encoded(reader, plan, entry)?;
            self.page.items.push(FeedItem { bytes, left_filter: filter_match.left_filter, batch_end: false });
            self.batch = Some(first);
        }
        self.examined += 1;
        self.page.next = snapshot_after(&entry.change);
        Ok(PageStatus::More)
    }

    /// Encodes a change. One from the ring returns its bytes, shared by all subscribers. One from storage returns no
    /// bytes yet; they are appended to the page's buffer, and `end` assigns them.
    fn encoded(&mut self, reader: &Reader<'_>, plan: &PagePlan, entry: &FeedEntry) -> Result<Bytes, ReadError> {
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

    /// Finishes the page: gives each change from storage its bytes.
    fn end(mut self) -> FeedPage {
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

    /// Records for the page's last change whether it is the last match of its batch.
    fn end_batch(&mut self, ended: bool) {
        if let Some(last) = self.page.items.last_mut() {
            last.batch_end = ended;
        }
    }
}
