//! Times that a page claims for itself. They are kept and shown, and never order anything.

use super::Timestamp;

/// A time as the publisher states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedTime {
    /// The start, in UTC, of the instant, day, month or year that is claimed.
    pub time: Timestamp,
    /// How much of `time` is claimed.
    pub precision: Precision,
    /// The words the claim was read from, such as `2 months ago`; empty when it came as a value.
    pub words: String,
    /// Where the claim was found, such as `front matter` or `section line`; empty when the writer gave it.
    pub found_in: String,
    /// Whether the words were relative to another date. Such a claim is no part of the content digest,
    /// since it changes by itself from day to day.
    pub relative: bool,
}

/// How exact a claimed time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// An instant.
    Instant,
    /// A calendar day.
    Day,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}
