//! Changes and places as messages.

use bytes::Bytes;
use prost::Message;

use super::super::render;
use crate::archive::compare::Comparison;
use crate::archive::feed::{ChangeAt, FeedItem};
use crate::model::{ArticleUrl, ReadStamp, RequestDigest};
use crate::wire::frame::{ChangeFrame, EventFrame};
use crate::wire::token::{ResumeToken, SnapshotPlace};
use crate::wire::{diff_to_pb, feed_kind_to_pb, pb, timestamp_to_pb, word_delta_to_pb};

/// The bytes of a change, without the flags that differ from one subscriber to the next.
pub(super) fn encoded(at: &ChangeAt) -> Bytes {
    change(at).encode_to_vec().into()
}

fn change(at: &ChangeAt) -> pb::Change {
    let entry = &at.change.entry;
    let withdrawn = entry.standing.withdrawn;
    let state = if withdrawn { pb::ArticleState::Withdrawn } else { pb::ArticleState::Live };
    let url = |url: &ArticleUrl| render::article_url(url.clone(), entry.observe_time);
    pb::Change {
        seq: at.change.seq.0,
        kind: feed_kind_to_pb(at.kind).into(),
        article: at.revision.article.to_string(),
        observe_time: Some(timestamp_to_pb(entry.observe_time)),
        archive_time: Some(timestamp_to_pb(entry.archive_time)),
        revision: Some(render::revision(&at.revision)),
        is_newest: entry.standing.is_newest,
        newest_revision_number: at.newest.get(),
        state: state.into(),
        reason: entry.reason.clone(),
        urls: entry.bound_urls.iter().map(url).collect(),
        diff: at.comparison.as_deref().map(change_diff),
        left_filter: false,
        batch_end: false,
    }
}

/// What differs: equal blocks are left out.
fn change_diff(comparison: &Comparison) -> pb::ChangeDiff {
    let (field_changes, mut hunks) = diff_to_pb(&comparison.diff);
    hunks.retain(|hunk| hunk.kind() != pb::HunkKind::Equal);
    pb::ChangeDiff {
        base_revision_number: comparison.base.as_ref().map_or(0, |base| base.number.get()),
        field_changes,
        hunks,
        word_delta: Some(word_delta_to_pb(comparison.word_delta)),
    }
}

/// A change of a page, to be sent.
pub(super) fn frame(item: FeedItem) -> ChangeFrame {
    ChangeFrame { bytes: item.bytes, left_filter: item.left_filter, batch_end: item.batch_end }
}

/// A place in the changes.
pub(super) fn bookmark(place: &ReadStamp, query: RequestDigest) -> pb::Bookmark {
    let token = ResumeToken { next_seq: place.next_seq, history: place.history, snapshot: None };
    pb::Bookmark {
        next_seq: place.next_seq.0,
        resume_token: token.encode(query),
        archive_time: place.archive_time.map(timestamp_to_pb),
    }
}

/// A place in a snapshot that is of `place`.
pub(super) fn bookmark_in_snapshot(place: &ReadStamp, within: SnapshotPlace, query: RequestDigest) -> pb::Bookmark {
    let token = ResumeToken { next_seq: place.next_seq, history: place.history, snapshot: Some(within) };
    pb::Bookmark { next_seq: 0, resume_token: token.encode(query), archive_time: None }
}

/// An event that is not made of encoded changes.
pub(super) fn event(event: pb::subscribe_response::Event) -> EventFrame {
    EventFrame::Other(Box::new(pb::SubscribeResponse { event: Some(event) }))
}
