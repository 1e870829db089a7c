//! The way in for writes: bounded in operations and in bytes.
//!
//! Each connection has a share of it, so that none fills it: a connection may have as much in the queue as it leaves
//! free. The first may take half of the queue, and however many more there are, something is left for the next one.
//! Imports wait for room instead of being refused, and would always be next in line. So they have a small room of
//! their own, in which each connection waits once.
//!
//! What readers and consumers ask of the writer, floors under archive times and edits of subscriptions, has room of its
//! own too, where it waits: it takes none from writes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::archive::error::{ArchiveError, Unavailable};
use crate::archive::request::{Action, Operation};
use crate::archive::subscriptions::SubscriptionEdit;
use crate::archive::write::writer::{BatchResult, WriterMessage};
use crate::model::{Limits, SubscriptionId, Timestamp};
use crate::store::subscription::SubscriptionRecord;

/// Operations that may wait at once.
pub(crate) const OPERATIONS_MAX: usize = 4_096;
/// Operations of imports that may wait at once: two commits, one that is synced and one that is assembled. More would
/// make no import faster, and everybody else's writes wait for it.
pub(crate) const IMPORTED_MAX: usize = 2 * Limits::COMMIT_CHANGES_MAX;
/// Edits of subscriptions that may wait at once, apart from the operations: consumers must not hold up writers.
pub(crate) const EDITS_MAX: usize = 1_024;
/// Reads as of an archive time that may wait at once for it to be past, apart from the operations: readers must not
/// hold up writers either.
pub(crate) const FLOORS_MAX: usize = 1_024;
/// Bytes of contents and originals that may wait at once.
const BYTES_MAX: usize = 128 << 20;
/// The same of imports.
const IMPORTED_BYTES_MAX: usize = 32 << 20;
/// Bytes are counted in units of this many, since permits are 32 bits.
const BYTES_UNIT: usize = 1 << 10;

/// What one connection has in the queue.
#[derive(Debug, Default)]
pub struct Share {
    operations: AtomicUsize,
    bytes_units: AtomicUsize,
    /// Held by the import that waits for room, while others of this connection wait for it.
    decider: tokio::sync::Mutex<()>,
}

/// The place of a job in the queue, given back when it is answered.
pub(crate) struct Place {
    share: Arc<Share>,
    operations: usize,
    bytes_units: usize,
    _permits: [OwnedSemaphorePermit; 2],
}

impl Drop for Place {
    fn drop(&mut self) {
        self.share.operations.fetch_sub(self.operations, Ordering::Relaxed);
        self.share.bytes_units.fetch_sub(self.bytes_units, Ordering::Relaxed);
    }
}

/// Room for operations and their bytes.
struct Room {
    operations: Arc<Semaphore>,
    bytes_units: Arc<Semaphore>,
    bytes_units_max: usize,
}

