//! Checks whether the machine's clock is plausible, by comparing it with the last archive time and with the time
//! elapsed since it was last read.
//!
//! Archive times never go back. A single commit under a clock that is far ahead therefore keeps all later archive times
//! there until the real time catches up. So while the clock has jumped ahead, writes are rejected. A clock that is
//! behind the last archive time is only reported: the harm, if any, was done by the earlier commit.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::model::Timestamp;

/// A clock is reported if it is further than this behind the last archive time. NTP corrections and a move to another
/// machine cause smaller differences.
const BEHIND_MAX: Duration = Duration::from_secs(60);
/// The largest jump ahead that is accepted.
const JUMP_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// If the archive was opened longer than this after its last change, the first write is accepted with a warning.
const PAUSE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A fault of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockFault {
    /// The clock is behind the last archive time. Either it is wrong now, or it was wrong at that commit.
    #[error("the clock is {} behind the last change, which was archived at {last}", HumanDuration(*by))]
    Behind {
        /// How far it is behind.
        by: Duration,
        /// The last archive time.
        last: Timestamp,
    },
    /// The clock has jumped ahead since it was last read.
    #[error("the clock has jumped {} ahead, from about {expected}", HumanDuration(*by))]
    JumpedAhead {
        /// How far it jumped.
        by: Duration,
        /// The time that it would show without the jump.
        expected: Timestamp,
    },
}

/// The archive was opened long after its last change: either it was idle, or the clock is ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clock is {} after the last change, which was archived at {last}; if it is wrong, correct it before you write", HumanDuration(*by))]
pub(crate) struct LongPause {
    by: Duration,
    last: Timestamp,
}

/// What happens to writes after the clock has jumped ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JumpPolicy {
    /// They are rejected until the clock is corrected.
    Reject,
    /// They are accepted with the time that the clock shows.
    Accept,
}

/// Remembers readings of the clock, to distinguish a jump from elapsed time.
pub(crate) struct ClockWatch {
    jump_policy: JumpPolicy,
    /// The first reading, from when the archive was opened.
    opened: Timestamp,
    readings: Mutex<ClockReadings>,
}

struct ClockReadings {
    /// The latest plausible reading.
    time: Timestamp,
    /// The monotonic clock at the time of that reading.
    steady: Duration,
    /// The kind of fault that was logged and has not ended since.
    reported: Option<FaultKind>,
    /// Whether a write was accepted since the archive was opened.
    has_written: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FaultKind {
    Behind,
    JumpedAhead,
}

impl ClockWatch {
    /// Takes a first reading, and assumes that it is right.
    pub(crate) fn new(clock: &dyn Clock, jump_policy: JumpPolicy) -> Self {
        let (time, steady) = (clock.now(), clock.steady());
        let readings = Mutex::new(ClockReadings { time, steady, reported: None, has_written: false });
        Self { jump_policy, opened: time, readings }
    }

    /// Reads the clock and returns its fault, if any. `last` is the last archive time. Logs the beginning and the end
    /// of a fault.
    pub(crate) fn check(&self, clock: &dyn Clock, last: Option<Timestamp>) -> Option<ClockFault> {
        let (now, steady) = (clock.now(), clock.steady());
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = after(readings.time, steady.saturating_sub(readings.steady));
        let expected_max = last.map_or(expected, |last| last.max(expected));
        let ahead = between(expected_max, now);
        let behind = last.map_or(Duration::ZERO, |last| between(now, last));
        let fault = if ahead > JUMP_MAX {
            Some(ClockFault::JumpedAhead { by: ahead, expected: expected_max })
        } else {
            last.filter(|_| behind > BEHIND_MAX).map(|last| ClockFault::Behind { by: behind, last })
        };
        let fault = match fault {
            Some(fault @ ClockFault::JumpedAhead { .. }) if self.jump_policy == JumpPolicy::Accept => {
                tracing::warn!(%fault, "the clock is accepted, because jumps are allowed");
                None
            }
            fault => fault,
        };
        let kind = fault.map(|fault| match fault {
            ClockFault::Behind { .. } => FaultKind::Behind,
            ClockFault::JumpedAhead { .. } => FaultKind::JumpedAhead,
        });
        // While the clock is set back, the earlier reading is kept, so that a correction does not count as a jump.
        if kind != Some(FaultKind::JumpedAhead) && now >= expected {
            (readings.time, readings.steady) = (now, steady);
        }
        if readings.reported != kind {
            readings.reported = kind;
            report(fault);
        }
        fault
    }

    /// Checks whether a write may get an archive time now. The error is always [`ClockFault::JumpedAhead`].
    pub(crate) fn admit_write(&self, clock: &dyn Clock, last: Option<Timestamp>) -> Result<(), ClockFault> {
        if let Some(fault @ ClockFault::JumpedAhead { .. }) = self.check(clock, last) {
            return Err(fault);
        }
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut readings.has_written, true)
            && let Some(pause) = self.long_pause(last)
        {
            tracing::warn!("{pause}");
        }
        Ok(())
    }

    /// How long after its last change the archive was opened, if that was long and nothing was written since. `last` is
    /// the last archive time.
    pub(crate) fn long_pause(&self, last: Option<Timestamp>) -> Option<LongPause> {
        let last = last?;
        let by = between(last, self.opened);
        (by > PAUSE_MAX).then_some(LongPause { by, last })
    }
}

