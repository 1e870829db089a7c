//! Storage of durable subscriptions and of the changes that their consumers have parked.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;

use super::key::parked::ParkedKey;
use super::key::subscription::SubscriptionKey;
use super::record::{name_from_stored, name_to_stored};
use super::seal::{seal, unseal};
use super::{Batch, StoreError, stored};
use crate::model::{
    ArticleFilter, ArticleState, ChangeKinds, ContentParts, FeedQuery, FeedView, PrincipalName, RequestDigest,
    RequestId, Seq, SourceId, SourcePattern, SourceScope, SubscriptionId, TimeRange, Timestamp, UrlKey, Webhook,
    WebhookScheme, WebhookState,
};

/// The stored state of a durable subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionRecord {
    /// Selects the changes that are delivered.
    pub query: FeedQuery,
    /// All changes below this position are acknowledged.
    pub next_seq: Seq,
    /// The epoch of the latest attachment; after a creation, a seek or a restore, a higher number that no consumer has.
    /// A consumer with any other epoch is fenced off.
    pub epoch: u64,
    /// When the subscription was created.
    pub create_time: Timestamp,
    /// Whether the log may have lost changes that the consumer has received: the subscription comes from a restore, or
    /// a rebuild found its position after the end of the log. A consumer can then attach only if it shows that it
    /// received no lost change, or after the subscription is moved with a seek.
    pub restored: bool,
    /// The digest of the request that created the subscription.
    pub created_by: RequestDigest,
    /// The principal that created it; `None` if callers were not told apart.
    pub owner: Option<PrincipalName>,
    /// The latest moves that had a request id, the earliest first.
    pub moves: Vec<(RequestId, RequestDigest)>,
    /// Where the server sends its changes; `None` if it waits for a consumer.
    pub webhook: Option<Webhook>,
    /// The parked changes. Each is stored under a key of its own.
    pub parked: Arc<BTreeMap<Seq, ParkedChange>>,
}

impl SubscriptionRecord {
    /// Stands for the filter, the kinds and the epoch. Everything that changes one of them raises the epoch, which never
    /// recurs.
    pub fn etag(&self) -> String {
        format!("s{:x}", self.epoch)
    }

    /// The record as it can be kept with a log that ends at `end`: the position is lowered to that, parked changes from
    /// there on are dropped, and so is what was sent of them.
    #[must_use]
    pub fn within(mut self, end: Seq) -> Self {
        self.next_seq = self.next_seq.min(end);
        if self.webhook.as_ref().is_some_and(|webhook| webhook.unaccepted_until.is_some_and(|until| until > end)) {
            self.webhook = self.webhook.map(Webhook::with_new_message);
        }
        if self.parked.keys().next_back().is_some_and(|last| *last >= end) {
            Arc::make_mut(&mut self.parked).retain(|seq, _| *seq < end);
        }
        self
    }
}

/// A change that a consumer could not process and put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedChange {
    /// The reason that the consumer gave.
    pub reason: Arc<str>,
    /// How often the consumer tried it.
    pub attempts: u32,
    /// When it was first parked.
    pub park_time: Timestamp,
    /// Whether the article had left the subscription's filter with it.
    pub left_filter: bool,
    /// Whether it was the last change of its atomic batch that matched.
    pub batch_end: bool,
}

impl Batch {
    /// Writes a parked change; `None` removes it.
    pub fn put_parked(&mut self, id: &SubscriptionId, seq: Seq, parked: Option<&ParkedChange>) {
        let key = ParkedKey { subscription: id.clone(), seq }.encode();
        let value = parked.map(|parked| seal(&key, parked_to_stored(seq, parked).encode_to_vec()));
        self.writes.insert(key, value);
    }

    /// Writes a subscription, without its parked changes; `None` removes it.
    pub fn put_subscription(&mut self, id: &SubscriptionId, record: Option<&SubscriptionRecord>) {
        let key = SubscriptionKey(id.clone()).encode();
        let value = record.map(|record| seal(&key, to_stored(record).encode_to_vec()));
        self.writes.insert(key, value);
    }
}

