//! Durable subscriptions: a filter, a position and an epoch that the archive keeps for one consumer at a time, and the
//! changes that the consumer has parked because it could not process them.
//!
//! | | kept on disk | after a restart |
//! | --- | --- | --- |
//! | filter, position, epoch, parked changes | yes | unchanged; a fenced-off epoch stays fenced off |
//! | the attached consumer, and what was delivered to it | no | forgotten; the consumer attaches again |
//!
//! Invariants:
//! - Every change of a subscription goes through the writer thread ([`decide`]), and is durable before its reply is
//!   sent.
//! - One consumer at a time: attaching raises the epoch. As soon as the higher epoch, or the deletion of the
//!   subscription, is durable, the consumer with the lower epoch is fenced off.
//! - Delivery is at least once. Only an acknowledgement moves the position, and only up to what was delivered.
//! - A parked change stays until it is resolved or the subscription is deleted. Neither an acknowledgement nor a move
//!   removes it.
//! - After a restore, new epochs are above all that were ever assigned.
//!
//! A subscription may have a webhook; its consumer is then the server, and no other consumer can attach.
//!
//! Delivering changes is not done here: a consumer reads the change feed like any other subscriber.

mod decision;
mod parked;
pub(crate) mod registry;
mod webhook;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use crate::archive::error::SubscriptionError;
use crate::archive::shared::Shared;
pub(crate) use crate::archive::subscriptions::decision::decide;
pub use crate::archive::subscriptions::decision::{ConsumerKind, EditCondition, NewSubscription, SubscriptionUpdate};
pub(crate) use crate::archive::subscriptions::decision::{Decided, SubscriptionChange, SubscriptionEdit};
pub use crate::archive::subscriptions::parked::ParkRequest;
use crate::archive::subscriptions::registry::Consumer;
pub(crate) use crate::archive::subscriptions::registry::Subscriptions;
use crate::archive::{Archive, ArchiveError, ListPage};
use crate::model::{FeedQuery, RequestDigest, Seq, Snapshot, SubscriptionId, Timestamp};
pub use crate::store::subscription::SubscriptionRecord;

/// A durable subscription as it is now.
#[derive(Clone, Debug)]
pub struct SubscriptionAt {
    /// The id that the client chose.
    pub id: SubscriptionId,
    /// The part that survives a restart: filter, acknowledged position and epoch.
    pub record: Arc<SubscriptionRecord>,
    /// The consumer that is attached, or that was attached last since the archive was opened.
    pub consumer: Option<ConsumerAt>,
    /// The number of changes from the acknowledged position to the durable tail, whether they match or not.
    pub lag_changes: u64,
    /// The archive time of the first of these changes; `None` if there are none.
    pub waiting_since: Option<Timestamp>,
}

/// A consumer as it is now.
#[derive(Clone, Debug)]
pub struct ConsumerAt {
    /// The label that the consumer chose; may be empty.
    pub label: String,
    /// The epoch that was assigned to the consumer when it attached.
    pub epoch: u64,
    /// When it attached, by the server's clock.
    pub attach_time: Timestamp,
    /// Every matching change below this position was delivered to the consumer, or is about to be.
    pub delivered: Seq,
    /// Whether it is still attached.
    pub attached: bool,
}

/// The attachment of a consumer to a subscription. Dropping this detaches the consumer.
pub struct Attachment {
    /// The subscription that the consumer is attached to.
    pub id: SubscriptionId,
    /// The consumer's epoch, which its acknowledgements must state.
    pub epoch: u64,
    /// Where the consumer continues: after the last acknowledgement.
    pub start: Snapshot,
    /// Selects the changes to deliver.
    pub query: FeedQuery,
    delivered: Arc<AtomicU64>,
    fence: CancellationToken,
    shared: Arc<Shared>,
}

impl Attachment {
    /// Records that every matching change below `next_seq` is about to be sent. Call this before sending, because the
    /// acknowledgement may arrive at once.
    pub fn deliver(&self, next_seq: Seq) {
        self.delivered.fetch_max(next_seq.0, Ordering::AcqRel);
    }

    /// Whether the consumer has been fenced off.
    pub fn is_fenced(&self) -> bool {
        self.fence.is_cancelled()
    }

    /// Waits until the consumer is fenced off, and returns why: [`SubscriptionError::ConsumerFenced`], or
    /// [`SubscriptionError::Unknown`] if the subscription was deleted.
    pub async fn fenced(&self) -> ArchiveError {
        self.fence.cancelled().await;
        let (id, epoch) = (self.id.clone(), self.epoch);
        match self.shared.subscriptions.durable(&self.id) {
            None => SubscriptionError::Unknown(id).into(),
            Some(record) => SubscriptionError::ConsumerFenced { id, epoch, next_seq: record.next_seq }.into(),
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.shared.subscriptions.detach(&self.id, self.epoch);
    }
}

/// For the layers above.
#[doc(hidden)]
impl Archive {
    /// Creates a subscription at the position `next_seq`. Durable when this returns.
    ///
    /// `request` is the digest of the request. If it comes again, the subscription that it created is returned as it is
    /// then; any other request for the same id is [`SubscriptionError::Exists`].
    pub async fn create_subscription(
        &self,
        id: SubscriptionId,
        query: FeedQuery,
        next_seq: Seq,
        request: RequestDigest,
    ) -> Result<SubscriptionAt, ArchiveError> {
        let new = NewSubscription { query, next_seq, request, owner: None, webhook: None };
        self.create_subscription_with(id, new).await
    }