/// The way in for writes.
pub(crate) struct Queue {
    events: SyncSender<WriterMessage>,
    room: Room,
    /// That of imports.
    imported: Room,
    edits: Arc<Semaphore>,
    floors: Arc<Semaphore>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// An answer to come.
pub struct Pending(oneshot::Receiver<BatchResult>);

impl Pending {
    /// Waits until the operations are durable, or refused.
    pub async fn answer(self) -> BatchResult {
        self.0.await.unwrap_or_else(|_| Err(Unavailable::StorageFailed.into()))
    }
}

impl Queue {
    pub(crate) fn new(events: SyncSender<WriterMessage>, writer: JoinHandle<()>) -> Self {
        Self {
            events,
            room: Room::new(OPERATIONS_MAX, BYTES_MAX),
            imported: Room::new(IMPORTED_MAX, IMPORTED_BYTES_MAX),
            edits: Arc::new(Semaphore::new(EDITS_MAX)),
            floors: Arc::new(Semaphore::new(FLOORS_MAX)),
            writer: Mutex::new(Some(writer)),
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        let free = self.room.operations.available_permits() + self.imported.operations.available_permits();
        (OPERATIONS_MAX + IMPORTED_MAX).saturating_sub(free)
    }

    /// Queues operations of a connection, if there is room for them. Once this returns they are done, in the order of
    /// queueing, whether or not anybody waits for their answer.
    pub(crate) fn submit(
        &self,
        share: &Arc<Share>,
        operations: Vec<Operation>,
        validate_only: bool,
    ) -> Result<Pending, ArchiveError> {
        let (size, bytes) = size(&operations)?;
        let place = self.room.take(share, size, bytes)?;
        self.queue(operations, validate_only, bytes, place)
    }

    /// Queues operations of an import, as soon as there is room for them. Connections take turns.
    pub(crate) async fn submit_imported(
        &self,
        share: &Arc<Share>,
        operations: Vec<Operation>,
        validate_only: bool,
    ) -> Result<Pending, ArchiveError> {
        let (size, bytes) = size(&operations)?;
        let decider = share.decider.lock().await;
        let place = self.imported.wait_for(size, bytes).await?;
        drop(decider);
        self.queue(operations, validate_only, bytes, place)
    }

    fn queue(
        &self,
        operations: Vec<Operation>,
        validate_only: bool,
        bytes: usize,
        place: Place,
    ) -> Result<Pending, ArchiveError> {
        let (answer, answered) = oneshot::channel();
        self.send(WriterMessage::Job { operations, validate_only, answer, bytes, place })?;
        Ok(Pending(answered))
    }

    /// Waits until no archive time at or before `to` will be assigned any more.
    pub(crate) async fn raise_floor(&self, to: Timestamp) -> Result<(), ArchiveError> {
        self.ask(&self.floors, |answer, permit| WriterMessage::RaiseFloor { to, answer, permit }).await
    }

    /// Changes a durable subscription. Once this is queued it is done, whether or not anybody waits for the answer.
    pub(crate) async fn edit_subscription(
        &self,
        id: SubscriptionId,
        edit: SubscriptionEdit,
    ) -> Result<Option<Arc<SubscriptionRecord>>, ArchiveError> {
        self.ask(&self.edits, |answer, permit| WriterMessage::Subscription { id, edit, answer, permit }).await
    }

    /// Sends an event once there is room for it, and waits for its answer.
    async fn ask<T>(
        &self,
        room: &Arc<Semaphore>,
        event: impl FnOnce(oneshot::Sender<Result<T, ArchiveError>>, OwnedSemaphorePermit) -> WriterMessage,
    ) -> Result<T, ArchiveError> {
        let Ok(permit) = Arc::clone(room).acquire_owned().await else {
            return Err(Unavailable::Draining.into());
        };
        let (answer, answered) = oneshot::channel();
        self.send(event(answer, permit))?;
        answered.await.unwrap_or_else(|_| Err(Unavailable::StorageFailed.into()))
    }

    /// Takes no more writes, and waits until those that were taken are done.
    pub(crate) async fn close(&self) {
        self.room.close();
        self.imported.close();
        self.edits.close();
        self.floors.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return };
        drop(self.send(WriterMessage::Close));
        if let Err(error) = tokio::task::spawn_blocking(move || writer.join()).await {
            tracing::error!(%error, "the writer could not be joined");
        }
    }

    /// Never blocks: the channel has room for all that the permits let in. The writer is gone when the archive is
    /// closed, or its storage failed.
    fn send(&self, event: WriterMessage) -> Result<(), ArchiveError> {
        let gone = if self.edits.is_closed() { Unavailable::Draining } else { Unavailable::StorageFailed };
        self.events.try_send(event).map_err(|_| gone.into())
    }
}

impl Room {
    fn new(operations: usize, bytes: usize) -> Self {
        let bytes_units_max = bytes / BYTES_UNIT;
        let (operations, bytes_units) =
            (Arc::new(Semaphore::new(operations)), Arc::new(Semaphore::new(bytes_units_max)));
        Self { operations, bytes_units, bytes_units_max }
    }

    fn close(&self) {
        self.operations.close();
        self.bytes_units.close();
    }

    /// Bytes as they are counted. Even the largest job has room in an empty queue.
    fn units(&self, bytes: usize) -> usize {
        bytes.div_ceil(BYTES_UNIT).min(self.bytes_units_max / 2)
    }

