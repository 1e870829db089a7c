//! The effects of a commit: what is written to the engine, and what the caches, the ring and the subscriptions are
//! updated with.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::archive::project::sources::SourceTotals;
use crate::archive::request::Receipt;
use crate::model::{ArticleKey, ArticleName, Change, Seq, SourceId, SubscriptionId};
use crate::store::Batch;
use crate::store::head::ArticleHead;
use crate::store::subscription::SubscriptionRecord;

/// The subscriptions that a commit changes: the new record of each, or `None` if it was deleted.
pub(crate) type Edited = BTreeMap<SubscriptionId, Option<Arc<SubscriptionRecord>>>;

/// The effects of a commit, or of one of its jobs: what is written to the engine, and what is applied to the data in
/// memory once the commit is durable.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    pub(crate) batch: Batch,
    pub(crate) changes: Vec<Arc<Change>>,
    /// The newest head of each article that changed, for the cache.
    pub(crate) heads: BTreeMap<ArticleKey, (ArticleName, ArticleHead)>,
    /// The new contents in order of position, for the cache.
    pub(crate) contents: Vec<(Seq, Bytes)>,
    /// The durable subscriptions that changed, in their new state.
    pub(crate) subscriptions: Edited,
    /// The stats of each source that the commit changes, as they were before it.
    pub(crate) stats: BTreeMap<SourceId, Option<SourceTotals>>,
}

impl Writes {
    /// Completes a receipt that was written before the commit was sealed, with the sealed change and the snapshot's
    /// final archive time and log digest.
    pub(crate) fn complete(&self, receipt: &mut Receipt) {
        let sealed = |seq: Seq| {
            let first = self.changes.first()?.seq;
            let index = usize::try_from(seq.0.checked_sub(first.0)?).ok()?;
            self.changes.get(index)
        };
        // A change at or after the snapshot was only validated.
        let is_written = receipt.created_by.seq < receipt.snapshot.next_seq;
        if let Some(created_by) = sealed(receipt.created_by.seq).filter(|_| is_written) {
            receipt.created_by = Arc::clone(created_by);
        }
        if let Some(last) = receipt.snapshot.next_seq.previous().and_then(sealed) {
            receipt.snapshot.archive_time = Some(last.entry.archive_time);
            receipt.snapshot.log_digest = last.log_digest;
        }
    }

    /// The content that the change at `seq` created, if it is one of these.
    pub(crate) fn content(&self, seq: Seq) -> Option<Bytes> {
        let index = self.contents.binary_search_by_key(&seq, |(seq, _)| *seq).ok()?;
        self.contents.get(index).map(|(_, content)| content.clone())
    }

    /// Appends `later`, the effects of operations that were decided after these.
    pub(crate) fn append(&mut self, later: Self) {
        self.batch.writes.extend(later.batch.writes);
        self.changes.extend(later.changes);
        self.heads.extend(later.heads);
        self.contents.extend(later.contents);
        self.subscriptions.extend(later.subscriptions);
        self.stats.extend(later.stats);
    }
}
