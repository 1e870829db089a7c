//! The server as the consumer of a durable subscription with a webhook: it reads the same pages as a subscriber, as
//! messages of the contract, and acknowledges what the receiver has accepted.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tokio::time::Instant;

use super::show;
use crate::archive::changefeed::{FeedEnd, FeedItem, FeedView, PagePlan};
use crate::archive::subscriptions::{Attachment, SubscriptionRecord};
use crate::archive::{Archive, ArchiveError};
use crate::model::{ArticleFilter, ChangeKinds, FeedQuery, Seq, Snapshot, SubscriptionId, Webhook};
use crate::wire::pb;

/// The most changes in one message.
const CHANGES_MAX: usize = 100;
/// A page ends with the change that takes it to this many bytes. As JSON, it is about twice as large.
const PAGE_BYTES_MAX: usize = 512 << 10;
/// The most changes examined for one page.
const EXAMINED_MAX: usize = 4_096;
/// How long more changes may gather, after some that do not match, before they are examined.
const EXAMINE_AGAIN_AFTER: Duration = Duration::from_millis(8);
/// How long it may take until the position moves past changes of which none matches.
const ACKNOWLEDGE_AFTER: Duration = Duration::from_secs(2);

/// The consumer of one subscription with a webhook. Dropping it detaches it.
pub struct WebhookConsumer {
    archive: Arc<Archive>,
    attachment: Arc<Attachment>,
    record: Arc<SubscriptionRecord>,
    end: FeedEnd,
    /// All matching changes below this position are dealt with.
    place: Snapshot,
    acknowledged: Seq,
    view: FeedView,
}

/// The next changes to send.
#[derive(Clone, Debug)]
pub struct NextChanges {
    /// The changes, in order of position. May be empty if `until` was given.
    pub changes: Vec<pb::Change>,
    /// All matching changes below this position are among them, or were dealt with before.
    pub next_seq: Seq,
}

impl WebhookConsumer {
    /// Attaches to the subscription, which fences off an earlier attachment.
    pub async fn attach(archive: &Arc<Archive>, id: SubscriptionId) -> Result<Self, ArchiveError> {
        // Subscribed to before the position is resolved, so that no new tail is missed.
        let end = archive.feed_end();
        let attachment = archive.attach_webhook(id.clone()).await?;
        let record = archive.subscription(id).await?.record;
        let view = record.webhook.as_ref().map_or(FeedView::Basic, |webhook| webhook.view);
        let (place, archive) = (attachment.start, Arc::clone(archive));
        let acknowledged = place.next_seq;
        Ok(Self { archive, attachment: Arc::new(attachment), record, end, place, acknowledged, view })
    }

    /// The subscription when this attached.
    pub fn record(&self) -> &SubscriptionRecord {
        &self.record
    }

    /// The attachment, to wait for its end with.
    pub fn attachment(&self) -> Arc<Attachment> {
        Arc::clone(&self.attachment)
    }

    /// Waits until there are changes to send, and returns the first of them. If `until` is given, there were some below
    /// it, and exactly those are returned.
    pub async fn next(&mut self, until: Option<Seq>) -> Result<NextChanges, ArchiveError> {
        // A client may have acknowledged more meanwhile.
        let until = until.filter(|until| *until > self.place.next_seq);
        let mut acknowledge_at = None;
        loop {
            let end = self.end.now();
            if self.place.next_seq >= end {
                acknowledge_at = self.wait(acknowledge_at).await?;
                continue;
            }
            if until.is_none()
                && let Some(place) = self.archive.feed_without_match(self.place, end, &self.attachment.query)
            {
                self.place = place;
                tokio::time::sleep(EXAMINE_AGAIN_AFTER).await;
                continue;
            }
            let page = self.archive.feed_page(self.place, end, self.plan(self.view)).await?;
            let mut changes = page.items.into_iter().map(message).collect::<Result<Vec<_>, _>>()?;
            let next_seq = until.unwrap_or(page.next.next_seq).min(page.next.next_seq);
            changes.retain(|change| change.seq < next_seq.0);
            if !changes.is_empty() || until.is_some() {
                return Ok(NextChanges { changes, next_seq });
            }
            self.place = page.next;
        }
    }

    /// A change in view BASIC, for one that is too large in another.
    pub async fn basic(&self, change: &pb::Change) -> Result<pb::Change, ArchiveError> {
        let filter = ArticleFilter { within: self.attachment.query.filter.within.clone(), ..ArticleFilter::default() };
        let query = Arc::new(FeedQuery { filter, kinds: ChangeKinds::ALL });
        let plan = PagePlan { query, ..self.plan(FeedView::Basic) };
        let (left_filter, batch_end) = (change.left_filter, change.batch_end);
        match self.archive.feed_change(Seq(change.seq), plan).await? {
            // Both flags depend on the filter of the subscription.
            Some(item) => Ok(pb::Change { left_filter, batch_end, ..message(item)? }),
            None => Ok(change.clone()),
        }
    }

    /// Acknowledges everything below `next_seq`, because the receiver has accepted it. Durable when this returns.
    pub async fn accepted(&mut self, next_seq: Seq) -> Result<(), ArchiveError> {
        let Attachment { id, epoch, .. } = &*self.attachment;
        self.attachment.deliver(next_seq);
        self.archive.acknowledge_webhook(id, *epoch, next_seq).await?;
        self.place = self.archive.snapshot_at(next_seq).await?;
        self.acknowledged = next_seq;
        Ok(())
    }

    /// Notes what became of an attempt. Durable when this returns.
    pub async fn note(&self, webhook: &Webhook) -> Result<(), ArchiveError> {
        self.archive.note_webhook(&self.attachment.id, self.attachment.epoch, webhook.clone()).await
    }

    /// Waits for a change. Acknowledges what does not match if none comes until `acknowledge_at`, which is set at the
    /// first wait. Returns the time for the next wait.
    async fn wait(&mut self, acknowledge_at: Option<Instant>) -> Result<Option<Instant>, ArchiveError> {
        let place = self.place.next_seq;
        let at = acknowledge_at.unwrap_or_else(|| Instant::now() + ACKNOWLEDGE_AFTER);
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(at), if self.acknowledged < place => {}
            _ = self.end.beyond(place) => return Ok(Some(at)),
        }
        let Attachment { id, epoch, .. } = &*self.attachment;
        self.attachment.deliver(place);
        self.archive.acknowledge_subscription(id.clone(), *epoch, place).await?;
        self.acknowledged = place;
        Ok(None)
    }

    fn plan(&self, view: FeedView) -> PagePlan {
        PagePlan {
            query: Arc::new(self.attachment.query.clone()),
            view,
            render: show::encode,
            changes_max: CHANGES_MAX,
            bytes_max: PAGE_BYTES_MAX,
            examined_max: EXAMINED_MAX,
        }
    }
}

/// A change of a page as a message.
fn message(item: FeedItem) -> Result<pb::Change, ArchiveError> {
    let FeedItem { bytes, left_filter, batch_end, .. } = item;
    let damaged = |error: prost::DecodeError| ArchiveError::Damaged { seq: None, detail: error.to_string() };
    Ok(pb::Change { left_filter, batch_end, ..pb::Change::decode(bytes).map_err(damaged)? })
}
