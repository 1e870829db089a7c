//! What may be done to a durable subscription. The writer judges each edit, in its turn.

use std::sync::Arc;

use crate::archive::error::SubscriptionError;
use crate::archive::subscriptions::SUBSCRIPTIONS_MAX;
use crate::archive::subscriptions::registry::Subscriptions;
use crate::model::{FeedQuery, Seq, SubscriptionId, Timestamp};
use crate::store::subscription::SubscriptionRecord;

/// What is asked of a subscription.
#[derive(Clone, Debug)]
pub(crate) enum SubscriptionEdit {
    /// Make it.
    Create { query: FeedQuery, next_seq: Seq },
    /// Remove it.
    Delete,
    /// Change what there is.
    Change(SubscriptionChange),
}

/// A change of a subscription that is there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SubscriptionChange {
    /// Give a new epoch, which fences off all before it, to a consumer that was sent nothing but this log's changes below
    /// `seen`, where that is known.
    Attach { seen: Option<Seq> },
    /// All below this was dealt with.
    Acknowledge { epoch: u64, next_seq: Seq },
    /// Go on from here. Leases given before are lost.
    Seek { next_seq: Seq },
}

/// What becomes of a subscription: its record, or nothing where it is removed.
pub(crate) struct Judged {
    pub(crate) record: Option<Arc<SubscriptionRecord>>,
    /// Whether there is anything to write.
    pub(crate) differs: bool,
}

/// Judges an edit on the record as those before it leave it. `count` says how many there are then, which only matters to
/// one more.
pub(crate) fn decide(
    subscriptions: &Subscriptions,
    id: &SubscriptionId,
    current: Option<Arc<SubscriptionRecord>>,
    edit: &SubscriptionEdit,
    now: Timestamp,
    count: impl FnOnce() -> usize,
) -> Result<Judged, SubscriptionError> {
    let existing = |current: Option<_>| current.ok_or_else(|| SubscriptionError::Unknown(id.clone()));
    match edit {
        SubscriptionEdit::Create { .. } if current.is_some() => Err(SubscriptionError::Exists(id.clone())),
        SubscriptionEdit::Create { .. } if count() >= SUBSCRIPTIONS_MAX => Err(SubscriptionError::TooMany),
        SubscriptionEdit::Create { query, next_seq } => {
            // A epoch of one that bore this name before must not fit.
            let epoch = u64::try_from(now.micros()).unwrap_or(0);
            let (query, next_seq) = (query.clone(), *next_seq);
            let record = SubscriptionRecord { query, next_seq, epoch, create_time: now, restored: false };
            Ok(Judged { record: Some(Arc::new(record)), differs: true })
        }
        SubscriptionEdit::Delete => {
            existing(current)?;
            refuse_in_use(subscriptions, id)?;
            Ok(Judged { record: None, differs: true })
        }
        SubscriptionEdit::Change(change) => {
            let record = existing(current)?;
            let changed = changed(subscriptions, id, &record, *change)?;
            let differs = changed != *record;
            Ok(Judged { record: Some(if differs { Arc::new(changed) } else { record }), differs })
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
            refuse_in_use(subscriptions, id)?;
            Ok(SubscriptionRecord { epoch: record.epoch + 1, next_seq, restored: false, ..record })
        }
        SubscriptionChange::Acknowledge { epoch, next_seq } => {
            check_acknowledgement(subscriptions, id, &record, epoch, next_seq)?;
            Ok(SubscriptionRecord { next_seq: record.next_seq.max(next_seq), ..record })
        }
    }
}

fn refuse_in_use(subscriptions: &Subscriptions, id: &SubscriptionId) -> Result<(), SubscriptionError> {
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
    let lost = || SubscriptionError::ConsumerFenced { id: id.clone(), epoch };
    let consumer = subscriptions.consumer(id).filter(|consumer| consumer.epoch == epoch && record.epoch == epoch);
    let delivered = consumer.ok_or_else(lost)?.delivered;
    if next_seq > delivered {
        return Err(SubscriptionError::AcknowledgedBeyond { id: id.clone(), next_seq, delivered });
    }
    Ok(())
}
