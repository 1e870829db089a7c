//! The items of a collection, as its reader sends them on.

use std::io;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::cli::exit::{Exit, Failure};
use crate::wire::pb;

/// Items that are read and not sent yet.
const ITEMS_MAX: usize = 256;
/// Bytes of items that are read and not answered yet. A larger item is sent alone.
const BYTES_MAX: u32 = 32 << 20;

/// One item of a collection.
pub(super) struct Item {
    /// Its place, for people, such as `changes.jsonl, line 7`.
    pub(super) place: String,
    pub(super) found: Found,
    pub(super) done: Done,
}

/// The progress of a collection once an item is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// Items done, including this one.
    pub(super) items: u64,
    /// Bytes of the file on disk, before decompression, or commits of a repository.
    pub(super) measure: u64,
}

/// What an item asks for.
pub(super) enum Found {
    Publish(Box<pb::RecordObservationRequest>),
    Withdraw(pb::WithdrawArticleRequest),
    Reinstate(pb::ReinstateArticleRequest),
    Rollback(pb::RollbackArticleRequest),
    /// A sighting of a page that is unchanged since another time.
    Again(Box<Seen>),
    /// Nothing to archive, such as an image. The text says what it is, in the plural.
    PassedOver(&'static str),
    /// An item that cannot be read.
    Broken(Failure),
    /// Reading failed for a reason outside the collection. Not an item itself.
    Ended(Failure),
}

/// A sighting of content that is in the archive already.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    /// The request, without its content.
    pub(super) request: pb::RecordObservationRequest,
    /// The URL under which the content was found.
    pub(super) url: String,
    /// When it was found there; `None` for the latest time before this sighting.
    pub(super) at: Option<prost_types::Timestamp>,
}

/// An item with the room that it takes in the channel.
pub(super) struct Arrived {
    pub(super) item: Item,
    /// Released when the item is answered.
    pub(super) room: OwnedSemaphorePermit,
}

/// The sending end, for a reader on its own thread. It blocks while too much is in progress.
pub(super) struct Items {
    to: mpsc::Sender<Arrived>,
    room: Arc<Semaphore>,
}

/// No more items are wanted: a signal asked the command to stop, or the import failed.
#[derive(Debug)]
pub(super) struct Stopped;

impl Items {
    /// Creates the channel between a reader and the import.
    pub(super) fn new() -> (Self, mpsc::Receiver<Arrived>) {
        let (to, from) = mpsc::channel(ITEMS_MAX);
        (Self { to, room: Arc::new(Semaphore::new(BYTES_MAX as usize)) }, from)
    }

    /// Sends an item that takes about `bytes` bytes.
    pub(super) fn put(&self, item: Item, bytes: usize) -> Result<(), Stopped> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, BYTES_MAX);
        let runtime = tokio::runtime::Handle::current();
        let room = runtime.block_on(Arc::clone(&self.room).acquire_many_owned(bytes)).map_err(|_| Stopped)?;
        self.to.blocking_send(Arrived { item, room }).map_err(|_| Stopped)
    }

    /// Sends the failure of a file that can't be read further: it is truncated, its compression is damaged, or the
    /// system reports an error.
    pub(super) fn put_cut_off(&self, place: String, error: &io::Error, done: Done) -> Result<(), Stopped> {
        let failure = Failure::new(Exit::Failed, format!("the file can't be read from here on: {error}"));
        self.put(Item { place, found: Found::Broken(failure.kind("CUT_OFF")), done }, 0)
    }
}
