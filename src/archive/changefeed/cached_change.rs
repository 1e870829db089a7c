//! A change in the feed, with what is computed from it once for all subscribers: the article's state before and after
//! it, and the encoded change in each view.
//!
//! Invariants:
//! - The encoded change is the same for every subscriber. What differs between them (`left_filter`, `batch_end`) is not
//!   part of it.
//! - An encoded change larger than `cached_bytes_max` is not kept, because the ring has accounted for that much and no
//!   more.
//! - A reader on an async thread never waits for another thread that is encoding.

use std::sync::{Arc, PoisonError, TryLockError};

use bytes::Bytes;

use crate::archive::ArchiveError;
use crate::archive::changefeed::FeedView;
use crate::archive::changefeed::entry::{FeedEntry, FilterState, FilterStates};
use crate::archive::error::Missing;
use crate::archive::read::article::labelling_change;
use crate::archive::read::matching::StateInForce;
use crate::archive::read::reader::{ReadError, Reader};
use crate::model::{Change, RevisionNumber};
use crate::store::StoreError;
use crate::store::record::created_revision;

impl FeedEntry {
    /// The article's state before and after the change, read on first use.
    pub(crate) fn filter_states(&self, reader: &Reader<'_>) -> Result<&FilterStates, ReadError> {
        if let Some(filter_states) = self.filter_states.get() {
            return Ok(filter_states);
        }
        let before = match self.change.entry.previous {
            None => None,
            Some(previous) => Some(FilterState::with(reader, &reader.change(previous)?)?),
        };
        let filter_states = FilterStates { before, after: FilterState::with(reader, &self.change)? };
        Ok(self.filter_states.get_or_init(|| filter_states))
    }

    /// Returns the encoded change, and calls `render` if it is not cached. While another thread is encoding it, a
    /// reader on an async thread gets [`ReadError::NotCached`] instead of waiting.
    pub(crate) fn rendering(
        &self,
        reader: &Reader<'_>,
        view: FeedView,
        render: impl FnOnce() -> Result<Bytes, ReadError>,
    ) -> Result<Bytes, ReadError> {
        let [basic, full, diff] = &self.renderings;
        let slot = match view {
            FeedView::Basic => basic,
            FeedView::Full => full,
            FeedView::Diff => diff,
            // Copies of an archive are rare and start from the beginning, far behind the ring, so caching would not
            // help.
            FeedView::Request => return render(),
        };
        let mut slot = match slot.try_lock() {
            Ok(slot) => slot,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                reader.tables()?; // Only a blocking thread may wait.
                slot.lock().unwrap_or_else(PoisonError::into_inner)
            }
        };
        match &*slot {
            Some(bytes) => Ok(bytes.clone()),
            None => {
                let bytes = render()?;
                if bytes.len() <= self.cached_bytes_max {
                    *slot = Some(bytes.clone());
                }
                Ok(bytes)
            }
        }
    }
}

impl FilterState {
    /// The state of the article of `change`, just after it.
    fn with(reader: &Reader<'_>, change: &Arc<Change>) -> Result<Self, ReadError> {
        let latest_state = change.entry.latest_state;
        let state = StateInForce { state: latest_state.state, since: latest_state.since };
        let labelled_by = labelled_by(reader, change)?;
        Ok(Self { created_by: newest(reader, change)?, state, labelled_by })
    }
}

/// The change that set the labels of the article, as known with `change`; `None` if it never had any.
pub(crate) fn labelled_by(reader: &Reader<'_>, change: &Arc<Change>) -> Result<Option<Arc<Change>>, ReadError> {
    match change.entry.latest_state.labels_seq {
        None => Ok(None),
        Some(seq) if seq == change.seq => Ok(Some(Arc::clone(change))),
        Some(seq) => labelling_change(reader, seq).map(Some),
    }
}

/// The change that created the newest revision of the article, as known with `change`.
pub(crate) fn newest(reader: &Reader<'_>, change: &Arc<Change>) -> Result<Arc<Change>, ReadError> {
    let created_seq = change.entry.latest_state.created_seq;
    if created_seq == change.seq { Ok(Arc::clone(change)) } else { reader.change(created_seq) }
}

/// The change that created a revision of the entry's article.
pub(crate) fn creating_change(
    reader: &Reader<'_>,
    entry: &FeedEntry,
    revision: RevisionNumber,
) -> Result<Arc<Change>, ReadError> {
    let seq = entry.change.seq;
    let created_seq = reader.tables()?.revision(entry.change.entry.article, revision, seq.next())?;
    let missing =
        || ArchiveError::from(Missing::Revision { article: entry.change.entry.name.clone(), number: revision });
    reader.change(created_seq.ok_or_else(missing)?)
}

/// The number of the revision that a change created.
pub(crate) fn number(change: &Change) -> Result<RevisionNumber, StoreError> {
    created_revision(change)?;
    let missing = || StoreError::damaged_at(change.seq, "the change that created a revision does not say its number");
    change.entry.revision.ok_or_else(missing)
}
