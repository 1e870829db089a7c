//! Decides edits of durable subscriptions. The writer thread calls this for each edit, in order of arrival.
//!
//! An edit depends only on the subscription's record after all earlier edits, on the attached consumer and, if it adds
//! a subscription or a parked change, on how many there are. It does not depend on articles or on the log.
//!
//! An edit whose reply was lost can be sent again. Each kind has its own way to recognise that it was done: a creation
//! by the digest of its request, a move by its request id, and the others because they ask for a state that is already
//! there.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::archive::error::SubscriptionError;
use crate::archive::subscriptions::registry::{Subscriptions, Totals};
use crate::model::{
    ArticleFilter, ChangeKinds, FeedQuery, Limits, PrincipalName, RequestDigest, RequestId, Seq, SourceScope,
    SubscriptionId, Timestamp, Webhook, WebhookUpdate,
};
use crate::store::subscription::{ParkedChange, SubscriptionRecord};

/// A requested edit of a subscription.
#[derive(Clone, Debug)]
pub(crate) enum SubscriptionEdit {
    /// Create the subscription, unless the id is in use or there are too many subscriptions.
    Create(NewSubscription),
    /// Delete the subscription, if no consumer is attached and it has this etag.
    Delete { etag: Option<String> },
    /// Change an existing one.
    Change(SubscriptionChange),
}

/// A subscription to create.
#[derive(Clone, Debug)]
pub struct NewSubscription {
    /// Selects the changes that are delivered.
    pub query: FeedQuery,
    /// Where it begins.
    pub next_seq: Seq,
    /// The digest of the request, by which it is recognised if it comes again.
    pub request: RequestDigest,
    /// The principal that creates it; `None` if callers are not told apart.
    pub owner: Option<PrincipalName>,
    /// Where its changes are sent; `None` if it waits for a consumer.
    pub webhook: Option<Webhook>,
}

/// Who attaches to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerKind {
    /// A client.
    Client,
    /// The server, for a webhook.
    Webhook,
}

/// A change of an existing subscription.
#[derive(Clone, Debug)]
pub(crate) enum SubscriptionChange {
    /// Attach a consumer with a new epoch, which fences off all earlier consumers. If `seen` is set, the consumer
    /// states that it has received only changes of this log, all of them below that position.
    Attach { seen: Option<Seq>, kind: ConsumerKind },
    /// Acknowledge everything below `next_seq`. `accepted` says that the receiver of a webhook accepted a message with it.
    Acknowledge { epoch: u64, next_seq: Seq, accepted: bool },
    /// Replace what is known of the webhook, unless the epoch is no longer current.
    NoteWebhook { epoch: u64, webhook: Webhook },
    /// Move the subscription to `next_seq`. Earlier epochs become invalid.
    Seek { next_seq: Seq, condition: EditCondition },
    /// Replace the filter, the kinds, or parts of the webhook. Earlier epochs become invalid.
    Update { update: SubscriptionUpdate, etag: Option<String> },
    /// Park a change that was delivered.
    Park(Parking),
    /// Remove these parked changes.
    Resolve { seqs: Vec<Seq> },
}

/// When a move of a subscription is carried out.
#[derive(Clone, Debug, Default)]
pub struct EditCondition {
    /// The request's id and digest: a request that was carried out before is not carried out again.
    pub request: Option<(RequestId, RequestDigest)>,
    /// The etag that the subscription must have.
    pub etag: Option<String>,
    /// What its owner may read from now on, if the owner moves it.
    pub within: Option<SourceScope>,
}

/// The parts of a subscription to replace.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionUpdate {
    /// The new filter; `None` keeps the present one.
    pub filter: Option<ArticleFilter>,
    /// The new kinds; `None` keeps the present ones.
    pub kinds: Option<ChangeKinds>,
    /// What to replace of the webhook.
    pub webhook: WebhookUpdate,
}

/// A change to park, and why.
#[derive(Clone, Debug)]
pub(crate) struct Parking {
    /// The epoch of the consumer.
    pub(crate) epoch: u64,
    /// The position of the change.
    pub(crate) seq: Seq,
    /// Why it could not be processed.
    pub(crate) reason: String,
    /// How often it was tried.
    pub(crate) attempts: u32,
    /// Whether it was delivered as one with which the article left the filter.
    pub(crate) left_filter: bool,
    /// Whether it was delivered as the last match of its atomic batch.
    pub(crate) batch_end: bool,
}

