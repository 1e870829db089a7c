//! The items of a collection, as its reader sends them on.

use std::io;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::capture::CaptureError;
use crate::ingest::wacz::WaczError;
use crate::model::SourceId;
use crate::wire::json_lines::LineError;
use crate::wire::pb;

/// Items that are read and not sent yet.
const ITEMS_MAX: usize = 256;
/// Bytes of items that are read and not answered yet. A larger item is sent alone.
const BYTES_MAX: u32 = 32 << 20;

/// One item of a collection.
pub(super) struct Item {
    /// Its place, for people, such as `changes.jsonl, line 7`.
    pub(super) place: String,
    pub(super) action: Action,
    pub(super) done: Done,
}

/// The progress of a collection once an item is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Items done, including this one.
    pub items: u64,
    /// Bytes of the file on disk, before decompression, or commits of a repository.
    pub measure: u64,
}

/// What is to be done for an item.
pub(super) enum Action {
    Record(Box<pb::RecordObservationRequest>),
    Withdraw(pb::WithdrawArticleRequest),
    Reinstate(pb::ReinstateArticleRequest),
    Rollback(pb::RollbackArticleRequest),
    Label(pb::LabelArticleRequest),
    /// Record an absence of an article, which is named.
    Absent(pb::RecordAbsenceRequest),
    /// Record that the page at a URL was missing, if it is that of an article in the archive.
    MissPage(Box<MissedPage>),
    MoveUrl(pb::MoveUrlRequest),
    /// Destroy texts.
    Expunge(pb::ExpungeRevisionsRequest),
    /// Record a sighting of a page that is unchanged since another time.
    Sight(Box<Revisit>),
    /// Nothing to archive, such as an image. The text says what it is, in the plural.
    Skip(&'static str),
    /// An item that cannot be read.
    Fail(CaptureError),
    /// Reading failed for a reason outside the collection. Not an item itself.
    Abort(CaptureError),
}

/// A sighting of content that is in the archive already.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Revisit {
    /// The request, without its content.
    pub(super) request: pb::RecordObservationRequest,
    /// The URL under which the content was found.
    pub(super) url: String,
    /// When it was found there; `None` for the latest time before this sighting.
    pub(super) at: Option<prost_types::Timestamp>,
}

/// A page that was missing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MissedPage {
    /// The request, without the article.
    pub(super) request: pb::RecordAbsenceRequest,
    /// The URL.
    pub(super) url: String,
    /// The source that the article must have; `None` for any.
    pub(super) source: Option<SourceId>,
}

/// An item with its share of the memory that items in progress may take.
pub(super) struct QueuedItem {
    pub(super) item: Item,
    /// Released when the item is answered.
    pub(super) permit: OwnedSemaphorePermit,
}

/// The sending end, for a reader on its own thread. It blocks while too much is in progress.
pub(super) struct ItemSender {
    to: mpsc::Sender<QueuedItem>,
    budget: Arc<Semaphore>,
}

/// Why an item of a collection could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ItemError {
    /// A line of JSON Lines is invalid.
    #[error(transparent)]
    Line(#[from] LineError),
    /// A record of a web archive is damaged. The text says how.
    #[error("{0}")]
    Record(String),
    /// A record of a web archive has an invalid URL.
    #[error("its URL is invalid: {0}")]
    Url(#[from] url::ParseError),
    /// A web archive in a WACZ is damaged, was altered, or cannot be checked.
    #[error("{0}; nothing of it is imported; to read it anyway, unpack the WACZ and import the WARC file")]
    Packed(WaczError),
    /// A web archive is not in the WACZ that lists it.
    #[error("{0}; the WACZ is incomplete")]
    NotPacked(WaczError),
    /// The rest of a file cannot be read: it is truncated, its compression is damaged, or the system reports an error.
    #[error("the file cannot be read from here on: {0}")]
    CutOff(io::Error),
    /// A file in a repository is larger than a document may be.
    #[error("the file has {bytes} bytes, more than the maximum size of a document")]
    TooLarge {
        /// The size of the file.
        bytes: u64,
    },
    /// A repository lacks the content of a file, such as a partial clone.
    #[error("the repository lacks its content, {blob}")]
    Missing {
        /// The object id of the content.
        blob: String,
    },
}

impl ItemError {
    pub(in crate::capture) fn reason(&self) -> &'static str {
        match self {
            Self::Line(LineError::TooLong { .. } | LineError::TooMany { .. }) | Self::TooLarge { .. } => "TOO_LARGE",
            Self::Line(LineError::NotUtf8 { .. } | LineError::Json(_) | LineError::Nothing) => "UNREADABLE",
            Self::Record(_) => "BROKEN_RECORD",
            Self::Packed(WaczError::Digest(_) | WaczError::NotListed) => "DIGEST_MISMATCH",
            Self::Packed(_) => "UNREADABLE",
            Self::Url(_) => "NOT_HTTP",
            Self::CutOff(_) => "CUT_OFF",
            Self::NotPacked(_) | Self::Missing { .. } => "MISSING",
        }
    }
}

/// The import takes no more items: the caller asked it to stop, or it failed.
#[derive(Debug)]
pub(super) struct Stopped;

impl ItemSender {
    /// Creates the channel between a reader and the import.
    pub(super) fn new() -> (Self, mpsc::Receiver<QueuedItem>) {
        let (to, from) = mpsc::channel(ITEMS_MAX);
        (Self { to, budget: Arc::new(Semaphore::new(BYTES_MAX as usize)) }, from)
    }

    /// Sends an item that takes about `bytes` bytes.
    pub(super) fn send(&self, item: Item, bytes: usize) -> Result<(), Stopped> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, BYTES_MAX);
        let runtime = tokio::runtime::Handle::current();
        let permit = runtime.block_on(Arc::clone(&self.budget).acquire_many_owned(bytes)).map_err(|_| Stopped)?;
        self.to.blocking_send(QueuedItem { item, permit }).map_err(|_| Stopped)
    }

    /// Sends the failure of a file that cannot be read further: it is truncated, its compression is damaged, or the
    /// system reports an error.
    pub(super) fn send_cut_off(&self, place: String, error: io::Error, done: Done) -> Result<(), Stopped> {
        self.send(Item { place, action: Action::Fail(ItemError::CutOff(error).into()), done }, 0)
    }
}
