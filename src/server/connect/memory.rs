//! The memory of messages that are being received.
//!
//! A message arrives before anything is known of its caller but the address. So none is free: otherwise a client could begin
//! any number of short ones, finish none, and fill the memory of the server. One address may have half of it, and then only its
//! own messages find no room.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::service::{PeerPlace, PerPeer};

/// The memory of all messages in KiB: 64 MiB.
const MEMORY_KIB: usize = 64 << 10;
/// What a message has at least.
const LEAST_KIB: usize = 16;

/// The memory that is left.
pub(super) struct MessageMemory {
    all: Arc<Semaphore>,
    peers: PerPeer,
}

impl Default for MessageMemory {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(MEMORY_KIB)), peers: PerPeer::default() }
    }
}

/// What a message has of the memory, until it is dropped.
#[derive(Default)]
pub(super) struct MessageSpace {
    kib: usize,
    places: Vec<(OwnedSemaphorePermit, Option<PeerPlace>)>,
}

impl MessageMemory {
    /// Makes room for `bytes` of a message of `peer`; each time for twice as much as before. Returns whether there was room.
    pub(super) fn make_room(&self, space: &mut MessageSpace, bytes: usize, peer: Option<IpAddr>) -> bool {
        while space.kib << 10 < bytes {
            let more = space.kib.max(LEAST_KIB);
            let of_peer = peer.map(|peer| self.peers.take_many(peer, more, MEMORY_KIB / 2));
            if matches!(of_peer, Some(None)) {
                return false;
            }
            let permits = u32::try_from(more).map(|more| Arc::clone(&self.all).try_acquire_many_owned(more));
            let Ok(Ok(permit)) = permits else { return false };
            space.places.push((permit, of_peer.flatten()));
            space.kib += more;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_half_of_the_memory_until_its_messages_are_complete() {
        let memory = MessageMemory::default();
        let peers = [1, 2, 3].map(|last| Some(IpAddr::from([10, 0, 0, last])));
        // A message that has begun takes as much as a whole short one.
        let begun = |peer| {
            let mut space = MessageSpace::default();
            memory.make_room(&mut space, 1, peer).then_some(space)
        };
        let hold = |peer| std::iter::from_fn(|| begun(peer)).collect::<Vec<_>>();
        let first = hold(peers[0]);
        assert_eq!(first.len(), MEMORY_KIB / 2 / LEAST_KIB);
        let second = hold(peers[1]);
        assert_eq!(second.len(), first.len());
        assert!(hold(peers[2]).is_empty() && hold(None).is_empty(), "all is in use");
        drop(first);
        assert_eq!(hold(peers[2]).len(), second.len());
    }

    #[test]
    fn the_room_of_a_message_grows_with_it() {
        let (memory, mut space) = (MessageMemory::default(), MessageSpace::default());
        for bytes in [1, 16 << 10, 17 << 10, 4 << 20] {
            assert!(memory.make_room(&mut space, bytes, None));
            assert!(space.kib << 10 >= bytes && space.kib << 9 < bytes.max(LEAST_KIB << 10), "{bytes}: {}", space.kib);
        }
        drop(space);
        assert_eq!(memory.all.available_permits(), MEMORY_KIB);
    }
}
