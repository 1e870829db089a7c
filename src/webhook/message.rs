//! A message: its id, its body, and the headers with which it is sent.

use std::sync::Arc;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use sha2::{Digest, Sha256};

use crate::model::{FeedView, Seq, SubscriptionId, Timestamp};
use crate::webhook_keys::{SigningKey, signatures};
use crate::wire::{feed_view_to_pb, json, pb, timestamp_to_pb};

/// The longest body of a message with more than one change, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A message, which may be sent several times.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Names the subscription and the positions of the changes, so that a receiver recognises what is repeated.
    id: String,
    body: Bytes,
    /// All matching changes below this position are in the message, or were sent before.
    pub(super) next_seq: Seq,
}

/// The beginning of the ids of a subscription's messages. No other subscription has it: not in another archive, and not one
/// that had the same name before. Ids must not have a full stop, which names of subscriptions may have.
pub(super) fn id_prefix(archive: &[u8], subscription: &SubscriptionId, created: Timestamp) -> String {
    let digest = Sha256::new()
        .chain_update(archive)
        .chain_update(created.micros().to_be_bytes())
        .chain_update(subscription.as_str())
        .finalize();
    let (start, _) = digest.split_at(16);
    format!("msg_{}", HEXLOWER.encode(start))
}

/// What changes are sent as.
pub(super) struct Batch {
    pub(super) subscription: SubscriptionId,
    pub(super) id_prefix: String,
    pub(super) view: FeedView,
    pub(super) changes: Vec<pb::Change>,
    pub(super) next_seq: Seq,
}

impl Batch {
    /// The message with the first of the changes. If they are too large together, it has half of them, and so on. The
    /// message with one change is returned whatever its size.
    pub(super) fn into_message(self) -> Message {
        let Self { subscription, id_prefix, view, changes, mut next_seq } = self;
        let first_seq = changes.first().map_or(0, |change| change.seq);
        let mut event = pb::WebhookEvent {
            r#type: "dateline.changes".to_owned(),
            timestamp: None,
            data: Some(pb::WebhookData {
                subscription: subscription.to_string(),
                changes,
                view: feed_view_to_pb(view).into(),
                next_seq: 0,
            }),
        };
        loop {
            let data = event.data.get_or_insert_default();
            data.next_seq = next_seq.0;
            let (count, last) = (data.changes.len(), data.changes.last());
            let last_seq = last.map_or(first_seq, |change| change.seq);
            event.timestamp = last.and_then(|change| change.archive_time);
            let body = json::to_json(&event);
            if body.len() <= BODY_BYTES_MAX || count <= 1 {
                return Message { id: format!("{id_prefix}_{first_seq}_{last_seq}"), body: body.into(), next_seq };
            }
            let data = event.data.get_or_insert_default();
            data.changes.truncate(count.div_ceil(2));
            next_seq = data.changes.last().map_or(next_seq, |change| Seq(change.seq).next());
        }
    }
}

impl Message {
    /// A message that says nothing, to test a webhook.
    pub(super) fn test(subscription: &SubscriptionId, id_prefix: &str, now: Timestamp) -> Self {
        let event = pb::WebhookEvent {
            r#type: "dateline.test".to_owned(),
            timestamp: Some(timestamp_to_pb(now)),
            data: Some(pb::WebhookData { subscription: subscription.to_string(), ..pb::WebhookData::default() }),
        };
        let id = format!("{id_prefix}_test_{}", now.micros());
        Self { id, body: json::to_json(&event).into(), next_seq: Seq::ZERO }
    }

    /// Whether it is larger than a message should be.
    pub(super) fn is_too_large(&self) -> bool {
        self.body.len() > BODY_BYTES_MAX
    }

    /// The body, which every attempt has.
    pub(super) fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// The headers of an attempt at `now`, signed by each of the keys.
    pub(super) fn headers(&self, keys: &[Arc<SigningKey>], now: Timestamp) -> Result<HeaderMap, InvalidHeaderValue> {
        let (seconds, _) = now.seconds_and_nanos();
        let signature = signatures(keys, &self.id, seconds, &self.body);
        Ok(HeaderMap::from_iter([
            (CONTENT_TYPE, JSON),
            (WEBHOOK_ID, HeaderValue::try_from(&self.id)?),
            (WEBHOOK_TIMESTAMP, HeaderValue::from(seconds)),
            (WEBHOOK_SIGNATURE, HeaderValue::try_from(signature)?),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(sizes: &[usize]) -> Batch {
        let changes = sizes.iter().zip(7..).map(|(bytes, seq)| pb::Change {
            seq,
            reason: "r".repeat(*bytes),
            ..pb::Change::default()
        });
        Batch {
            subscription: SubscriptionId::parse("a.b").unwrap(),
            id_prefix: "msg_x".to_owned(),
            view: FeedView::Basic,
            changes: changes.collect(),
            next_seq: Seq(20),
        }
    }

    #[test]
    fn a_message_has_as_many_changes_as_fit() {
        let message = batch(&[10, 10]).into_message();
        assert_eq!((message.id.as_str(), message.next_seq), ("msg_x_7_8", Seq(20)));
        let quarter = BODY_BYTES_MAX / 4;
        let message = batch(&[quarter; 4]).into_message();
        assert_eq!((message.id.as_str(), message.next_seq), ("msg_x_7_8", Seq(9)));
        assert!(!message.is_too_large());
        let message = batch(&[BODY_BYTES_MAX, 1]).into_message();
        assert_eq!((message.id.as_str(), message.next_seq), ("msg_x_7_7", Seq(8)));
        assert!(message.is_too_large(), "the caller reduces it");
    }

    #[test]
    fn ids_have_no_full_stop_and_are_those_of_one_subscription() {
        let (id, at) = (SubscriptionId::parse("a.b").unwrap(), Timestamp::from_micros(5).unwrap());
        let prefix = id_prefix(&[1; 16], &id, at);
        assert!(!prefix.contains('.'), "{prefix}");
        let other = Timestamp::from_micros(6).unwrap();
        let others = [id_prefix(&[2; 16], &id, at), id_prefix(&[1; 16], &id, other)];
        assert!(!others.contains(&prefix));
    }
}
