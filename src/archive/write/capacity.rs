//! The capacity of the write queue, and how much of it each connection uses.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::archive::error::Unavailable;

/// The number of bytes that one permit stands for. A semaphore counts fewer than 2^32 permits, too few for one permit
/// per byte.
const BYTES_PER_PERMIT: usize = 1 << 10;

/// The part of the queue that one connection occupies.
#[derive(Debug, Default)]
pub struct QueueShare {
    operations: AtomicUsize,
    byte_permits: AtomicUsize,
    /// Locked by the one import of the connection that waits for room. Its other imports wait for this lock.
    pub(super) import_turn: tokio::sync::Mutex<()>,
}

/// The room that a job takes in the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct JobSize {
    pub(super) operations: usize,
    /// The size of the job's contents and originals.
    pub(super) bytes: usize,
}

/// A job's place in the queue. Dropping it, once the reply is sent, frees the room.
pub(crate) struct QueueSlot {
    share: Arc<QueueShare>,
    operations: usize,
    byte_permits: usize,
    _permits: [OwnedSemaphorePermit; 2],
}

impl Drop for QueueSlot {
    fn drop(&mut self) {
        self.share.operations.fetch_sub(self.operations, Ordering::Relaxed);
        self.share.byte_permits.fetch_sub(self.byte_permits, Ordering::Relaxed);
    }
}

/// Permits for operations and for their bytes.
pub(super) struct QueueCapacity {
    pub(super) operations: Arc<Semaphore>,
    byte_permits: Arc<Semaphore>,
    byte_permits_max: usize,
}

impl QueueCapacity {
    pub(super) fn new(operations: usize, bytes: usize) -> Self {
        let byte_permits_max = bytes / BYTES_PER_PERMIT;
        let (operations, byte_permits) =
            (Arc::new(Semaphore::new(operations)), Arc::new(Semaphore::new(byte_permits_max)));
        Self { operations, byte_permits, byte_permits_max }
    }

    /// The number of bytes that are reserved, in units of permits.
    pub(super) fn used_bytes(&self) -> usize {
        self.byte_permits_max.saturating_sub(self.byte_permits.available_permits()) * BYTES_PER_PERMIT
    }

    pub(super) fn close(&self) {
        self.operations.close();
        self.byte_permits.close();
    }

    /// The number of permits for this many bytes: at most half of all permits, so that even the largest job fits into
    /// an empty queue.
    fn permits_for(&self, bytes: usize) -> usize {
        bytes.div_ceil(BYTES_PER_PERMIT).min(self.byte_permits_max / 2)
    }

    /// Reserves room for a connection, if at least as much stays free as the connection then uses.
    pub(super) fn take(&self, share: &Arc<QueueShare>, size: JobSize) -> Result<QueueSlot, Unavailable> {
        let (operations, byte_permits) = (size.operations, self.permits_for(size.bytes));
        let permits = [
            take_fair(&self.operations, &share.operations, operations)?,
            take_fair(&self.byte_permits, &share.byte_permits, byte_permits)?,
        ];
        share.operations.fetch_add(operations, Ordering::Relaxed);
        share.byte_permits.fetch_add(byte_permits, Ordering::Relaxed);
        Ok(QueueSlot { share: Arc::clone(share), operations, byte_permits, _permits: permits })
    }

    /// Waits for room, in order of arrival.
    pub(super) async fn wait_for(&self, size: JobSize) -> Result<QueueSlot, Unavailable> {
        let wait = async |semaphore: &Arc<Semaphore>, count| {
            let permit = Arc::clone(semaphore).acquire_many_owned(permit_count(count)).await;
            permit.map_err(|_| Unavailable::Draining)
        };
        let byte_permits = self.permits_for(size.bytes);
        let permits = [wait(&self.operations, size.operations).await?, wait(&self.byte_permits, byte_permits).await?];
        // Imports are limited together and do not count towards the share of a connection.
        Ok(QueueSlot { share: Arc::default(), operations: 0, byte_permits: 0, _permits: permits })
    }
}

/// Takes `count` permits, unless a connection that already uses `used` of them would then use more than stay free.
fn take_fair(
    semaphore: &Arc<Semaphore>,
    used: &AtomicUsize,
    count: usize,
) -> Result<OwnedSemaphorePermit, Unavailable> {
    let used = used.load(Ordering::Relaxed);
    let free = semaphore.available_permits().saturating_sub(count);
    if used + count > free && !semaphore.is_closed() {
        return Err(if used > 0 { Unavailable::ShareUsed } else { Unavailable::QueueFull });
    }
    Arc::clone(semaphore).try_acquire_many_owned(permit_count(count)).map_err(unavailable)
}

fn permit_count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn unavailable(error: tokio::sync::TryAcquireError) -> Unavailable {
    match error {
        tokio::sync::TryAcquireError::Closed => Unavailable::Draining,
        tokio::sync::TryAcquireError::NoPermits => Unavailable::QueueFull,
    }
}