/// The result of an edit.
#[derive(Debug)]
pub(crate) struct Decided {
    /// The new record, or `None` if the subscription is deleted.
    pub(crate) record: Option<Arc<SubscriptionRecord>>,
    /// Whether the edit changes the record, so that there is something to write.
    pub(crate) differs: bool,
    /// The parked changes to write, and to remove (`None`).
    pub(crate) parked: Vec<(Seq, Option<ParkedChange>)>,
}

/// Decides an edit. `current` is the record after all earlier edits. `totals` returns how many subscriptions and parked
/// changes there are after all earlier edits, and is called only if the edit adds one.
pub(crate) fn decide(
    subscriptions: &Subscriptions,
    id: &SubscriptionId,
    current: Option<Arc<SubscriptionRecord>>,
    edit: &SubscriptionEdit,
    now: Timestamp,
    totals: impl FnOnce() -> Totals,
) -> Result<Decided, SubscriptionError> {
    let existing = |current: Option<_>| current.ok_or_else(|| SubscriptionError::Unknown(id.clone()));
    match edit {
        SubscriptionEdit::Create(new) => {
            match current {
                Some(record) if record.created_by == new.request && record.owner == new.owner => {
                    return Ok(unchanged(record));
                }
                Some(_) => return Err(SubscriptionError::Exists(id.clone())),
                None => {}
            }
            let totals = totals();
            if totals.subscriptions >= Limits::SUBSCRIPTIONS_MAX {
                return Err(SubscriptionError::TooMany);
            }
            if new.webhook.is_some() && totals.webhooks >= Limits::WEBHOOKS_MAX {
                return Err(SubscriptionError::TooManyWebhooks);
            }
            Ok(Decided { record: Some(Arc::new(created(new.clone(), now))), differs: true, parked: Vec::new() })
        }
        SubscriptionEdit::Delete { etag } => {
            let record = existing(current)?;
            check_etag(id, &record, etag.as_deref())?;
            reject_if_in_use(subscriptions, id, &record)?;
            let parked = record.parked.keys().map(|seq| (*seq, None)).collect();
            Ok(Decided { record: None, differs: true, parked })
        }
        SubscriptionEdit::Change(change) => {
            let record = existing(current)?;
            let changed = changed(subscriptions, id, &record, change, now, totals)?;
            if changed == *record {
                return Ok(unchanged(record));
            }
            let parked = parked_differences(&record.parked, &changed.parked);
            Ok(Decided { record: Some(Arc::new(changed)), differs: true, parked })
        }
    }
}

fn unchanged(record: Arc<SubscriptionRecord>) -> Decided {
    Decided { record: Some(record), differs: false, parked: Vec::new() }
}

fn created(new: NewSubscription, now: Timestamp) -> SubscriptionRecord {
    let NewSubscription { query, next_seq, request, owner, webhook } = new;
    SubscriptionRecord {
        query,
        next_seq,
        // An epoch of an earlier subscription with this id must not be valid for the new one.
        epoch: u64::try_from(now.micros()).unwrap_or(0),
        create_time: now,
        restored: false,
        created_by: request,
        owner,
        moves: Vec::new(),
        webhook,
        parked: Arc::default(),
    }
}

fn changed(
    subscriptions: &Subscriptions,
    id: &SubscriptionId,
    record: &SubscriptionRecord,
    change: &SubscriptionChange,
    now: Timestamp,
    totals: impl FnOnce() -> Totals,
) -> Result<SubscriptionRecord, SubscriptionError> {
    let record = record.clone();
    match change {
        SubscriptionChange::Attach { kind: ConsumerKind::Client, .. } if record.webhook.is_some() => {
            Err(SubscriptionError::HasWebhook(id.clone()))
        }
        SubscriptionChange::Attach { kind: ConsumerKind::Webhook, .. } if record.webhook.is_none() => {
            Err(SubscriptionError::NoWebhook(id.clone()))
        }
        SubscriptionChange::Attach { seen, .. } => {
            if record.restored && seen.is_none_or(|seen| seen < record.next_seq) {
                return Err(SubscriptionError::Restored { id: id.clone(), next_seq: record.next_seq });
            }
            Ok(SubscriptionRecord { epoch: record.epoch + 1, restored: false, ..record })
        }
        SubscriptionChange::Seek { next_seq, condition } => moved(subscriptions, id, record, *next_seq, condition),
        SubscriptionChange::Update { update, etag } => updated(subscriptions, id, record, update, etag.as_deref()),
        SubscriptionChange::Acknowledge { epoch, next_seq, accepted } => {
            check_delivered(subscriptions, id, &record, *epoch, *next_seq)?;
            let next_seq = record.next_seq.max(*next_seq);
            let webhook = record.webhook.map(|webhook| if *accepted { webhook.accepted(now) } else { webhook });
            Ok(SubscriptionRecord { next_seq, webhook, ..record })
        }
        SubscriptionChange::NoteWebhook { epoch, webhook } => {
            check_delivered(subscriptions, id, &record, *epoch, record.next_seq)?;
            Ok(SubscriptionRecord { webhook: Some(webhook.clone()), ..record })
        }
        SubscriptionChange::Park(parking) => {
            check_delivered(subscriptions, id, &record, parking.epoch, parking.seq.next())?;
            park(id, record, parking, now, totals)
        }
        SubscriptionChange::Resolve { seqs } => {
            let mut record = record;
            if seqs.iter().any(|seq| record.parked.contains_key(seq)) {
                let parked = Arc::make_mut(&mut record.parked);
                seqs.iter().for_each(|seq| drop(parked.remove(seq)));
            }
            Ok(record)
        }
    }
}