    /// Takes room for a connection that leaves as much free.
    fn take(&self, share: &Arc<Share>, operations: usize, bytes: usize) -> Result<Place, Unavailable> {
        let bytes_units = self.units(bytes);
        let permits = [
            take_fair(&self.operations, &share.operations, operations)?,
            take_fair(&self.bytes_units, &share.bytes_units, bytes_units)?,
        ];
        share.operations.fetch_add(operations, Ordering::Relaxed);
        share.bytes_units.fetch_add(bytes_units, Ordering::Relaxed);
        Ok(Place { share: Arc::clone(share), operations, bytes_units, _permits: permits })
    }

    /// Waits for room, behind those that wait already.
    async fn wait_for(&self, operations: usize, bytes: usize) -> Result<Place, Unavailable> {
        let wait = async |semaphore: &Arc<Semaphore>, count| {
            let permit = Arc::clone(semaphore).acquire_many_owned(permits(count)).await;
            permit.map_err(|_| Unavailable::Draining)
        };
        let permits = [wait(&self.operations, operations).await?, wait(&self.bytes_units, self.units(bytes)).await?];
        // Imports are bounded together, and none has a share.
        Ok(Place { share: Arc::default(), operations: 0, bytes_units: 0, _permits: permits })
    }
}

/// Takes `count` of what a semaphore has, unless a caller that has `held` of it already would then have more than it
/// leaves free.
fn take_fair(
    semaphore: &Arc<Semaphore>,
    held: &AtomicUsize,
    count: usize,
) -> Result<OwnedSemaphorePermit, Unavailable> {
    let held = held.load(Ordering::Relaxed);
    let left = semaphore.available_permits().saturating_sub(count);
    if held + count > left && !semaphore.is_closed() {
        return Err(if held > 0 { Unavailable::ShareUsed } else { Unavailable::QueueFull });
    }
    Arc::clone(semaphore).try_acquire_many_owned(permits(count)).map_err(refusal)
}

fn permits(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// How many operations there are, which is not more than a commit takes, and their bytes.
fn size(operations: &[Operation]) -> Result<(usize, usize), ArchiveError> {
    let (size, size_max) = (operations.len(), Limits::COMMIT_CHANGES_MAX);
    if size > size_max {
        return Err(ArchiveError::TooLarge { what: "the number of operations in an atomic batch", size, size_max });
    }
    Ok((size, operations.iter().map(weight_bytes).sum()))
}

impl Drop for Queue {
    /// An archive that was not closed still ends its writer, which finishes what it was given.
    fn drop(&mut self) {
        drop(self.send(WriterMessage::Close));
    }
}

fn refusal(error: tokio::sync::TryAcquireError) -> Unavailable {
    match error {
        tokio::sync::TryAcquireError::Closed => Unavailable::Draining,
        tokio::sync::TryAcquireError::NoPermits => Unavailable::QueueFull,
    }
}

fn weight_bytes(operation: &Operation) -> usize {
    match &operation.action {
        Action::Observe(observation) => {
            observation.content.structure_bytes()
                + observation.bytes.len()
                + observation.original.as_ref().map_or(0, |original| original.data.len())
        }
        Action::Rollback(_) | Action::Mark { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};

    use futures_util::FutureExt;

    use super::*;
    use crate::archive::request::{Observation, Target};
    use crate::model::{ArticleName, BlockKind, Content};

    /// A queue of which nothing is done until its events are received.
    fn queue() -> (Queue, Receiver<WriterMessage>) {
        let (events, received) = sync_channel(OPERATIONS_MAX + IMPORTED_MAX + FLOORS_MAX);
        (Queue::new(events, std::thread::spawn(|| {})), received)
    }

    fn operations(count: usize) -> Vec<Operation> {
        let operation = |_| Operation {
            target: Target::Named(ArticleName::parse("sources/s/articles/a").unwrap()),
            observe_time: Timestamp::from_micros(0).unwrap(),
            precondition: None,
            request: None,
            action: Action::Mark { withdrawn: true, reason: String::new() },
        };
        (0..count).map(operation).collect()
    }

    /// How many batches of 256 a connection may have in the queue.
    fn fill(queue: &Queue, share: &Arc<Share>) -> (usize, ArchiveError) {
        let mut queued = 0;
        loop {
            match queue.submit(share, operations(256), false) {
                Ok(_) => queued += 1,
                Err(error) => return (queued, error),
            }
        }
    }

    #[test]
    fn a_connection_has_as_much_in_the_queue_as_it_leaves_free() {
        let (queue, received) = queue();
        let (first, second): (Arc<Share>, Arc<Share>) = Default::default();
        let (queued, error) = fill(&queue, &first);
        assert_eq!(queued, 8, "half of 4,096");
        assert!(matches!(error, ArchiveError::Unavailable(Unavailable::ShareUsed)), "{error}");
        assert_eq!(fill(&queue, &second).0, 4, "half of what is left");
        // However many there are, something is left for the next one.
        for _ in 0..100 {
            fill(&queue, &Arc::default());
        }
        assert!(queue.submit(&Arc::default(), operations(1), false).is_ok());
        // What is answered counts no more.
        drop(received.try_iter().collect::<Vec<_>>());
        assert_eq!(fill(&queue, &first).0, 8);
    }

    #[test]
    fn imports_that_wait_for_room_take_none_from_other_writes() {
        let (queue, _received) = queue();
        let shares: Vec<Arc<Share>> = (0..30).map(|_| Arc::default()).collect();
        let mut imports: Vec<_> =
            shares.iter().map(|share| Box::pin(queue.submit_imported(share, operations(256), false))).collect();
        let queued = imports.iter_mut().filter_map(|import| import.now_or_never()).count();
        assert_eq!(queued, 2, "two commits");
        assert!(queue.submit(&Arc::default(), operations(256), false).is_ok());
    }

    #[test]
    fn reads_that_wait_for_a_floor_take_no_room_from_writes() {
        let (queue, _received) = queue();
        let at = Timestamp::from_micros(0).unwrap();
        let mut reads: Vec<_> = (0..OPERATIONS_MAX).map(|_| Box::pin(queue.raise_floor(at))).collect();
        assert!(reads.iter_mut().all(|read| read.now_or_never().is_none()), "they wait for their answers, or for room");
        assert_eq!(queue.floors.available_permits(), 0);
        let (queued, _) = fill(&queue, &Arc::default());
        assert_eq!(queued, 8, "as many as without them");
    }

    #[test]
    fn connections_take_turns_to_import() {
        let (queue, received) = queue();
        let (first, second): (Arc<Share>, Arc<Share>) = Default::default();
        let mut of_first: Vec<_> =
            (0..5).map(|_| Box::pin(queue.submit_imported(&first, operations(256), false))).collect();
        let queued = of_first.iter_mut().filter_map(|import| import.now_or_never()).count();
        assert_eq!(queued, 2);
        let mut waiting = of_first.split_off(2);
        let mut of_second = Box::pin(queue.submit_imported(&second, operations(256), false));
        assert!((&mut of_second).now_or_never().is_none());
        drop(received.recv().unwrap());
        assert!((&mut waiting[0]).now_or_never().is_some(), "it waited longest");
        assert!(waiting[1..].iter_mut().all(|import| import.now_or_never().is_none()));
        drop(received.recv().unwrap());
        assert!((&mut of_second).now_or_never().is_some(), "although others of the first connection waited before");
        assert!(waiting[1..].iter_mut().all(|import| import.now_or_never().is_none()));
    }

    #[test]
    fn many_short_items_of_a_list_weigh_what_they_take() {
        let list = BlockKind::List { items: vec!["x".to_owned(); 20_000], ordered: false };
        let content = Content { blocks: vec![list.into()], ..Content::default() };
        let mut operation = operations(1).remove(0);
        operation.action = Action::Observe(Box::new(Observation::new(content, Vec::new())));
        assert!(weight_bytes(&operation) > 20_000 * (size_of::<String>() + 32));
    }
}
