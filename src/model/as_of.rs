//! A point of both time axes, as a client requests it. The archive resolves it to a read point.

use super::{LogDigest, Seq, Snapshot, Timestamp};

/// The point at which a read is answered: what was in force at `observe_time`, according to what the archive knew at
/// `known_at`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AsOf {
    /// The point of the observe axis; `None` means its end, the newest state.
    pub observe_time: Option<Timestamp>,
    /// The point of the archive axis.
    pub known_at: KnownAt,
}

impl AsOf {
    /// The newest state, by all that the archive knows.
    pub const NEWEST: Self = Self { observe_time: None, known_at: KnownAt::Newest };

    /// What was in force at `observe_time`, by all that the archive knows now.
    pub fn at(observe_time: Timestamp) -> Self {
        Self { observe_time: Some(observe_time), ..Self::NEWEST }
    }

    /// The same point of the observe axis, by what the archive knew at `known_at`: an archive time, or the
    /// [`Snapshot`] of an earlier read or write.
    #[must_use]
    pub fn known_at(self, known_at: impl Into<KnownAt>) -> Self {
        Self { known_at: known_at.into(), ..self }
    }
}

/// What was in force at this time, by all that the archive knows now.
impl From<Timestamp> for AsOf {
    fn from(observe_time: Timestamp) -> Self {
        Self::at(observe_time)
    }
}

/// The newest state by what the archive knew then: the same read gives the same answer permanently.
impl From<Snapshot> for AsOf {
    fn from(snapshot: Snapshot) -> Self {
        Self::NEWEST.known_at(snapshot)
    }
}

/// The changes whose archive time is at or before this instant.
impl From<Timestamp> for KnownAt {
    fn from(archive_time: Timestamp) -> Self {
        Self::ArchiveTime(archive_time)
    }
}

/// The changes below the snapshot's position, of the log that it is from.
impl From<Snapshot> for KnownAt {
    fn from(Snapshot { next_seq, log_digest, .. }: Snapshot) -> Self {
        Self::NextSeq { next_seq, log_digest: Some(log_digest) }
    }
}

/// The part of the log that a read may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KnownAt {
    /// Every change that is durable when the read begins.
    #[default]
    Newest,
    /// The changes below `next_seq`. A log digest, if there is one, must match the log at that position.
    NextSeq {
        /// The first position that the read may not use.
        next_seq: Seq,
        /// The log digest that the client received with this position.
        log_digest: Option<LogDigest>,
    },
    /// The changes whose archive time is at or before this instant.
    ArchiveTime(Timestamp),
}
