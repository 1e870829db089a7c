//! Durable subscriptions: a filter and a position that the archive keeps for one consumer at a time.
//!
//! Each change of a subscription goes through the writer and is durable before it is answered ([`decide`]). What is
//! durable is in memory too, for reads. Who is attached is known in memory alone: a epoch that was given is durable, so
//! that after a restart an old one is still old (and after a restore, which begins above all that were given), but what was delivered under it is forgotten, and its consumer attaches
//! anew. A consumer is fenced off the moment a higher epoch, or the end of its subscription, is durable.

mod decision;
mod registry;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use crate::archive::error::SubscriptionError;
use crate::archive::shared::Shared;
pub(crate) use crate::archive::subscriptions::decision::decide;
pub(crate) use crate::archive::subscriptions::decision::{Judged, SubscriptionChange, SubscriptionEdit};
use crate::archive::subscriptions::registry::Consumer;
pub(crate) use crate::archive::subscriptions::registry::Subscriptions;
use crate::archive::{Archive, ArchiveError, Page};
use crate::model::{FeedQuery, Seq, Snapshot, SubscriptionId, Timestamp};
use crate::store::subscription::SubscriptionRecord;

/// How many subscriptions an archive keeps.
pub const SUBSCRIPTIONS_MAX: usize = 10_000;

/// A change of a subscription, or nothing, for those that it removed.
pub(crate) type Edited = BTreeMap<SubscriptionId, Option<Arc<SubscriptionRecord>>>;

/// A durable subscription as it is now.
#[derive(Clone, Debug)]
pub struct SubscriptionAt {
    /// Its id.
    pub id: SubscriptionId,
    /// What is durable of it.
    pub record: Arc<SubscriptionRecord>,
    /// Who has it, or had it last since the archive was opened.
    pub consumer: Option<ConsumerAt>,
    /// How many changes lie before its position.
    pub lag_changes: u64,
    /// When the first of them was archived; `None` where there is none.
    pub waiting_since: Option<Timestamp>,
}

/// A consumer as it is now.
#[derive(Clone, Debug)]
pub struct ConsumerAt {
    /// What it calls itself.
    pub label: String,
    /// Its epoch.
    pub epoch: u64,
    /// When it was attached.
    pub attach_time: Timestamp,
    /// All below this that matches was sent to it.
    pub delivered: Seq,
    /// Whether it is still attached.
    pub attached: bool,
}

/// A consumer's hold on a subscription. Dropping it lets go.
pub struct Attachment {
    /// The subscription.
    pub id: SubscriptionId,
    /// The epoch, to be given with acknowledgements.
    pub epoch: u64,
    /// Where the consumer goes on: behind what was acknowledged.
    pub start: Snapshot,
    /// Which changes.
    pub query: FeedQuery,
    delivered: Arc<AtomicU64>,
    fence: CancellationToken,
    shared: Arc<Shared>,
}

impl Attachment {
    /// Says that all that matches below `next_seq` is about to be sent. An acknowledgement may follow at once.
    pub fn deliver(&self, next_seq: Seq) {
        self.delivered.fetch_max(next_seq.0, Ordering::AcqRel);
    }

    /// Whether the epoch is lost.
    pub fn is_lost(&self) -> bool {
        self.fence.is_cancelled()
    }

    /// Waits until the epoch is lost, and answers how.
    pub async fn lost(&self) -> ArchiveError {
        self.fence.cancelled().await;
        let gone = self.shared.subscriptions.durable(&self.id).is_none();
        let (id, epoch) = (self.id.clone(), self.epoch);
        if gone {
            SubscriptionError::Unknown(id).into()
        } else {
            SubscriptionError::ConsumerFenced { id, epoch }.into()
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.shared.subscriptions.detach(&self.id, self.epoch);
    }
}

impl Archive {
    /// Makes a subscription that begins at `next_seq`. Durable when this returns.
    pub async fn create_subscription(
        &self,
        id: SubscriptionId,
        query: FeedQuery,
        next_seq: Seq,
    ) -> Result<SubscriptionAt, ArchiveError> {
        self.edit(id.clone(), SubscriptionEdit::Create { query, next_seq }).await?;
        self.subscription(id).await
    }

    /// Removes a subscription that nobody is attached to. Durable when this returns.
    pub async fn delete_subscription(&self, id: SubscriptionId) -> Result<(), ArchiveError> {
        self.edit(id, SubscriptionEdit::Delete).await.map(drop)
    }

