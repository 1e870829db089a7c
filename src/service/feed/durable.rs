//! The methods for durable subscriptions.

use prost::Message;

use super::super::caller::Caller;
use super::super::lists::{page_token, position};
use super::super::status::Refusal;
use super::super::{Context, operation, page_space, render};
use super::query::{RequestedQuery, RequestedStart};
use super::update_mask::UpdateMask;
use crate::access::Permission;
use crate::archive::ArchiveError;
use crate::archive::error::SubscriptionError;
use crate::archive::subscriptions::{ConsumerAt, EditCondition, NewSubscription, SubscriptionAt, SubscriptionUpdate};
use crate::model::{FeedQuery, RequestDigest, Seq, SubscriptionId, Timestamp, Webhook, WebhookUpdate};
use crate::wire::pb::feed_start::Position;
use crate::wire::token::{PageToken, query_digest, request_digest};
use crate::wire::{self, FieldError, all, article_filter_to_pb, feed_kinds_to_pb, pb, timestamp_to_pb, webhook_to_pb};

/// The maximum encoded size of a durable subscription's filter. The filter is stored with the subscription, and both
/// must fit into one stored value.
const FILTER_BYTES_MAX: usize = 48 << 10;

impl Context {
    pub(super) async fn create_subscription(
        &self,
        caller: &Caller,
        request: pb::CreateSubscriptionRequest,
    ) -> Result<pb::CreateSubscriptionResponse, Refusal> {
        let id = SubscriptionId::parse(&request.subscription_id);
        let id = id.map_err(|error| FieldError::invalid("subscription_id", error));
        let subscription = request.subscription.unwrap_or_default();
        let size = filter_size(subscription.filter.as_ref());
        let query = wire::feed_query(subscription.filter, &subscription.kinds, &self.limits);
        let query = query.map_err(|errors| errors.within("subscription"));
        let webhook = self.requested_webhook(subscription.webhook.as_ref());
        let start = RequestedStart::read_in_log(request.start.clone());
        let (id, (), query, webhook, start) = all!(id, size, query, webhook, start)?;
        let requested = RequestedQuery::new(query).confined(caller)?;
        let place = self.begin_in_log(start, requested.digest).await?;
        let new = NewSubscription {
            request: creation_digest(&requested.query, webhook.as_ref(), request.start),
            query: requested.query,
            next_seq: place.next_seq,
            owner: caller.name(),
            webhook,
        };
        let (created, secret) = self.create_with_webhook(id, new).await?;
        let subscription = Some(self.show_subscription(&created));
        Ok(pb::CreateSubscriptionResponse { subscription, webhook_secret: secret.unwrap_or_default() })
    }

    pub(super) async fn update_subscription(
        &self,
        caller: &Caller,
        request: pb::UpdateSubscriptionRequest,
    ) -> Result<pb::Subscription, Refusal> {
        let subscription = request.subscription.unwrap_or_default();
        let name = SubscriptionId::parse_name(&subscription.name);
        let id = name.map_err(|error| FieldError::invalid("subscription.name", error));
        let mask = UpdateMask::read(request.update_mask, &subscription);
        let size = filter_size(subscription.filter.as_ref());
        let query = wire::feed_query(subscription.filter, &subscription.kinds, &self.limits);
        let query = query.map_err(|errors| errors.within("subscription"));
        let webhook = mask.as_ref().map_or(Ok(WebhookUpdate::default()), |mask| {
            self.webhook_update(mask, &subscription.webhook.unwrap_or_default())
        });
        let (id, mask, (), webhook, mut query) = all!(id, mask, size, webhook, query)?;
        let record = self.own_subscription(caller, &id).await?.record;
        query.filter.within = match caller.owns(&id, record.owner.as_ref())? {
            true => caller.scope(Permission::Read),
            false => record.query.filter.within.clone(),
        };
        let (filter, kinds) = (mask.filter.then_some(query.filter), mask.kinds.then_some(query.kinds));
        let update = SubscriptionUpdate { filter, kinds, webhook };
        let updated = self.archive.update_subscription(id, update, given(subscription.etag)).await?;
        Ok(self.show_subscription(&updated))
    }

