//! How often a principal may call.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// The calls of a principal in the last second. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct CallRate(Option<(NonZeroU32, Arc<DefaultDirectRateLimiter>)>);

/// A principal makes more calls than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyCalls {
    /// The calls that it may make in a second, on average.
    pub calls_per_second_max: u32,
    /// After how long it may make the next one.
    pub retry_after: Duration,
}

impl CallRate {
    /// Counts a call of a principal that may now make at most this many in a second, or any number.
    pub fn count(&mut self, calls_per_second_max: Option<u32>) -> Result<(), TooManyCalls> {
        let max = calls_per_second_max.and_then(NonZeroU32::new);
        if self.0.as_ref().map(|(max, _)| *max) != max {
            self.0 = max.map(|max| (max, Arc::new(RateLimiter::direct(Quota::per_second(max)))));
        }
        let Some((max, limiter)) = &self.0 else { return Ok(()) };
        limiter.check().map_err(|not_until| TooManyCalls {
            calls_per_second_max: max.get(),
            retry_after: not_until.wait_time_from(DefaultClock::default().now()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_may_change_and_end() {
        let mut rate = CallRate::default();
        assert_eq!(rate.count(None), Ok(()));
        assert_eq!(rate.count(Some(1)), Ok(()));
        // Repeated in case a second passes in between.
        let refused = (0..1_000).find_map(|_| rate.count(Some(1)).err()).unwrap();
        assert_eq!(refused.calls_per_second_max, 1);
        assert!(refused.retry_after <= Duration::from_secs(1) && !refused.retry_after.is_zero());
        assert_eq!(rate.count(Some(1_000_000)), Ok(()));
        assert_eq!(rate.count(None), Ok(()));
    }
}
