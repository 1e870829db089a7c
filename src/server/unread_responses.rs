//! Limits the memory of unread responses, and how long they are kept.
//!
//! If a client reads slowly, the rest of its response stays in the server's memory. So responses are passed to the
//! transport in pieces, and the memory of all remaining pieces is limited. The limit covers whole responses, and the
//! message that each stream is sending. When a new response would exceed the limit, the response whose last piece left
//! longest ago is dropped. A whole response is also dropped if no piece of it leaves for a while. The call then ends
//! with a status, in case its client resumes reading.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;

use crate::service::status::Refusal;

/// The memory that all unread responses may take, in bytes.
const BYTES_MAX: usize = 64 << 20;
/// The bytes passed to the transport at once: the size of an HTTP/2 frame. This much memory per call is not covered by
/// the limit.
const PIECE_BYTES: usize = 16 << 10;

/// The unread responses of a server.
#[derive(Clone)]
pub(super) struct UnreadResponses {
    store: Arc<Mutex<ResponseStore>>,
    stalled_after: Duration,
}

struct ResponseStore {
    bytes_max: usize,
    bytes: usize,
    responses: HashMap<u64, UnreadResponse>,
    /// Response ids by the turn in which their last piece left, so that the longest wait comes first.
    by_turn: BTreeMap<u64, u64>,
    /// The last turn. Turns count the pieces of all responses; the first turn of a response is also its id.
    last_turn: u64,
}

struct UnreadResponse {
    data: Bytes,
    /// The key in `by_turn`.
    turn: u64,
    /// When its last piece left, or when it was stored.
    last_progress: Instant,
    /// How long after that the response is dropped, even if there is room; `None` for messages of streams.
    dropped_after: Option<Duration>,
}

impl UnreadResponses {
    /// Starts without responses. Drops whole responses that make no progress for `stalled_after`. Must be called within
    /// a Tokio runtime.
    pub(super) fn new(stalled_after: Duration) -> Self {
        Self::bounded(BYTES_MAX, stalled_after)
    }

    fn bounded(bytes_max: usize, stalled_after: Duration) -> Self {
        let (responses, by_turn) = (HashMap::new(), BTreeMap::new());
        let store = Arc::new(Mutex::new(ResponseStore { bytes_max, bytes: 0, responses, by_turn, last_turn: 0 }));
        // Ends the task when the server has dropped its store.
        let weak_store = Arc::downgrade(&store);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep((stalled_after / 8).max(Duration::from_millis(5))).await;
                let Some(store) = weak_store.upgrade() else { return };
                lock(&store).drop_stalled();
            }
        });
        Self { store, stalled_after }
    }

    /// Holds what a stream is sending until it is read or dropped, and `place` until the transport has released the
    /// stream.
    ///
    /// A stream's own sender ends the stream if it is not read, and tells the client how to continue. So the pending
    /// message is dropped only if its memory is needed. Nothing is sent after a dropped message except the status.
    pub(super) fn keep_stream(&self, response: Response<Body>, place: impl Send + 'static) -> Response<Body> {
        use hyper::body::Body as _;
        if response.body().is_end_stream() {
            return response;
        }
        let (head, body) = response.into_parts();
        let sending = ResponseFrames { body, pending: None, responses: self.clone(), _place: place };
        Response::from_parts(head, sending.into_body())
    }

    fn put(&self, data: Bytes, dropped_after: Option<Duration>) -> StoredResponse {
        StoredResponse { id: lock(&self.store).put(data, dropped_after), store: Arc::clone(&self.store) }
    }

    /// Holds a whole response until it is read or dropped.
    pub(super) async fn keep(&self, response: Response<Body>) -> Response<Body> {
        use hyper::body::Body as _;
        if response.body().is_end_stream() {
            return response;
        }
        let (head, body) = response.into_parts();
        let whole = match body.collect().await {
            Ok(whole) => whole,
            Err(status) => return status.into_http(),
        };
        let trailers = std::future::ready(whole.trailers().cloned().map(Ok::<_, Infallible>));
        let data = whole.to_bytes();
        if data.len() <= PIECE_BYTES {
            return Response::from_parts(head, Body::new(Full::new(data).with_trailers(trailers)));
        }
        let pending = Some((self.put(data, Some(self.stalled_after)), Instant::now()));
        let body = Body::new(Full::new(Bytes::new()).with_trailers(trailers));
        let sending = ResponseFrames { body, pending, responses: self.clone(), _place: () };
        Response::from_parts(head, sending.into_body())
    }
}