/// Decodes the subscription stored under `key`, which does not include its parked changes.
pub fn decode(key: &[u8], value: &[u8]) -> Result<(SubscriptionId, SubscriptionRecord), StoreError> {
    let malformed = || StoreError::damaged(key, "a subscription cannot be read");
    let id = SubscriptionKey::decode(key).ok_or_else(malformed)?.0;
    let message = stored::Subscription::decode(unseal(key, value)?).map_err(|_| malformed())?;
    Ok((id, from_stored(message).ok_or_else(malformed)?))
}

/// Decodes the parked change stored under `key`.
pub fn decode_parked(key: &[u8], value: &[u8]) -> Result<(ParkedKey, ParkedChange), StoreError> {
    let malformed = || StoreError::damaged(key, "a parked change cannot be read");
    let parked_key = ParkedKey::decode(key).ok_or_else(malformed)?;
    let message = stored::ParkedChange::decode(unseal(key, value)?).map_err(|_| malformed())?;
    let (seq, parked) = parked_from_stored(message).ok_or_else(malformed)?;
    if seq == parked_key.seq { Ok((parked_key, parked)) } else { Err(malformed()) }
}

pub(super) fn parked_to_stored(seq: Seq, parked: &ParkedChange) -> stored::ParkedChange {
    stored::ParkedChange {
        seq: seq.0,
        reason: parked.reason.to_string(),
        attempts: parked.attempts,
        park_time: parked.park_time.micros(),
        left_filter: parked.left_filter,
        batch_end: parked.batch_end,
    }
}

pub(super) fn parked_from_stored(message: stored::ParkedChange) -> Option<(Seq, ParkedChange)> {
    let parked = ParkedChange {
        reason: message.reason.into(),
        attempts: message.attempts,
        park_time: Timestamp::from_micros(message.park_time)?,
        left_filter: message.left_filter,
        batch_end: message.batch_end,
    };
    Some((Seq(message.seq), parked))
}

pub(super) fn to_stored(record: &SubscriptionRecord) -> stored::Subscription {
    stored::Subscription {
        filter: Some(filter_to_stored(&record.query.filter)),
        kinds: record.query.kinds.bits(),
        next_seq: record.next_seq.0,
        epoch: record.epoch,
        create_time: record.create_time.micros(),
        restored: record.restored,
        created_by: record.created_by.0.to_vec(),
        moves: record.moves.iter().map(move_to_stored).collect(),
        owner: record.owner.as_ref().map(|owner| owner.as_str().to_owned()).unwrap_or_default(),
        webhook: record.webhook.as_ref().map(webhook_to_stored),
    }
}

fn webhook_to_stored(webhook: &Webhook) -> stored::Webhook {
    stored::Webhook {
        url: webhook.url.clone(),
        view: match webhook.view {
            FeedView::Basic => 0,
            FeedView::Full => 1,
            FeedView::Diff => 2,
            FeedView::Request => 3,
        },
        scheme: match webhook.scheme {
            WebhookScheme::Ed25519 => 0,
            WebhookScheme::HmacSha256 => 1,
        },
        state: match webhook.state {
            WebhookState::Active => 0,
            WebhookState::Paused => 1,
            WebhookState::Disabled => 2,
        },
        failed_attempts: webhook.failed_attempts,
        attempt_time: webhook.attempt_time.map(Timestamp::micros),
        next_attempt_time: webhook.next_attempt_time.map(Timestamp::micros),
        error: webhook.error.clone(),
        unaccepted_until: webhook.unaccepted_until.map(|seq| seq.0),
    }
}

