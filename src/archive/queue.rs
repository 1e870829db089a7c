//! The way in for writes: bounded in operations and in bytes.

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::error::{ArchiveError, Unavailable};
use super::request::{Action, Operation};
use super::subscriptions::SubscriptionEdit;
use super::writer::{Event, JobAnswer};
use crate::model::{Block, Limits, SubscriptionId, Timestamp};
use crate::store::subscription::SubscriptionRecord;

/// Operations that may wait at once.
pub(super) const OPERATIONS_MAX: usize = 4_096;
/// Edits of subscriptions that may wait at once, apart from the operations: consumers must not hold up writers.
pub(super) const EDITS_MAX: usize = 1_024;
/// Bytes of contents and originals that may wait at once.
const BYTES_MAX: usize = 128 << 20;
/// Bytes are counted in units of this many, since permits are 32 bits.
const BYTES_UNIT: usize = 1 << 10;

/// The way in for writes.
pub(super) struct Queue {
    events: SyncSender<Event>,
    operations: Arc<Semaphore>,
    edits: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// An answer to come.
pub struct Pending(oneshot::Receiver<JobAnswer>);

impl Pending {
    /// Waits until the operations are durable, or refused.
    pub async fn answer(self) -> JobAnswer {
        self.0.await.unwrap_or_else(|_| Err((0, Unavailable::StorageFailed.into())))
    }
}

impl Queue {
    pub(super) fn new(events: SyncSender<Event>, writer: JoinHandle<()>) -> Self {
        Self {
            events,
            operations: Arc::new(Semaphore::new(OPERATIONS_MAX)),
            edits: Arc::new(Semaphore::new(EDITS_MAX)),
            bytes: Arc::new(Semaphore::new(BYTES_MAX / BYTES_UNIT)),
            writer: Mutex::new(Some(writer)),
        }
    }

    pub(super) fn waiting(&self) -> usize {
        OPERATIONS_MAX.saturating_sub(self.operations.available_permits())
    }

    /// Queues operations. Once this returns they are done, in the order of queueing, whether or not anybody waits
    /// for their answer. Where the queue is full, `wait` says whether to wait for room.
    pub(super) async fn submit(
        &self,
        operations: Vec<Operation>,
        validate_only: bool,
        wait: bool,
    ) -> Result<Pending, ArchiveError> {
        let (size, size_max) = (operations.len(), Limits::COMMIT_CHANGES_MAX);
        if size > size_max {
            return Err(ArchiveError::TooLarge { what: "an atomic batch", size, size_max });
        }
        let bytes = operations.iter().map(weight_bytes).sum();
        let permits = self.permits(size, bytes, wait).await?;
        let (answer, answered) = oneshot::channel();
        self.send(Event::Job { operations, validate_only, answer, bytes, permits })?;
        Ok(Pending(answered))
    }

    /// Waits until no archive time at or before `to` will be assigned any more.
    pub(super) async fn raise_floor(&self, to: Timestamp) -> Result<(), ArchiveError> {
        self.ask(&self.operations, |answer, permit| Event::RaiseFloor { to, answer, permit }).await
    }

    /// Changes a durable subscription. Once this is queued it is done, whether or not anybody waits for the answer.
    pub(super) async fn edit_subscription(
        &self,
        id: SubscriptionId,
        edit: SubscriptionEdit,
    ) -> Result<Option<Arc<SubscriptionRecord>>, ArchiveError> {
        self.ask(&self.edits, |answer, permit| Event::Subscription { id, edit, answer, permit }).await
    }

    /// Sends an event once there is room for it, and waits for its answer.
    async fn ask<T>(
        &self,
        room: &Arc<Semaphore>,
        event: impl FnOnce(oneshot::Sender<Result<T, ArchiveError>>, OwnedSemaphorePermit) -> Event,
    ) -> Result<T, ArchiveError> {
        let Ok(permit) = Arc::clone(room).acquire_owned().await else {
            return Err(Unavailable::Draining.into());
        };
        let (answer, answered) = oneshot::channel();
        self.send(event(answer, permit))?;
        answered.await.unwrap_or_else(|_| Err(Unavailable::StorageFailed.into()))
    }

    /// Takes no more writes, and waits until those that were taken are done.
    pub(super) async fn close(&self) {
        self.operations.close();
        self.edits.close();
        self.bytes.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return };
        drop(self.send(Event::Close));
        if let Err(error) = tokio::task::spawn_blocking(move || writer.join()).await {
            tracing::error!(%error, "the writer could not be joined");
        }
    }

    /// Never blocks: the channel has room for all that the permits let in. The writer is gone when the archive is
    /// closed, or its storage failed.
    fn send(&self, event: Event) -> Result<(), ArchiveError> {
        let gone = if self.operations.is_closed() { Unavailable::Draining } else { Unavailable::StorageFailed };
        self.events.try_send(event).map_err(|_| gone.into())
    }

    async fn permits(
        &self,
        operations: usize,
        bytes: usize,
        wait: bool,
    ) -> Result<Vec<OwnedSemaphorePermit>, ArchiveError> {
        let bytes = bytes.div_ceil(BYTES_UNIT).min(BYTES_MAX / BYTES_UNIT);
        let wanted = [(&self.operations, operations), (&self.bytes, bytes)];
        let mut permits = Vec::with_capacity(wanted.len());
        for (semaphore, count) in wanted {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            let semaphore = Arc::clone(semaphore);
            let permit = if wait {
                semaphore.acquire_many_owned(count).await.map_err(|_| Unavailable::Draining)?
            } else {
                semaphore.try_acquire_many_owned(count).map_err(refusal)?
            };
            permits.push(permit);
        }
        Ok(permits)
    }
}

impl Drop for Queue {
    /// An archive that was not closed still ends its writer, which finishes what it was given.
    fn drop(&mut self) {
        drop(self.send(Event::Close));
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
            observation.content.blocks.len() * size_of::<Block>()
                + observation.bytes.len()
                + observation.original.as_ref().map_or(0, |original| original.data.len())
        }
        Action::Rollback(_) | Action::Mark { .. } => 0,
    }
}
