//! The client of a call: its connection and its address, and how much each of the two may use.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Request;

use super::authority::Authority;
use super::status::Refusal;
use crate::access::{Access, Principal};
use crate::archive::QueueShare;
use crate::archive::request::WriteOrigin;

/// A connection. The server attaches it to each request as an extension. A request without one is treated as a caller of
/// its own, whose connection says nothing about it.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// What the connection says about the client.
    pub identity: PeerIdentity,
    /// The address of the client, if the connection has one.
    pub peer: Option<IpAddr>,
    /// Whether it comes from another machine.
    pub(super) is_remote: bool,
    /// Its name in the log, and its share of the write queue.
    pub(super) origin: WriteOrigin,
    /// Its principal; `None` if the server does not tell its callers apart.
    pub(super) authority: Option<Authority>,
    streams: Option<Arc<Streams>>,
}

/// Who is at the other end of a connection, as far as the connection itself proves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PeerIdentity {
    /// It could be anyone.
    #[default]
    Anonymous,
    /// A process of the user who owns the archive, which could also open the files: it is connected to the archive's
    /// socket, or is this process.
    Owner,
    /// The holder of a certificate that was verified, with the URIs and DNS names that it is for.
    Certificate(Arc<[String]>),
}

impl PeerIdentity {
    /// The URIs and DNS names of the certificate; empty without one.
    pub fn certificate_names(&self) -> &[String] {
        match self {
            Self::Anonymous | Self::Owner => &[],
            Self::Certificate(names) => names,
        }
    }
}

/// The streams that one connection may have open.
#[derive(Debug)]
struct Streams {
    places: Arc<Semaphore>,
    max: usize,
}

impl Caller {
    /// A connection, from `peer` if it has an address, with up to `calls_max` calls in progress. A quarter of them is
    /// reserved for calls other than streams, because streams last and the transport silently delays calls over its
    /// limit.
    pub fn new(identity: PeerIdentity, peer: Option<IpAddr>, calls_max: usize) -> Self {
        let max = calls_max.saturating_sub(calls_max / 4).clamp(1, Semaphore::MAX_PERMITS);
        let streams = Streams { places: Arc::new(Semaphore::new(max)), max };
        let is_remote = peer.is_some_and(|peer| !peer.to_canonical().is_loopback());
        Self {
            identity,
            peer: peer.map(counted_as),
            is_remote,
            origin: WriteOrigin::default(),
            authority: None,
            streams: Some(Arc::new(streams)),
        }
    }

    /// The connection of this process to itself, whose streams are not limited.
    pub fn in_process() -> Self {
        Self { identity: PeerIdentity::Owner, ..Self::default() }
    }

    /// The same connection, once its principal is known. All connections of a principal share `queue_share`.
    #[must_use]
    pub fn authenticated(self, principal: Arc<Principal>, access: Arc<Access>, queue_share: Arc<QueueShare>) -> Self {
        let origin = WriteOrigin { principal: Some(principal.name.clone()), share: queue_share };
        Self { origin, authority: Some(Authority { principal, access }), ..self }
    }

    /// The caller of a request.
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get().cloned().unwrap_or_default()
    }

    /// Takes a place for one more stream. Dropping the permit releases the place.
    pub(crate) fn stream(&self) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        let Some(streams) = &self.streams else { return Ok(None) };
        let place = Arc::clone(&streams.places).try_acquire_owned();
        place.map(Some).map_err(|_| Refusal::too_many_streams_of("this connection", streams.max))
    }
}

/// The address under which a peer is counted. The owner of an IPv6 network has 2^64 addresses in it (RFC 4291, section
/// 2.5.1), so all of them count as one peer.
pub fn counted_as(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) >> 64 << 64).into(),
        ip @ IpAddr::V4(_) => ip,
    }
}

/// Counts how much of a limited resource each peer has.
#[derive(Clone, Debug, Default)]
pub struct PerPeer(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// What is counted for a peer. Dropping this releases it.
#[derive(Debug)]
pub struct PeerPlace {
    peers: PerPeer,
    peer: IpAddr,
    count: usize,
}

impl PerPeer {
    /// Counts one more for `peer`, unless the peer already has `max`.
    pub fn take(&self, peer: IpAddr, max: usize) -> Option<PeerPlace> {
        self.take_many(peer, 1, max)
    }

    /// Counts `count` more for `peer`, unless the peer would then have more than `max`.
    pub fn take_many(&self, peer: IpAddr, count: usize, max: usize) -> Option<PeerPlace> {
        let peer = counted_as(peer);
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = places.get(&peer).copied().unwrap_or(0).saturating_add(count);
        if taken > max {
            return None;
        }
        places.insert(peer, taken);
        drop(places);
        Some(PeerPlace { peers: self.clone(), peer, count })
    }
}

impl Drop for PeerPlace {
    fn drop(&mut self) {
        let mut places = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = places.get_mut(&self.peer) {
            *count = count.saturating_sub(self.count);
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
    fn a_peer_has_a_limit_and_released_places_count_no_more() {
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
        assert!(peers.0.lock().unwrap().is_empty(), "a peer without places is forgotten");
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
