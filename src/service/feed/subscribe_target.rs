//! Validates a subscribe request, as far as possible without the archive.

use super::super::Context;
use super::super::caller::Caller;
use super::super::status::Refusal;
use super::query::{RequestedQuery, RequestedStart};
use crate::archive::subscriptions::Attachment;
use crate::model::{Limits, SubscriptionId};
use crate::wire::pb::feed_start::Position;
use crate::wire::token::query_digest;
use crate::wire::{self, FieldError, FieldErrors, all, pb};

/// The maximum length of a consumer's label, in bytes.
const CONSUMER_BYTES_MAX: usize = 128;

/// The feed that a subscriber requests: one with its own query and start, or a durable subscription.
pub(super) enum SubscribeTarget {
    Feed(Box<RequestedQuery>, RequestedStart),
    Durable { id: SubscriptionId, consumer: String, seen: Option<RequestedStart> },
}

impl SubscribeTarget {
    pub(super) fn read(request: pb::SubscribeRequest, limits: &Limits) -> Result<Self, FieldErrors> {
        if !request.subscription.is_empty() {
            return Self::read_durable(request);
        }
        let query = wire::feed_query(request.filter, &request.kinds, limits);
        let start = RequestedStart::read(request.start);
        let (query, start) = all!(query, start)?;
        Ok(Self::Feed(Box::new(RequestedQuery::new(query)), start))
    }

    fn read_durable(request: pb::SubscribeRequest) -> Result<Self, FieldErrors> {
        let id = SubscriptionId::parse_name(&request.subscription);
        let id = id.map_err(|error| FieldError::invalid("subscription", error));
        let place = request.start.as_ref().and_then(|start| start.position.as_ref());
        let is_token = matches!(place, Some(Position::ResumeToken(_)));
        let must_be_unset = [
            ("start", request.start.is_some() && !is_token),
            ("filter", request.filter.is_some()),
            ("kinds", !request.kinds.is_empty()),
        ];
        let unset = wire::every(must_be_unset.into_iter().map(|(field, is_set)| {
            let problem = "must be unset: a durable subscription has its own";
            if is_set { Err(FieldError::invalid(field, problem)) } else { Ok(()) }
        }));
        let consumer = match request.consumer.len() {
            bytes if bytes > CONSUMER_BYTES_MAX => {
                let problem = format!("has {bytes} bytes; at most {CONSUMER_BYTES_MAX} are allowed");
                Err(FieldError::invalid("consumer", problem))
            }
            _ => Ok(request.consumer),
        };
        let start = request.start.filter(|_| is_token);
        let seen = start.map(|start| RequestedStart::read_in_log(Some(start))).transpose();
        let (id, _, consumer, seen) = all!(id, unset, consumer, seen)?;
        Ok(Self::Durable { id, consumer, seen })
    }
}

/// Attaches a consumer to a durable subscription. `seen` is the position up to which the consumer has received changes,
/// if it sent a token.
pub(super) async fn attach(
    context: &Context,
    caller: &Caller,
    id: SubscriptionId,
    consumer: String,
    seen: Option<RequestedStart>,
) -> Result<Attachment, Refusal> {
    let record = context.archive.subscription(id.clone()).await?.record;
    caller.require_subscription(&id, &record)?;
    let seen = match seen {
        None => None,
        // The token must be of this log. If it is not, the consumer has received changes that a restore lost.
        Some(start) => {
            let place = context.begin_in_log(start, query_digest(&record.query)).await;
            Some(place.map_err(|refusal| refusal.with("subscription", &id))?.next_seq)
        }
    };
    Ok(context.archive.attach_subscription(id, consumer, seen).await?)
}
