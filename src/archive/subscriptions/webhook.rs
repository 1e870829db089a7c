//! What the server needs to send the changes of a subscription to its webhook: it attaches like any consumer,
//! acknowledges like any consumer, and notes what became of each attempt.

use std::sync::Arc;

use tokio::sync::watch;

use crate::archive::stats::WebhookCounts;
use crate::archive::subscriptions::{Attachment, ConsumerKind, SubscriptionChange, SubscriptionRecord};
use crate::archive::{Archive, ArchiveError};
use crate::model::{Seq, SubscriptionId, Webhook, WebhookState};

/// The name of the server among consumers.
const LABEL: &str = "webhook";

/// For the layers above.
#[doc(hidden)]
impl Archive {
    /// The subscriptions with a webhook as they are now, in order of id.
    pub fn webhooks(&self) -> Vec<(SubscriptionId, Arc<SubscriptionRecord>)> {
        self.shared.subscriptions.with_webhook()
    }

    /// How many there are in which state.
    pub(in crate::archive) fn webhook_counts(&self) -> WebhookCounts {
        let states = self.webhooks().into_iter().filter_map(|(_, record)| Some(record.webhook.as_ref()?.state));
        states.fold(WebhookCounts::default(), |counts, state| match state {
            WebhookState::Active => WebhookCounts { active: counts.active + 1, ..counts },
            WebhookState::Paused | WebhookState::Disabled => WebhookCounts { stopped: counts.stopped + 1, ..counts },
        })
    }

    /// Changes when a webhook is created, and when one is resumed, stopped, moved, updated or deleted.
    pub fn watch_webhooks(&self) -> watch::Receiver<()> {
        self.shared.subscriptions.watch_webhooks()
    }

    /// Attaches the server to a subscription with a webhook, as [`Archive::attach_subscription`] does for a client.
    pub async fn attach_webhook(&self, id: SubscriptionId) -> Result<Attachment, ArchiveError> {
        self.attach(id, LABEL.to_owned(), None, ConsumerKind::Webhook).await
    }

    /// Acknowledges everything below `next_seq`, because the receiver of the webhook accepted a message that ends there.
    /// Durable when this returns.
    pub async fn acknowledge_webhook(
        &self,
        id: &SubscriptionId,
        epoch: u64,
        next_seq: Seq,
    ) -> Result<(), ArchiveError> {
        self.change(id, SubscriptionChange::Acknowledge { epoch, next_seq, accepted: true }).await.map(drop)
    }

    /// Notes what became of an attempt, unless the epoch is no longer current. Durable when this returns.
    pub async fn note_webhook(&self, id: &SubscriptionId, epoch: u64, webhook: Webhook) -> Result<(), ArchiveError> {
        self.change(id, SubscriptionChange::NoteWebhook { epoch, webhook }).await.map(drop)
    }
}