fn webhook_from_stored(message: stored::Webhook) -> Option<Webhook> {
    Some(Webhook {
        url: message.url,
        view: match message.view {
            0 => FeedView::Basic,
            1 => FeedView::Full,
            2 => FeedView::Diff,
            3 => FeedView::Request,
            _ => return None,
        },
        scheme: match message.scheme {
            0 => WebhookScheme::Ed25519,
            1 => WebhookScheme::HmacSha256,
            _ => return None,
        },
        state: match message.state {
            0 => WebhookState::Active,
            1 => WebhookState::Paused,
            2 => WebhookState::Disabled,
            _ => return None,
        },
        failed_attempts: message.failed_attempts,
        attempt_time: optional_time(message.attempt_time)?,
        next_attempt_time: optional_time(message.next_attempt_time)?,
        error: message.error,
        unaccepted_until: message.unaccepted_until.map(Seq),
    })
}

fn move_to_stored((id, digest): &(RequestId, RequestDigest)) -> stored::SubscriptionMove {
    stored::SubscriptionMove { request_id: id.as_str().to_owned(), request_digest: digest.0.to_vec() }
}

fn move_from_stored(message: &stored::SubscriptionMove) -> Option<(RequestId, RequestDigest)> {
    Some((RequestId::parse(&message.request_id).ok()?, request_digest(&message.request_digest)?))
}

fn request_digest(bytes: &[u8]) -> Option<RequestDigest> {
    bytes.try_into().ok().map(RequestDigest)
}

pub(super) fn from_stored(message: stored::Subscription) -> Option<SubscriptionRecord> {
    let filter = filter_from_stored(message.filter.unwrap_or_default())?;
    Some(SubscriptionRecord {
        query: FeedQuery { filter, kinds: ChangeKinds::from_bits(message.kinds) },
        next_seq: Seq(message.next_seq),
        epoch: message.epoch,
        create_time: Timestamp::from_micros(message.create_time)?,
        restored: message.restored,
        created_by: request_digest(&message.created_by)?,
        owner: match message.owner.as_str() {
            "" => None,
            owner => Some(PrincipalName::parse(owner).ok()?),
        },
        moves: message.moves.iter().map(move_from_stored).collect::<Option<_>>()?,
        webhook: match message.webhook {
            None => None,
            Some(webhook) => Some(webhook_from_stored(webhook)?),
        },
        parked: Arc::default(),
    })
}

fn filter_to_stored(filter: &ArticleFilter) -> stored::ArticleFilter {
    stored::ArticleFilter {
        sources: filter.sources.iter().map(|source| source.as_str().to_owned()).collect(),
        articles: filter.articles.iter().map(name_to_stored).collect(),
        languages: filter.languages.clone(),
        labels: filter.labels.clone(),
        url_prefix: filter.url_prefix.as_ref().map(|key| key.as_str().to_owned()).unwrap_or_default(),
        observe_time: Some(range_to_stored(filter.observe_time)),
        publish_time: Some(range_to_stored(filter.publish_time)),
        changed_parts: filter.changed_parts.bits(),
        states: filter.states.iter().map(|state| state.number().into()).collect(),
        within: match filter.within.is_all() {
            true => Vec::new(),
            // Empty means all, so no source at all is written as one that cannot exist.
            false if filter.within.is_empty() => vec![String::new()],
            false => filter.within.patterns().iter().map(ToString::to_string).collect(),
        },
    }
}

fn filter_from_stored(filter: stored::ArticleFilter) -> Option<ArticleFilter> {
    Some(ArticleFilter {
        sources: filter.sources.iter().map(|id| SourceId::parse(id).ok()).collect::<Option<_>>()?,
        articles: filter.articles.iter().map(name_from_stored).collect::<Option<_>>()?,
        states: filter.states.iter().map(|state| ArticleState::from_number(*state)).collect::<Option<_>>()?,
        languages: filter.languages,
        labels: filter.labels,
        url_prefix: (!filter.url_prefix.is_empty()).then(|| UrlKey::from_stored(&filter.url_prefix)),
        observe_time: range_from_stored(filter.observe_time.unwrap_or_default())?,
        publish_time: range_from_stored(filter.publish_time.unwrap_or_default())?,
        changed_parts: ContentParts::from_bits(filter.changed_parts)?,
        within: match filter.within.as_slice() {
            [] => SourceScope::all(),
            [none] if none.is_empty() => SourceScope::of([]),
            patterns => {
                let patterns = patterns.iter().map(|pattern| SourcePattern::parse(pattern));
                SourceScope::of(patterns.collect::<Option<Vec<_>>>()?)
            }
        },
    })
}