    /// Like [`Archive::create_subscription`], for a principal, and with a webhook if it has one.
    pub async fn create_subscription_with(
        &self,
        id: SubscriptionId,
        new: NewSubscription,
    ) -> Result<SubscriptionAt, ArchiveError> {
        self.edit(id.clone(), SubscriptionEdit::Create(new)).await?;
        self.subscription(id).await
    }

    /// Deletes a subscription to which no consumer is attached, with its parked changes. If `etag` is given, the
    /// subscription must have it. Durable when this returns.
    pub async fn delete_subscription(&self, id: SubscriptionId, etag: Option<String>) -> Result<(), ArchiveError> {
        self.edit(id, SubscriptionEdit::Delete { etag }).await.map(drop)
    }

    /// Acknowledges everything below `next_seq`, for the consumer with this epoch. Durable when this returns.
    pub async fn acknowledge_subscription(
        &self,
        id: SubscriptionId,
        epoch: u64,
        next_seq: Seq,
    ) -> Result<SubscriptionAt, ArchiveError> {
        self.change(&id, SubscriptionChange::Acknowledge { epoch, next_seq, accepted: false }).await?;
        self.subscription(id).await
    }

    /// Moves a subscription to which no consumer is attached. Durable when this returns. A request that was carried out
    /// before has no effect, even if a consumer has attached since.
    pub async fn seek_subscription(
        &self,
        id: SubscriptionId,
        next_seq: Seq,
        condition: EditCondition,
    ) -> Result<SubscriptionAt, ArchiveError> {
        self.change(&id, SubscriptionChange::Seek { next_seq, condition }).await?;
        self.subscription(id).await
    }

    /// Replaces the filter, the kinds, or parts of the webhook of a subscription to which no client is attached. If `etag`
    /// is given, the subscription must have it. Durable when this returns. An update that changes nothing always succeeds.
    pub async fn update_subscription(
        &self,
        id: SubscriptionId,
        update: SubscriptionUpdate,
        etag: Option<String>,
    ) -> Result<SubscriptionAt, ArchiveError> {
        self.change(&id, SubscriptionChange::Update { update, etag }).await?;
        self.subscription(id).await
    }

    /// Attaches a consumer and fences off the previous one. The new epoch is durable when this returns.
    ///
    /// After a restore, the consumer must show that it has received nothing that was lost: `seen` is a position of this
    /// archive's log up to which it has read. If `seen` is `None` or below the acknowledged position, the error is
    /// [`SubscriptionError::Restored`].
    pub async fn attach_subscription(
        &self,
        id: SubscriptionId,
        label: String,
        seen: Option<Seq>,
    ) -> Result<Attachment, ArchiveError> {
        self.attach(id, label, seen, ConsumerKind::Client).await
    }

    async fn attach(
        &self,
        id: SubscriptionId,
        label: String,
        seen: Option<Seq>,
        kind: ConsumerKind,
    ) -> Result<Attachment, ArchiveError> {
        let record = self.change(&id, SubscriptionChange::Attach { seen, kind }).await?;
        let record = record.ok_or_else(|| SubscriptionError::Unknown(id.clone()))?;
        let start = self.snapshot_at(record.next_seq).await?;
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
        Ok(Attachment {
            id,
            epoch: record.epoch,
            start,
            query: record.query.clone(),
            delivered,
            fence,
            shared: Arc::clone(&self.shared),
        })
    }

    /// Reads a subscription in its current state.
    pub async fn subscription(&self, id: SubscriptionId) -> Result<SubscriptionAt, ArchiveError> {
        let record = self.shared.subscriptions.durable(&id);
        let record = record.ok_or_else(|| SubscriptionError::Unknown(id.clone()))?;
        self.subscription_at(id, record).await
    }

    /// Lists subscriptions in their current state, in order of id, starting after `after`.
    pub async fn subscriptions(
        &self,
        after: Option<SubscriptionId>,
        page_size: usize,
    ) -> Result<ListPage<SubscriptionAt, SubscriptionId>, ArchiveError> {
        let mut records = self.shared.subscriptions.after(after.as_ref(), page_size.saturating_add(1));
        let has_more = records.len() > page_size;
        records.truncate(page_size);
        let next = records.last().map(|(id, _)| id.clone()).filter(|_| has_more);
        let mut items = Vec::with_capacity(records.len());
        for (id, record) in records {
            items.push(self.subscription_at(id, record).await?);
        }
        Ok(ListPage { items, next })
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
