//! The ways in which a feed can break its promises.

use std::ops::RangeInclusive;

use dateline::internals::wire::pb;

/// A fault, and where it is in the recording.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) session: usize,
    pub(crate) event: usize,
    pub(crate) fault: Fault,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The first event is not `Started`.
    NotStarted,
    /// `Started` came a second time.
    StartedAgain,
    /// The feed, or its snapshot, begins elsewhere than requested.
    WrongStart { allowed: RangeInclusive<u64>, found: u64 },
    /// A snapshot was begun that was not requested, or a requested one was not begun.
    WrongMode,
    /// The session began with a token that no earlier session received.
    UnknownToken,

    /// The log has no such change.
    NotInLog { seq: u64 },
    /// The change does not match the query.
    Unwanted { seq: u64 },
    /// A change came before the start. If the session resumed, an earlier session had that change already.
    BeforeStart { seq: u64, start: u64 },
    /// A change came twice in one session.
    Repeat { seq: u64 },
    /// A change came after a later one.
    Disorder { seq: u64, after: u64 },
    /// A matching change was skipped.
    Gap { seq: u64, next: u64 },
    /// `left_filter` is wrong.
    WrongLeftFilter { seq: u64, said: bool },
    /// `is_newest` is wrong.
    WrongIsNewest { seq: u64, said: bool },
    /// `batch_end` is wrong.
    WrongBatchEnd { seq: u64, said: bool },
    /// Another field of a change differs from the log.
    Misreported { said: Box<pb::Change>, truth: Box<pb::Change> },

    /// An event has no bookmark, or its bookmark has no token.
    NoBookmark,
    /// A bookmark is before an earlier one.
    BookmarkWentBack { from: u64, to: u64 },
    /// A bookmark is beyond the durable tail.
    BookmarkBeyondTail { next_seq: u64, tail: u64 },
    /// A bookmark claims the delivery of a change that was not delivered.
    BookmarkUntrue { next_seq: u64, undelivered: u64 },
    /// A bookmark is at or before a change that was delivered.
    BookmarkBehind { next_seq: u64, delivered: u64 },
    /// A bookmark's archive time differs from that of the change before it.
    BookmarkMistimed { next_seq: u64 },
    /// The feed stops inside an atomic batch where it must not.
    BatchParted { next_seq: u64 },

    /// `CaughtUp` came before everything was sent that was committed before the call or before `FellBehind`.
    CaughtUpEarly { next_seq: u64, durable: u64 },
    /// `CaughtUp` came again without a `FellBehind` in between.
    CaughtUpAgain,
    /// `FellBehind` came when the feed was not caught up.
    FellBehindWithoutCaughtUp,
    /// `FellBehind` came although there was nothing new.
    FellBehindUntrue { durable_next_seq: u64, next_seq: u64 },

    /// An article came outside a snapshot.
    ArticleOutsideSnapshot { name: String },
    /// An article of a snapshot came twice.
    ArticleRepeat { name: String },
    /// An article of a snapshot came after one whose name is greater.
    ArticleDisorder { name: String, after: String },
    /// An article that matches as of the snapshot was skipped.
    ArticleMissing { name: String },
    /// An article does not match as of the snapshot.
    ArticleUnwanted { name: String },
    /// An article differs from its state at the snapshot.
    ArticleMisreported { said: Box<pb::Article>, truth: Box<pb::Article> },
    /// A change, or `CaughtUp`, came before the end of the snapshot.
    BeforeSnapshotEnd,
    /// A snapshot ended that had not begun.
    SnapshotEndWithoutSnapshot,

    /// The server ended the stream with OK, but not after the first `CaughtUp` of a subscription that requested this.
    EndedEarly,
    /// The stream continued after the `CaughtUp` that should have ended it.
    WentOn,
}
