//! Publication and modification times as a page states them. They are stored and shown, and never order anything.

use super::Timestamp;

/// A time as the publisher states it, with its precision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedTime {
    /// The start, in UTC, of the claimed instant, day, month or year.
    pub time: Timestamp,
    /// How precise the claim is: how much of `time` counts.
    pub precision: Precision,
    /// The words that the claim was read from, such as `2 months ago`; empty if it was given as a value.
    pub words: String,
    /// Where the claim was found, such as `front matter` or `section line`; empty if the client stated it.
    pub found_in: String,
    /// Whether the words were relative to another date. Such a claim is not part of the content digest, since it
    /// changes from day to day by itself.
    pub relative: bool,
}

/// The precision of a claimed time, from finest to coarsest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// An instant, up to the microsecond.
    Instant,
    /// A calendar day; the time of day does not count.
    Day,
    /// A calendar month; the day does not count.
    Month,
    /// A calendar year; month and day do not count.
    Year,
}