    pub(super) async fn get_subscription(&self, caller: &Caller, name: &str) -> Result<pb::Subscription, Refusal> {
        let subscription = self.own_subscription(caller, &parse(name)?).await?;
        Ok(self.show_subscription(&subscription))
    }

    pub(super) async fn list_subscriptions(
        &self,
        caller: &Caller,
        request: pb::ListSubscriptionsRequest,
    ) -> Result<pb::ListSubscriptionsResponse, Refusal> {
        let digest = list_digest();
        let token = page_token(&request.page_token, digest);
        let page_size = render::page_size(request.page_size, &self.limits);
        let (token, page_size) = all!(token, page_size)?;
        let after = position(token.as_ref(), |text| SubscriptionId::parse(text).ok())?;
        let mut page = self.archive.subscriptions(after, page_size).await?;
        page.items.retain(|item| caller.owns(&item.id, item.record.owner.as_ref()).is_ok());
        let mut subscriptions: Vec<_> = page.items.iter().map(|item| self.show_subscription(item)).collect();
        let cut_off = page_space::keep(&mut subscriptions, pb::Subscription::encoded_len)
            .then(|| page.items.get(..subscriptions.len())?.last())
            .flatten();
        let position = cut_off.map(|last| last.id.clone()).or(page.next).map(|id| id.as_str().to_owned());
        let snapshot = self.archive.tail();
        Ok(pb::ListSubscriptionsResponse {
            subscriptions,
            next_page_token: position
                .map(|position| PageToken { snapshot, position }.encode(digest))
                .unwrap_or_default(),
        })
    }

    pub(super) async fn delete_subscription(
        &self,
        caller: &Caller,
        request: pb::DeleteSubscriptionRequest,
    ) -> Result<(), Refusal> {
        let id = parse(&request.name)?;
        match self.own_subscription(caller, &id).await {
            Err(refusal) if refusal.is_subscription_unknown() => {}
            owned => drop(owned?),
        }
        match self.delete_with_webhook(id, given(request.etag)).await {
            Err(ArchiveError::Subscription(SubscriptionError::Unknown(_))) if request.allow_missing => Ok(()),
            deleted => Ok(deleted?),
        }
    }

    pub(super) async fn acknowledge_subscription(
        &self,
        caller: &Caller,
        request: pb::AcknowledgeSubscriptionRequest,
    ) -> Result<pb::Subscription, Refusal> {
        let (id, epoch) = (parse(&request.name), epoch(request.epoch));
        let (id, epoch) = all!(id, epoch)?;
        self.own_subscription(caller, &id).await?;
        let acknowledged = self.archive.acknowledge_subscription(id, epoch, Seq(request.next_seq)).await?;
        Ok(self.show_subscription(&acknowledged))
    }

    pub(super) async fn seek_subscription(
        &self,
        caller: &Caller,
        request: pb::SeekSubscriptionRequest,
    ) -> Result<pb::Subscription, Refusal> {
        let digest = (!request.request_id.is_empty()).then(|| request_digest(&request));
        let request_id = operation::request_id(&request.request_id, digest);
        let (id, request_etag) = (parse(&request.name), request.etag);
        let start = match request.start {
            Some(start) if start.position.is_some() => RequestedStart::read_in_log(Some(start)),
            Some(_) | None => Err(FieldError::invalid("start", "is missing").into()),
        };
        let (id, start, request) = all!(id, start, request_id)?;
        let subscription = self.own_subscription(caller, &id).await?;
        if let Some(request) = &request
            && subscription.record.moves.contains(request)
        {
            // Carried out before. Its start may not be valid any more: a token is bound to the filter of that time.
            return Ok(self.show_subscription(&subscription));
        }
        let mut query = subscription.record.query.clone();
        let is_own = caller.owns(&id, subscription.record.owner.as_ref())?;
        let within = is_own.then(|| caller.scope(Permission::Read));
        if let Some(within) = &within {
            query.filter.within = within.clone();
        }
        let place = self.begin_in_log(start, query_digest(&query)).await?;
        let condition = EditCondition { request, etag: given(request_etag), within };
        let moved = self.archive.seek_subscription(id, place.next_seq, condition).await?;
        Ok(self.show_subscription(&moved))
    }

