//! One page of the feed: the changes that match from a place on, encoded, and where the feed is after them.

use std::sync::Arc;

use bytes::Bytes;

use crate::archive::changefeed::cached_change::FeedEntry;
use crate::archive::changefeed::filter::fit;
use crate::archive::changefeed::view::ChangeAt;
use crate::archive::changefeed::view::shown;
use crate::archive::changefeed::{FeedItem, FeedPage, FeedView};
use crate::archive::read::reader::{ReadError, Reader};
use crate::model::{Change, FeedQuery, Limits, Seq, Snapshot};
use crate::store::StoreError;

/// Appends the bytes of a change.
pub type Render = fn(&ChangeAt, &mut Vec<u8>);

/// What a page is to be.
#[derive(Clone)]
pub struct PagePlan {
    /// Which changes.
    pub query: Arc<FeedQuery>,
    /// How much of each.
    pub view: FeedView,
    /// Makes the bytes of one.
    pub render: Render,
    /// The page ends with so many changes,
    pub changes_max: usize,
    /// or with the change that takes it to so many bytes,
    pub bytes_max: usize,
    /// or when so many changes were looked at.
    pub examined_max: usize,
}

/// Reads the page from `from` on, below `end`, which is a durable end of the log.
pub(crate) fn page(reader: &Reader<'_>, from: Snapshot, end: Seq, plan: &PagePlan) -> Result<FeedPage, ReadError> {
    let mut reading = Reading::new(from);
    // With these a page is sure to end: by what it may examine, and then with the atomic batch that it is in.
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
    // A durable end is the end of an atomic batch.
    reading.end_batch(true);
    Ok(reading.end())
}

/// What a page of changes from storage is given room for at first: growing takes longer than writing.
const UNSHARED_BYTES: usize = 112 << 10;
/// Changes that are passed over at once at most.
const PASSED_MAX: usize = 512;

/// The place at `end`, if what is in memory tells that nothing from `from` up to it matches.
pub(crate) fn without_match(reader: &Reader<'_>, from: Snapshot, end: Seq, query: &FeedQuery) -> Option<Snapshot> {
    let entries = reader.recent(from.next_seq, end, PASSED_MAX)?;
    let last = entries.last().filter(|last| last.change.seq.next() == end)?;
    let matches_none = entries.iter().all(|entry| matches!(fit(reader, query, entry), Ok(None)));
    matches_none.then(|| after(&last.change))
}

/// The place behind a change.
fn after(change: &Change) -> Snapshot {
    Snapshot {
        next_seq: change.seq.next(),
        archive_time: Some(change.entry.archive_time),
        log_digest: change.log_digest,
    }
}

/// A page that is being read.
struct Reading {
    page: FeedPage,
    examined: usize,
    bytes: usize,
    /// Changes from storage, which nobody else reads, one behind the other. Each ends where the next begins.
    unshared: Vec<u8>,
    ends: Vec<usize>,
    /// The first position of the atomic batch of the last change that matched.
    batch: Option<Seq>,
}

/// Whether a page takes more.
#[derive(PartialEq, Eq)]
enum Step {
    More,
    Done,
}

impl Step {
    fn is_done(&self) -> bool {
        *self == Self::Done
    }
}

impl Reading {
    fn new(from: Snapshot) -> Self {
        let page = FeedPage { items: Vec::new(), next: from, from_storage: false };
        Self { page, examined: 0, bytes: 0, unshared: Vec::new(), ends: Vec::new(), batch: None }
    }

    /// Takes the next change of the log. A page that is full only looks whether the atomic batch of its last change
    /// has another one that matches, so that `batch_end` is true where it says so.
    fn take(&mut self, reader: &Reader<'_>, plan: &PagePlan, entry: &FeedEntry) -> Result<Step, ReadError> {
        let first = entry.change.entry.batch_first;
        let goes_on = self.batch == Some(first);
        let is_full = self.is_full(plan);
        if is_full && !goes_on {
            self.end_batch(true);
            return Ok(Step::Done);
        }
        let fit = fit(reader, &plan.query, entry)?;
        if is_full && fit.is_some() {
            self.end_batch(false);
            return Ok(Step::Done);
        }
        if let Some(fit) = fit {
            self.end_batch(!goes_on);
            let bytes = self.encoded(reader, plan, entry)?;
            self.page.items.push(FeedItem { bytes, left_filter: fit.left_filter, batch_end: false });
            self.batch = Some(first);
        }
        self.examined += 1;
        self.page.next = after(&entry.change);
        Ok(Step::More)
    }

    /// The bytes of a recent change, made once for all; none yet of one from storage, whose bytes stand with the others
    /// of its page.
    fn encoded(&mut self, reader: &Reader<'_>, plan: &PagePlan, entry: &FeedEntry) -> Result<Bytes, ReadError> {
        if self.page.from_storage {
            let before = self.unshared.len();
            (plan.render)(&shown(reader, entry, plan.view)?, &mut self.unshared);
            self.ends.push(self.unshared.len());
            self.bytes += self.unshared.len() - before;
            return Ok(Bytes::new());
        }
        let bytes = entry.rendering(reader, plan.view, || {
            let mut bytes = Vec::new();
            (plan.render)(&shown(reader, entry, plan.view)?, &mut bytes);
            Ok(bytes.into())
        })?;
        self.bytes += bytes.len();
        Ok(bytes)
    }

    /// The page, each of its changes with its bytes.
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

    /// Says of the last change whether its batch has no more that match.
    fn end_batch(&mut self, ended: bool) {
        if let Some(last) = self.page.items.last_mut() {
            last.batch_end = ended;
        }
    }
}
