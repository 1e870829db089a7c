//! A clock that is wrong, by more or less each time the archive is opened.

use dateline::clock::{Clock, SystemClock};
use dateline::model::Timestamp;

/// How wrong it may be, in microseconds: more than lies between two kills, so that time often runs back.
pub(crate) const WRONG_BY_MICROS_MAX: i64 = 5_000_000;

/// The machine's clock, wrong by so many microseconds.
pub(crate) struct WrongClock {
    pub(crate) by_micros: i64,
}

impl Clock for WrongClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().saturating_add_micros(self.by_micros)
    }
}
