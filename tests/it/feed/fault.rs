//! The ways in which a feed can break its promises.

use std::ops::RangeInclusive;

use dateline::wire::pb;

/// A fault, and where in the recording it shows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) session: usize,
    pub(crate) event: usize,
    pub(crate) fault: Fault,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The first event is not `Started`.
    NotStarted,
    /// `Started` came again.
    StartedAgain,
    /// The feed, or its snapshot, begins elsewhere than was asked for.
    WrongStart { allowed: RangeInclusive<u64>, found: u64 },
    /// A snapshot was begun that nobody asked for, or one that was asked for was not.
    WrongMode,
    /// The token that the session began with was given by no session before.
    UnknownToken,

    /// The log has no such change.
    NotInLog { seq: u64 },
    /// The change does not match.
    Unwanted { seq: u64 },
    /// A change came before the start: one that an earlier session had, where a token led here.
    BeforeStart { seq: u64, start: u64 },
    /// A change came twice in a session.
    Repeat { seq: u64 },
    /// A change came after a later one.
    Disorder { seq: u64, after: u64 },
    /// A change that matches was passed over.
    Gap { seq: u64, next: u64 },
    /// `left_filter` is wrong.
    WrongLeftFilter { seq: u64, said: bool },
    /// `is_newest` is wrong.
    WrongIsNewest { seq: u64, said: bool },
    /// `batch_end` is wrong.
    WrongBatchEnd { seq: u64, said: bool },
    /// Something else of a change is not as it is in the log.
    Misreported { said: Box<pb::Change>, truth: Box<pb::Change> },

    /// An event is without its bookmark, or the bookmark without its token.
    NoBookmark,
    /// A bookmark goes back.
    BookmarkWentBack { from: u64, to: u64 },
    /// A bookmark lies beyond the durable tail.
    BookmarkBeyondTail { next_seq: u64, tail: u64 },
    /// A bookmark says that a change was delivered which was not.
    BookmarkUntrue { next_seq: u64, undelivered: u64 },
    /// A bookmark lies at or before a change that was delivered.
    BookmarkBehind { next_seq: u64, delivered: u64 },
    /// A bookmark's archive time is not that of the change before it.
    BookmarkMistimed { next_seq: u64 },
    /// The feed stands inside an atomic batch where it cannot.
    BatchParted { next_seq: u64 },

    /// `CaughtUp` came before all was sent that was committed before the call, or before `FellBehind` was sent.
    CaughtUpEarly { next_seq: u64, durable: u64 },
    /// `CaughtUp` came again without `FellBehind`.
    CaughtUpAgain,
    /// `FellBehind` came when the feed was not caught up.
    FellBehindWithoutCaughtUp,
    /// `FellBehind` came with nothing to fall behind of.
    FellBehindUntrue { durable_next_seq: u64, next_seq: u64 },

    /// An article came outside a snapshot.
    ArticleOutsideSnapshot { name: String },
    /// An article of a snapshot came twice.
    ArticleRepeat { name: String },
    /// An article of a snapshot came after one whose name is greater.
    ArticleDisorder { name: String, after: String },
    /// An article that matches as of the snapshot was passed over.
    ArticleMissing { name: String },
    /// An article does not match as of the snapshot.
    ArticleUnwanted { name: String },
    /// An article is not as it stood at the snapshot.
    ArticleMisreported { said: Box<pb::Article>, truth: Box<pb::Article> },
    /// A change, or `CaughtUp`, came before the end of the snapshot.
    BeforeSnapshotEnd,
    /// A snapshot ended outside a snapshot.
    SnapshotEndWithoutSnapshot,

    /// The server ended the stream, with OK, other than after the first `CaughtUp` where that was asked for.
    EndedEarly,
    /// The stream went on after the `CaughtUp` that was to end it.
    WentOn,
}
