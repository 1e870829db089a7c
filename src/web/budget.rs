//! The memory of responses until their clients have read them.
//!
//! It may not grow with the number of clients, and one client must not take what is there for all: a peer may have half of it.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use http::Response;
use hyper::body::{Body as _, Bytes, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;
use crate::service::{PeerPlace, PerPeer};

/// The memory of responses in KiB: 128 MiB.
const MEMORY_KIB: u32 = 128 << 10;
/// The bytes of a response that the transport takes at once. It keeps them until the client has read them, and does not
/// count them.
const PIECE_BYTES: usize = 32 << 10;

/// Counts what is in use.
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
    /// The same response, which counts until it is dropped. Streams have limits of their own.
    pub(super) fn counted(&self, response: Response<Body>, peer: IpAddr) -> Result<Response<Body>, Problem> {
        let bytes = response.body().size_hint().exact().filter(|bytes| *bytes > 0);
        let Some(bytes) = bytes else { return Ok(response) };
        let kib = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(MEMORY_KIB).min(MEMORY_KIB / 2);
        let peer_place = self.peers.take_many(peer, kib as usize, MEMORY_KIB as usize / 2).ok_or_else(Problem::busy)?;
        let memory = Arc::clone(&self.memory).try_acquire_many_owned(kib).map_err(|_| Problem::busy())?;
        let places = (memory, peer_place);
        Ok(response.map(|body| Body::new(CountedBody { body, rest: Bytes::new(), _places: places })))
    }
}

/// A body that counts until its last piece is taken.
struct CountedBody {
    body: Body,
    /// What is left of the frame that is being taken.
    rest: Bytes,
    _places: (OwnedSemaphorePermit, PeerPlace),
}

impl hyper::body::Body for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let bytes = self.rest.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
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
    use http_body_util::BodyExt;

    use super::*;

    /// The transport keeps a frame that its client does not read after the body has ended, and nothing counted it then.
    #[tokio::test]
    async fn a_response_counts_until_its_last_piece_is_taken() {
        let budget = Budget::default();
        let text: Vec<u8> = (0..=250).cycle().take(3 * PIECE_BYTES + 7).collect();
        let left = || MEMORY_KIB as usize - budget.memory.available_permits();
        let mut body =
            budget.counted(Response::new(Body::from(text.clone())), [10, 0, 0, 1].into()).unwrap().into_body();
        let mut taken = Vec::new();
        while !body.is_end_stream() {
            assert_eq!(body.size_hint().exact(), Some((text.len() - taken.len()) as u64));
            assert!(left() > 96, "it counts as a whole");
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!((1..=PIECE_BYTES).contains(&piece.len()));
            taken.extend_from_slice(&piece);
        }
        assert!(body.frame().await.is_none() && taken == text);
        drop(body);
        assert_eq!(left(), 0);
    }

    #[test]
    fn a_peer_may_have_half_of_the_memory_until_its_responses_are_read() {
        let budget = Budget::default();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let large = || Response::new(Body::from(vec![b'x'; 16 << 20]));
        let held: Vec<_> = (0..4).map(|_| budget.counted(large(), one).unwrap()).collect();
        assert!(budget.counted(large(), one).is_err());
        let others: Vec<_> = (0..4).map(|_| budget.counted(large(), other).unwrap()).collect();
        assert!(budget.counted(large(), IpAddr::from([10, 0, 0, 3])).is_err(), "all is in use");
        drop((held, others));
        assert!(budget.counted(large(), one).is_ok());
    }
}