    /// Says that all below `next_seq` was dealt with, under a epoch. Durable when this returns.
    pub async fn acknowledge_subscription(
        &self,
        id: SubscriptionId,
        epoch: u64,
        next_seq: Seq,
    ) -> Result<SubscriptionAt, ArchiveError> {
        self.change(&id, SubscriptionChange::Acknowledge { epoch, next_seq }).await?;
        self.subscription(id).await
    }

    /// Moves a subscription that nobody is attached to. Durable when this returns.
    pub async fn seek_subscription(&self, id: SubscriptionId, next_seq: Seq) -> Result<SubscriptionAt, ArchiveError> {
        self.change(&id, SubscriptionChange::Seek { next_seq }).await?;
        self.subscription(id).await
    }

    /// Attaches a consumer, and fences off the one before. The new epoch is durable when this returns. `seen` is where a
    /// consumer was that has read nothing but this archive's log; without it, or below what it acknowledged, a
    /// subscription that was restored is [`SubscriptionError::Restored`].
    pub async fn attach_subscription(
        &self,
        id: SubscriptionId,
        label: String,
        seen: Option<Seq>,
    ) -> Result<Attachment, ArchiveError> {
        let record = self.change(&id, SubscriptionChange::Attach { seen }).await?;
        let record = record.ok_or_else(|| SubscriptionError::Unknown(id.clone()))?;
        let start = self.feed_place(record.next_seq).await?;
        let (delivered, fence) = (Arc::new(AtomicU64::new(record.next_seq.0)), CancellationToken::new());
        let consumer = Consumer {
            label,
            epoch: record.epoch,
            attach_time: self.shared.clock.now(),
            delivered: Arc::clone(&delivered),
            attached: true,
            fence: fence.clone(),
        };
        self.shared.subscriptions.register(&id, consumer)?;
        let query = record.query.clone();
        Ok(Attachment { id, epoch: record.epoch, start, query, delivered, fence, shared: Arc::clone(&self.shared) })
    }

    /// Reads a subscription.
    pub async fn subscription(&self, id: SubscriptionId) -> Result<SubscriptionAt, ArchiveError> {
        let record = self.shared.subscriptions.durable(&id);
        let record = record.ok_or_else(|| SubscriptionError::Unknown(id.clone()))?;
        self.subscription_at(id, record).await
    }

    /// Lists subscriptions after `after`, by name, as they are now.
    pub async fn subscriptions(
        &self,
        after: Option<SubscriptionId>,
        page_size: usize,
    ) -> Result<Page<SubscriptionAt, SubscriptionId>, ArchiveError> {
        let mut records = self.shared.subscriptions.after(after.as_ref(), page_size.saturating_add(1));
        let more = records.len() > page_size;
        records.truncate(page_size);
        let next = records.last().map(|(id, _)| id.clone()).filter(|_| more);
        let mut items = Vec::with_capacity(records.len());
        for (id, record) in records {
            items.push(self.subscription_at(id, record).await?);
        }
        Ok(Page { items, next })
    }

    async fn subscription_at(
        &self,
        id: SubscriptionId,
        record: Arc<SubscriptionRecord>,
    ) -> Result<SubscriptionAt, ArchiveError> {
        let next_seq = record.next_seq;
        let tail = self.shared.tail().position.next_seq;
        let waiting_since = if next_seq < tail {
            self.read(move |reader| Ok(Some(reader.change(next_seq)?.entry.archive_time))).await?
        } else {
            None
        };
        let consumer = self.shared.subscriptions.consumer(&id);
        let lag_changes = tail.0.saturating_sub(next_seq.0);
        Ok(SubscriptionAt { id, record, consumer, lag_changes, waiting_since })
    }

    async fn change(
        &self,
        id: &SubscriptionId,
        change: SubscriptionChange,
    ) -> Result<Option<Arc<SubscriptionRecord>>, ArchiveError> {
        self.edit(id.clone(), SubscriptionEdit::Change(change)).await
    }

    async fn edit(
        &self,
        id: SubscriptionId,
        edit: SubscriptionEdit,
    ) -> Result<Option<Arc<SubscriptionRecord>>, ArchiveError> {
        self.queue.edit_subscription(id, edit).await
    }
}