    /// A subscription that the caller may deal with.
    pub(super) async fn own_subscription(
        &self,
        caller: &Caller,
        id: &SubscriptionId,
    ) -> Result<SubscriptionAt, Refusal> {
        let subscription = self.archive.subscription(id.clone()).await?;
        caller.owns(id, subscription.record.owner.as_ref())?;
        Ok(subscription)
    }

    pub(super) fn show_subscription(&self, at: &SubscriptionAt) -> pb::Subscription {
        let query = &at.record.query;
        let now = self.archive.clock().now();
        pb::Subscription {
            name: at.id.to_string(),
            filter: Some(article_filter_to_pb(&query.filter)),
            kinds: feed_kinds_to_pb(query.kinds),
            create_time: Some(timestamp_to_pb(at.record.create_time)),
            next_seq: at.record.next_seq.0,
            lag_changes: at.lag_changes,
            lag: Some(lag(at.waiting_since, now)),
            consumer: at.consumer.as_ref().map(consumer),
            restored: at.record.restored,
            parked_count: u32::try_from(at.record.parked.len()).unwrap_or(u32::MAX),
            etag: at.record.etag(),
            owner: at.record.owner.as_ref().map(|owner| owner.as_str().to_owned()).unwrap_or_default(),
            webhook: self.show_webhook(at, now),
        }
    }
}

/// The digest of the request that creates a subscription, by which it is recognised if it comes again. Requests that
/// mean the same have the same digest.
fn creation_digest(query: &FeedQuery, webhook: Option<&Webhook>, start: Option<pb::FeedStart>) -> RequestDigest {
    let position = start.and_then(|start| start.position).unwrap_or(Position::Now(true));
    request_digest(&pb::CreateSubscriptionRequest {
        subscription_id: String::new(),
        subscription: Some(pb::Subscription {
            filter: Some(article_filter_to_pb(&query.filter)),
            kinds: feed_kinds_to_pb(query.kinds),
            webhook: webhook.map(webhook_to_pb),
            ..pb::Subscription::default()
        }),
        start: Some(pb::FeedStart { position: Some(position) }),
    })
}

fn filter_size(filter: Option<&pb::ArticleFilter>) -> Result<(), FieldError> {
    match filter.map_or(0, Message::encoded_len) {
        bytes if bytes > FILTER_BYTES_MAX => {
            let problem = format!("has {bytes} bytes; durable subscriptions allow at most {FILTER_BYTES_MAX}");
            Err(FieldError::filter("subscription.filter", problem))
        }
        _ => Ok(()),
    }
}

/// An etag that the request gives, if any.
fn given(etag: String) -> Option<String> {
    (!etag.is_empty()).then_some(etag)
}

pub(super) fn parse(name: &str) -> Result<SubscriptionId, FieldError> {
    SubscriptionId::parse_name(name).map_err(|error| FieldError::invalid("name", error))
}

/// The epoch that a consumer gives.
pub(super) fn epoch(epoch: u64) -> Result<u64, FieldError> {
    match epoch {
        0 => Err(FieldError::invalid("epoch", "is missing; use the epoch from the Started event")),
        _ => Ok(epoch),
    }
}

fn list_digest() -> RequestDigest {
    request_digest(&pb::ListSubscriptionsRequest::default())
}

/// How long the first unacknowledged change has waited; 0 if there is no such change, or if the clock was set back.
fn lag(waiting_since: Option<Timestamp>, now: Timestamp) -> prost_types::Duration {
    let micros = waiting_since.map_or(0, |since| now.micros_since(since).max(0));
    let nanos = i32::try_from(micros % 1_000_000 * 1_000).unwrap_or(0);
    prost_types::Duration { seconds: micros / 1_000_000, nanos }
}

fn consumer(consumer: &ConsumerAt) -> pb::Consumer {
    pb::Consumer {
        label: consumer.label.clone(),
        epoch: consumer.epoch,
        attach_time: Some(timestamp_to_pb(consumer.attach_time)),
        delivered_next_seq: consumer.delivered.0,
        attached: consumer.attached,
    }
}
