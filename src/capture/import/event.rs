//! What an import reports to its caller.

use std::ops::ControlFlow;

use super::collection::Size;
use super::item::Done;
use crate::capture::CaptureError;
use crate::wire::pb;

/// An event of an import, in the order of the collection's items.
#[derive(Debug)]
pub enum Event<'a> {
    /// The collection was opened.
    Begun {
        /// The name of the collection, for people.
        name: &'a str,
        /// Its size.
        size: Size,
        /// The progress of an earlier import, which this one continues.
        before: Done,
        /// How many items of the earlier import failed.
        failed: u64,
    },
    /// An observation was recorded, or was recorded already.
    Recorded(ItemRef<'a>, pb::RecordObservationResponse),
    /// A rollback was recorded, or was recorded already.
    RolledBack(pb::RollbackArticleResponse),
    /// A withdrawal was recorded, or was recorded already.
    Withdrawn(pb::WithdrawArticleResponse),
    /// A reinstatement was recorded, or was recorded already.
    Reinstated(pb::ReinstateArticleResponse),
    /// A change of labels was recorded, or had been made already.
    Labelled(pb::LabelArticleResponse),
    /// An absence was recorded, or was recorded already.
    Absent(pb::RecordAbsenceResponse),
    /// A move of an address was recorded, or had been made already.
    UrlMoved(pb::MoveUrlResponse),
    /// Texts were destroyed.
    Expunged(pb::ExpungeRevisionsResponse),
    /// An item that is nothing to archive. The text says what it is, in the plural, such as `images`.
    Skipped(&'static str),
    /// An item could not be read, or the archive rejected it.
    Failed(ItemRef<'a>, CaptureError),
    /// All items up to this one are done.
    Reached(Done),
    /// A note for the user that does not concern an item.
    Note(String),
}

/// Identifies an item of a collection.
#[derive(Clone, Copy, Debug)]
pub struct ItemRef<'a> {
    /// Its place, for people, such as `changes.jsonl, line 7`.
    pub place: &'a str,
    /// Its number within the collection, from 1.
    pub number: u64,
}

/// Receives the events of an import. [`ControlFlow::Break`] stops it at once, without waiting for the items in
/// progress. The next import continues with the item of that event.
pub type Report<'a> = dyn FnMut(Event<'_>) -> ControlFlow<()> + Send + 'a;
