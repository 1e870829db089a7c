//! Whether the machine's clock can be believed: it is compared with the last archive time, and with the time that has
//! passed since it was last read.
//!
//! Archive times never run backwards. So one commit under a clock that is far ahead is enough to keep all later archive
//! times there, until the clock has caught up. A clock that jumps ahead while the archive is open is refused for that; one
//! that is below the last archive time is only reported, since the damage is done.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::model::Timestamp;

/// A clock that is this far below the last archive time is reported. Less is what NTP and two machines differ by.
const BEHIND_MAX: Duration = Duration::from_secs(60);
/// A clock may jump this far ahead.
const JUMP_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The first write of a process is expected within this time after the last change. Later it is reported, and taken.
const PAUSE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What is wrong with the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockFault {
    /// It is below the last archive time: it is wrong now, or it was when that was given.
    #[error("the clock is {} behind the last change, which was archived at {last}", Span(*by))]
    Behind {
        /// How far.
        by: Duration,
        /// The last archive time.
        last: Timestamp,
    },
    /// It has jumped ahead since it was last read.
    #[error("the clock has jumped {} ahead, from about {expected}", Span(*by))]
    JumpedAhead {
        /// How far.
        by: Duration,
        /// What it would show without the jump.
        expected: Timestamp,
    },
}

/// The archive was opened long after its last change: it lay idle, or the clock is ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clock is {} after the last change, which was archived at {last}; if it is wrong, set it right before more is written", Span(*by))]
pub(crate) struct LongPause {
    by: Duration,
    last: Timestamp,
}

/// Remembers what the clock showed.
pub(crate) struct ClockWatch {
    jump_allowed: bool,
    /// The first reading.
    opened: Timestamp,
    seen: Mutex<Seen>,
}

struct Seen {
    /// The latest reading that was believed.
    time: Timestamp,
    /// When that was, by the time that passes.
    steady: Duration,
    /// Whether the last reading was found wrong, and how.
    reported: Option<Kind>,
    has_written: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Behind,
    JumpedAhead,
}

impl ClockWatch {
    /// Begins with a first reading, which is believed.
    pub(crate) fn new(clock: &dyn Clock, jump_allowed: bool) -> Self {
        let (time, steady) = (clock.now(), clock.steady());
        let seen = Mutex::new(Seen { time, steady, reported: None, has_written: false });
        Self { jump_allowed, opened: time, seen }
    }

    /// Reads the clock, and says what is wrong with it. `last` is the last archive time. What begins or ends is logged.
    pub(crate) fn look(&self, clock: &dyn Clock, last: Option<Timestamp>) -> Option<ClockFault> {
        let (now, steady) = (clock.now(), clock.steady());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = after(seen.time, steady.saturating_sub(seen.steady));
        let may_show = last.map_or(expected, |last| last.max(expected));
        let ahead = between(may_show, now);
        let behind = last.map_or(Duration::ZERO, |last| between(now, last));
        let fault = if ahead > JUMP_MAX {
            Some(ClockFault::JumpedAhead { by: ahead, expected: may_show })
        } else {
            last.filter(|_| behind > BEHIND_MAX).map(|last| ClockFault::Behind { by: behind, last })
        };
        let fault = match fault {
            Some(fault @ ClockFault::JumpedAhead { .. }) if self.jump_allowed => {
                tracing::warn!(%fault, "the clock is believed, since jumps are allowed");
                None
            }
            fault => fault,
        };
        let kind = fault.map(|fault| match fault {
            ClockFault::Behind { .. } => Kind::Behind,
            ClockFault::JumpedAhead { .. } => Kind::JumpedAhead,
        });
        // A clock that was set back is remembered as it was, so that setting it right again is no jump.
        if kind != Some(Kind::JumpedAhead) && now >= expected {
            (seen.time, seen.steady) = (now, steady);
        }
        if seen.reported != kind {
            seen.reported = kind;
            report(fault);
        }
        fault
    }

    /// Whether a write may get an archive time now.
    pub(crate) fn admit_write(&self, clock: &dyn Clock, last: Option<Timestamp>) -> Result<(), ClockFault> {
        if let Some(fault @ ClockFault::JumpedAhead { .. }) = self.look(clock, last) {
            return Err(fault);
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut seen.has_written, true)
            && let Some(pause) = self.long_pause(last)
        {
            tracing::warn!("{pause}");
        }
        Ok(())
    }

    /// The pause before this archive was opened, until something is written.
    pub(crate) fn long_pause(&self, last: Option<Timestamp>) -> Option<LongPause> {
        let last = last?;
        let by = between(last, self.opened);
        (by > PAUSE_MAX).then_some(LongPause { by, last })
    }
}

