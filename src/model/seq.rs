//! Positions in the change log, and the snapshot that every read and write returns.

use std::fmt;

use super::{LogDigest, Timestamp};

/// The position of a change in the log: 0, 1, 2, … without gaps. As the end of a range, it means all changes below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl Seq {
    /// The position of the first change.
    pub const ZERO: Self = Self(0);

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The position before this one; `None` at the start of the log.
    pub fn previous(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a read was answered from: the changes below `next_seq`. The same read at the same snapshot always gives the
/// same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The read knew all changes below this position, and no others.
    pub next_seq: Seq,
    /// The archive time of the last of these changes; `None` if there are none.
    pub archive_time: Option<Timestamp>,
    /// The log digest over those changes.
    pub log_digest: LogDigest,
}
