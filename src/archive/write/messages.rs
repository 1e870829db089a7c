//! Messages to the writer thread, and the replies to them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::archive::error::{ArchiveError, BatchError};
use crate::archive::request::{Operation, Receipt, WriteMode};
use crate::archive::subscriptions::SubscriptionEdit;
use crate::archive::write::capacity::QueueSlot;
use crate::archive::write::job_trace::JobTrace;
use crate::model::{SubscriptionId, Timestamp};
use crate::store::EngineError;
use crate::store::checkpoint::CheckpointRecord;
use crate::store::subscription::SubscriptionRecord;

/// The reply to a job: a receipt for each operation, or the error that rejected all of them.
pub type BatchResult = Result<Vec<Receipt>, BatchError>;

/// The reply to a subscription edit: the new record, or `None` if the subscription was deleted.
pub(crate) type EditResult = Result<Option<Arc<SubscriptionRecord>>, ArchiveError>;

/// The operations of one call, carried out all or none.
pub(crate) struct Job {
    pub(crate) operations: Vec<Operation>,
    pub(crate) mode: WriteMode,
    pub(crate) reply: oneshot::Sender<BatchResult>,
    /// The size of the operations' contents and originals, in bytes.
    pub(crate) bytes: usize,
    /// The job's place in the queue, freed once the reply is sent. Jobs that were queued together share one.
    pub(crate) slot: Arc<QueueSlot>,
    pub(crate) trace: JobTrace,
}

/// A change to a durable subscription.
pub(crate) struct Edit {
    pub(crate) id: SubscriptionId,
    pub(crate) edit: SubscriptionEdit,
    pub(crate) reply: oneshot::Sender<EditResult>,
    /// The edit's place in the queue, freed once the reply is sent.
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// A message to the writer thread.
pub(crate) enum WriterMessage {
    /// Carry out the operations of a call.
    Job(Job),
    /// Carry out the operations of several calls, in order.
    Jobs(Vec<Job>),
    /// Raise the closed time: assign no archive time at or before this instant from now on.
    RaiseClosedTime {
        to: Timestamp,
        reply: oneshot::Sender<Result<(), ArchiveError>>,
        /// The message's place in the queue, freed once the reply is sent.
        permit: OwnedSemaphorePermit,
    },
    /// Change a durable subscription.
    Edit(Box<Edit>),
    /// Keep a signed checkpoint.
    KeepCheckpoint {
        checkpoint: Box<CheckpointRecord>,
        reply: oneshot::Sender<Result<(), ArchiveError>>,
        /// The message's place in the queue, freed once the reply is sent.
        permit: OwnedSemaphorePermit,
    },
    /// The commit in flight is durable, or failed.
    Committed(Result<(), EngineError>),
    /// Finish what was accepted, then end the thread.
    Close,
}
