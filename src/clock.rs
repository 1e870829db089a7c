//! The only place that reads the time. Everything else is given a [`Clock`].

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::model::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The instant it is now.
    fn now(&self) -> Timestamp;
    /// How long it is since some instant, however the clock is set meanwhile, and also while the machine sleeps.
    fn steady(&self) -> Duration;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        jiff::Timestamp::now().into()
    }

    fn steady(&self) -> Duration {
        let passed = clock_gettime(STEADY);
        let seconds = Duration::from_secs(u64::try_from(passed.tv_sec).unwrap_or(0));
        seconds + Duration::from_nanos(u64::try_from(passed.tv_nsec).unwrap_or(0))
    }
}

/// Of Linux's clocks the one that counts sleep too.
#[cfg(target_os = "linux")]
const STEADY: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const STEADY: ClockId = ClockId::Monotonic;

/// A clock for tests, that shows what it was last set to.
#[derive(Debug)]
pub struct ManualClock(Mutex<(Timestamp, Duration)>);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new((now, Duration::ZERO)))
    }

    /// Lets time pass until it is `now`, or sets it back.
    pub fn set(&self, now: Timestamp) {
        let mut shown = self.shown();
        let passed = u64::try_from(now.micros_since(shown.0)).unwrap_or(0);
        *shown = (now, shown.1 + Duration::from_micros(passed));
    }

    /// Sets it, forwards or back, while no time passes.
    pub fn jump(&self, now: Timestamp) {
        self.shown().0 = now;
    }

    fn shown(&self) -> MutexGuard<'_, (Timestamp, Duration)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.shown().0
    }

    fn steady(&self) -> Duration {
        self.shown().1
    }
}
