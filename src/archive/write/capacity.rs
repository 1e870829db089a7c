//! The room that the queue has, and who occupies how much of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::archive::error::Unavailable;

/// The number of bytes that one permit stands for. The count of permits has only 32 bits.
const BYTES_UNIT: usize = 1 << 10;

/// The part of the queue that one connection occupies.
#[derive(Debug, Default)]
pub struct QueueShare {
    operations: AtomicUsize,
    bytes_units: AtomicUsize,
    /// Held by the import that waits for room. Other imports of the connection wait for this lock.
    pub(super) import_turn: tokio::sync::Mutex<()>,
}

/// The room that a job takes in the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct JobSize {
    pub(super) operations: usize,
    /// The size of its contents and originals.
    pub(super) bytes: usize,
}

/// A job's place in the queue. Dropping it, once the reply is sent, frees the room.
pub(crate) struct QueueSlot {
    share: Arc<QueueShare>,
    operations: usize,
    bytes_units: usize,
    _permits: [OwnedSemaphorePermit; 2],
}

impl Drop for QueueSlot {
    fn drop(&mut self) {
        self.share.operations.fetch_sub(self.operations, Ordering::Relaxed);
        self.share.bytes_units.fetch_sub(self.bytes_units, Ordering::Relaxed);
    }
}

/// Permits for operations and for their bytes.
pub(super) struct QueueCapacity {
    pub(super) operations: Arc<Semaphore>,
    bytes_units: Arc<Semaphore>,
    bytes_units_max: usize,
}

impl QueueCapacity {
    pub(super) fn new(operations: usize, bytes: usize) -> Self {
        let bytes_units_max = bytes / BYTES_UNIT;
        let (operations, bytes_units) =
            (Arc::new(Semaphore::new(operations)), Arc::new(Semaphore::new(bytes_units_max)));
        Self { operations, bytes_units, bytes_units_max }
    }

    pub(super) fn close(&self) {
        self.operations.close();
        self.bytes_units.close();
    }

    /// Converts bytes to permits, at most half of all of them, so that even the largest job fits into an empty queue.
    fn units(&self, bytes: usize) -> usize {
        bytes.div_ceil(BYTES_UNIT).min(self.bytes_units_max / 2)
    }

    /// Takes room for a connection, if it then leaves at least as much free as it occupies.
    pub(super) fn take(&self, share: &Arc<QueueShare>, size: JobSize) -> Result<QueueSlot, Unavailable> {
        let (operations, bytes_units) = (size.operations, self.units(size.bytes));
        let permits = [
            take_fair(&self.operations, &share.operations, operations)?,
            take_fair(&self.bytes_units, &share.bytes_units, bytes_units)?,
        ];
        share.operations.fetch_add(operations, Ordering::Relaxed);
        share.bytes_units.fetch_add(bytes_units, Ordering::Relaxed);
        Ok(QueueSlot { share: Arc::clone(share), operations, bytes_units, _permits: permits })
    }

    /// Waits for room, in order of arrival.
    pub(super) async fn wait_for(&self, size: JobSize) -> Result<QueueSlot, Unavailable> {
        let wait = async |semaphore: &Arc<Semaphore>, count| {
            let permit = Arc::clone(semaphore).acquire_many_owned(permits(count)).await;
            permit.map_err(|_| Unavailable::Draining)
        };
        let permits =
            [wait(&self.operations, size.operations).await?, wait(&self.bytes_units, self.units(size.bytes)).await?];
        // Imports are limited together and do not count towards the share of a connection.
        Ok(QueueSlot { share: Arc::default(), operations: 0, bytes_units: 0, _permits: permits })
    }
}

/// Takes `count` permits, unless a connection that already has `held` of them would then have more than are left.
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
    Arc::clone(semaphore).try_acquire_many_owned(permits(count)).map_err(unavailable)
}

fn permits(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn unavailable(error: tokio::sync::TryAcquireError) -> Unavailable {
    match error {
        tokio::sync::TryAcquireError::Closed => Unavailable::Draining,
        tokio::sync::TryAcquireError::NoPermits => Unavailable::QueueFull,
    }
}
