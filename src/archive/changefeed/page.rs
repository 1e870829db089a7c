//! Reads one page of the feed: the matching changes from a position on, encoded or as they are, and the position to
//! continue from.
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
use crate::archive::changefeed::subscribe::ArticleChange;
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

/// When a page ends. Each maximum must be at least 1, so that a page makes progress.
#[derive(Clone, Copy)]
struct PageBounds {
    changes_max: usize,
    bytes_max: usize,
    examined_max: usize,
}

/// The bounds of a page of changes that are not encoded.
const WHOLE_CHANGES: PageBounds = PageBounds { changes_max: 256, bytes_max: 1 << 20, examined_max: 4_096 };

/// Reads a page of the changes from `from` on and below `end`, which must have been announced as the durable tail. A
/// gap in the log is [`StoreError::Damaged`].
pub(crate) fn page(reader: &Reader<'_>, from: Snapshot, end: Seq, plan: &PagePlan) -> Result<FeedPage, ReadError> {
    let PagePlan { changes_max, bytes_max, examined_max, .. } = *plan;
    let bounds = PageBounds { changes_max, bytes_max, examined_max };
    let mut encoded = EncodedChanges { plan, items: Vec::new(), unshared: Vec::new(), ends: Vec::new() };
    let scanned = scan(reader, from, end, &plan.query, bounds, &mut encoded)?;
    Ok(FeedPage { items: encoded.finish(), next: scanned.next, from_storage: scanned.from_storage })
}

/// Reads a page like [`page`], of the changes themselves. Returns them with the snapshot to continue from.
pub(crate) fn whole_changes(
    reader: &Reader<'_>,
    from: Snapshot,
    end: Seq,
    query: &FeedQuery,
    view: FeedView,
) -> Result<(Vec<ArticleChange>, Snapshot), ReadError> {
    let mut changes = WholeChanges { view, changes: Vec::new() };
    let scanned = scan(reader, from, end, query, WHOLE_CHANGES, &mut changes)?;
    Ok((changes.changes, scanned.next))
}

/// Collects the matching changes of a page.
trait Collect {
    /// Adds a matching change, and returns its size in bytes.
    fn add(
        &mut self,
        reader: &Reader<'_>,
        entry: &FeedEntry,
        left_filter: bool,
        source: ChangeSource,
    ) -> Result<usize, ReadError>;

    /// Sets whether the change that was added last is the last match of its atomic batch.
    fn set_batch_end(&mut self, batch_end: bool);
}

/// Where a change was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ChangeSource {
    Ring,
    Storage,
}

/// Where a scan ended, and where it read.
struct Scanned {
    next: Snapshot,
    from_storage: bool,
}

/// Examines the changes from `from` on and below `end`, and collects those that match until the page is full.
fn scan<C: Collect>(
    reader: &Reader<'_>,
    from: Snapshot,
    end: Seq,
    query: &FeedQuery,
    bounds: PageBounds,
    collected: &mut C,
) -> Result<Scanned, ReadError> {
    // Enough for any page: what it may examine, then the rest of the atomic batch, then the change that ends the page.
    let entries_max = bounds.examined_max.saturating_add(Limits::COMMIT_CHANGES_MAX + 1);
    let recent = reader.recent(from.next_seq, end, entries_max);
    let source = if recent.is_some() { ChangeSource::Ring } else { ChangeSource::Storage };
    let mut builder = PageBuilder {
        query,
        bounds,
        source,
        collected,
        next: from,
        changes: 0,
        examined: 0,
        bytes: 0,
        last_batch: None,
    };
    match recent {
        Some(entries) => {
            for entry in entries {
                if builder.take(reader, &entry)?.is_done() {
                    return Ok(builder.finish());
                }
            }
        }
        None => {
            for entry in reader.log(from.next_seq, end)? {
                if builder.take(reader, &entry?)?.is_done() {
                    return Ok(builder.finish());
                }
            }
        }
    }
    if builder.next.next_seq < end {
        return Err(StoreError::damaged_at(builder.next.next_seq, "a change of the log is missing").into());
    }
    // An announced tail is never inside an atomic batch.
    builder.collected.set_batch_end(true);
    Ok(builder.finish())
}

/// The least size of a change that counts towards a page, in bytes.
const ENTRY_BYTES_MIN: usize = 512;
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
struct PageBuilder<'a, C> {
    query: &'a FeedQuery,
    bounds: PageBounds,
    source: ChangeSource,
    collected: &'a mut C,
    /// The snapshot after the last change examined.
    next: Snapshot,
    /// The number of matching changes so far.
    changes: usize,
    /// The number of changes examined so far.
    examined: usize,
    /// The size of the page's changes so far.
    bytes: usize,
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

