//! A webhook sends what its owner may read at that moment, and nothing once the owner is no principal any more.

use std::path::Path;
use std::sync::Arc;

use dateline::internals::access::{Access, Permission};
use dateline::internals::clock::ManualClock;
use dateline::internals::wire::pb;
use dateline::model::{ArticleName, Content, PrincipalName, SourcePattern, Webhook, WebhookState};
use tempfile::TempDir;
use tonic::Request;

use super::receiver::Receiver;
use super::{Sending, Setup, creation};

/// A server that tells its callers apart, and the token of the principal `indexer`.
struct Owned {
    sending: Sending,
    access: Arc<Access>,
    token: String,
    _directory: TempDir,
}

fn indexer() -> PrincipalName {
    PrincipalName::parse("indexer").unwrap()
}

fn grant(access: &Access, patterns: &[&str]) -> String {
    let sources: Vec<_> = patterns.iter().map(|pattern| SourcePattern::parse(pattern).unwrap()).collect();
    access.create_token(&indexer(), &[Permission::Read, Permission::Subscribe], &sources, None).unwrap()
}

fn setup(directory: &Path) -> (Setup, Arc<Access>) {
    let setup = Setup::default();
    let clock: Arc<ManualClock> = Arc::clone(&setup.clock);
    let access = Arc::new(Access::open(directory, clock).unwrap());
    (Setup { access: Some(Arc::clone(&access)), ..setup }, access)
}

impl Owned {
    async fn new(receiver: &Receiver) -> Self {
        let directory = TempDir::new().unwrap();
        std::fs::create_dir(directory.path().join("archive")).unwrap();
        let (setup, access) = setup(directory.path());
        let token = grant(&access, &["courier"]);
        let sending = Sending::new(&directory.path().join("archive"), setup).await;
        let mut owned = Self { sending, access, token, _directory: directory };
        let webhook = pb::Webhook { url: receiver.url.clone(), ..pb::Webhook::default() };
        let request = owned.request(creation("index", webhook));
        owned.sending.client.feed.create_subscription(request).await.unwrap();
        owned
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse().unwrap());
        request
    }

    async fn record(&self, source: &str) {
        let next = self.sending.server.archive.tail().next_seq.0;
        let name: ArticleName = format!("sources/{source}/articles/a{next}").parse().unwrap();
        self.sending.server.archive.record(&name, Content::new("Bridge to close")).await.unwrap();
    }

    fn stored(&self) -> Webhook {
        let (_, record) = self.sending.server.archive.webhooks().remove(0);
        record.webhook.clone().unwrap()
    }

    /// Waits until the webhook has stopped.
    async fn once_stopped(&self) -> Webhook {
        loop {
            let webhook = self.stored();
            if webhook.state != WebhookState::Active {
                return webhook;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_webhook_sends_what_its_owner_may_read() {
    let receiver = Receiver::new(&[]).await;
    let owned = Owned::new(&receiver).await;
    for source in ["courier", "gazette", "courier"] {
        owned.record(source).await;
    }
    let mut seqs = Vec::new();
    let mut count = 0;
    while seqs.len() < 2 {
        count += 1;
        seqs = receiver.once(count).await.iter().flat_map(super::receiver::Received::seqs).collect();
    }
    assert_eq!(seqs, [0, 2]);
    owned.sending.stop().await;
}

#[tokio::test]
async fn a_revoked_owner_disables_the_webhook() {
    let receiver = Receiver::new(&[]).await;
    let owned = Owned::new(&receiver).await;
    owned.record("courier").await;
    receiver.once(1).await;
    owned.access.revoke(&indexer()).unwrap();
    owned.record("courier").await;
    let stopped = owned.once_stopped().await;
    assert_eq!(stopped.state, WebhookState::Disabled);
    assert_eq!(stopped.error, "its owner indexer was revoked, or has expired");
    assert_eq!(receiver.so_far().len(), 1);
    owned.sending.stop().await;
}

#[tokio::test]
async fn a_webhook_pauses_when_its_owner_may_read_other_sources() {
    let receiver = Receiver::new(&[]).await;
    let mut owned = Owned::new(&receiver).await;
    owned.record("courier").await;
    receiver.once(1).await;
    owned.access.revoke(&indexer()).unwrap();
    owned.token = grant(&owned.access, &["gazette"]);
    owned.record("courier").await;
    owned.record("gazette").await;
    let stopped = owned.once_stopped().await;
    assert_eq!(stopped.state, WebhookState::Paused);
    assert!(stopped.error.contains("SCOPE_CHANGED"), "{}", stopped.error);
    assert_eq!(receiver.so_far().len(), 1);

    // Its owner moves it, and resumes it.
    let start = Some(pb::FeedStart { position: Some(pb::feed_start::Position::Beginning(true)) });
    let name = super::NAME.to_owned();
    let seek = owned.request(pb::SeekSubscriptionRequest { name: name.clone(), start, ..Default::default() });
    owned.sending.client.feed.seek_subscription(seek).await.unwrap();
    let webhook = Some(pb::Webhook { state: pb::WebhookState::Active.into(), ..pb::Webhook::default() });
    let subscription = Some(pb::Subscription { name, webhook, ..pb::Subscription::default() });
    let update = owned.request(pb::UpdateSubscriptionRequest { subscription, update_mask: None });
    owned.sending.client.feed.update_subscription(update).await.unwrap();
    assert_eq!(receiver.once(2).await[1].seqs(), [2]);
    owned.sending.stop().await;
}
