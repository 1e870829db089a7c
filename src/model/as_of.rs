//! A point of both time axes, as a client requests it. The archive resolves it to a read point.

use super::{LogDigest, Seq, Timestamp};

/// The point at which a read is answered: what was in force at `observe_time`, according to what the archive knew at
/// `known_at`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AsOf {
    /// The point of the observe axis; `None` means its end, the newest state.
    pub observe_time: Option<Timestamp>,
    /// The point of the archive axis.
    pub known_at: KnownAt,
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
