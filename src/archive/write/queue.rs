//! The queue of the writer thread: admission control for everything that the thread is asked to do.
//!
//! The channel itself never fills up. Each kind of request needs permits before it may enter, and the channel has room
//! for all of them together:
//!
//! | request | limit | if the limit is reached |
//! | --- | --- | --- |
//! | write | 4,096 operations, 128 MiB | fails: `QueueFull`, or `ShareUsed` if the connection has writes in the queue |
//! | import | 2 commits, 32 MiB | waits; connections take turns |
//! | subscription edit | 1,024 | waits |
//! | closed time | 1,024 | waits |
//!
//! Invariants:
//! - No connection can fill the queue: it may have at most as much in it as it leaves free. The first may take half,
//!   the next half of what is left, and so on, so there is always something left for the next one.
//! - Imports wait for room, so they would always be first in line for it. They have a small room of their own, in which
//!   only one import of each connection waits at a time.
//! - Readers and consumers cannot take room from writes.
//! - An admitted request is carried out, in order of admission, even if its caller goes away.
//!
//! The queue does not look at what an operation does, only at its size.

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::archive::error::{ArchiveError, Unavailable};
use crate::archive::request::{Action, Operation, WriteMode};
use crate::archive::subscriptions::SubscriptionEdit;
pub use crate::archive::write::capacity::QueueShare;
use crate::archive::write::capacity::{JobSize, QueueCapacity, QueueSlot};
use crate::archive::write::messages::{BatchResult, Edit, Job, WriterMessage};
use crate::model::{Limits, SubscriptionId, Timestamp};
use crate::store::checkpoint::CheckpointRecord;
use crate::store::subscription::SubscriptionRecord;

/// The maximum number of queued operations, imports left out.
pub(crate) const OPERATIONS_MAX: usize = 4_096;
/// The maximum number of queued operations of imports: enough for two commits, one being synced and one being built.
/// More would make no import faster, and all other writes would wait for them.
pub(crate) const IMPORTED_MAX: usize = 2 * Limits::COMMIT_CHANGES_MAX;
/// The maximum number of queued subscription edits. They are separate from the operations so that consumers cannot
/// delay writers.
pub(crate) const EDITS_MAX: usize = 1_024;
/// The maximum number of reads that wait for their archive time to be closed. They are separate from the operations so
/// that readers cannot delay writers either.
pub(crate) const CLOSED_TIMES_MAX: usize = 1_024;
/// The maximum number of queued checkpoints. One is signed at most every second, and a witness adds to one now and then.
pub(crate) const CHECKPOINTS_MAX: usize = 16;
/// The maximum size of all queued contents and originals, imports left out.
const BYTES_MAX: usize = 128 << 20;
/// The maximum size of all queued contents and originals of imports.
const IMPORTED_BYTES_MAX: usize = 32 << 20;

/// The sending side of the writer thread.
pub(crate) struct Queue {
    events: SyncSender<WriterMessage>,
    room: QueueCapacity,
    /// The room of imports.
    imported: QueueCapacity,
    edits: Arc<Semaphore>,
    closed_times: Arc<Semaphore>,
    checkpoints: Arc<Semaphore>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// The reply to a queued write. Dropping it does not cancel the write.
pub struct Pending(oneshot::Receiver<BatchResult>);

impl Pending {
    /// Waits until the operations are durable or rejected.
    pub async fn reply(self) -> BatchResult {
        self.0.await.unwrap_or_else(|_| Err(Unavailable::StorageFailed.into()))
    }
}

impl Queue {
    pub(crate) fn new(events: SyncSender<WriterMessage>, writer: JoinHandle<()>) -> Self {
        Self {
            events,
            room: QueueCapacity::new(OPERATIONS_MAX, BYTES_MAX),
            imported: QueueCapacity::new(IMPORTED_MAX, IMPORTED_BYTES_MAX),
            edits: Arc::new(Semaphore::new(EDITS_MAX)),
            closed_times: Arc::new(Semaphore::new(CLOSED_TIMES_MAX)),
            checkpoints: Arc::new(Semaphore::new(CHECKPOINTS_MAX)),
            writer: Mutex::new(Some(writer)),
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        let free = self.room.operations.available_permits() + self.imported.operations.available_permits();
        (OPERATIONS_MAX + IMPORTED_MAX).saturating_sub(free)
    }

    /// The size of the contents and originals that are queued, to a KiB for each job.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.room.used_bytes() + self.imported.used_bytes()
    }

