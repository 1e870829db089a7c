//! The memory of responses until their clients have read them.
//!
//! It may not grow with the number of clients, and one client must not take what is there for all: a peer may have half of it.
//! A response is passed on in pieces, the next one when the transport has no more of the last. So it counts as long as any of
//! it is in memory, here or in the transport, and it is known when its client takes nothing.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use http::Response;
use hyper::body::{Body as _, Bytes, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::progress::Progress;
use crate::service::{PeerPlace, PerPeer};

/// The memory of responses in KiB: 128 MiB.
const MEMORY_KIB: u32 = 128 << 10;
/// The bytes of a response that the transport takes at once.
const PIECE_BYTES: usize = 32 << 10;

/// Counts what is in use.
#[derive(Clone)]
pub(super) struct Budget {
    memory: Arc<Semaphore>,
    peers: PerPeer,
}

impl Default for Budget {
    fn default() -> Self {
        Self { memory: Arc::new(Semaphore::new(MEMORY_KIB as usize)), peers: PerPeer::default() }
    }
}

impl Budget {
    /// The same response, which counts until the transport has passed on the last piece of it; `busy` if there is no room
    /// for it, which is short and does not count. A response of unknown length counts piece by piece, as what it sends is
    /// there.
    pub(super) fn counted(
        &self,
        response: Response<Body>,
        peer: IpAddr,
        busy: impl FnOnce() -> Response<Body>,
    ) -> Response<Body> {
        let (response, places, counts_frames_of) = match response.body().size_hint().exact() {
            Some(0) => return response,
            None => (response, None, Some((self.clone(), peer))),
            Some(bytes) => match self.take(peer, bytes) {
                None => (busy(), None, None),
                places => (response, places, None),
            },
        };
        response.map(|body| {
            let progress = Progress::of_stream();
            let (rest, passing_on) = (Bytes::new(), None);
            Body::new(CountedBody { body, rest, passing_on, progress, places, counts_frames_of })
        })
    }

    /// Counts bytes of a peer; `None` if there is no room for them.
    fn take(&self, peer: IpAddr, bytes: u64) -> Option<Arc<Places>> {
        let kib = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(MEMORY_KIB).min(MEMORY_KIB / 2);
        let of_peer = self.peers.take_many(peer, kib as usize, MEMORY_KIB as usize / 2)?;
        let of_all = Arc::clone(&self.memory).try_acquire_many_owned(kib).ok()?;
        Some(Arc::new(Places { _of_peer: of_peer, _of_all: of_all }))
    }
}

/// What is counted. Dropping this releases it.
struct Places {
    _of_peer: PeerPlace,
    _of_all: OwnedSemaphorePermit,
}

/// A body that counts, and passes on one piece after the other.
struct CountedBody {
    body: Body,
    /// What is left of the frame that is being taken.
    rest: Bytes,
    /// Closed when the transport has passed on the last piece; `None` before the first one.
    passing_on: Option<oneshot::Receiver<Infallible>>,
    progress: Progress,
    /// What the body counts for, or the frame that is being taken.
    places: Option<Arc<Places>>,
    /// The budget in which each frame counts by itself; `None` if the body counts as a whole.
    counts_frames_of: Option<(Budget, IpAddr)>,
}

/// A piece of a body, which says when the transport drops it. In HTTP/1.1 that is after it has dropped the body.
struct Piece {
    bytes: Bytes,
    _places: Option<Arc<Places>>,
    _passing_on: oneshot::Sender<Infallible>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl hyper::body::Body for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if let Some(passing_on) = &mut this.passing_on {
            // Nothing is ever sent: this is the end of the channel.
            drop(ready!(Pin::new(passing_on).poll(cx)));
            this.passing_on = None;
        }
        if this.rest.is_empty() {
            this.progress.taken();
            if this.counts_frames_of.is_some() {
                this.places = None;
            }
            match ready!(Pin::new(&mut this.body).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => this.rest = data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
            if let Some((budget, peer)) = &this.counts_frames_of {
                this.places = budget.take(*peer, this.rest.len() as u64);
                if this.places.is_none() {
                    // The stream ends, and its client continues later.
                    this.rest = Bytes::new();
                    return Poll::Ready(None);
                }
            }
        }
        let bytes = this.rest.split_to(this.rest.len().min(PIECE_BYTES));
        let (sender, passing_on) = oneshot::channel();
        this.passing_on = Some(passing_on);
        this.progress.offer();
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(Piece {
            bytes,
            _places: this.places.clone(),
            _passing_on: sender,
        })))))
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut all = SizeHint::new();
        all.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            all.set_upper(upper.saturating_add(rest));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use http::StatusCode;
    use http_body_util::BodyExt;

    use super::*;

    fn busy() -> Response<Body> {
        let mut response = Response::new(Body::from("busy"));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
    }

    fn left(budget: &Budget) -> usize {
        MEMORY_KIB as usize - budget.memory.available_permits()
    }

    /// The transport keeps a piece that its client does not read. When a body ended with its last piece, nothing counted
    /// that piece any more, and the server did not notice that it was not taken.
    #[tokio::test]
    async fn a_response_counts_until_the_transport_has_passed_on_its_last_piece() {
        let budget = Budget::default();
        let text: Vec<u8> = (0..=250).cycle().take(3 * PIECE_BYTES + 7).collect();
        let mut body = budget.counted(Response::new(Body::from(text.clone())), [10, 0, 0, 1].into(), busy).into_body();
        let mut taken = Vec::new();
        while taken.len() < text.len() {
            assert_eq!(body.size_hint().exact(), Some((text.len() - taken.len()) as u64));
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!((1..=PIECE_BYTES).contains(&piece.len()) && !body.is_end_stream());
            assert!(poll!(body.frame()).is_pending(), "one piece after the other");
            assert!(left(&budget) > 96, "it counts as a whole");
            taken.extend_from_slice(&piece);
        }
        assert!(body.frame().await.is_none() && taken == text);
        drop(body);
        assert_eq!(left(&budget), 0);
        // HTTP/1.1 drops a body with its last piece, which it still has to send.
        let mut body = budget.counted(Response::new(Body::from("short")), [10, 0, 0, 1].into(), busy).into_body();
        let piece = body.frame().await;
        drop(body);
        assert_eq!(left(&budget), 1);
        drop(piece);
        assert_eq!(left(&budget), 0);
    }

    #[tokio::test]
    async fn a_stream_counts_what_it_sends_and_ends_if_there_is_no_room_for_it() {
        let budget = Budget::default();
        let frames = [1, PIECE_BYTES + 1, 1, 1 << 11].map(|bytes| Ok::<_, Infallible>(Bytes::from(vec![7; bytes])));
        let stream = Response::new(Body::from_stream(futures_util::stream::iter(frames)));
        let mut body = budget.counted(stream, [10, 0, 0, 1].into(), busy).into_body();
        for (bytes, counted) in [(1, 1), (PIECE_BYTES, 33), (1, 33), (1, 1)] {
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!((piece.len(), left(&budget)), (bytes, counted));
        }
        let all = Arc::clone(&budget.memory).acquire_many_owned(MEMORY_KIB - 1).await.unwrap();
        assert!(body.frame().await.is_none());
        drop((body, all));
        assert_eq!(left(&budget), 0);
    }

    #[test]
    fn a_peer_may_have_half_of_the_memory_until_its_responses_are_read() {
        let budget = Budget::default();
        let [one, other, third] = [1, 2, 3].map(|last| IpAddr::from([10, 0, 0, last]));
        let large = |peer| budget.counted(Response::new(Body::from(vec![b'x'; 16 << 20])), peer, busy);
        let is_busy = |response: &Response<Body>| response.status() == StatusCode::SERVICE_UNAVAILABLE;
        let mut held: Vec<_> = (0..4).map(|_| large(one)).collect();
        assert!(is_busy(&large(one)));
        held.extend((0..4).map(|_| large(other)));
        assert!(!held.iter().any(is_busy));
        assert!(is_busy(&large(third)), "all is in use");
        drop(held);
        assert!(!is_busy(&large(one)));
    }
}
