//! A change as the feed has it: with what is made of it once for all subscribers.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};

use bytes::Bytes;

use super::FeedView;
use crate::archive::lookup::{Lookup, LookupError};
use crate::model::{Change, Timestamp};

/// A change, and what is made of it once.
pub(in crate::archive) struct FeedEntry {
    pub(super) change: Arc<Change>,
    stands: OnceLock<Stands>,
    /// An encoded change that takes more is not kept: the ring was not told of so much.
    kept_bytes_max: usize,
    /// The encoded change in each view. What is in the bytes is for the layers above to know.
    renderings: [Mutex<Option<Bytes>>; 3],
}

/// How the article stands before and after the change.
pub(super) struct Stands {
    /// `None` where the change made the article.
    pub(super) before: Option<Stand>,
    pub(super) after: Stand,
}

/// What a filter asks of an article, beside its name and URLs.
pub(super) struct Stand {
    /// The change that made the revision in force.
    pub(super) made: Arc<Change>,
    pub(super) since: Timestamp,
    pub(super) withdrawn: bool,
}

impl FeedEntry {
    /// A change of which nothing that is made is kept: nobody else will read this.
    pub(in crate::archive) fn unshared(change: Arc<Change>) -> Self {
        Self::new(change, 0)
    }

    /// A change of which what is made is kept, where it takes no more than so many bytes a view.
    pub(super) fn new(change: Arc<Change>, kept_bytes_max: usize) -> Self {
        Self { change, kept_bytes_max, stands: OnceLock::new(), renderings: Default::default() }
    }

    /// How the article stands before and after.
    pub(super) fn stands(&self, lookup: &Lookup<'_>) -> Result<&Stands, LookupError> {
        if let Some(stands) = self.stands.get() {
            return Ok(stands);
        }
        let before = match self.change.entry.previous {
            None => None,
            Some(previous) => Some(Stand::with(lookup, &lookup.change(previous)?)?),
        };
        let stands = Stands { before, after: Stand::with(lookup, &self.change)? };
        Ok(self.stands.get_or_init(|| stands))
    }

    /// The encoded change, made by `render` if nobody has yet. While another thread makes it, a look-up that must not
    /// wait is not answered here.
    pub(super) fn rendering(
        &self,
        lookup: &Lookup<'_>,
        view: FeedView,
        render: impl FnOnce() -> Result<Bytes, LookupError>,
    ) -> Result<Bytes, LookupError> {
        let [basic, full, diff] = &self.renderings;
        let place = match view {
            FeedView::Basic => basic,
            FeedView::Full => full,
            FeedView::Diff => diff,
            // Copies are rare, and are made from the beginning.
            FeedView::Request => return render(),
        };
        let mut place = match place.try_lock() {
            Ok(place) => place,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                lookup.tables()?; // Waiting is for a blocking thread.
                place.lock().unwrap_or_else(PoisonError::into_inner)
            }
        };
        match &*place {
            Some(bytes) => Ok(bytes.clone()),
            None => {
                let bytes = render()?;
                if bytes.len() <= self.kept_bytes_max {
                    *place = Some(bytes.clone());
                }
                Ok(bytes)
            }
        }
    }
}

impl Stand {
    /// How the article of `change` stands with it.
    fn with(lookup: &Lookup<'_>, change: &Arc<Change>) -> Result<Self, LookupError> {
        let standing = change.entry.standing;
        Ok(Self { made: newest(lookup, change)?, since: standing.since, withdrawn: standing.withdrawn })
    }
}

/// The change that made the revision in force at the end of the observe axis, as known with `change`.
pub(super) fn newest(lookup: &Lookup<'_>, change: &Arc<Change>) -> Result<Arc<Change>, LookupError> {
    let made_seq = change.entry.standing.made_seq;
    if made_seq == change.seq { Ok(Arc::clone(change)) } else { lookup.change(made_seq) }
}
