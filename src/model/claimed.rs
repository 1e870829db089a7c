//! Publication and modification times as a page states them. Articles can be filtered by them, but they never decide
//! what was in force.

use super::Timestamp;
use super::content::{field_bytes, framed_bytes, varint_bytes};

/// A time as the publisher states it, with its precision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedTime {
    /// The start, in UTC, of the claimed instant, day, month or year.
    pub time: Timestamp,
    /// How much of `time` the publisher stated; the rest of `time` is only the start of that period.
    pub precision: Precision,
    /// The words that the claim was read from, such as `2 months ago`; empty if the client supplied the time without
    /// them.
    pub words: String,
    /// Where the claim was found, such as `front matter` or `section line`; empty if the client stated it.
    pub found_in: String,
    /// Whether the words were relative to another date. Such a claim is not part of the content digest, because its
    /// words change from day to day although nobody edits the page.
    pub relative: bool,
}

impl ClaimedTime {
    /// The time as ISO 8601, no more precise than the claim: `2025-09`.
    pub fn iso(&self) -> String {
        let instant = self.time.to_string();
        let length = match self.precision {
            Precision::Instant => return instant,
            Precision::Day => "2025-11-08".len(),
            Precision::Month => "2025-11".len(),
            Precision::Year => "2025".len(),
        };
        instant.get(..length).unwrap_or(&instant).to_owned()
    }

    /// The size in the contract's encoding, in bytes.
    pub(super) fn encoded_bytes(&self) -> usize {
        let (seconds, nanos) = self.time.seconds_and_nanos();
        let number = |number: u64| if number == 0 { 0 } else { 1 + varint_bytes(number) };
        let time = number(seconds.cast_unsigned()) + number(u64::from(nanos.unsigned_abs()));
        // The precision, which is never 0 there, takes two bytes.
        framed_bytes(time) + 2 + field_bytes(&self.words) + field_bytes(&self.found_in) + 2 * usize::from(self.relative)
    }
}

/// The precision of a claimed time, from finest to coarsest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Precision {
    /// An instant, to the microsecond.
    Instant = 1,
    /// A calendar day; the time of day is not stated.
    Day = 2,
    /// A calendar month; the day is not stated.
    Month = 3,
    /// A calendar year; month and day are not stated.
    Year = 4,
}

impl Precision {
    const ALL: [Self; 4] = [Self::Instant, Self::Day, Self::Month, Self::Year];

    /// Its number in stored contents, in content digests and in the contract.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The precision with this number, if there is one.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|precision| u32::from(precision.number()) == number)
    }
}
