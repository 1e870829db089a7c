//! Positions in the change log: of a change, of a subscriber between two changes, and of the snapshot that every read
//! and write returns.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;

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

impl Snapshot {
    /// The place in the log at which the snapshot ends.
    pub fn position(&self) -> Position {
        Position { next_seq: self.next_seq, log_digest: self.log_digest }
    }
}

/// A place in the log of one archive, between two changes: what a subscriber stores to continue there later. It never
/// expires. Its text, such as `42-9f86d081884c7d659a2feaa0c55ad015`, can be parsed back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The position of the next change.
    pub next_seq: Seq,
    /// The log digest over all changes before it, which tells this log from another.
    pub log_digest: LogDigest,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.next_seq, HEXLOWER_PERMISSIVE.encode(&self.log_digest.0))
    }
}

/// Why a text is not a [`Position`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a position as Position is displayed: a number, a hyphen and 32 hexadecimal digits")]
pub struct PositionError;

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let (next_seq, digest) = text.split_once('-').ok_or(PositionError)?;
        let next_seq = next_seq.parse().map_err(|_| PositionError)?;
        let digest = HEXLOWER_PERMISSIVE.decode(digest.as_bytes()).map_err(|_| PositionError)?;
        let log_digest = digest.try_into().map_err(|_| PositionError)?;
        Ok(Self { next_seq: Seq(next_seq), log_digest: LogDigest(log_digest) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_position_parses_back() {
        let position = Position { next_seq: Seq(42), log_digest: LogDigest([0xab; 16]) };
        assert_eq!(position.to_string().parse(), Ok(position));
        for bad in ["", "42", "-", "x-00", "42-ab", "42-zz"] {
            assert_eq!(bad.parse::<Position>(), Err(PositionError), "{bad:?}");
        }
    }
}
