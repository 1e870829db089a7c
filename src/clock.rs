//! The only module that reads the system time. All other code receives a [`Clock`].

#[cfg(any(test, feature = "internals"))]
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::model::Timestamp;

/// A source of time: the wall clock, and a steady one to measure durations with.
pub trait Clock: Send + Sync + 'static {
    /// The current wall-clock time in UTC. It jumps when the clock is set.
    fn now(&self) -> Timestamp;
    /// The time elapsed since an arbitrary fixed instant. It never jumps, and on Linux it also advances while the
    /// machine sleeps.
    fn steady(&self) -> Duration;
}

/// The clock of the machine that Dateline runs on.
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

/// On Linux, `CLOCK_BOOTTIME`: unlike `CLOCK_MONOTONIC` there, it also advances while the machine sleeps.
#[cfg(target_os = "linux")]
const STEADY: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const STEADY: ClockId = ClockId::Monotonic;

/// A clock for tests, which reports what it was last set to.
#[cfg(any(test, feature = "internals"))]
#[derive(Debug)]
pub struct ManualClock(Mutex<(Timestamp, Duration)>);

#[cfg(any(test, feature = "internals"))]
impl ManualClock {
    /// A clock that is set to `now` and whose steady time is zero.
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new((now, Duration::ZERO)))
    }

    /// Lets time pass until `now`. If `now` is earlier, sets the wall clock back and leaves the steady clock as it is.
    pub fn set(&self, now: Timestamp) {
        let mut shown = self.shown();
        let passed = u64::try_from(now.micros_since(shown.0)).unwrap_or(0);
        *shown = (now, shown.1 + Duration::from_micros(passed));
    }

    /// Sets the wall clock forwards or back without letting time pass.
    pub fn jump(&self, now: Timestamp) {
        self.shown().0 = now;
    }

    fn shown(&self) -> MutexGuard<'_, (Timestamp, Duration)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(any(test, feature = "internals"))]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.shown().0
    }

    fn steady(&self) -> Duration {
        self.shown().1
    }
}