fn lock(store: &Mutex<ResponseStore>) -> MutexGuard<'_, ResponseStore> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ResponseStore {
    /// Makes room for a response and stores it. A response larger than the limit is stored alone.
    fn put(&mut self, data: Bytes, dropped_after: Option<Duration>) -> u64 {
        while self.bytes + data.len() > self.bytes_max {
            let Some((_, id)) = self.by_turn.pop_first() else { break };
            self.remove(id);
        }
        let id = self.next_turn();
        self.bytes += data.len();
        self.by_turn.insert(id, id);
        self.responses.insert(id, UnreadResponse { data, turn: id, last_progress: Instant::now(), dropped_after });
        id
    }

    fn next_turn(&mut self) -> u64 {
        self.last_turn += 1;
        self.last_turn
    }

    /// The next piece of a response, empty at its end; `None` if it was dropped.
    fn next_piece(&mut self, id: u64) -> Option<Bytes> {
        let turn = self.next_turn();
        let unread = self.responses.get_mut(&id)?;
        self.by_turn.remove(&unread.turn);
        self.by_turn.insert(turn, id);
        (unread.turn, unread.last_progress) = (turn, Instant::now());
        let piece = split_off(&mut unread.data);
        self.bytes -= piece.len();
        Some(piece)
    }

    fn remove(&mut self, id: u64) {
        if let Some(unread) = self.responses.remove(&id) {
            self.bytes -= unread.data.len();
            self.by_turn.remove(&unread.turn);
        }
    }

    fn drop_stalled(&mut self) {
        let stalled = self.responses.iter().filter(|(_, unread)| {
            let is_late = |dropped_after| unread.last_progress.elapsed() >= dropped_after;
            unread.dropped_after.is_some_and(is_late)
        });
        let stalled: Vec<_> = stalled.map(|(id, _)| *id).collect();
        if !stalled.is_empty() {
            tracing::info!(answers = stalled.len(), "dropping responses that were not read");
        }
        stalled.into_iter().for_each(|id| self.remove(id));
    }
}

/// A response's entry in the store. It is removed when this is dropped.
struct StoredResponse {
    store: Arc<Mutex<ResponseStore>>,
    id: u64,
}

impl Drop for StoredResponse {
    fn drop(&mut self) {
        lock(&self.store).remove(self.id);
    }
}

/// Splits off the next piece. The piece is copied, because a slice held by the transport would keep the whole response
/// in memory.
fn split_off(data: &mut Bytes) -> Bytes {
    Bytes::copy_from_slice(&data.split_to(data.len().min(PIECE_BYTES)))
}

/// The final status of a call whose response was dropped.
fn dropped_status(since: Instant) -> Option<HeaderMap> {
    let mut status = HeaderMap::new();
    Status::from(Refusal::unread(since.elapsed())).add_header(&mut status).ok().map(|()| status)
}

/// A response or stream that is being sent.
struct ResponseFrames<P> {
    /// The rest of the body, after `pending`.
    body: Body,
    /// The rest of the previous frame, and when the last piece of it left.
    pending: Option<(StoredResponse, Instant)>,
    responses: UnreadResponses,
    _place: P,
}

