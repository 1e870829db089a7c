//! How many pages are made at once: a bounded number in total, and only a few for one peer, so that no peer's requests can
//! keep all others waiting.
//!
//! ```text
//! request ──▶ at most 256 of the peer, or 503 ──▶ a turn of the peer, of 8 ──▶ a turn of all, of 32 ──▶ page
//! ```

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;
use crate::service::counted_as;

/// The pages that are made at once. A long one takes some MiB meanwhile.
const PAGES_MAX: usize = 32;
/// The pages of one peer that are made at once, or are the next to be.
const PER_PEER_MAX: usize = 8;
/// The pages of one peer that are made or wait.
const WAITING_PER_PEER_MAX: usize = 256;

/// The turns.
pub(super) struct Turns {
    all: Arc<Semaphore>,
    peers: Peers,
}

/// The turns of each peer that is waiting or has one.
#[derive(Clone, Default)]
struct Peers(Arc<Mutex<HashMap<IpAddr, PeerTurns>>>);

struct PeerTurns {
    turns: Arc<Semaphore>,
    asking: usize,
}

/// The turn to make a page, until it is dropped.
pub(super) struct Turn {
    _of_all: OwnedSemaphorePermit,
    _of_peer: OwnedSemaphorePermit,
    _asking: Asking,
}

/// A request that waits for its turn or has it.
struct Asking {
    peers: Peers,
    peer: IpAddr,
}

impl Default for Turns {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(PAGES_MAX)), peers: Peers::default() }
    }
}

impl Turns {
    /// Waits for the turn of a request. Fails if too many of the peer wait already.
    pub(super) async fn wait(&self, peer: IpAddr) -> Result<Turn, Problem> {
        let (asking, turns) = self.peers.ask(counted_as(peer)).ok_or_else(Problem::busy)?;
        // Neither is ever closed.
        let of_peer = turns.acquire_owned().await.map_err(|_| Problem::internal())?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.map_err(|_| Problem::internal())?;
        Ok(Turn { _of_all: of_all, _of_peer: of_peer, _asking: asking })
    }
}

impl Peers {
    /// Counts a request of a peer, and returns the peer's turns; `None` if it has too many.
    fn ask(&self, peer: IpAddr) -> Option<(Asking, Arc<Semaphore>)> {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_peer =
            peers.entry(peer).or_insert_with(|| PeerTurns { turns: Arc::new(Semaphore::new(PER_PEER_MAX)), asking: 0 });
        if of_peer.asking >= WAITING_PER_PEER_MAX {
            return None;
        }
        of_peer.asking += 1;
        let turns = Arc::clone(&of_peer.turns);
        drop(peers);
        Some((Asking { peers: self.clone(), peer }, turns))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut peers = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_peer) = peers.get_mut(&self.peer) {
            of_peer.asking = of_peer.asking.saturating_sub(1);
            if of_peer.asking == 0 {
                peers.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    /// A client that asked for a thousand long pages had all others wait until they were made.
    #[tokio::test]
    async fn a_peer_never_has_others_wait_for_all_that_it_asks_for() {
        let turns = Turns::default();
        let [one, other] = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        let mut asking: Vec<_> = (0..WAITING_PER_PEER_MAX).map(|_| Box::pin(turns.wait(one))).collect();
        let mut made = Vec::new();
        for (number, turn) in asking.iter_mut().enumerate() {
            let turn = poll!(turn);
            assert_eq!(turn.is_ready(), number < PER_PEER_MAX);
            made.push(turn);
        }
        assert!(turns.wait(one).await.is_err(), "too many wait");
        assert!(turns.wait(other).await.is_ok(), "the other waits for none of them");
        // The next one has its turn once another page is made.
        made.clear();
        assert!(poll!(&mut asking[PER_PEER_MAX]).is_ready());
        drop(asking);
        assert!(turns.peers.0.lock().unwrap().is_empty(), "a peer that asks for nothing is forgotten");
    }
}
