//! The methods for webhooks, and what the other methods of durable subscriptions do for one.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::super::Context;
use super::super::caller::Caller;
use super::super::status::Refusal;
use super::super::webhooks::Webhooks;
use super::durable::parse;
use crate::archive::ArchiveError;
use crate::archive::error::SubscriptionError;
use crate::archive::subscriptions::{NewSubscription, SubscriptionAt};
use crate::model::{SubscriptionId, Timestamp, Webhook, WebhookScheme};
use crate::webhook_keys::SigningKey;
use crate::wire::{self, FieldErrors, WebhookUrls, all, pb, timestamp_to_pb, webhook_to_pb};

/// How long the earlier keys sign after a rotation, unless the request says so.
const OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);
/// How long they may, in seconds.
const OVERLAP_RANGE: RangeInclusive<u64> = 0..=30 * 24 * 60 * 60;

impl Context {
    fn webhooks(&self) -> Result<&Arc<Webhooks>, Refusal> {
        self.webhooks.as_ref().ok_or_else(Refusal::webhooks_unavailable)
    }

    /// The webhook of a subscription to create.
    pub(super) fn requested_webhook(&self, message: Option<&pb::Webhook>) -> Result<Option<Webhook>, FieldErrors> {
        let urls = self.webhooks.as_ref().map_or(WebhookUrls::Https, |webhooks| webhooks.urls);
        message.map(|message| wire::webhook("subscription.webhook", message, urls)).transpose()
    }

    /// Creates a subscription, with its keys if it has a webhook. Returns the secret that the receiver needs, too.
    pub(super) async fn create_with_webhook(
        &self,
        id: SubscriptionId,
        new: NewSubscription,
    ) -> Result<(SubscriptionAt, Option<String>), Refusal> {
        let Some(scheme) = new.webhook.as_ref().map(|webhook| webhook.scheme) else {
            return Ok((self.archive.create_subscription_with(id, new).await?, None));
        };
        let webhooks = self.webhooks()?;
        let _editing = webhooks.edit().await;
        let now = self.archive.clock().now();
        // The keys come first, so that there is no webhook without them. Those of an existing subscription stay: this
        // request may be a retry.
        let existing = self.archive.subscription(id.clone()).await;
        let is_new = matches!(existing, Err(ArchiveError::Subscription(SubscriptionError::Unknown(_))));
        if is_new {
            webhooks.forget_keys(&id).await?;
            webhooks.make_key(&id, scheme, now, now).await?;
        }
        let created = self.archive.create_subscription_with(id.clone(), new).await;
        if created.is_err() && is_new {
            webhooks.forget_keys(&id).await?;
        }
        let secret = webhooks.keys(&id, now).first().and_then(|key| key.shared_secret());
        Ok((created?, secret))
    }

    /// Deletes a subscription, with its keys.
    pub(super) async fn delete_with_webhook(
        &self,
        id: SubscriptionId,
        etag: Option<String>,
    ) -> Result<(), ArchiveError> {
        let has_webhook = self.archive.subscription(id.clone()).await.is_ok_and(|at| at.record.webhook.is_some());
        let Some(webhooks) = self.webhooks.as_ref().filter(|_| has_webhook) else {
            return self.archive.delete_subscription(id, etag).await;
        };
        let _editing = webhooks.edit().await;
        self.archive.delete_subscription(id.clone(), etag).await?;
        if let Err(refusal) = webhooks.forget_keys(&id).await {
            tracing::warn!(webhook = %id, error = %refusal.message(), "the keys of a deleted webhook are still there");
        }
        Ok(())
    }

    pub(super) async fn test_webhook(
        &self,
        caller: &Caller,
        request: pb::TestWebhookRequest,
    ) -> Result<pb::TestWebhookResponse, Refusal> {
        let id = parse(&request.name)?;
        self.own_webhook(caller, &id).await?;
        let tested = self.webhooks()?.test(id).await?;
        Ok(pb::TestWebhookResponse {
            http_status: tested.http_status.unwrap_or(0).into(),
            latency: prost_types::Duration::try_from(tested.latency).ok(),
            error: tested.error.unwrap_or_default(),
        })
    }

    pub(super) async fn rotate_webhook_key(
        &self,
        caller: &Caller,
        request: pb::RotateWebhookKeyRequest,
    ) -> Result<pb::RotateWebhookKeyResponse, Refusal> {
        let id = parse(&request.name);
        let overlap = wire::duration("overlap", request.overlap, OVERLAP, OVERLAP_RANGE);
        let (id, overlap) = all!(id, overlap)?;
        self.own_webhook(caller, &id).await?;
        let webhooks = self.webhooks()?;
        let _editing = webhooks.edit().await;
        // It may have been deleted while this waited.
        let (subscription, scheme) = self.own_webhook(caller, &id).await?;
        let now = self.archive.clock().now();
        let earlier_until = now.saturating_add_micros(i64::try_from(overlap.as_micros()).unwrap_or(i64::MAX));
        let key = webhooks.make_key(&id, scheme, now, earlier_until).await?;
        let subscription = Some(self.show_subscription(&subscription));
        Ok(pb::RotateWebhookKeyResponse { subscription, webhook_secret: key.shared_secret().unwrap_or_default() })
    }

    /// A subscription that the caller may deal with, and the scheme of its webhook.
    async fn own_webhook(
        &self,
        caller: &Caller,
        id: &SubscriptionId,
    ) -> Result<(SubscriptionAt, WebhookScheme), Refusal> {
        let subscription = self.own_subscription(caller, id).await?;
        match subscription.record.webhook.as_ref().map(|webhook| webhook.scheme) {
            Some(scheme) => Ok((subscription, scheme)),
            None => Err(ArchiveError::from(SubscriptionError::NoWebhook(id.clone())).into()),
        }
    }

    pub(super) fn show_webhook(&self, at: &SubscriptionAt, now: Timestamp) -> Option<pb::Webhook> {
        let webhook = at.record.webhook.as_ref()?;
        let keys = self.webhooks.as_ref().map(|webhooks| webhooks.keys(&at.id, now)).unwrap_or_default();
        Some(pb::Webhook { keys: keys.iter().map(|key| key_to_pb(key)).collect(), ..webhook_to_pb(webhook) })
    }
}

fn key_to_pb(key: &SigningKey) -> pb::WebhookKey {
    pb::WebhookKey {
        public_key: key.public_key().unwrap_or_default(),
        create_time: Some(timestamp_to_pb(key.created)),
        expire_time: key.expires.map(timestamp_to_pb),
    }
}