/// Replaces parts of a subscription. An update that comes again must not end the epoch of a consumer that has attached
/// since.
fn updated(
    subscriptions: &Subscriptions,
    id: &SubscriptionId,
    record: SubscriptionRecord,
    update: &SubscriptionUpdate,
    etag: Option<&str>,
) -> Result<SubscriptionRecord, SubscriptionError> {
    let SubscriptionUpdate { filter, kinds, webhook: webhook_update } = update;
    let query = FeedQuery {
        filter: filter.clone().unwrap_or_else(|| record.query.filter.clone()),
        kinds: kinds.unwrap_or(record.query.kinds),
    };
    if *webhook_update != WebhookUpdate::default() && record.webhook.is_none() {
        return Err(SubscriptionError::NoWebhook(id.clone()));
    }
    let webhook = record.webhook.clone().map(|webhook| webhook.updated(webhook_update));
    // What another filter or view selects is another message.
    let is_other_message = query != record.query || webhook_update.view.is_some();
    let webhook = if is_other_message { webhook.map(Webhook::with_new_message) } else { webhook };
    if query == record.query && webhook == record.webhook {
        return Ok(record);
    }
    check_etag(id, &record, etag)?;
    reject_if_in_use(subscriptions, id, &record)?;
    Ok(SubscriptionRecord { epoch: record.epoch + 1, query, webhook, ..record })
}

/// Moves a subscription, unless the request was carried out before.
fn moved(
    subscriptions: &Subscriptions,
    id: &SubscriptionId,
    mut record: SubscriptionRecord,
    next_seq: Seq,
    condition: &EditCondition,
) -> Result<SubscriptionRecord, SubscriptionError> {
    if let Some((request, digest)) = &condition.request
        && let Some((_, earlier)) = record.moves.iter().find(|(earlier, _)| earlier == request)
    {
        let reused = || SubscriptionError::RequestIdReused { id: id.clone(), request: request.clone() };
        return if earlier == digest { Ok(record) } else { Err(reused()) };
    }
    check_etag(id, &record, condition.etag.as_deref())?;
    reject_if_in_use(subscriptions, id, &record)?;
    if let Some(request) = &condition.request {
        if record.moves.len() >= Limits::MOVES_REMEMBERED {
            record.moves.remove(0);
        }
        record.moves.push(request.clone());
    }
    if let Some(within) = &condition.within {
        record.query.filter.within = within.clone();
    }
    let webhook = record.webhook.map(Webhook::with_new_message);
    Ok(SubscriptionRecord { epoch: record.epoch + 1, next_seq, webhook, restored: false, ..record })
}

/// Parks a change, or replaces the reason and the attempts of one that is parked.
fn park(
    id: &SubscriptionId,
    mut record: SubscriptionRecord,
    parking: &Parking,
    now: Timestamp,
    totals: impl FnOnce() -> Totals,
) -> Result<SubscriptionRecord, SubscriptionError> {
    let Parking { seq, attempts, left_filter, batch_end, .. } = *parking;
    let earlier = record.parked.get(&seq);
    let parked_max = match earlier {
        Some(_) => None,
        None if record.parked.len() >= Limits::PARKED_MAX => Some(Limits::PARKED_MAX),
        None => (totals().parked >= Limits::PARKED_TOTAL_MAX).then_some(Limits::PARKED_TOTAL_MAX),
    };
    if let Some(parked_max) = parked_max {
        return Err(SubscriptionError::TooManyParked { id: id.clone(), parked: record.parked.len(), parked_max });
    }
    let park_time = earlier.map_or(now, |earlier| earlier.park_time);
    let parked = ParkedChange { reason: parking.reason.as_str().into(), attempts, park_time, left_filter, batch_end };
    if earlier != Some(&parked) {
        Arc::make_mut(&mut record.parked).insert(seq, parked);
    }
    Ok(record)
}

