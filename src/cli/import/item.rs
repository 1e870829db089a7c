//! What a collection consists of, as its readers hand it on.

use std::io;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::cli::exit::{Exit, Failure};
use crate::wire::pb;

/// Items that are read and not sent yet.
const ITEMS_MAX: usize = 256;
/// Bytes of items that are read and not answered yet. One that is larger goes alone.
const BYTES_MAX: u32 = 32 << 20;

/// One thing of a collection.
pub(super) struct Item {
    /// Where it stands, for people: `changes.jsonl, line 7`.
    pub(super) place: String,
    pub(super) found: Found,
    pub(super) done: Done,
}

/// How far a collection is done when an item is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// Items, this one included.
    pub(super) items: u64,
    /// Bytes of the file as it lies on disk, or commits of a repository.
    pub(super) measure: u64,
}

/// What stands there.
pub(super) enum Found {
    /// An observation.
    Publish(Box<pb::RecordObservationRequest>),
    /// A mark.
    Withdraw(pb::WithdrawArticleRequest),
    /// A mark.
    Reinstate(pb::ReinstateArticleRequest),
    /// A rollback.
    Rollback(pb::RollbackArticleRequest),
    /// A page was seen as it had been at another time.
    Again(Box<Seen>),
    /// Nothing to archive, such as an image.
    PassedOver(&'static str),
    /// Something that cannot be read.
    Broken(Failure),
    /// Nothing can be read from here on, and it is not the collection's fault. It is no item.
    Ended(Failure),
}

/// A sighting of what an archive has already.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    /// The request, without its content.
    pub(super) request: pb::RecordObservationRequest,
    /// The address under which the content was found.
    pub(super) url: String,
    /// When it was found there; none for the time before this sighting.
    pub(super) at: Option<prost_types::Timestamp>,
}

/// An item on its way, with the room that it takes.
pub(super) struct Arrived {
    pub(super) item: Item,
    /// Given back when the item is answered.
    pub(super) room: OwnedSemaphorePermit,
}

/// Where a reader, on a thread of its own, puts its items: it waits while too much is under way.
pub(super) struct Items {
    to: mpsc::Sender<Arrived>,
    room: Arc<Semaphore>,
}

/// Nobody wants more items: an end was asked for, or the import failed.
#[derive(Debug)]
pub(super) struct Stopped;

impl Items {
    /// The two ends of a reader's way to the archive.
    pub(super) fn new() -> (Self, mpsc::Receiver<Arrived>) {
        let (to, from) = mpsc::channel(ITEMS_MAX);
        (Self { to, room: Arc::new(Semaphore::new(BYTES_MAX as usize)) }, from)
    }

    /// Hands on an item that takes about so many bytes.
    pub(super) fn put(&self, item: Item, bytes: usize) -> Result<(), Stopped> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, BYTES_MAX);
        let runtime = tokio::runtime::Handle::current();
        let room = runtime.block_on(Arc::clone(&self.room).acquire_many_owned(bytes)).map_err(|_| Stopped)?;
        self.to.blocking_send(Arrived { item, room }).map_err(|_| Stopped)
    }

    /// Hands on that a file can't be read from here on: it ends or breaks within what it is compressed with, or the system
    /// refuses it.
    pub(super) fn put_cut_off(&self, place: String, error: &io::Error, done: Done) -> Result<(), Stopped> {
        let failure = Failure::new(Exit::Failed, format!("the file can't be read from here on: {error}"));
        self.put(Item { place, found: Found::Broken(failure.kind("CUT_OFF")), done }, 0)
    }
}