    /// Queues the operations of one job if there is room for them; otherwise [`Unavailable::QueueFull`] or
    /// [`Unavailable::ShareUsed`]. Once this has returned, they are carried out in order of queueing, whether or not
    /// the caller waits for the reply.
    pub(crate) fn submit(
        &self,
        share: &Arc<QueueShare>,
        operations: Vec<Operation>,
        mode: WriteMode,
    ) -> Result<Pending, ArchiveError> {
        let size = job_size(&operations)?;
        let slot = self.room.take(share, size)?;
        self.queue(operations, mode, size.bytes, slot)
    }

    /// Queues the operations of an import as soon as there is room for them. Connections take turns.
    pub(crate) async fn submit_imported(
        &self,
        share: &Arc<QueueShare>,
        operations: Vec<Operation>,
        mode: WriteMode,
    ) -> Result<Pending, ArchiveError> {
        let size = job_size(&operations)?;
        let slot = self.room_for_import(share, size).await?;
        self.queue(operations, mode, size.bytes, slot)
    }

    /// Like [`Queue::submit_imported`], for operations that are carried out one by one. Returns the pending reply of
    /// each.
    pub(crate) async fn submit_each_imported(
        &self,
        share: &Arc<QueueShare>,
        operations: Vec<Operation>,
        mode: WriteMode,
    ) -> Result<Vec<Pending>, ArchiveError> {
        let slot = Arc::new(self.room_for_import(share, job_size(&operations)?).await?);
        let jobs = operations.into_iter().map(|operation| {
            let bytes = weight_bytes(&operation);
            job(vec![operation], mode, bytes, Arc::clone(&slot))
        });
        let (jobs, pending) = jobs.unzip();
        self.send(WriterMessage::Jobs(jobs))?;
        Ok(pending)
    }

    async fn room_for_import(&self, share: &Arc<QueueShare>, size: JobSize) -> Result<QueueSlot, Unavailable> {
        let _import_turn = share.import_turn.lock().await;
        self.imported.wait_for(size).await
    }

    fn queue(
        &self,
        operations: Vec<Operation>,
        mode: WriteMode,
        bytes: usize,
        slot: QueueSlot,
    ) -> Result<Pending, ArchiveError> {
        let (job, pending) = job(operations, mode, bytes, Arc::new(slot));
        self.send(WriterMessage::Job(job))?;
        Ok(pending)
    }

    /// Raises the closed time: waits until no later commit can get an archive time at or before `to`.
    pub(crate) async fn raise_closed_time(&self, to: Timestamp) -> Result<(), ArchiveError> {
        self.ask(&self.closed_times, |reply, permit| WriterMessage::RaiseClosedTime { to, reply, permit }).await
    }

    /// Changes a durable subscription and returns its new record. Once queued, the edit is carried out, whether or not
    /// the caller waits for the reply.
    pub(crate) async fn edit_subscription(
        &self,
        id: SubscriptionId,
        edit: SubscriptionEdit,
    ) -> Result<Option<Arc<SubscriptionRecord>>, ArchiveError> {
        self.ask(&self.edits, |reply, permit| WriterMessage::Edit(Box::new(Edit { id, edit, reply, _permit: permit })))
            .await
    }

    /// Keeps a signed checkpoint of a tree that is durable.
    pub(crate) async fn keep_checkpoint(&self, checkpoint: CheckpointRecord) -> Result<(), ArchiveError> {
        let checkpoint = Box::new(checkpoint);
        self.ask(&self.checkpoints, |reply, permit| WriterMessage::KeepCheckpoint { checkpoint, reply, permit }).await
    }