type ParkedChanges = BTreeMap<Seq, ParkedChange>;

/// What must be written to turn the parked changes from `before` into `after`.
fn parked_differences(before: &Arc<ParkedChanges>, after: &Arc<ParkedChanges>) -> Vec<(Seq, Option<ParkedChange>)> {
    if Arc::ptr_eq(before, after) {
        return Vec::new();
    }
    let removed = before.keys().filter(|seq| !after.contains_key(seq)).map(|seq| (*seq, None));
    let written = after.iter().filter(|(seq, parked)| before.get(seq) != Some(*parked));
    removed.chain(written.map(|(seq, parked)| (*seq, Some(parked.clone())))).collect()
}

fn check_etag(id: &SubscriptionId, record: &SubscriptionRecord, etag: Option<&str>) -> Result<(), SubscriptionError> {
    let present = record.etag();
    match etag {
        Some(etag) if etag != present => Err(SubscriptionError::Changed { id: id.clone(), etag: present }),
        Some(_) | None => Ok(()),
    }
}

/// Fails if a client is attached. The server need not be asked to stop delivering first: the new epoch fences it off.
fn reject_if_in_use(
    subscriptions: &Subscriptions,
    id: &SubscriptionId,
    record: &SubscriptionRecord,
) -> Result<(), SubscriptionError> {
    if record.webhook.is_some() {
        return Ok(());
    }
    match subscriptions.consumer(id) {
        Some(consumer) if consumer.attached => {
            Err(SubscriptionError::InUse { id: id.clone(), consumer: consumer.label })
        }
        Some(_) | None => Ok(()),
    }
}

/// Checks that the epoch is current, and that everything below `next_seq` was delivered under it.
fn check_delivered(
    subscriptions: &Subscriptions,
    id: &SubscriptionId,
    record: &SubscriptionRecord,
    epoch: u64,
    next_seq: Seq,
) -> Result<(), SubscriptionError> {
    let fenced = || SubscriptionError::ConsumerFenced { id: id.clone(), epoch, next_seq: record.next_seq };
    let consumer = subscriptions.consumer(id).filter(|consumer| consumer.epoch == epoch && record.epoch == epoch);
    let delivered = consumer.ok_or_else(fenced)?.delivered;
    if next_seq > delivered {
        return Err(SubscriptionError::BeyondDelivered { id: id.clone(), next_seq, delivered });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first number of parked changes that is too many, for one subscription and for all.
    #[test]
    fn parked_changes_are_limited_for_each_subscription_and_in_all() {
        let id = SubscriptionId::parse("index").unwrap();
        let now = Timestamp::MIN;
        let park_at = |record: &SubscriptionRecord, seq, others| {
            let reason = "no".to_owned();
            let parking = Parking { epoch: 1, seq: Seq(seq), reason, attempts: 1, left_filter: false, batch_end: true };
            let totals = || Totals { subscriptions: 2, parked: record.parked.len() + others, webhooks: 0 };
            park(&id, record.clone(), &parking, now, totals)
        };
        let (query, request) = (FeedQuery::default(), RequestDigest([0; 16]));
        let new = NewSubscription { query, next_seq: Seq(0), request, owner: None, webhook: None };
        let mut record = created(new, now);
        record = park_at(&record, 0, Limits::PARKED_TOTAL_MAX - 1).unwrap();
        let error = park_at(&record, 1, Limits::PARKED_TOTAL_MAX - 1).unwrap_err();
        assert!(error.to_string().contains("at most 100000 are allowed over all subscriptions"), "{error}");
        for seq in 1..1_000 {
            record = park_at(&record, seq, 0).unwrap();
        }
        let error = park_at(&record, 1_000, 0).unwrap_err();
        assert!(error.to_string().contains("has 1000 parked changes, and at most 1000 are allowed;"), "{error}");
        assert_eq!(park_at(&record, 999, Limits::PARKED_TOTAL_MAX).unwrap(), record, "it is parked already");
    }
}
