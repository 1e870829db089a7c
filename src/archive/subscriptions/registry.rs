//! The in-memory registry of durable subscriptions: their durable records, and the attached consumers.
//!
//! One lock guards both, so that registering a consumer and making a newer epoch visible cannot overlap: the second of
//! the two sees the effect of the first.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::archive::error::SubscriptionError;
use crate::archive::subscriptions::ConsumerAt;
use crate::archive::writes::Edited;
use crate::model::{Seq, SubscriptionId, Timestamp};
use crate::store::subscription::SubscriptionRecord;

/// The registry of one archive.
pub(crate) struct Subscriptions {
    state: Mutex<RegistryState>,
    /// Changes when a webhook is created, and when one gets a new epoch or is deleted.
    webhooks: watch::Sender<()>,
}

/// How many subscriptions and parked changes an archive has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) subscriptions: usize,
    pub(crate) parked: usize,
    pub(crate) webhooks: usize,
}

struct RegistryState {
    durable: BTreeMap<SubscriptionId, Arc<SubscriptionRecord>>,
    consumers: BTreeMap<SubscriptionId, Consumer>,
}

/// The consumer that is attached to a subscription, or that was attached last.
pub(crate) struct Consumer {
    pub(crate) label: String,
    pub(crate) epoch: u64,
    pub(crate) attach_time: Timestamp,
    /// Every matching change below this position was delivered, or is about to be. The attachment raises this position.
    pub(crate) delivered: Arc<AtomicU64>,
    pub(crate) attached: bool,
    /// Cancelled when the consumer is fenced off.
    pub(crate) fence: CancellationToken,
}

impl Consumer {
    fn at(&self) -> ConsumerAt {
        ConsumerAt {
            label: self.label.clone(),
            epoch: self.epoch,
            attach_time: self.attach_time,
            delivered: Seq(self.delivered.load(Ordering::Acquire)),
            attached: self.attached,
        }
    }
}

impl Subscriptions {
    pub(crate) fn new(durable: BTreeMap<SubscriptionId, Arc<SubscriptionRecord>>) -> Self {
        let state = Mutex::new(RegistryState { durable, consumers: BTreeMap::new() });
        Self { state, webhooks: watch::Sender::new(()) }
    }

    fn state(&self) -> MutexGuard<'_, RegistryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The durable record of a subscription.
    pub(crate) fn durable(&self, id: &SubscriptionId) -> Option<Arc<SubscriptionRecord>> {
        self.state().durable.get(id).cloned()
    }

