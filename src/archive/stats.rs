//! What an operator sees of an open archive. Who asks, and in which form it is shown, is not known here.
//!
//! Counting is cheap enough to be always on: a commit adds to two histograms, a cached lookup to one counter. Reading the
//! counts waits for no commit.

use std::sync::Arc;
use std::time::Duration;

use crate::archive::error::Unavailable;
use crate::archive::expunge::DESTRUCTION_OVERDUE_MICROS;
pub use crate::archive::read::counted_cache::CacheStats;
use crate::archive::{Archive, ArchiveError};
use crate::histogram::{Counts, Histogram};
use crate::model::{Seq, Timestamp};
use crate::store::Tables;
pub use crate::store::engine::EngineStats;

/// The greatest number of changes in each bucket of commits; no commit has more.
const CHANGES_BOUNDS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256];
/// The longest duration in each bucket of syncs, in microseconds: from a fast drive to one that is about to fail.
const SYNC_BOUNDS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000,
    30_000_000,
];

/// The distributions of commits, which the writer thread and the committer count.
#[derive(Debug)]
pub(crate) struct CommitHistograms {
    changes: Histogram,
    sync: Histogram,
}

impl Default for CommitHistograms {
    fn default() -> Self {
        Self { changes: Histogram::new(CHANGES_BOUNDS), sync: Histogram::new(SYNC_BOUNDS) }
    }
}

impl CommitHistograms {
    /// Counts a durable commit. Those without changes, such as of a checkpoint, would hide how large the others are.
    pub(crate) fn observe_changes(&self, changes: usize) {
        if changes > 0 {
            self.changes.observe(changes as u64);
        }
    }

    /// Counts the time from when the engine got a commit to when it was durable or had failed.
    pub(crate) fn observe_sync(&self, took: Duration) {
        self.sync.observe(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }
}

/// Counts since the archive was opened, and sizes as they are now.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Operations that are queued and not yet answered.
    pub queued_operations: usize,
    /// The size of their contents and originals in bytes, to a KiB for each call.
    pub queued_bytes: usize,
    /// The number of changes of each durable commit that has any.
    pub commit_changes: Counts,
    /// The time that each commit took to become durable, in microseconds. If the database is far behind the write-ahead
    /// log, that includes waiting for it.
    pub commit_sync: Counts,
    /// The caches by name.
    pub caches: [(&'static str, CacheStats); 5],
    /// The write-ahead log, and how much of it the database does not have yet.
    pub engine: EngineStats,
    /// The durable subscriptions.
    pub subscriptions: SubscriptionStats,
    /// The webhooks.
    pub webhooks: WebhookCounts,
}

/// The durable subscriptions together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionStats {
    /// How many there are.
    pub count: usize,
    /// The changes that their consumers have parked.
    pub parked: usize,
    /// The greatest number of changes from an acknowledged position to the durable tail.
    pub lag_changes: u64,
}

/// The webhooks together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WebhookCounts {
    /// How many send, or would if there were a change.
    pub active: u32,
    /// How many are paused or disabled.
    pub stopped: u32,
}

/// What takes a look at the disk to know.
#[derive(Clone, Copy, Debug)]
pub struct DiskStats {
    /// The size of the database on disk, in bytes.
    pub used_bytes: u64,
    /// The free space of its disk that this process may use, in bytes; `None` if it has no disk.
    pub free_bytes: Option<u64>,
    /// Whether a write of ordinary size would be rejected, because too little space is free.
    pub is_full: bool,
    /// Since when the files of the database have text that was destroyed.
    pub destruction_pending: Option<Timestamp>,
    /// Whether it should have been removed from them by now.
    pub destruction_overdue: bool,
    /// The archive time of the first change that not all durable subscriptions have acknowledged.
    pub unacknowledged_since: Option<Timestamp>,
    /// The archive time of the first change that the receiver of a webhook has not accepted.
    pub undelivered_since: Option<Timestamp>,
}

/// For the layers above.
#[doc(hidden)]
impl Archive {
    /// Counts and sizes, all from memory.
    pub fn stats(&self) -> Stats {
        let (shared, tail) = (&self.shared, self.shared.tail().position.next_seq);
        let totals = shared.subscriptions.totals_with(std::iter::empty());
        let lowest = shared.subscriptions.lowest().unwrap_or(tail);
        Stats {
            queued_operations: self.queue.waiting(),
            queued_bytes: self.queue.waiting_bytes(),
            commit_changes: shared.commits.changes.counts(),
            commit_sync: shared.commits.sync.counts(),
            caches: shared.caches.stats(),
            engine: shared.engine.stats(),
            subscriptions: SubscriptionStats {
                count: totals.subscriptions,
                parked: totals.parked,
                lag_changes: tail.0.saturating_sub(lowest.0),
            },
            webhooks: self.webhook_counts(),
        }
    }

    /// What takes a look at the disk, which may be slow or hang.
    pub async fn disk_stats(&self) -> Result<DiskStats, ArchiveError> {
        let shared = Arc::clone(&self.shared);
        let look = move || {
            let engine = shared.engine.as_ref();
            let is_full = match engine.has_room().map_err(ArchiveError::from) {
                Ok(()) => false,
                Err(ArchiveError::Unavailable(Unavailable::StorageFull { .. })) => true,
                Err(error) => return Err(error),
            };
            let tables = Tables::new(engine);
            let is_durable = |seq: &Seq| *seq < shared.tail().position.next_seq;
            let archived = |seq: Option<Seq>| -> Result<Option<Timestamp>, ArchiveError> {
                let change = seq.filter(is_durable).map(|seq| tables.change(seq)).transpose()?.flatten();
                Ok(change.map(|change| change.entry.archive_time))
            };
            let with_webhook = shared.subscriptions.with_webhook();
            let undelivered = with_webhook.iter().map(|(_, record)| record.next_seq).min();
            let destruction_pending = tables.destruction_pending()?;
            let deadline = shared.clock.now().saturating_add_micros(-DESTRUCTION_OVERDUE_MICROS);
            Ok(DiskStats {
                used_bytes: engine.disk_bytes()?,
                free_bytes: engine.free_bytes()?,
                is_full,
                destruction_pending,
                destruction_overdue: destruction_pending.is_some_and(|since| since < deadline),
                unacknowledged_since: archived(shared.subscriptions.lowest())?,
                undelivered_since: archived(undelivered)?,
            })
        };
        self.pools.reads.run(look).await
    }
}