impl<P: Send + 'static> ResponseFrames<P> {
    fn into_body(self) -> Body {
        let frames = futures_util::stream::unfold(Some(self), |sending| async { sending?.next().await });
        Body::new(StreamBody::new(frames))
    }

    async fn next(mut self) -> Option<(Result<Frame<Bytes>, Status>, Option<Self>)> {
        if let Some((stored, since)) = self.pending.take() {
            let piece = lock(&stored.store).next_piece(stored.id);
            match piece {
                None => return Some((Ok(Frame::trailers(dropped_status(since)?)), None)),
                Some(piece) if piece.is_empty() => {}
                Some(piece) => {
                    self.pending = Some((stored, Instant::now()));
                    return Some((Ok(Frame::data(piece)), Some(self)));
                }
            }
        }
        let mut data = match self.body.frame().await?.map(Frame::into_data) {
            Err(status) => return Some((Err(status), None)),
            Ok(Err(other)) => return Some((Ok(other), Some(self))),
            Ok(Ok(data)) => data,
        };
        if data.len() <= PIECE_BYTES {
            return Some((Ok(Frame::data(data)), Some(self)));
        }
        let piece = split_off(&mut data);
        let stored = self.responses.put(data, None);
        self.pending = Some((stored, Instant::now()));
        Some((Ok(Frame::data(piece)), Some(self)))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    const STALLED_AFTER: Duration = Duration::from_secs(60);

    fn response(bytes: usize) -> Response<Body> {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", 0.into());
        let frames = [Ok::<_, Status>(Frame::data(vec![7; bytes].into())), Ok(Frame::trailers(trailers))];
        Response::new(Body::new(StreamBody::new(futures_util::stream::iter(frames))))
    }

    /// The number of bytes that a reader receives, and the final status.
    async fn read(response: Response<Body>) -> (usize, String) {
        let mut frames = http_body_util::BodyStream::new(response.into_body());
        let (mut bytes, mut status) = (0, String::new());
        while let Some(frame) = frames.next().await {
            match frame.unwrap().into_data() {
                Ok(data) => {
                    assert!(data.len() <= PIECE_BYTES, "{} bytes at once", data.len());
                    bytes += data.len();
                }
                Err(frame) => status = frame.into_trailers().unwrap()["grpc-status"].to_str().unwrap().to_owned(),
            }
        }
        (bytes, status)
    }

    #[tokio::test]
    async fn a_response_that_is_read_is_complete_and_leaves_no_memory() {
        let responses = UnreadResponses::new(STALLED_AFTER);
        for bytes in [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 5] {
            let kept = responses.keep(response(bytes)).await;
            assert_eq!(read(kept).await, (bytes, "0".to_owned()));
            assert_eq!(lock(&responses.store).bytes, 0);
            assert!(lock(&responses.store).responses.is_empty());
        }
        let one = responses.keep(response(1 << 20)).await;
        assert_eq!(lock(&responses.store).bytes, 1 << 20);
        drop(one);
        assert_eq!(lock(&responses.store).bytes, 0);
    }

    /// A piece that shared the memory of its response would keep all of it, even after the rest is dropped.
    #[test]
    fn a_piece_has_memory_of_its_own() {
        let mut data = Bytes::from(vec![7; 1 << 20]);
        let whole = data.as_ptr_range();
        let piece = split_off(&mut data);
        assert_eq!((piece.len(), data.len()), (PIECE_BYTES, (1 << 20) - PIECE_BYTES));
        assert!(!whole.contains(&piece.as_ptr()));
    }

    #[tokio::test(start_paused = true)]
    async fn unread_responses_are_bounded_and_the_longest_waiting_is_dropped_first() {
        let responses = UnreadResponses::bounded(3 << 20, STALLED_AFTER);
        let mut kept = Vec::new();
        for _ in 0..3 {
            kept.push(responses.keep(response(1 << 20)).await);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        // The first response makes progress, so the second has waited longest.
        let mut first = http_body_util::BodyStream::new(kept.remove(0).into_body());
        assert!(first.next().await.unwrap().is_ok());
        kept.push(responses.keep(response(1 << 20)).await);
        assert!(lock(&responses.store).bytes <= 3 << 20);
        assert_eq!(read(kept.remove(0)).await, (0, "8".to_owned()), "RESOURCE_EXHAUSTED");
        assert_eq!(lock(&responses.store).responses.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_of_a_stream_can_be_dropped_and_its_place_lasts_as_long_as_the_stream() {
        let responses = UnreadResponses::bounded(2 << 20, STALLED_AFTER);
        let place = Arc::new(());
        let whole = responses.keep_stream(response(3 * PIECE_BYTES + 5), Arc::clone(&place));
        assert_eq!(read(whole).await, (3 * PIECE_BYTES + 5, "0".to_owned()));
        assert_eq!((lock(&responses.store).bytes, Arc::strong_count(&place)), (0, 1));

        let unread = responses.keep_stream(response(1 << 20), Arc::clone(&place));
        let mut frames = http_body_util::BodyStream::new(unread.into_body());
        assert_eq!(frames.next().await.unwrap().unwrap().into_data().unwrap().len(), PIECE_BYTES);
        tokio::time::sleep(3 * STALLED_AFTER).await;
        assert_eq!(lock(&responses.store).bytes, (1 << 20) - PIECE_BYTES, "only the sender ends it");
        let other = responses.keep(response(2 << 20)).await;
        assert_eq!((lock(&responses.store).bytes, Arc::strong_count(&place)), (2 << 20, 2));
        drop(other);
        let trailers = frames.next().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "8", "RESOURCE_EXHAUSTED");
        assert!(frames.next().await.is_none());
        assert_eq!(Arc::strong_count(&place), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_response_is_dropped_with_a_status() {
        let responses = UnreadResponses::new(STALLED_AFTER);
        let kept = responses.keep(response(1 << 20)).await;
        tokio::time::sleep(STALLED_AFTER / 2).await;
        assert_eq!(lock(&responses.store).bytes, 1 << 20);
        tokio::time::sleep(STALLED_AFTER).await;
        assert_eq!(lock(&responses.store).bytes, 0);
        assert_eq!(read(kept).await, (0, "8".to_owned()));
    }
}
