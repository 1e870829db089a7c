//! Sends the changes of one webhook, until it is stopped.

use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderMap;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::Url;

use super::failure::Failure;
use super::message::{Batch, Message, id_prefix};
use crate::archive::subscriptions::SubscriptionRecord;
use crate::archive::{Archive, ArchiveError};
use crate::fetch::{FetchError, Poster, ReplyHead};
use crate::model::{FeedView, SubscriptionId, Timestamp, Webhook, WebhookState};
use crate::server::{NextChanges, WebhookConsumer, WebhookHold, WebhookTested, Webhooks};

/// How long a webhook rests after the archive failed to do what it asked, such as while the disk is full.
const REST: Duration = Duration::from_secs(10);

/// What sending takes. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) archive: Arc<Archive>,
    pub(super) webhooks: Arc<Webhooks>,
    pub(super) poster: Poster,
    pub(super) rendering: Arc<Semaphore>,
    pub(super) look_every: Duration,
}

impl Sender {
    /// Sends the changes of a webhook until it is stopped, moved, updated or deleted.
    pub(super) async fn deliver(&self, id: SubscriptionId) {
        let consumer = match WebhookConsumer::attach(&self.archive, id.clone()).await {
            Ok(consumer) => consumer,
            Err(error) => return rest(&id, &error).await,
        };
        let attachment = consumer.attachment();
        let ended = tokio::select! {
            biased;
            _ = attachment.fenced() => return,
            ended = self.deliver_as(&id, consumer) => ended,
        };
        match ended {
            Ok(()) => {}
            Err(ArchiveError::Subscription(_)) => {} // Fenced off meanwhile.
            Err(error) => rest(&id, &error).await,
        }
    }

