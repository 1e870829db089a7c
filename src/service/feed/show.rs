//! Renders changes and bookmarks as messages.

use super::super::render;
use super::request;
use crate::archive::changefeed::{ChangeAt, FeedItem};
use crate::archive::read::compare::Comparison;
use crate::model::{ArticleName, PrincipalName, RequestDigest, Snapshot};
use crate::protobuf::MessageWriter;
use crate::wire::frame::{ChangeFrame, EventFrame};
use crate::wire::token::{ResumeToken, SnapshotPlace};
use crate::wire::{
    absence_to_pb, article_state_to_pb, diff_to_pb, expunging_to_pb, feed_kind_to_pb, fetch_to_pb, pb, timestamp_to_pb,
    word_delta_to_pb,
};

/// Appends the encoded `Change`, without the flags that differ between subscribers.
pub(crate) fn encode(at: &ChangeAt, bytes: &mut Vec<u8>) {
    let entry = &at.change.entry;
    let state = article_state_to_pb(entry.latest_state.state);
    let mut writer = MessageWriter(bytes);
    writer.number(1, at.change.seq.0);
    writer.choice(2, feed_kind_to_pb(at.kind));
    let ArticleName { source, article } = &at.revision.article;
    writer.joined(3, &["sources/", source.as_str(), "/articles/", article.as_str()]);
    if !entry.kind.has_no_observe_time() {
        writer.timestamp(4, entry.observe_time);
    }
    writer.timestamp(5, entry.archive_time);
    writer.message(6, |writer| render::write_revision(&at.revision, writer));
    writer.flag(7, at.is_newest);
    writer.number(8, at.newest.get().into());
    writer.choice(9, state);
    writer.text(10, &entry.reason);
    for bound in &entry.bound_urls {
        writer.generated(11, Some(&render::article_url(bound.url.clone(), Some(entry.observe_time), bound.until)));
    }
    writer.generated(12, at.comparison.as_deref().map(change_diff).as_ref());
    writer.generated(15, entry.fetch.as_deref().map(fetch_to_pb).as_ref());
    writer.generated(
        16,
        at.replay_request.as_ref().map(|replayed| request::replay_request(replayed, &at.change)).as_ref(),
    );
    writer.texts(17, &at.labels);
    if let Some(labels) = &entry.labels {
        writer.texts(18, &labels.added);
        writer.texts(19, &labels.removed);
    }
    // One that repeats a recorded absence has no run.
    let absence = entry.absence.as_ref().and_then(|absence| Some(absence_to_pb(absence.look, absence.run?)));
    writer.generated(20, absence.as_ref());
    let expunging = entry.expunging.as_deref().map(|expunging| expunging_to_pb(expunging, &at.expunged_revisions));
    for ended in &entry.ended_urls {
        writer.generated(21, Some(&render::article_url(ended.url.clone(), None, Some(entry.observe_time))));
    }
    writer.generated(22, expunging.as_ref());
    writer.text(23, entry.principal.as_ref().map_or("", PrincipalName::as_str));
}

/// Renders a comparison, without the blocks that are equal.
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

/// Converts a change of a page for sending.
pub(super) fn frame(item: FeedItem) -> ChangeFrame {
    ChangeFrame { bytes: item.bytes, left_filter: item.left_filter, batch_end: item.batch_end }
}

/// A bookmark of a position in the log.
pub(super) fn bookmark(place: &Snapshot, query: RequestDigest) -> pb::Bookmark {
    let token = ResumeToken { next_seq: place.next_seq, log_digest: place.log_digest, snapshot: None };
    pb::Bookmark {
        next_seq: place.next_seq.0,
        resume_token: token.encode(query),
        archive_time: place.archive_time.map(timestamp_to_pb),
        ..pb::Bookmark::default()
    }
}

/// A bookmark of a position inside the snapshot at `place`.
pub(super) fn bookmark_in_snapshot(place: &Snapshot, within: SnapshotPlace, query: RequestDigest) -> pb::Bookmark {
    let token = ResumeToken { next_seq: place.next_seq, log_digest: place.log_digest, snapshot: Some(within) };
    pb::Bookmark { resume_token: token.encode(query), ..pb::Bookmark::default() }
}

/// An event without encoded changes.
pub(super) fn event(event: pb::subscribe_response::Event) -> EventFrame {
    EventFrame::Other(Box::new(pb::SubscribeResponse { event: Some(event) }))
}
