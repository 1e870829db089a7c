//! What a subscriber requested and received, over one connection or several that are linked by resume tokens.

use std::ops::RangeInclusive;

use dateline::internals::wire::pb;
use dateline::model::Timestamp;
use pb::subscribe_response::Event;

use super::query::Query;

/// All sessions of a subscriber, which have the same filter and kinds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recording {
    pub(crate) query: Query,
    pub(crate) sessions: Vec<Session>,
}

/// One stream.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) start: Start,
    pub(crate) view: pb::FeedView,
    pub(crate) end_when_caught_up: bool,
    /// A position that was known to be durable before the call.
    pub(crate) tail_at_start: u64,
    pub(crate) events: Vec<Event>,
    pub(crate) ended: Ended,
}

/// Where a session was to begin.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Start {
    Beginning,
    Seq(u64),
    ArchiveTime(Timestamp),
    /// A token that an earlier session of the recording received.
    Token(String),
    Now,
    Snapshot(SnapshotAt),
    /// The acknowledged position of a durable subscription, which is one of these.
    Acknowledged(RangeInclusive<u64>),
}

/// The point at which a snapshot was requested.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SnapshotAt {
    Newest,
    NextSeq(u64),
    ArchiveTime(Timestamp),
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The subscriber left.
    Left,
    /// The server ended it with OK.
    Finished,
    /// The server or the connection failed; the test checks whether that was allowed.
    Failed,
}

/// The bookmark of an event; every event must have one, except `FellBehind`.
pub(crate) fn bookmark_of(event: &Event) -> Option<&pb::Bookmark> {
    match event {
        Event::Started(started) => started.bookmark.as_ref(),
        Event::Delivery(batch) => batch.bookmark.as_ref(),
        Event::Bookmark(bookmark) => Some(bookmark),
        Event::CaughtUp(caught_up) => caught_up.bookmark.as_ref(),
        Event::FellBehind(_) => None,
        Event::SnapshotEnd(end) => end.bookmark.as_ref(),
    }
}

impl Session {
    /// The last bookmark that was received.
    pub(crate) fn last_bookmark(&self) -> Option<&pb::Bookmark> {
        self.events.iter().rev().find_map(bookmark_of)
    }
}
