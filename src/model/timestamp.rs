//! Instants, counted in microseconds since 1970-01-01T00:00:00Z.

use std::fmt;

use jiff::SignedDuration;

/// An instant in UTC, in whole microseconds since 1970. Finer input is rounded down.
///
/// The range is [`Timestamp::MIN`] to [`Timestamp::MAX`]: the years 1 to 9999, except for the last 26 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 0001-01-01T00:00:00Z, the earliest instant.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// 9999-12-30T22:00:00Z, the latest instant, which is the limit of the jiff calendar.
    pub const MAX: Self = Self(253_402_207_200_000_000);

    /// The instant `micros` microseconds after 1970-01-01T00:00:00Z; `None` outside the range.
    pub fn from_micros(micros: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&micros).then_some(Self(micros))
    }

    /// The instant of a protobuf timestamp, rounded down to the microsecond; `None` outside the range, or if `nanos` is
    /// not from 0 to 999,999,999.
    pub fn from_seconds_and_nanos(seconds: i64, nanos: i32) -> Option<Self> {
        if !(0..1_000_000_000).contains(&nanos) {
            return None;
        }
        let micros = seconds.checked_mul(1_000_000)?.checked_add(i64::from(nanos) / 1_000)?;
        Self::from_micros(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00Z; negative before that instant.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down, and the remaining nanoseconds (0 to 999,999,000).
    pub fn seconds_and_nanos(self) -> (i64, i32) {
        let nanos = self.0.rem_euclid(1_000_000) * 1_000;
        (self.0.div_euclid(1_000_000), i32::try_from(nanos).unwrap_or(0))
    }

    /// The instant `micros` microseconds later (earlier if negative), clamped to the range.
    #[must_use]
    pub fn saturating_add_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros).clamp(Self::MIN.0, Self::MAX.0))
    }

    /// This instant rounded up to a whole second.
    #[must_use]
    pub fn ceil_to_second(self) -> Self {
        self.saturating_add_micros((1_000_000 - self.0.rem_euclid(1_000_000)) % 1_000_000)
    }

    /// The time from `earlier` to this instant, in microseconds; negative if this instant is before `earlier`.
    pub fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The day of this instant, in UTC.
    pub fn day(self) -> jiff::civil::Date {
        self.to_jiff().to_zoned(jiff::tz::TimeZone::UTC).date()
    }

    /// The same instant as a jiff timestamp, for calendar arithmetic and formatting.
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH.saturating_add(SignedDuration::from_micros(self.0)).unwrap_or(jiff::Timestamp::MAX)
    }
}

impl From<jiff::Timestamp> for Timestamp {
    /// Rounds down to the microsecond, and clamps to the range.
    fn from(instant: jiff::Timestamp) -> Self {
        let micros = instant.as_nanosecond().div_euclid(1_000);
        Self(i64::try_from(micros).unwrap_or(Self::MAX.0).clamp(Self::MIN.0, Self::MAX.0))
    }
}

/// RFC 3339 in UTC, with as many fractional digits as needed.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_jiff())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finer_input_is_rounded_down_even_before_1970() {
        let instant = Timestamp::from_seconds_and_nanos(-1, 999_999_999).unwrap();
        assert_eq!(instant.micros(), -1);
        assert_eq!(instant.seconds_and_nanos(), (-1, 999_999_000));
    }

    #[test]
    fn the_range_is_that_of_the_calendar() {
        assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-30T22:00:00Z");
        assert!(Timestamp::from_micros(i64::MAX).is_none());
    }

    #[test]
    fn rounding_up_keeps_whole_seconds() {
        let whole = Timestamp::from_micros(-3_000_000).unwrap();
        assert_eq!(whole.ceil_to_second(), whole);
        assert_eq!(whole.saturating_add_micros(1).ceil_to_second().micros(), -2_000_000);
    }
}
