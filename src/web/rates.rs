//! How often visitors may ask: each peer, and all of them together as the principal `anonymous`.
//!
//! A peer is an address, or a network of IPv6. Those of this machine have no rate: a reverse proxy here asks for everybody.
//! Only the peers that asked last are remembered, so memory is bounded; one that is forgotten begins again.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use quick_cache::sync::Cache;

use super::problem::Problem;
use crate::access::CallRate;
use crate::service::counted_as;

/// The peers that are remembered.
const PEERS_MAX: usize = 1 << 16;
/// A peer may ask at once for as much as it may in this time, in seconds.
const BURST_S: u32 = 10;
/// How many requests a request counts as.
pub(super) const SHORT: NonZeroU32 = NonZeroU32::MIN;
/// How many requests one counts as whose response may need thousands of records.
pub(super) const LONG: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// What peers have asked for.
pub(super) struct Rates {
    per_peer: Option<PerPeerRate>,
    visitors: Mutex<CallRate>,
}

/// What each peer has asked for.
struct PerPeerRate {
    quota: Quota,
    peers: Cache<IpAddr, Arc<DefaultDirectRateLimiter>>,
}

impl Rates {
    /// Allows each peer `requests_per_second_max` requests, on average; any number if it is 0.
    pub(super) fn new(requests_per_second_max: u32) -> Self {
        let per_peer = NonZeroU32::new(requests_per_second_max).map(|max| PerPeerRate {
            quota: Quota::per_second(max).allow_burst(max.saturating_mul(NonZeroU32::MIN.saturating_add(BURST_S - 1))),
            peers: Cache::new(PEERS_MAX),
        });
        Self { per_peer, visitors: Mutex::default() }
    }

    /// Counts a request as `weight` of its peer, and as one of all visitors, who may make `calls_per_second_max` together.
    /// Fails if the peer makes too many, or all visitors do.
    pub(super) fn count(
        &self,
        peer: IpAddr,
        weight: NonZeroU32,
        calls_per_second_max: Option<u32>,
    ) -> Result<(), Problem> {
        if let Some(per_peer) = self.per_peer.as_ref().filter(|_| !peer.to_canonical().is_loopback()) {
            per_peer.count(peer, weight).map_err(Problem::too_many)?;
        }
        let mut visitors = self.visitors.lock().unwrap_or_else(PoisonError::into_inner);
        visitors.count(calls_per_second_max).map_err(|too_many| Problem::too_many(too_many.retry_after))
    }
}

impl PerPeerRate {
    /// Counts a request, or returns how long to wait before it may be made.
    fn count(&self, peer: IpAddr, weight: NonZeroU32) -> Result<(), Duration> {
        let limiter = || Ok::<_, Duration>(Arc::new(RateLimiter::direct(self.quota)));
        let limiter = self.peers.get_or_insert_with(&counted_as(peer), limiter)?;
        match limiter.check_n(weight) {
            Ok(Err(not_until)) => Err(not_until.wait_time_from(DefaultClock::default().now())),
            // A burst is at least as much as the longest request.
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many requests are answered of the first that a peer makes at once.
    fn answered(rates: &Rates, peer: &str, weight: NonZeroU32) -> usize {
        (0..1_000).take_while(|_| rates.count(ip(peer), weight, None).is_ok()).count()
    }

    #[test]
    fn a_peer_has_a_rate_of_its_own_and_long_responses_count_for_more() {
        let rates = Rates::new(1);
        // One more for each second that the test takes.
        let short = answered(&rates, "192.0.2.1", SHORT);
        assert!((10..1_000).contains(&short), "{short}");
        assert!((1..100).contains(&answered(&rates, "192.0.2.2", LONG)));
        assert!((10..1_000).contains(&answered(&rates, "2001:db8::1", SHORT)));
        assert!(rates.count(ip("2001:db8::2"), LONG, None).is_err(), "it is in the same network");
        assert!(rates.count(ip("2001:db8:0:1::1"), LONG, None).is_ok());
        assert_eq!(answered(&rates, "127.0.0.1", LONG), 1_000, "a proxy asks for everybody");
        assert_eq!(answered(&Rates::new(0), "192.0.2.1", LONG), 1_000);
    }

    #[test]
    fn the_peers_that_are_remembered_are_bounded() {
        let rates = Rates::new(1);
        for number in 0..u32::try_from(PEERS_MAX).unwrap() * 2 {
            assert!(rates.count(IpAddr::from((0x0a00_0000 + number).to_be_bytes()), SHORT, None).is_ok());
        }
        assert!(rates.per_peer.unwrap().peers.len() <= PEERS_MAX);
    }
}
