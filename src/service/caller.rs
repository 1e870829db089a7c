//! Who calls: a connection and its peer, and what each of them may have.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Request;

use super::status::Refusal;
use crate::archive;

/// A connection. Its requests have it as an extension; one without, of a connection in memory, is a caller of its own.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Whose connection it is, where it has an address.
    pub peer: Option<IpAddr>,
    /// What it has in the queue of writes.
    pub(super) writes: Arc<archive::Share>,
    streams: Option<Arc<Streams>>,
}

/// The streams of one connection.
#[derive(Debug)]
struct Streams {
    places: Arc<Semaphore>,
    max: usize,
}

impl Caller {
    /// A connection from `peer` on which `calls_max` calls may be under way. A quarter of them is kept from streams, which
    /// last: the transport lets calls above its limit wait, and does not say so.
    pub fn new(peer: IpAddr, calls_max: usize) -> Self {
        let max = calls_max.saturating_sub(calls_max / 4).clamp(1, Semaphore::MAX_PERMITS);
        let streams = Streams { places: Arc::new(Semaphore::new(max)), max };
        Self { peer: Some(counted_as(peer)), writes: Arc::default(), streams: Some(Arc::new(streams)) }
    }

    /// Who sent a request.
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get().cloned().unwrap_or_default()
    }

    /// A place for one more stream, until it is dropped.
    pub(crate) fn stream(&self) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        let Some(streams) = &self.streams else { return Ok(None) };
        let place = Arc::clone(&streams.places).try_acquire_owned();
        place.map(Some).map_err(|_| Refusal::too_many_streams_of("this connection", streams.max))
    }
}

/// The owner of an IPv6 network has 2^64 addresses in it (RFC 4291, section 2.5.1), so its addresses count together.
fn counted_as(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) >> 64 << 64).into(),
        ip @ IpAddr::V4(_) => ip,
    }
}

/// What each peer has of something.
#[derive(Clone, Debug, Default)]
pub struct PerPeer(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One of those that a peer may have. Dropping it gives it back.
#[derive(Debug)]
pub struct PeerPlace {
    peers: PerPeer,
    peer: IpAddr,
}

impl PerPeer {
    /// One more for `peer`, unless it has `most`.
    pub fn take(&self, peer: IpAddr, most: usize) -> Option<PeerPlace> {
        let peer = counted_as(peer);
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = places.entry(peer).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(places);
        Some(PeerPlace { peers: self.clone(), peer })
    }
}

impl Drop for PeerPlace {
    fn drop(&mut self) {
        let mut places = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = places.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                places.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_a_share_and_gets_it_back() {
        let peers = PerPeer::default();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = peers.take(one, 2);
        let second = peers.take(one, 2);
        assert!(first.is_some() && second.is_some());
        assert!(peers.take(one, 2).is_none());
        assert!(peers.take(other, 2).is_some());
        drop(first);
        assert!(peers.take(one, 2).is_some());
        drop(second);
        assert!(peers.0.lock().unwrap().is_empty(), "nothing is kept of a peer that is gone");
    }

    #[test]
    fn addresses_of_one_network_count_together() {
        let counted = |ip: &str| counted_as(ip.parse().unwrap());
        assert_eq!(counted("2001:db8:0:1::7"), counted("2001:db8:0:1:ffff::1"));
        assert_ne!(counted("2001:db8:0:1::7"), counted("2001:db8:0:2::7"));
        assert_eq!(counted("::ffff:10.0.0.1"), counted("10.0.0.1"));
        assert_ne!(counted("10.0.0.1"), counted("10.0.0.2"));
    }
}
