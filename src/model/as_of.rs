//! A point of both time axes.

use super::{History, Seq, Timestamp};

/// Where a read looks: what was in force at `observe_time`, as far as `knowledge` goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AsOf {
    /// The point of the observe axis; `None` is the newest.
    pub observe_time: Option<Timestamp>,
    /// The point of the archive axis.
    pub knowledge: Knowledge,
}

/// How much of the log a read may know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Knowledge {
    /// All that is durable when the read begins.
    #[default]
    Newest,
    /// The changes below `next_seq`. `history`, where given, must be the log's own at that position.
    NextSeq {
        /// The bound.
        next_seq: Seq,
        /// The running digest that the caller was told for the bound.
        history: Option<History>,
    },
    /// The changes that were archived at or before this instant.
    ArchiveTime(Timestamp),
}
