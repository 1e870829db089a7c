//! Parked changes: changes that a consumer could not process, kept until they are dealt with.

use std::sync::Arc;

use crate::archive::changefeed::{FeedItem, PagePlan};
use crate::archive::error::SubscriptionError;
use crate::archive::subscriptions::decision::Parking;
use crate::archive::subscriptions::{SubscriptionAt, SubscriptionChange};
use crate::archive::{Archive, ArchiveError};
use crate::model::{Seq, SubscriptionId};

/// A request to park a change.
#[derive(Clone, Debug)]
pub struct ParkRequest {
    /// The epoch of the consumer.
    pub epoch: u64,
    /// The position of a change that was delivered.
    pub seq: Seq,
    /// Why it could not be processed. At most [`Limits::PARK_REASON_BYTES_MAX`](crate::model::Limits) bytes.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
}

impl Archive {
    /// Parks a change that was delivered under this epoch. Durable when this returns. Parking a change that is parked
    /// replaces its reason and its attempts. `plan` is the one by which the consumer receives changes.
    pub async fn park_change(
        &self,
        id: SubscriptionId,
        request: ParkRequest,
        plan: PagePlan,
    ) -> Result<SubscriptionAt, ArchiveError> {
        let ParkRequest { epoch, seq, reason, attempts } = request;
        let record = self.subscription(id.clone()).await?.record;
        // What was delivered depends on the epoch, so the epoch comes first. It is checked again when the edit is
        // decided.
        let consumer = self.shared.subscriptions.consumer(&id);
        if record.epoch != epoch || consumer.is_none_or(|consumer| consumer.epoch != epoch) {
            return Err(SubscriptionError::ConsumerFenced { id, epoch, next_seq: record.next_seq }.into());
        }
        let plan = PagePlan { query: Arc::new(record.query.clone()), ..plan };
        let (left_filter, batch_end) = match self.feed_change(seq, plan).await? {
            Some(item) => (item.left_filter, item.batch_end),
            None if seq < self.tail().next_seq => {
                return Err(SubscriptionError::NotDelivered { id, seq }.into());
            }
            // Rejected below, with the position up to which changes were delivered.
            None => (false, false),
        };
        let parking = Parking { epoch, seq, reason, attempts, left_filter, batch_end };
        self.change(&id, SubscriptionChange::Park(parking)).await?;
        self.subscription(id).await
    }

    /// Removes parked changes. Positions that are not parked are ignored. Durable when this returns.
    pub async fn resolve_parked(&self, id: SubscriptionId, seqs: Vec<Seq>) -> Result<SubscriptionAt, ArchiveError> {
        self.change(&id, SubscriptionChange::Resolve { seqs }).await?;
        self.subscription(id).await
    }

    /// The change at `seq` as a feed with this plan delivers it; `None` if it does not match, or if the log has no such
    /// change.
    pub async fn feed_change(&self, seq: Seq, plan: PagePlan) -> Result<Option<FeedItem>, ArchiveError> {
        let tail = self.tail().next_seq;
        if seq >= tail {
            return Ok(None);
        }
        let from = self.snapshot_at(seq).await?;
        let page = self.feed_page(from, tail, PagePlan { changes_max: 1, examined_max: 1, ..plan }).await?;
        Ok(page.items.into_iter().next())
    }
}
