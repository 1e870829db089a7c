//! A change of the log as the ring keeps it, with room for what is computed from it once for all subscribers.

use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;

use crate::archive::read::matching::StateInForce;
use crate::archive::writes::Writes;
use crate::model::Change;

/// The maximum number of changes in the ring.
pub(crate) const RECENT_CHANGES_MAX: usize = 8_192;
/// The maximum memory of the ring in bytes, with the encoded changes. It has room for more than one commit of the
/// largest contents.
pub(crate) const RECENT_BYTES_MAX: usize = 96 << 20;
/// The approximate memory of an entry and its log record, in bytes, without encoded changes.
const ENTRY_BYTES: usize = 2_048;
const VIEWS: usize = 3;

/// A change with its cached forms.
pub(crate) struct FeedEntry {
    pub(crate) change: Arc<Change>,
    pub(super) filter_states: OnceLock<FilterStates>,
    /// The maximum size, in bytes, of an encoded change that is kept. The ring counts this much for each view.
    pub(super) cached_bytes_max: usize,
    /// The encoded change in each view that is cached. Only the layer above knows the encoding.
    pub(super) renderings: [Mutex<Option<Bytes>>; 3],
}

/// The article's state before and after the change.
pub(crate) struct FilterStates {
    /// `None` if the change created the article.
    pub(crate) before: Option<FilterState>,
    pub(crate) after: FilterState,
}

/// The state that a filter checks, apart from the article's name and URLs.
pub(crate) struct FilterState {
    /// The change that created the newest revision.
    pub(crate) created_by: Arc<Change>,
    pub(crate) state: StateInForce,
    /// The change that set the labels; `None` if the article never had any.
    pub(crate) labelled_by: Option<Arc<Change>>,
}

impl FeedEntry {
    /// A change that only one reader uses, so nothing encoded is kept.
    pub(crate) fn unshared(change: Arc<Change>) -> Self {
        Self::new(change, 0)
    }

    /// A change for the ring. Its encoded form is kept for each view, up to `cached_bytes_max` bytes.
    pub(crate) fn new(change: Arc<Change>, cached_bytes_max: usize) -> Self {
        Self { change, cached_bytes_max, filter_states: OnceLock::new(), renderings: Default::default() }
    }
}

/// The changes of a commit for the ring: each with its position, and with the maximum memory of the entry including its
/// encoded forms.
pub(crate) fn entries(writes: &Writes) -> impl Iterator<Item = (u64, Arc<FeedEntry>, usize)> {
    // Changes and contents are both in order of position.
    let mut contents = writes.contents.iter().peekable();
    writes.changes.iter().map(move |change| {
        let content = contents.next_if(|(seq, _)| *seq == change.seq);
        let cached_bytes_max = cached_bytes_max(change, content.map_or(0, |(_, content)| content.len()));
        let entry = Arc::new(FeedEntry::new(Arc::clone(change), cached_bytes_max));
        (change.seq.0, entry, ENTRY_BYTES + VIEWS * cached_bytes_max)
    })
}

/// The maximum size, in bytes, of an encoded change that is kept: an estimate from its content, with room for the
/// differences, and its attributes.
fn cached_bytes_max(change: &Change, content_bytes: usize) -> usize {
    let new_revision = change.entry.new_revision.as_deref();
    let text = new_revision.map_or(0, |revision| revision.headline.len() + revision.canonical_url.len());
    let labels = match &change.entry.labels {
        Some(labels) => labels.weight_bytes(),
        // The article's labels are encoded with each change. Their size is not known here; most are few and short.
        None if change.entry.latest_state.labels_seq.is_some() => 512,
        None => 0,
    };
    // The fetch is encoded twice: in the change, and in the revision that it created.
    let fetch = change.entry.fetch.as_ref().map_or(0, |fetch| 2 * fetch.text_bytes());
    let urls = change.entry.bound_urls.len() + change.entry.ended_urls.len();
    1_024 + text + labels + fetch + 256 * urls + content_bytes + content_bytes / 2
}
