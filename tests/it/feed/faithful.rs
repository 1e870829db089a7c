//! Sessions as a faultless feed would send them.

use dateline::internals::wire::{pb, timestamp_to_pb};
use pb::subscribe_response::Event;

use super::query::Query;
use super::recording::{Ended, Session, SnapshotAt, Start};
use super::truth::Truth;

/// Changes or articles per delivery.
const BATCH: usize = 2;

/// All changes from `place` on, for a session that began with `start`.
pub(super) fn changes(truth: &Truth, query: &Query, start: Start, place: u64) -> Session {
    let mut events = vec![Event::Started(pb::Started { bookmark: bookmark(truth, place), ..pb::Started::default() })];
    events.extend(from(truth, query, place));
    session(truth, start, events)
}

/// The articles as known below `bound`, and the changes from there on.
pub(super) fn snapshot(truth: &Truth, query: &Query, bound: u64) -> Session {
    let snapshot = pb::Snapshot { next_seq: bound, ..pb::Snapshot::default() };
    let started = pb::Started { bookmark: article_bookmark(0), snapshot: Some(snapshot), ..pb::Started::default() };
    let mut events = vec![Event::Started(started)];
    let mut sent = 0;
    for names in truth.articles(query, bound).chunks(BATCH) {
        let articles = names.iter().map(|name| truth.article(name, bound, pb::FeedView::Basic)).collect();
        sent += names.len();
        events.push(Event::Delivery(pb::Delivery { articles, changes: Vec::new(), bookmark: article_bookmark(sent) }));
    }
    events.push(Event::SnapshotEnd(pb::SnapshotEnd { bookmark: bookmark(truth, bound) }));
    events.extend(from(truth, query, bound));
    session(truth, Start::Snapshot(SnapshotAt::NextSeq(bound)), events)
}

fn session(truth: &Truth, start: Start, events: Vec<Event>) -> Session {
    Session {
        start,
        view: pb::FeedView::Basic,
        end_when_caught_up: false,
        tail_at_start: truth.tail(),
        events,
        ended: Ended::Left,
    }
}

/// The changes from `place` on, in deliveries, and then `CaughtUp`.
fn from(truth: &Truth, query: &Query, place: u64) -> Vec<Event> {
    let mut wanted = truth.wanted(query);
    wanted.retain(|wanted| wanted.seq >= place);
    let mut events = Vec::new();
    for some in wanted.chunks(BATCH) {
        let changes = some.iter().map(|wanted| pb::Change {
            left_filter: wanted.left_filter,
            batch_end: wanted.batch_end,
            ..truth.change(wanted.seq, pb::FeedView::Basic).clone()
        });
        let next_seq = some.last().map_or(place, |last| last.seq + 1);
        let bookmark = bookmark(truth, next_seq);
        events.push(Event::Delivery(pb::Delivery { changes: changes.collect(), articles: Vec::new(), bookmark }));
    }
    events.push(Event::Bookmark(bookmark(truth, truth.tail()).unwrap()));
    events.push(Event::CaughtUp(pb::CaughtUp { bookmark: bookmark(truth, truth.tail()) }));
    events
}

pub(super) fn bookmark(truth: &Truth, next_seq: u64) -> Option<pb::Bookmark> {
    let archive_time = truth.archive_time_before(next_seq).map(timestamp_to_pb);
    Some(pb::Bookmark { next_seq, resume_token: token(next_seq), archive_time, ..pb::Bookmark::default() })
}

fn article_bookmark(sent: usize) -> Option<pb::Bookmark> {
    Some(pb::Bookmark { resume_token: format!("after article {sent}"), ..pb::Bookmark::default() })
}

/// The token of a position in the log.
pub(super) fn token(next_seq: u64) -> String {
    format!("from {next_seq}")
}
