//! Webhooks: the server sends the changes of a durable subscription to a receiver over HTTP.
//!
//! The clock of the archive is moved by the tests, so nothing waits for the time of an attempt.

mod delivery;
mod failures;
mod keys;
mod owners;
mod random;
pub(crate) mod receiver;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dateline::internals::access::Access;
use dateline::internals::archive::{Archive, Options as ArchiveOptions};
use dateline::internals::client::{Client, ServerError};
use dateline::internals::clock::{Clock, ManualClock};
use dateline::internals::server::{self, WebhookUrls, Webhooks};
use dateline::internals::webhook::{self, Options};
use dateline::internals::wire::pb::{self, feed_start::Position};
use dateline::model::Timestamp;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use self::receiver::Receiver;
use crate::server::{TestServer, holder, publish};

const NAME: &str = "subscriptions/index";
/// How long a receiver may take in these tests, where it matters.
const SHORT: Duration = Duration::from_millis(300);

/// A server that sends to webhooks, as `dateline serve` runs it.
struct Sending {
    server: TestServer,
    client: Client,
    clock: Arc<ManualClock>,
    task: JoinHandle<()>,
}

/// How to serve.
struct Setup {
    clock: Arc<ManualClock>,
    access: Option<Arc<Access>>,
    urls: WebhookUrls,
    options: Options,
}

impl Default for Setup {
    fn default() -> Self {
        let options = Options { look_every: Duration::from_millis(1), ..Options::default() };
        let clock = Arc::new(ManualClock::new("2026-05-01T12:00:00Z".parse().unwrap()));
        Self { clock, access: None, urls: WebhookUrls::Any, options }
    }
}

impl Setup {
    /// With a receiver that may take this long.
    fn within(timeout: Duration) -> Self {
        let mut setup = Self::default();
        setup.options.fetch.timeout = timeout;
        setup
    }
}

impl Sending {
    async fn new(directory: &Path, setup: Setup) -> Self {
        let Setup { clock, access, urls, options } = setup;
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let (archive, _) = Archive::open_or_create(directory, &ArchiveOptions::default(), shared, holder()).unwrap();
        let webhooks = Webhooks::open(directory, access.clone(), urls).unwrap();
        let server_options = server::Options { webhooks: Some(Arc::clone(&webhooks)), access, ..Default::default() };
        let server = TestServer::over(archive, server_options).await;
        let client = server.client().await;
        let archive = Arc::clone(&server.archive);
        let task = tokio::spawn(async move { match webhook::run(&archive, &webhooks, &options).await {} });
        Self { server, client, clock, task }
    }

    /// Stops as on a signal, and returns the clock for the next server.
    async fn stop(self) -> Arc<ManualClock> {
        let Self { server, client, clock, task } = self;
        task.abort();
        drop((task.await, client));
        server.stop_serving().await;
        clock
    }

    fn pass(&self, time: Duration) {
        let micros = i64::try_from(time.as_micros()).unwrap();
        self.clock.set(self.clock.now().saturating_add_micros(micros));
    }

    /// Records this many articles, one after the other.
    async fn record(&mut self, count: usize) {
        for _ in 0..count {
            let next = self.server.archive.tail().next_seq;
            self.client.archive.record_observation(publish(&format!("a{next}"), "text")).await.unwrap();
        }
    }

    async fn create(&mut self, url: &str) -> pb::CreateSubscriptionResponse {
        self.create_with(pb::Webhook { url: url.to_owned(), ..pb::Webhook::default() }).await.unwrap()
    }

    async fn create_with(&mut self, webhook: pb::Webhook) -> Result<pb::CreateSubscriptionResponse, ServerError> {
        Ok(self.client.feed.create_subscription(creation("index", webhook)).await?.into_inner())
    }

    async fn subscription(&mut self) -> pb::Subscription {
        let request = pb::GetSubscriptionRequest { name: NAME.to_owned() };
        self.client.feed.get_subscription(request).await.unwrap().into_inner().subscription.unwrap()
    }

    async fn webhook(&mut self) -> pb::Webhook {
        self.subscription().await.webhook.unwrap()
    }

    /// The subscription, once it is like that.
    async fn once(&mut self, is_so: impl Fn(&pb::Subscription) -> bool) -> pb::Subscription {
        loop {
            let subscription = self.subscription().await;
            if is_so(&subscription) {
                return subscription;
            }
        }
    }

    /// The webhook, once it is like that.
    async fn once_webhook(&mut self, is_so: impl Fn(&pb::Webhook) -> bool) -> pb::Webhook {
        let subscription = self.once(|subscription| subscription.webhook.as_ref().is_some_and(&is_so)).await;
        subscription.webhook.unwrap()
    }

    /// Waits until everything is acknowledged.
    async fn once_caught_up(&mut self) -> pb::Subscription {
        self.once(|subscription| subscription.lag_changes == 0).await
    }

    async fn set_state(&mut self, state: pb::WebhookState) -> Result<pb::Webhook, ServerError> {
        let webhook = Some(pb::Webhook { state: state.into(), ..pb::Webhook::default() });
        let subscription = Some(pb::Subscription { name: NAME.to_owned(), webhook, ..pb::Subscription::default() });
        let request = pb::UpdateSubscriptionRequest { subscription, update_mask: None };
        let updated = self.client.feed.update_subscription(request).await?.into_inner();
        Ok(updated.subscription.unwrap().webhook.unwrap())
    }

    async fn seek(&mut self, seq: u64) {
        let start = Some(pb::FeedStart { position: Some(Position::Seq(seq)) });
        let request = pb::SeekSubscriptionRequest { name: NAME.to_owned(), start, ..Default::default() };
        self.client.feed.seek_subscription(request).await.unwrap();
    }

    async fn test(&mut self) -> Result<pb::TestWebhookResponse, ServerError> {
        let request = pb::TestWebhookRequest { name: NAME.to_owned() };
        Ok(self.client.feed.test_webhook(request).await?.into_inner())
    }
}

/// A request to create a subscription to everything, from the beginning on.
fn creation(id: &str, webhook: pb::Webhook) -> pb::CreateSubscriptionRequest {
    pb::CreateSubscriptionRequest {
        subscription_id: id.to_owned(),
        subscription: Some(pb::Subscription { webhook: Some(webhook), ..pb::Subscription::default() }),
        start: Some(pb::FeedStart { position: Some(Position::Beginning(true)) }),
    }
}

fn timestamp(time: Option<&prost_types::Timestamp>) -> Timestamp {
    let time = time.unwrap();
    Timestamp::from_seconds_and_nanos(time.seconds, time.nanos).unwrap()
}

/// A server and a receiver, to which the webhook `index` sends.
async fn sending_to(receiver: &Receiver, setup: Setup) -> (TempDir, Sending) {
    let directory = TempDir::new().unwrap();
    let mut sending = Sending::new(directory.path(), setup).await;
    sending.create(&receiver.url).await;
    (directory, sending)
}