impl<C: Collect> PageBuilder<'_, C> {
    /// Examines the next change of the log and adds it to the page if it matches. Once the page is full, this only
    /// checks whether the atomic batch of the page's last change has another match, to set `batch_end`.
    fn take(&mut self, reader: &Reader<'_>, entry: &FeedEntry) -> Result<PageStatus, ReadError> {
        let first = entry.change.entry.batch_first;
        let same_batch = self.last_batch == Some(first);
        let is_full = self.is_full();
        if is_full && !same_batch {
            self.collected.set_batch_end(true);
            return Ok(PageStatus::Done);
        }
        let filter_match = filter_match(reader, self.query, entry)?;
        if is_full && filter_match.is_some() {
            self.collected.set_batch_end(false);
            return Ok(PageStatus::Done);
        }
        if let Some(filter_match) = filter_match {
            self.collected.set_batch_end(!same_batch);
            self.bytes += self.collected.add(reader, entry, filter_match.left_filter, self.source)?;
            self.changes += 1;
            self.last_batch = Some(first);
        }
        self.examined += 1;
        self.next = snapshot_after(&entry.change);
        Ok(PageStatus::More)
    }

    fn is_full(&self) -> bool {
        self.changes >= self.bounds.changes_max
            || self.bytes >= self.bounds.bytes_max
            || self.examined >= self.bounds.examined_max
    }

    fn finish(self) -> Scanned {
        Scanned { next: self.next, from_storage: self.source == ChangeSource::Storage }
    }
}

/// Collects the changes of a page encoded.
struct EncodedChanges<'a> {
    plan: &'a PagePlan,
    items: Vec<FeedItem>,
    /// The encoded changes from storage, one after the other.
    unshared: Vec<u8>,
    /// Where in `unshared` each change ends.
    ends: Vec<usize>,
}

impl Collect for EncodedChanges<'_> {
    /// Encodes a change. A change from the ring gets the bytes that all subscribers share. The bytes of a change from
    /// storage are appended to the page's buffer, and [`EncodedChanges::finish`] fills them in.
    fn add(
        &mut self,
        reader: &Reader<'_>,
        entry: &FeedEntry,
        left_filter: bool,
        source: ChangeSource,
    ) -> Result<usize, ReadError> {
        let PagePlan { view, render, bytes_max, .. } = *self.plan;
        let (bytes, size) = match source {
            ChangeSource::Ring => {
                let bytes = entry.rendering(reader, view, || {
                    let mut bytes = Vec::new();
                    render(&change_at(reader, entry, view)?, &mut bytes);
                    Ok(bytes.into())
                })?;
                let size = bytes.len();
                (bytes, size)
            }
            ChangeSource::Storage => {
                if self.ends.is_empty() {
                    self.unshared.reserve(bytes_max.min(UNSHARED_BYTES_INITIAL));
                }
                let before = self.unshared.len();
                render(&change_at(reader, entry, view)?, &mut self.unshared);
                self.ends.push(self.unshared.len());
                (Bytes::new(), self.unshared.len() - before)
            }
        };
        let position = snapshot_after(&entry.change).position();
        self.items.push(FeedItem { bytes, position, left_filter, batch_end: false });
        Ok(size)
    }

    fn set_batch_end(&mut self, batch_end: bool) {
        if let Some(last) = self.items.last_mut() {
            last.batch_end = batch_end;
        }
    }
}

impl EncodedChanges<'_> {
    /// Finishes the page: assigns each change from storage its part of the buffer.
    fn finish(mut self) -> Vec<FeedItem> {
        let (unshared, mut start) = (Bytes::from(self.unshared), 0);
        for (item, end) in self.items.iter_mut().zip(self.ends) {
            item.bytes = unshared.slice(start..end);
            start = end;
        }
        self.items
    }
}

/// Collects the changes of a page as they are.
struct WholeChanges {
    view: FeedView,
    changes: Vec<ArticleChange>,
}

impl Collect for WholeChanges {
    fn add(
        &mut self,
        reader: &Reader<'_>,
        entry: &FeedEntry,
        left_filter: bool,
        _: ChangeSource,
    ) -> Result<usize, ReadError> {
        let change = ArticleChange::new(change_at(reader, entry, self.view)?, left_filter);
        let size = ENTRY_BYTES_MIN + change.revision.weight_bytes();
        self.changes.push(change);
        Ok(size)
    }

    fn set_batch_end(&mut self, batch_end: bool) {
        if let Some(last) = self.changes.last_mut() {
            last.batch_end = batch_end;
        }
    }
}
