//! What all requests together may use: the pages that are made at once, and the memory of responses until their clients
//! have read them.
//!
//! A page is in memory while it is made, and its response until it is read. Neither may grow with the number of clients, and
//! one client must not take what is there for all: a peer may have half of the memory of responses.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use http::Response;
use hyper::body::{Body as _, Bytes, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::problem::Problem;
use crate::service::{PeerPlace, PerPeer};

/// The memory of responses in KiB: 128 MiB.
const MEMORY_KIB: u32 = 128 << 10;
/// The pages that are made at once. Others wait for their turn, in order.
const PAGES_MAX: usize = 64;

/// Counts what is in use.
pub(super) struct Budget {
    pages: Semaphore,
    memory: Arc<Semaphore>,
    peers: PerPeer,
}

impl Default for Budget {
    fn default() -> Self {
        let (pages, memory) = (Semaphore::new(PAGES_MAX), Arc::new(Semaphore::new(MEMORY_KIB as usize)));
        Self { pages, memory, peers: PerPeer::default() }
    }
}

impl Budget {
    /// Waits for the turn to make a page.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.pages.acquire().await.ok()
    }

    /// The same response, which counts until it is dropped. Streams have limits of their own.
    pub(super) fn counted(&self, response: Response<Body>, peer: IpAddr) -> Result<Response<Body>, Problem> {
        let bytes = response.body().size_hint().exact().filter(|bytes| *bytes > 0);
        let Some(bytes) = bytes else { return Ok(response) };
        let kib = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(MEMORY_KIB).min(MEMORY_KIB / 2);
        let peer_place = self.peers.take_many(peer, kib as usize, MEMORY_KIB as usize / 2).ok_or_else(Problem::busy)?;
        let memory = Arc::clone(&self.memory).try_acquire_many_owned(kib).map_err(|_| Problem::busy())?;
        Ok(response.map(|body| Body::new(CountedBody { body, _places: (memory, peer_place) })))
    }
}

/// A body that counts until it is dropped.
struct CountedBody {
    body: Body,
    _places: (OwnedSemaphorePermit, PeerPlace),
}

impl hyper::body::Body for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
