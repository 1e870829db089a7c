//! A change as the feed has it: with what is made of it once for all subscribers.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};

use bytes::Bytes;

use crate::archive::changefeed::FeedView;
use crate::archive::read::reader::{ReadError, Reader};
use crate::model::{Change, Timestamp};

/// A change, and what is made of it once.
pub(crate) struct FeedEntry {
    pub(crate) change: Arc<Change>,
    stands: OnceLock<Stands>,
    /// An encoded change that takes more is not kept: the ring was not told of so much.
    kept_bytes_max: usize,
    /// The encoded change in each view. What is in the bytes is for the layers above to know.
    renderings: [Mutex<Option<Bytes>>; 3],
}

/// How the article stands before and after the change.
pub(crate) struct Stands {
    /// `None` where the change made the article.
    pub(crate) before: Option<Stand>,
    pub(crate) after: Stand,
}

/// What a filter asks of an article, beside its name and URLs.
pub(crate) struct Stand {
    /// The change that made the revision in force.
    pub(crate) created_by: Arc<Change>,
    pub(crate) since: Timestamp,
    pub(crate) withdrawn: bool,
}

impl FeedEntry {
    /// A change of which nothing that is made is kept: nobody else will read this.
    pub(crate) fn unshared(change: Arc<Change>) -> Self {
        Self::new(change, 0)
    }

    /// A change of which what is made is kept, where it takes no more than so many bytes a view.
    pub(crate) fn new(change: Arc<Change>, kept_bytes_max: usize) -> Self {
        Self { change, kept_bytes_max, stands: OnceLock::new(), renderings: Default::default() }
    }

    /// How the article stands before and after.
    pub(crate) fn stands(&self, reader: &Reader<'_>) -> Result<&Stands, ReadError> {
        if let Some(stands) = self.stands.get() {
            return Ok(stands);
        }
        let before = match self.change.entry.previous {
            None => None,
            Some(previous) => Some(Stand::with(reader, &reader.change(previous)?)?),
        };
        let stands = Stands { before, after: Stand::with(reader, &self.change)? };
        Ok(self.stands.get_or_init(|| stands))
    }

    /// The encoded change, made by `render` if nobody has yet. While another thread makes it, a look-up that must not
    /// wait is not answered here.
    pub(crate) fn rendering(
        &self,
        reader: &Reader<'_>,
        view: FeedView,
        render: impl FnOnce() -> Result<Bytes, ReadError>,
    ) -> Result<Bytes, ReadError> {
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
                reader.tables()?; // Waiting is for a blocking thread.
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
    fn with(reader: &Reader<'_>, change: &Arc<Change>) -> Result<Self, ReadError> {
        let standing = change.entry.standing;
        Ok(Self { created_by: newest(reader, change)?, since: standing.since, withdrawn: standing.withdrawn })
    }
}

/// The change that made the revision in force at the end of the observe axis, as known with `change`.
pub(crate) fn newest(reader: &Reader<'_>, change: &Arc<Change>) -> Result<Arc<Change>, ReadError> {
    let created_seq = change.entry.standing.created_seq;
    if created_seq == change.seq { Ok(Arc::clone(change)) } else { reader.change(created_seq) }
}