    /// How many there will be once `edits` are durable. If several have the same id, the last one counts.
    pub(crate) fn totals_with<'a>(&self, edits: impl Iterator<Item = &'a Edited>) -> Totals {
        let edited: BTreeMap<_, _> = edits.flatten().collect();
        let state = self.state();
        let unedited = state.durable.iter().filter(|(id, _)| !edited.contains_key(id)).map(|(_, record)| record);
        let records = unedited.chain(edited.values().filter_map(|record| record.as_ref()));
        records.fold(Totals::default(), |totals, record| Totals {
            subscriptions: totals.subscriptions + 1,
            parked: totals.parked + record.parked.len(),
            webhooks: totals.webhooks + usize::from(record.webhook.is_some()),
        })
    }

    /// At most `count` subscriptions after `after`, in order of id.
    pub(crate) fn after(
        &self,
        after: Option<&SubscriptionId>,
        count: usize,
    ) -> Vec<(SubscriptionId, Arc<SubscriptionRecord>)> {
        let state = self.state();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let following = state.durable.range::<SubscriptionId, _>((start, Bound::Unbounded));
        following.take(count).map(|(id, record)| (id.clone(), Arc::clone(record))).collect()
    }

    /// The lowest acknowledged position; `None` if there are no subscriptions.
    pub(crate) fn lowest(&self) -> Option<Seq> {
        self.state().durable.values().map(|record| record.next_seq).min()
    }

    /// The subscriptions with a webhook, in order of id.
    pub(crate) fn with_webhook(&self) -> Vec<(SubscriptionId, Arc<SubscriptionRecord>)> {
        let state = self.state();
        let with_webhook = state.durable.iter().filter(|(_, record)| record.webhook.is_some());
        with_webhook.map(|(id, record)| (id.clone(), Arc::clone(record))).collect()
    }

    /// Changes when a webhook is created, and when one gets a new epoch or is deleted.
    pub(crate) fn watch_webhooks(&self) -> watch::Receiver<()> {
        self.webhooks.subscribe()
    }

    /// The subscriptions that have acknowledged the change at `seq`.
    pub(crate) fn ahead_of(&self, seq: Seq) -> Vec<SubscriptionId> {
        let state = self.state();
        let ahead = state.durable.iter().filter(|(_, record)| record.next_seq > seq);
        ahead.map(|(id, _)| id.clone()).collect()
    }

    /// Applies the edits that a commit made durable, and fences off the consumers whose epoch is no longer current.
    pub(crate) fn apply(&self, edited: Edited) {
        if edited.is_empty() {
            return;
        }
        let mut state = self.state();
        for (id, record) in edited {
            let epoch = record.as_ref().map(|record| record.epoch);
            let earlier = state.durable.get(&id);
            let has_webhook = record.as_ref().or(earlier).is_some_and(|record| record.webhook.is_some());
            if has_webhook && earlier.map(|earlier| earlier.epoch) != epoch {
                self.webhooks.send_replace(());
            }
            if let Some(consumer) = state.consumers.get(&id).filter(|consumer| Some(consumer.epoch) != epoch) {
                consumer.fence.cancel();
            }
            match record {
                Some(record) => drop(state.durable.insert(id, record)),
                None => {
                    state.durable.remove(&id);
                    state.consumers.remove(&id);
                }
            }
        }
    }

    /// The consumer of a subscription, if one has attached since the archive was opened.
    pub(crate) fn consumer(&self, id: &SubscriptionId) -> Option<ConsumerAt> {
        self.state().consumers.get(id).map(Consumer::at)
    }

    /// Registers a consumer, unless its epoch is no longer current.
    pub(crate) fn register(&self, id: &SubscriptionId, consumer: Consumer) -> Result<(), SubscriptionError> {
        let mut state = self.state();
        match state.durable.get(id) {
            None => Err(SubscriptionError::Unknown(id.clone())),
            Some(record) if record.epoch != consumer.epoch => {
                let (id, epoch, next_seq) = (id.clone(), consumer.epoch, record.next_seq);
                Err(SubscriptionError::ConsumerFenced { id, epoch, next_seq })
            }
            Some(_) => {
                state.consumers.insert(id.clone(), consumer);
                Ok(())
            }
        }
    }

    /// Records that the consumer with this epoch has detached. What was delivered to it can still be acknowledged.
    pub(crate) fn detach(&self, id: &SubscriptionId, epoch: u64) {
        if let Some(consumer) = self.state().consumers.get_mut(id).filter(|consumer| consumer.epoch == epoch) {
            consumer.attached = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FeedQuery, RequestDigest};
    use crate::store::subscription::ParkedChange;

    fn id(name: &str) -> SubscriptionId {
        SubscriptionId::parse(name).unwrap()
    }

    fn record(parked: u64) -> SubscriptionRecord {
        let at = Timestamp::MIN;
        let one = ParkedChange { reason: "".into(), attempts: 1, park_time: at, left_filter: false, batch_end: true };
        SubscriptionRecord {
            query: FeedQuery::default(),
            next_seq: Seq(0),
            epoch: 0,
            create_time: at,
            restored: false,
            created_by: RequestDigest([0; 16]),
            owner: None,
            moves: Vec::new(),
            webhook: None,
            parked: Arc::new((0..parked).map(|seq| (Seq(seq), one.clone())).collect()),
        }
    }

    #[test]
    fn the_limits_count_what_is_added_and_removed_in_commits_not_yet_durable() {
        let record = Arc::new(record(2));
        let kept = |name| (id(name), Some(Arc::clone(&record)));
        let durable = ["a", "b"].map(|name| (id(name), Arc::clone(&record)));
        let subscriptions = Subscriptions::new(BTreeMap::from(durable));
        let in_flight = Edited::from([kept("b"), kept("c"), kept("d")]);
        let next = Edited::from([(id("a"), None), (id("c"), None), kept("e")]);
        let totals = |subscriptions, parked| Totals { subscriptions, parked, webhooks: 0 };
        assert_eq!(subscriptions.totals_with([].into_iter()), totals(2, 4));
        assert_eq!(subscriptions.totals_with([&in_flight].into_iter()), totals(4, 8));
        assert_eq!(subscriptions.totals_with([&in_flight, &next].into_iter()), totals(3, 6), "b, d and e");
    }
}
