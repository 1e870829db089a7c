//! Decides edits of durable subscriptions. The writer thread calls this for each edit, in order of arrival.
//!
//! An edit depends only on the subscription's record after all earlier edits, on the attached consumer and, for a
//! creation, on the number of subscriptions. It does not depend on articles or on the log.

use std::sync::Arc;

use crate::archive::error::SubscriptionError;
use crate::archive::subscriptions::registry::Subscriptions;
use crate::model::{FeedQuery, Limits, Seq, SubscriptionId, Timestamp};
use crate::store::subscription::SubscriptionRecord;

/// A requested edit of a subscription.
#[derive(Clone, Debug)]
pub(crate) enum SubscriptionEdit {
    /// Create the subscription, unless the id is in use or there are too many subscriptions.
    Create { query: FeedQuery, next_seq: Seq },
    /// Delete the subscription, if no consumer is attached.
    Delete,
    /// Change an existing one.
    Change(SubscriptionChange),
}

/// A change of an existing subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SubscriptionChange {
    /// Attach a consumer with a new epoch, which fences off all earlier consumers. If `seen` is set, the consumer
    /// states that it has received only changes of this log, all of them below that position.
    Attach { seen: Option<Seq> },
    /// Acknowledge everything below `next_seq`.
    Acknowledge { epoch: u64, next_seq: Seq },
    /// Move the subscription to `next_seq`. Earlier epochs become invalid.
    Seek { next_seq: Seq },
}

/// The result of an edit: the new record, or `None` if the subscription is deleted.
pub(crate) struct Decided {
    pub(crate) record: Option<Arc<SubscriptionRecord>>,
    /// Whether the edit changes the record, so that there is something to write.
    pub(crate) differs: bool,
}

/// Decides an edit. `current` is the record after all earlier edits. `count` returns the number of subscriptions after
/// all earlier edits, and is called only for a creation.
pub(crate) fn decide(
    subscriptions: &Subscriptions,
    id: &SubscriptionId,
    current: Option<Arc<SubscriptionRecord>>,
    edit: &SubscriptionEdit,
    now: Timestamp,
    count: impl FnOnce() -> usize,
) -> Result<Decided, SubscriptionError> {
    let existing = |current: Option<_>| current.ok_or_else(|| SubscriptionError::Unknown(id.clone()));
    match edit {
        SubscriptionEdit::Create { .. } if current.is_some() => Err(SubscriptionError::Exists(id.clone())),
        SubscriptionEdit::Create { .. } if count() >= Limits::SUBSCRIPTIONS_MAX => Err(SubscriptionError::TooMany),
        SubscriptionEdit::Create { query, next_seq } => {
            // An epoch of an earlier subscription with this id must not be valid for the new one.
            let epoch = u64::try_from(now.micros()).unwrap_or(0);
            let (query, next_seq) = (query.clone(), *next_seq);
            let record = SubscriptionRecord { query, next_seq, epoch, create_time: now, restored: false };
            Ok(Decided { record: Some(Arc::new(record)), differs: true })
        }
        SubscriptionEdit::Delete => {
            existing(current)?;
            reject_if_in_use(subscriptions, id)?;
            Ok(Decided { record: None, differs: true })
        }
        SubscriptionEdit::Change(change) => {
            let record = existing(current)?;
            let changed = changed(subscriptions, id, &record, *change)?;
            let differs = changed != *record;
            Ok(Decided { record: Some(if differs { Arc::new(changed) } else { record }), differs })
        }
    }
}

fn changed(
    subscriptions: &Subscriptions,
    id: &SubscriptionId,
    record: &SubscriptionRecord,
    change: SubscriptionChange,
) -> Result<SubscriptionRecord, SubscriptionError> {
    let record = record.clone();
    match change {
        SubscriptionChange::Attach { seen } => {
            if record.restored && seen.is_none_or(|seen| seen < record.next_seq) {
                return Err(SubscriptionError::Restored { id: id.clone(), next_seq: record.next_seq });
            }
            Ok(SubscriptionRecord { epoch: record.epoch + 1, restored: false, ..record })
        }
        SubscriptionChange::Seek { next_seq } => {
            reject_if_in_use(subscriptions, id)?;
            Ok(SubscriptionRecord { epoch: record.epoch + 1, next_seq, restored: false, ..record })
        }
        SubscriptionChange::Acknowledge { epoch, next_seq } => {
            check_acknowledgement(subscriptions, id, &record, epoch, next_seq)?;
            Ok(SubscriptionRecord { next_seq: record.next_seq.max(next_seq), ..record })
        }
    }
}

fn reject_if_in_use(subscriptions: &Subscriptions, id: &SubscriptionId) -> Result<(), SubscriptionError> {
    match subscriptions.consumer(id) {
        Some(consumer) if consumer.attached => {
            Err(SubscriptionError::InUse { id: id.clone(), consumer: consumer.label })
        }
        Some(_) | None => Ok(()),
    }
}

fn check_acknowledgement(
    subscriptions: &Subscriptions,
    id: &SubscriptionId,
    record: &SubscriptionRecord,
    epoch: u64,
    next_seq: Seq,
) -> Result<(), SubscriptionError> {
    let fenced = || SubscriptionError::ConsumerFenced { id: id.clone(), epoch };
    let consumer = subscriptions.consumer(id).filter(|consumer| consumer.epoch == epoch && record.epoch == epoch);
    let delivered = consumer.ok_or_else(fenced)?.delivered;
    if next_seq > delivered {
        return Err(SubscriptionError::AcknowledgedBeyond { id: id.clone(), next_seq, delivered });
    }
    Ok(())
}