    /// Sends as the consumer until the webhook stops.
    async fn deliver_as(&self, id: &SubscriptionId, mut consumer: WebhookConsumer) -> Result<(), ArchiveError> {
        let record = consumer.record().clone();
        let Some(mut webhook) = record.webhook.clone() else { return Ok(()) };
        loop {
            self.wait_until(webhook.next_attempt_time).await;
            let next = consumer.next(webhook.unaccepted_until).await?;
            if next.changes.is_empty() {
                consumer.accepted(next.next_seq).await?;
                webhook = webhook.with_new_message();
                continue;
            }
            let message = self.message(id, &record, webhook.view, &consumer, next).await?;
            let now = self.archive.clock().now();
            let headers = match self.headers(id, &record, &message, now) {
                Ok(headers) => headers,
                Err(WebhookHold { state, error }) => {
                    tracing::warn!(webhook = %id, error, "a webhook does not send any more");
                    return consumer.note(&webhook.stopped(state, error)).await;
                }
            };
            let sent = self.send(&webhook.url, headers, &message).await;
            self.webhooks.count_attempt(sent.is_ok());
            match sent {
                Ok(()) => {
                    consumer.accepted(message.next_seq).await?;
                    webhook = webhook.accepted(now);
                }
                Err(failure) => {
                    let failed = webhook.failed(now, failure.error.clone(), message.next_seq);
                    let now = self.archive.clock().now();
                    // Without random bytes, there is no jitter.
                    webhook = failure.follow(failed, now, getrandom::u32().unwrap_or(0));
                    consumer.note(&webhook).await?;
                    log_failure(id, &webhook);
                    if webhook.state != WebhookState::Active {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Sends a test event to a webhook, whatever its state.
    pub(super) async fn test(&self, id: &SubscriptionId) -> WebhookTested {
        let failed = |error: String| WebhookTested { http_status: None, latency: Duration::ZERO, error: Some(error) };
        let record = match self.archive.subscription(id.clone()).await {
            Ok(subscription) => subscription.record,
            Err(error) => return failed(error.to_string()),
        };
        let Some(webhook) = &record.webhook else { return failed("it has no webhook any more".to_owned()) };
        let now = self.archive.clock().now();
        let prefix = id_prefix(&self.archive.info().id, id, record.create_time);
        let message = Message::test(id, &prefix, now);
        let headers = match self.headers(id, &record, &message, now) {
            Ok(headers) => headers,
            Err(WebhookHold { error, .. }) => return failed(error),
        };
        let begun = Instant::now();
        let reply = self.post(&webhook.url, headers, &message).await;
        let latency = begun.elapsed();
        match reply {
            Ok(reply) => WebhookTested {
                http_status: Some(reply.status.as_u16()),
                latency,
                error: Failure::of_reply(reply).map(|failure| failure.error),
            },
            Err(error) => WebhookTested { http_status: None, latency, error: Some(Failure::of_error(&error).error) },
        }
    }

    /// The next message. A change that is too large for one is sent in view BASIC.
    async fn message(
        &self,
        id: &SubscriptionId,
        record: &SubscriptionRecord,
        view: FeedView,
        consumer: &WebhookConsumer,
        next: NextChanges,
    ) -> Result<Message, ArchiveError> {
        let NextChanges { changes, next_seq } = next;
        let first = changes.first().cloned();
        let prefix = id_prefix(&self.archive.info().id, id, record.create_time);
        let batch = |view, changes, next_seq| Batch {
            subscription: id.clone(),
            id_prefix: prefix.clone(),
            view,
            changes,
            next_seq,
        };
        let message = self.render(batch(view, changes, next_seq)).await?;
        match first {
            Some(first) if message.is_too_large() && view != FeedView::Basic => {
                let reduced = vec![consumer.basic(&first).await?];
                self.render(batch(FeedView::Basic, reduced, message.next_seq)).await
            }
            Some(_) | None => Ok(message),
        }
    }

    /// Writes a message as JSON, away from the threads that serve calls.
    async fn render(&self, batch: Batch) -> Result<Message, ArchiveError> {
        let _turn = self.rendering.acquire().await;
        tokio::task::spawn_blocking(move || batch.into_message())
            .await
            .map_err(|error| ArchiveError::Damaged { seq: None, detail: error.to_string() })
    }

    /// The headers of an attempt, or why there must not be one.
    fn headers(
        &self,
        id: &SubscriptionId,
        record: &SubscriptionRecord,
        message: &Message,
        now: Timestamp,
    ) -> Result<HeaderMap, WebhookHold> {
        if let Some(hold) = self.webhooks.hold(record) {
            return Err(hold);
        }
        let paused = |error: String| WebhookHold { state: WebhookState::Paused, error };
        let keys = self.webhooks.keys(id, now);
        if keys.is_empty() {
            let error = "its signing key is missing, as after a restore; make another with `dateline webhook rotate-key`, \
                         give it to the receiver, and then resume the webhook";
            return Err(paused(error.to_owned()));
        }
        message.headers(&keys, now).map_err(|error| paused(error.to_string()))
    }

    async fn send(&self, url: &str, headers: HeaderMap, message: &Message) -> Result<(), Failure> {
        match self.post(url, headers, message).await {
            Ok(reply) => Failure::of_reply(reply).map_or(Ok(()), Err),
            Err(error) => Err(Failure::of_error(&error)),
        }
    }

    async fn post(&self, url: &str, headers: HeaderMap, message: &Message) -> Result<ReplyHead, FetchError> {
        let reason = "it is not a URL";
        let url = Url::parse(url).map_err(|_| FetchError::NotHttp { url: url.to_owned(), reason })?;
        self.poster.deliver(&url, headers, message.body()).await
    }

    /// Waits for a time of the wall clock, which may be set meanwhile.
    async fn wait_until(&self, time: Option<Timestamp>) {
        let Some(time) = time else { return };
        while let micros @ 1.. = time.micros_since(self.archive.clock().now()) {
            let rest = Duration::from_micros(micros.cast_unsigned());
            tokio::time::sleep(rest.min(self.look_every)).await;
        }
    }
}

/// Logs the first failure after a success, and each stop.
fn log_failure(id: &SubscriptionId, webhook: &Webhook) {
    let error = &webhook.error;
    if webhook.state != WebhookState::Active {
        tracing::warn!(webhook = %id, error, "a webhook does not send any more");
    } else if webhook.failed_attempts == 1 {
        tracing::info!(webhook = %id, error, "a message was not accepted by a webhook; it is sent again");
    }
}

/// Logs why the archive did not do what was asked, and waits before anybody tries again.
async fn rest(id: &SubscriptionId, error: &ArchiveError) {
    tracing::warn!(webhook = %id, %error, "a webhook is interrupted for a moment");
    tokio::time::sleep(REST).await;
}