fn range_to_stored(range: TimeRange) -> stored::TimeRange {
    stored::TimeRange { start: range.start.map(Timestamp::micros), end: range.end.map(Timestamp::micros) }
}

fn range_from_stored(range: stored::TimeRange) -> Option<TimeRange> {
    Some(TimeRange { start: optional_time(range.start)?, end: optional_time(range.end)? })
}

/// A time that may be missing; `None` if it is not one.
fn optional_time(micros: Option<i64>) -> Option<Option<Timestamp>> {
    match micros {
        None => Some(None),
        Some(micros) => Timestamp::from_micros(micros).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ArticleName, ArticleState, ContentPart};

    #[test]
    fn a_subscription_is_read_as_it_was_written() {
        let at = |micros| Timestamp::from_micros(micros);
        let filter = ArticleFilter {
            sources: vec![SourceId::parse("courier").unwrap()],
            articles: vec![ArticleName::parse("sources/courier/articles/a").unwrap()],
            states: vec![ArticleState::Live, ArticleState::Gone],
            languages: vec!["en".to_owned()],
            labels: vec!["flood".to_owned()],
            url_prefix: Some(UrlKey::prefix_of("https://courier.example/city/").unwrap()),
            observe_time: TimeRange { start: at(-1), end: None },
            publish_time: TimeRange { start: None, end: at(5) },
            changed_parts: ContentParts::of([ContentPart::Body, ContentPart::Rights]),
            within: SourceScope::of(SourcePattern::parse("gazette-*")),
        };
        let record = SubscriptionRecord {
            query: FeedQuery { filter, kinds: ChangeKinds::from_bits(5) },
            next_seq: Seq(7),
            epoch: 3,
            create_time: at(9).unwrap(),
            restored: true,
            created_by: RequestDigest([7; 16]),
            owner: PrincipalName::parse("indexer").ok(),
            moves: vec![(RequestId::parse("back-to-friday").unwrap(), RequestDigest([8; 16]))],
            webhook: Some(Webhook {
                state: WebhookState::Paused,
                failed_attempts: 9,
                attempt_time: at(10),
                next_attempt_time: at(11),
                error: "its receiver replied 500".to_owned(),
                unaccepted_until: Some(Seq(8)),
                ..Webhook::new("https://index.example/".to_owned(), FeedView::Diff, WebhookScheme::HmacSha256)
            }),
            parked: Arc::default(),
        };
        let id = SubscriptionId::parse("index").unwrap();
        let mut batch = Batch::default();
        batch.put_subscription(&id, Some(&record));
        let (key, value) = batch.writes.pop_first().unwrap();
        assert_eq!(decode(&key, &value.unwrap()).unwrap(), (id, record));
    }

    #[test]
    fn a_parked_change_is_read_as_it_was_written() {
        let parked = ParkedChange {
            reason: "the command failed".into(),
            attempts: 3,
            park_time: Timestamp::from_micros(9).unwrap(),
            left_filter: true,
            batch_end: true,
        };
        let key = ParkedKey { subscription: SubscriptionId::parse("index").unwrap(), seq: Seq(7) };
        let mut batch = Batch::default();
        batch.put_parked(&key.subscription, key.seq, Some(&parked));
        let (stored_key, value) = batch.writes.pop_first().unwrap();
        assert_eq!(decode_parked(&stored_key, &value.unwrap()).unwrap(), (key, parked));
    }
}
