//! Limits on the size of requests, and the memory budget that they share.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::FieldErrorKind;
use super::super::from_pb::FILTER_VALUES_MAX;
use crate::model::Limits;

const MIB: usize = 1 << 20;
/// The memory that the elements of one message may take once decoded, in bytes, not counting their text.
pub(super) const ELEMENTS_BYTES_MAX: usize = 64 * MIB;
/// The memory that all requests in progress may take, in bytes, unless the limits allow a single request more.
const IN_FLIGHT_BYTES: usize = 256 * MIB;
/// The same for messages of imports. Each is kept until the write queue has room for it, and other requests must not
/// wait for that.
const IMPORTED_BYTES: usize = 128 * MIB;
/// A message's bytes besides content and original: names, URLs, times, and framing.
const OTHER_BYTES: usize = MIB;
/// A generous upper bound on an article's name with its field key.
const NAME_BYTES: usize = 320;
/// The most values of a repeated enum field; every enum has fewer.
const ENUM_VALUES_MAX: usize = 100;

/// Determines which limits apply to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// A request with one observation.
    Observation,
    /// A batch of observations.
    Batch,
    /// A batch of observations in one message of a stream.
    Import,
    /// Any other request; none of them contains an article.
    Other,
}

impl RequestKind {
    /// The kind of a method's requests.
    pub(super) fn of_method(method: &str) -> Self {
        match method {
            "RecordObservation" => Self::Observation,
            "BatchRecordObservations" => Self::Batch,
            "ImportObservations" => Self::Import,
            _ => Self::Other,
        }
    }
}

/// The limits on the requests of one server, individually and in total.
#[derive(Debug)]
pub struct Bounds {
    pub(super) limits: Limits,
    in_flight: Arc<Semaphore>,
    imported: Arc<Semaphore>,
    /// Long messages that may be decompressed and decoded at the same time.
    slots: Arc<Semaphore>,
    /// How long a request may send nothing.
    pub(super) stalled_after: Duration,
}

impl Bounds {
    /// Derives the bounds from the limits. A request that sends nothing for `stalled_after` is ended.
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

    /// The length of the longest message of a kind, in bytes.
    pub(super) fn bytes_max(&self, kind: RequestKind) -> usize {
        match kind {
            RequestKind::Observation => self.observation_bytes_max(),
            RequestKind::Batch | RequestKind::Import => self.batch_bytes_max(),
            RequestKind::Other => MIB.max(self.limits.page_size_max * NAME_BYTES),
        }
    }

    fn observation_bytes_max(&self) -> usize {
        self.limits.content_bytes_max + self.limits.original_bytes_max + OTHER_BYTES
    }

    fn batch_bytes_max(&self) -> usize {
        (self.limits.batch_bytes_max + OTHER_BYTES).max(self.observation_bytes_max())
    }

    /// Reserves memory for a message until the permit is dropped. `None` if not enough is free.
    pub(super) fn take(&self, kind: RequestKind, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.budget(kind).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }

    /// Like `take`, but waits until enough is free.
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

    /// Waits for permission to decompress and decode a long message, which lasts until the permit is dropped.
    pub(super) async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }
}

/// How many elements a repeated field may have, and which kind of error it is to exceed that.
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
        "ResolveParkedChangesRequest.seqs" => (|_| Limits::PARKED_MAX, FieldErrorKind::Invalid),
        "ExpungeRevisionsRequest.revision_numbers" => (|_| Limits::EXPUNGED_REVISIONS_MAX, FieldErrorKind::Invalid),
        "CreateTokenRequest.permissions" => (|_| ENUM_VALUES_MAX, FieldErrorKind::Invalid),
        "CreateTokenRequest.sources" => (|_| Limits::GRANTED_SOURCES_MAX, FieldErrorKind::Invalid),
        // Only the server fills these in; a client that sends back what it read has them in its request.
        "Webhook.keys" => (|_| Limits::WEBHOOK_KEYS_MAX, FieldErrorKind::Invalid),
        "FieldMask.paths" => (|_| ENUM_VALUES_MAX, FieldErrorKind::Invalid),
        "RecordObservationRequest.labels" | "LabelArticleRequest.add_labels" | "LabelArticleRequest.remove_labels" => {
            (|limits| limits.labels_max, FieldErrorKind::Invalid)
        }
        "Content.blocks" | "Content.bylines" | "Content.keywords" | "List.items" => {
            (|_| Limits::BLOCKS_MAX, FieldErrorKind::TooLarge)
        }
        "SubscribeRequest.kinds"
        | "ListChangesRequest.kinds"
        | "Subscription.kinds"
        | "ListRevisionsRequest.changed_parts" => (|_| ENUM_VALUES_MAX, FieldErrorKind::Filter),
        "ArticleFilter.sources"
        | "ArticleFilter.articles"
        | "ArticleFilter.states"
        | "ArticleFilter.languages"
        | "ArticleFilter.labels"
        | "ArticleFilter.changed_parts" => (|_| FILTER_VALUES_MAX, FieldErrorKind::Filter),
        _ => return None,
    };
    Some(Bound { elements_max, kind })
}

/// The bound of a field that is not listed. A test checks that no field needs it.
pub(super) const UNKNOWN: Bound = Bound { elements_max: |_| ENUM_VALUES_MAX, kind: FieldErrorKind::Invalid };