    /// Sends a message to the writer thread once there is room for it, and waits for the reply.
    async fn ask<T>(
        &self,
        room: &Arc<Semaphore>,
        event: impl FnOnce(oneshot::Sender<Result<T, ArchiveError>>, OwnedSemaphorePermit) -> WriterMessage,
    ) -> Result<T, ArchiveError> {
        let Ok(permit) = Arc::clone(room).acquire_owned().await else {
            return Err(Unavailable::Draining.into());
        };
        let (reply, receiver) = oneshot::channel();
        self.send(event(reply, permit))?;
        receiver.await.unwrap_or_else(|_| Err(Unavailable::StorageFailed.into()))
    }

    /// Stops accepting requests, and waits until those that were accepted are done.
    pub(crate) async fn close(&self) {
        self.room.close();
        self.imported.close();
        self.edits.close();
        self.closed_times.close();
        self.checkpoints.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return };
        drop(self.send(WriterMessage::Close));
        if let Err(error) = tokio::task::spawn_blocking(move || writer.join()).await {
            tracing::error!(%error, "waiting for the writer thread to end failed");
        }
    }

    /// Never blocks, because the channel has room for everything that the permits admit. The writer thread has ended
    /// only if the archive is closed or its storage failed.
    fn send(&self, event: WriterMessage) -> Result<(), ArchiveError> {
        let gone = if self.edits.is_closed() { Unavailable::Draining } else { Unavailable::StorageFailed };
        self.events.try_send(event).map_err(|_| gone.into())
    }
}

fn job(operations: Vec<Operation>, mode: WriteMode, bytes: usize, slot: Arc<QueueSlot>) -> (Job, Pending) {
    let (reply, receiver) = oneshot::channel();
    (Job { operations, mode, reply, bytes, slot }, Pending(receiver))
}

/// The room that the operations take. More of them than fit into one commit are [`ArchiveError::TooLarge`].
fn job_size(operations: &[Operation]) -> Result<JobSize, ArchiveError> {
    let (size, size_max) = (operations.iter().map(Operation::changes_max).sum(), Limits::COMMIT_CHANGES_MAX);
    if size > size_max {
        return Err(ArchiveError::TooLarge { what: "the number of operations in an atomic batch", size, size_max });
    }
    Ok(JobSize { operations: operations.len(), bytes: operations.iter().map(weight_bytes).sum() })
}

impl Drop for Queue {
    /// Ends the writer thread of an archive that was not closed. The thread first finishes what it was given.
    fn drop(&mut self) {
        drop(self.send(WriterMessage::Close));
    }
}

