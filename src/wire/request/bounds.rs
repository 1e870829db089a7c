//! How much a request may be.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::FieldErrorKind;
use super::super::from_pb::FILTER_VALUES_MAX;
use crate::model::Limits;

const MIB: usize = 1 << 20;
/// What the elements of one message may take once they are decoded, not counting their text.
pub(super) const ELEMENTS_BYTES_MAX: usize = 64 * MIB;
/// What all requests under way may take, unless the limits let a single one take more.
const IN_FLIGHT_BYTES: usize = 256 * MIB;
/// The same of messages of imports. Each is kept until there is room for it in the queue, and other requests must not have to
/// wait for that.
const IMPORTED_BYTES: usize = 128 * MIB;
/// Everything but content and original: names, URLs, times, the message's own form.
const OTHER_BYTES: usize = MIB;
/// An article's name and its tag, generously.
const NAME_BYTES: usize = 320;
/// Values of an enum that has fewer.
const ENUM_VALUES_MAX: usize = 100;

/// Which bounds a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// An article to publish.
    Publish,
    /// Many of them.
    Batch,
    /// As many, in one of the messages of a stream.
    Import,
    /// All others, which have no articles in them.
    Other,
}

impl RequestKind {
    /// That of a method's requests.
    pub(super) fn of_method(method: &str) -> Self {
        match method {
            "RecordObservation" => Self::Publish,
            "BatchRecordObservations" => Self::Batch,
            "ImportObservations" => Self::Import,
            _ => Self::Other,
        }
    }
}

/// How much the requests of one server may be, each and together.
#[derive(Debug)]
pub struct Bounds {
    pub(super) limits: Limits,
    in_flight: Arc<Semaphore>,
    imported: Arc<Semaphore>,
    /// Long messages that may be decompressed and decoded at once.
    slots: Arc<Semaphore>,
    /// How long nothing may come of a request.
    pub(super) stalled_after: Duration,
}

impl Bounds {
    /// Bounds that follow from the limits. A request of which nothing comes for `stalled_after` ends.
    pub fn new(limits: &Limits, stalled_after: Duration) -> Self {
        let (in_flight, imported) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let slots = available_parallelism().map_or(2, |cores| cores.get().max(2));
        let slots = Arc::new(Semaphore::new(slots));
        let bounds = Self { limits: *limits, in_flight, imported, slots, stalled_after };
        let least = 2 * bounds.batch_bytes_max() + ELEMENTS_BYTES_MAX;
        bounds.in_flight.add_permits(IN_FLIGHT_BYTES.max(least).min(Semaphore::MAX_PERMITS));
        bounds.imported.add_permits(IMPORTED_BYTES.max(least).min(Semaphore::MAX_PERMITS));
        bounds
    }

    /// The length of the longest message of a kind.
    pub(super) fn bytes_max(&self, kind: RequestKind) -> usize {
        match kind {
            RequestKind::Publish => self.publish_bytes_max(),
            RequestKind::Batch | RequestKind::Import => self.batch_bytes_max(),
            RequestKind::Other => MIB.max(self.limits.page_size_max * NAME_BYTES),
        }
    }

    fn publish_bytes_max(&self) -> usize {
        self.limits.content_bytes_max + self.limits.original_bytes_max + OTHER_BYTES
    }

    fn batch_bytes_max(&self) -> usize {
        (self.limits.batch_bytes_max + OTHER_BYTES).max(self.publish_bytes_max())
    }

    /// Takes what a message of a kind will need, until it is given back; `None` where that is not left.
    pub(super) fn take(&self, kind: RequestKind, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.budget(kind).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }

    /// The same, once there is room.
    pub(super) async fn take_once_there_is_room(
        &self,
        kind: RequestKind,
        bytes: usize,
    ) -> Option<OwnedSemaphorePermit> {
        self.budget(kind).acquire_many_owned(u32::try_from(bytes).ok()?).await.ok()
    }

    fn budget(&self, kind: RequestKind) -> Arc<Semaphore> {
        Arc::clone(if kind == RequestKind::Import { &self.imported } else { &self.in_flight })
    }

    /// Waits until a long message may be decompressed and decoded, which it may until this is given back.
    pub(super) async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }
}

/// How many elements a repeated field may have, and what kind of mistake more are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) elements_max: fn(&Limits) -> usize,
    pub(super) kind: FieldErrorKind,
}

/// The bound of a repeated field, by its name in the contract.
pub(super) fn bound(field: &str) -> Option<Bound> {
    let (elements_max, kind): (fn(&Limits) -> usize, _) = match field {
        "RecordObservationRequest.urls" => (|limits| limits.urls_max, FieldErrorKind::Invalid),
        "BatchRecordObservationsRequest.requests" | "ImportObservationsRequest.requests" => {
            (|limits| limits.batch_items_max, FieldErrorKind::Invalid)
        }
        "BatchGetArticlesRequest.names" => (|limits| limits.page_size_max, FieldErrorKind::Invalid),
        "Content.labels" => (|limits| limits.labels_max, FieldErrorKind::Invalid),
        "Content.blocks" | "Content.bylines" | "Content.keywords" | "List.items" => {
            (|_| Limits::BLOCKS_MAX, FieldErrorKind::TooLarge)
        }
        "SubscribeRequest.kinds" | "ListChangesRequest.kinds" | "Subscription.kinds" => {
            (|_| ENUM_VALUES_MAX, FieldErrorKind::Filter)
        }
        "ArticleFilter.sources"
        | "ArticleFilter.articles"
        | "ArticleFilter.states"
        | "ArticleFilter.languages"
        | "ArticleFilter.labels" => (|_| FILTER_VALUES_MAX, FieldErrorKind::Filter),
        _ => return None,
    };
    Some(Bound { elements_max, kind })
}

/// What a field without a bound of its own gets. A test makes sure that no field needs it.
pub(super) const UNKNOWN: Bound = Bound { elements_max: |_| ENUM_VALUES_MAX, kind: FieldErrorKind::Invalid };