fn report(fault: Option<ClockFault>) {
    match fault {
        None => tracing::info!("the clock is plausible again"),
        Some(fault @ ClockFault::Behind { .. }) => tracing::warn!(
            "{fault}; new archive times follow directly after that time until the clock catches up (docs/OPERATIONS.md, The clock was wrong)"
        ),
        Some(fault @ ClockFault::JumpedAhead { .. }) => {
            tracing::warn!("{fault}; writes are rejected until the clock is corrected, or the archive is opened again")
        }
    }
}

fn after(time: Timestamp, elapsed: Duration) -> Timestamp {
    time.saturating_add_micros(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
}

/// The time from `earlier` to `later`; zero if `later` is not later.
fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(later.micros_since(earlier)).unwrap_or(0))
}

/// Formats a duration for people, in the largest unit of which it has at least two.
struct HumanDuration(Duration);

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let units = [(24 * 60 * 60, "days"), (60 * 60, "hours"), (60, "minutes")];
        match units.iter().find(|(length, _)| seconds >= 2 * length) {
            Some((length, unit)) => write!(f, "{} {unit}", seconds / length),
            None => write!(f, "{seconds} seconds"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const DAY: i64 = 24 * 60 * 60 * 1_000_000;

    fn start() -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000).unwrap()
    }

    fn days(days: i64) -> Timestamp {
        start().saturating_add_micros(days * DAY)
    }

    #[test]
    fn a_jump_ahead_is_distinguished_from_elapsed_time() {
        let clock = ManualClock::new(start());
        let watch = ClockWatch::new(&clock, JumpPolicy::Reject);
        clock.set(days(40));
        assert_eq!(watch.admit_write(&clock, Some(start())), Ok(()), "40 days have passed");
        clock.jump(days(41));
        assert_eq!(watch.admit_write(&clock, Some(days(40))), Ok(()), "a day is allowed");
        clock.jump(days(400));
        let fault = watch.admit_write(&clock, Some(days(41))).unwrap_err();
        assert_eq!(fault.to_string(), format!("the clock has jumped 359 days ahead, from about {}", days(41)));
        clock.set(days(401));
        assert!(watch.admit_write(&clock, Some(days(41))).is_err(), "it is still wrong");
        clock.jump(days(42));
        assert_eq!(watch.admit_write(&clock, Some(days(41))), Ok(()), "it was corrected");
        let allowed = ClockWatch::new(&clock, JumpPolicy::Accept);
        clock.jump(days(400));
        assert_eq!(allowed.admit_write(&clock, Some(days(42))), Ok(()));
    }

    #[test]
    fn a_clock_that_starts_far_behind_may_jump_to_the_right_time() {
        let clock = ManualClock::new(days(-20_000));
        let watch = ClockWatch::new(&clock, JumpPolicy::Reject);
        let last = Some(start());
        assert!(matches!(watch.check(&clock, last), Some(ClockFault::Behind { .. })));
        clock.jump(days(1));
        assert_eq!(watch.check(&clock, last), None);
    }

    #[test]
    fn a_long_pause_before_opening_is_reported_until_something_is_written() {
        let clock = ManualClock::new(days(31));
        let watch = ClockWatch::new(&clock, JumpPolicy::Reject);
        let message = watch.long_pause(Some(start())).unwrap().to_string();
        let expected = format!("the clock is 31 days after the last change, which was archived at {}", start());
        assert!(message.starts_with(&expected), "{message}");
        assert_eq!(watch.admit_write(&clock, Some(start())), Ok(()), "it is only reported");
        assert_eq!(watch.long_pause(Some(days(31))), None);
        assert_eq!(watch.long_pause(Some(days(1))), None, "30 days are not a long pause");
        assert_eq!(watch.long_pause(None), None);
        // An archive that is idle while it is open is not reported.
        let watch = ClockWatch::new(&clock, JumpPolicy::Reject);
        clock.set(days(90));
        assert_eq!(watch.long_pause(Some(days(31))), None);
    }

    #[test]
    fn setting_a_clock_back_and_correcting_it_is_not_a_jump() {
        let clock = ManualClock::new(start());
        let watch = ClockWatch::new(&clock, JumpPolicy::Reject);
        let last = Some(days(-10));
        clock.jump(days(-9));
        assert_eq!(watch.check(&clock, last), None);
        clock.jump(start());
        assert_eq!(watch.check(&clock, last), None);
    }

    #[test]
    fn a_clock_more_than_a_minute_behind_the_last_change_is_reported() {
        let clock = ManualClock::new(start());
        let watch = ClockWatch::new(&clock, JumpPolicy::Reject);
        let last = Some(start());
        clock.jump(start().saturating_add_micros(-60_000_000));
        assert_eq!(watch.check(&clock, last), None);
        clock.jump(days(-365));
        let fault = watch.check(&clock, last).unwrap();
        assert_eq!(
            fault.to_string(),
            format!("the clock is 365 days behind the last change, which was archived at {}", start())
        );
        assert_eq!(watch.admit_write(&clock, last), Ok(()), "it is only reported");
        assert_eq!(watch.check(&clock, None), None, "an empty archive has nothing to compare it with");
    }
}