fn report(fault: Option<ClockFault>) {
    match fault {
        None => tracing::info!("the clock is right again"),
        Some(fault @ ClockFault::Behind { .. }) => tracing::warn!(
            "{fault}; archive times continue just above that until the clock has caught up: see docs/OPERATIONS.md, The clock was wrong"
        ),
        Some(fault @ ClockFault::JumpedAhead { .. }) => {
            tracing::warn!("{fault}; writes are refused until it is set right, or the archive is opened again")
        }
    }
}

fn after(time: Timestamp, passed: Duration) -> Timestamp {
    time.saturating_add_micros(i64::try_from(passed.as_micros()).unwrap_or(i64::MAX))
}

/// How long after `earlier` `later` is; no time where it is before it.
fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(later.micros_since(earlier)).unwrap_or(0))
}

/// A length of time for people: the largest unit of which there are two.
struct Span(Duration);

impl fmt::Display for Span {
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
    fn a_jump_ahead_is_told_from_time_that_passes() {
        let clock = ManualClock::new(start());
        let watch = ClockWatch::new(&clock, false);
        clock.set(days(40));
        assert_eq!(watch.admit_write(&clock, Some(start())), Ok(()), "40 days have passed");
        clock.jump(days(41));
        assert_eq!(watch.admit_write(&clock, Some(days(40))), Ok(()), "a day is allowed");
        clock.jump(days(400));
        let refused = watch.admit_write(&clock, Some(days(41))).unwrap_err();
        assert_eq!(refused.to_string(), format!("the clock has jumped 359 days ahead, from about {}", days(41)));
        clock.set(days(401));
        assert!(watch.admit_write(&clock, Some(days(41))).is_err(), "it stays wrong");
        clock.jump(days(42));
        assert_eq!(watch.admit_write(&clock, Some(days(41))), Ok(()), "it was set right");
        let allowed = ClockWatch::new(&clock, true);
        clock.jump(days(400));
        assert_eq!(allowed.admit_write(&clock, Some(days(42))), Ok(()));
    }

    #[test]
    fn a_clock_that_starts_far_back_may_catch_up_with_the_archive() {
        let clock = ManualClock::new(days(-20_000));
        let watch = ClockWatch::new(&clock, false);
        let last = Some(start());
        assert!(matches!(watch.look(&clock, last), Some(ClockFault::Behind { .. })));
        clock.jump(days(1));
        assert_eq!(watch.look(&clock, last), None);
    }

    #[test]
    fn a_long_pause_before_the_archive_was_opened_is_told_until_something_is_written() {
        let clock = ManualClock::new(days(31));
        let watch = ClockWatch::new(&clock, false);
        let told = watch.long_pause(Some(start())).unwrap().to_string();
        assert!(
            told.starts_with(&format!("the clock is 31 days after the last change, which was archived at {}", start())),
            "{told}"
        );
        assert_eq!(watch.admit_write(&clock, Some(start())), Ok(()), "it is only told");
        assert_eq!(watch.long_pause(Some(days(31))), None);
        assert_eq!(watch.long_pause(Some(days(1))), None, "30 days are no long pause");
        assert_eq!(watch.long_pause(None), None);
        // An archive that is idle while it is open raises no alarm.
        let watch = ClockWatch::new(&clock, false);
        clock.set(days(90));
        assert_eq!(watch.long_pause(Some(days(31))), None);
    }

    #[test]
    fn setting_a_clock_back_and_right_again_is_no_jump() {
        let clock = ManualClock::new(start());
        let watch = ClockWatch::new(&clock, false);
        let last = Some(days(-10));
        clock.jump(days(-9));
        assert_eq!(watch.look(&clock, last), None);
        clock.jump(start());
        assert_eq!(watch.look(&clock, last), None);
    }

    #[test]
    fn a_clock_behind_the_last_change_is_reported_from_a_minute_on() {
        let clock = ManualClock::new(start());
        let watch = ClockWatch::new(&clock, false);
        let last = Some(start());
        clock.jump(start().saturating_add_micros(-60_000_000));
        assert_eq!(watch.look(&clock, last), None);
        clock.jump(days(-365));
        let fault = watch.look(&clock, last).unwrap();
        assert_eq!(
            fault.to_string(),
            format!("the clock is 365 days behind the last change, which was archived at {}", start())
        );
        assert_eq!(watch.admit_write(&clock, last), Ok(()), "it is only reported");
        assert_eq!(watch.look(&clock, None), None, "an empty archive has nothing to compare it with");
    }
}