fn weight_bytes(operation: &Operation) -> usize {
    match &operation.action {
        Action::Observe(observation) => {
            observation.content.structure_bytes()
                + observation.bytes.len()
                + observation.original.as_ref().map_or(0, |original| original.data.len())
                + observation.labels.weight_bytes()
        }
        Action::Label { edit, .. } => edit.weight_bytes(),
        Action::Absent(request) => request.fetch.as_ref().map_or(0, |fetch| fetch.text_bytes()),
        Action::Expunge(prepared) => usize::try_from(prepared.writes.bytes()).unwrap_or(usize::MAX),
        Action::Rollback(_) | Action::SetState { .. } | Action::BindUrl(_) | Action::EndUrl(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};

    use futures_util::FutureExt;

    use super::*;
    use crate::archive::request::{ArticleTarget, Observation, Writer};
    use crate::model::{ArticleName, BlockKind, Content};

    /// A queue without a writer thread: nothing is carried out until the test receives it.
    fn queue() -> (Queue, Receiver<WriterMessage>) {
        let (events, received) = sync_channel(OPERATIONS_MAX + IMPORTED_MAX + CLOSED_TIMES_MAX);
        (Queue::new(events, std::thread::spawn(|| {})), received)
    }

    fn operations(count: usize) -> Vec<Operation> {
        let operation = |_| Operation {
            target: ArticleTarget::Named(ArticleName::parse("sources/s/articles/a").unwrap()),
            observe_time: Timestamp::from_micros(0).unwrap(),
            precondition: None,
            request: None,
            by: Writer::default(),
            action: Action::SetState { withdrawn: true, reason: String::new() },
        };
        (0..count).map(operation).collect()
    }

    /// Queues batches of 256 operations until one is rejected. Returns how many were queued, and the error.
    fn fill(queue: &Queue, share: &Arc<QueueShare>) -> (usize, ArchiveError) {
        let mut queued = 0;
        loop {
            match queue.submit(share, operations(256), WriteMode::Commit) {
                Ok(_) => queued += 1,
                Err(error) => return (queued, error),
            }
        }
    }

    #[test]
    fn a_connection_may_occupy_as_much_of_the_queue_as_it_leaves_free() {
        let (queue, received) = queue();
        let (first, second): (Arc<QueueShare>, Arc<QueueShare>) = Default::default();
        let (queued, error) = fill(&queue, &first);
        assert_eq!(queued, 8, "half of 4,096");
        assert!(matches!(error, ArchiveError::Unavailable(Unavailable::ShareUsed)), "{error}");
        assert_eq!(fill(&queue, &second).0, 4, "half of what is left");
        // However many connections there are, something is left for the next one.
        for _ in 0..100 {
            fill(&queue, &Arc::default());
        }
        assert!(queue.submit(&Arc::default(), operations(1), WriteMode::Commit).is_ok());
        // A write no longer counts once it is answered.
        drop(received.try_iter().collect::<Vec<_>>());
        assert_eq!(fill(&queue, &first).0, 8);
    }

    #[test]
    fn imports_that_wait_for_room_take_no_room_from_other_writes() {
        let (queue, _received) = queue();
        let shares: Vec<Arc<QueueShare>> = (0..30).map(|_| Arc::default()).collect();
        let mut imports: Vec<_> = shares
            .iter()
            .map(|share| Box::pin(queue.submit_imported(share, operations(256), WriteMode::Commit)))
            .collect();
        let queued = imports.iter_mut().filter_map(|import| import.now_or_never()).count();
        assert_eq!(queued, 2, "two full commits");
        assert!(queue.submit(&Arc::default(), operations(256), WriteMode::Commit).is_ok());
    }

    #[test]
    fn reads_that_wait_for_a_closed_time_take_no_room_from_writes() {
        let (queue, _received) = queue();
        let at = Timestamp::from_micros(0).unwrap();
        let mut reads: Vec<_> = (0..OPERATIONS_MAX).map(|_| Box::pin(queue.raise_closed_time(at))).collect();
        assert!(reads.iter_mut().all(|read| read.now_or_never().is_none()), "they wait for a reply, or for room");
        assert_eq!(queue.closed_times.available_permits(), 0);
        let (queued, _) = fill(&queue, &Arc::default());
        assert_eq!(queued, 8, "as many as without waiting reads");
    }

    #[test]
    fn connections_take_turns_to_import() {
        let (queue, received) = queue();
        let (first, second): (Arc<QueueShare>, Arc<QueueShare>) = Default::default();
        let mut of_first: Vec<_> =
            (0..5).map(|_| Box::pin(queue.submit_imported(&first, operations(256), WriteMode::Commit))).collect();
        let queued = of_first.iter_mut().filter_map(|import| import.now_or_never()).count();
        assert_eq!(queued, 2);
        let mut waiting = of_first.split_off(2);
        let mut of_second = Box::pin(queue.submit_imported(&second, operations(256), WriteMode::Commit));
        assert!((&mut of_second).now_or_never().is_none());
        drop(received.recv().unwrap());
        assert!((&mut waiting[0]).now_or_never().is_some(), "it has waited longest");
        assert!(waiting[1..].iter_mut().all(|import| import.now_or_never().is_none()));
        drop(received.recv().unwrap());
        assert!((&mut of_second).now_or_never().is_some(), "although the first connection has more that waited longer");
        assert!(waiting[1..].iter_mut().all(|import| import.now_or_never().is_none()));
    }

    #[test]
    fn a_list_of_many_short_items_counts_with_the_memory_it_takes() {
        let list = BlockKind::List { items: vec!["x".to_owned(); 20_000], ordered: false };
        let content = Content { blocks: vec![list.into()], ..Content::default() };
        let mut operation = operations(1).remove(0);
        operation.action = Action::Observe(Box::new(Observation::new(content, Vec::new())));
        assert!(weight_bytes(&operation) > 20_000 * (size_of::<String>() + 32));
    }
}
