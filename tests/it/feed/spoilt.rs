//! Faults that are put into faultless recordings, and how the checker must report each.

use dateline::internals::wire::pb;
use pb::subscribe_response::Event;

use super::faithful::{self, bookmark};
use super::recording::{Ended, Recording, SnapshotAt, Start};
use super::truth::Truth;

/// One fault that is put into a recording.
pub(super) struct Case {
    pub(super) recording: Base,
    /// The kinds of fault that must be found, and no others.
    pub(super) shows: &'static [&'static str],
    pub(super) spoil: fn(&mut Recording, &Truth),
}

/// The original recording. Each begins with `Started`, and has deliveries of two changes or articles.
#[derive(Clone, Copy)]
pub(super) enum Base {
    /// All changes, for a subscriber without a filter: 0 and 1, 2 and 3, 4 and 5, 7 and 8, ….
    Whole,
    /// The changes for a subscriber to a language.
    Filtered,
    /// As `Whole`, but interrupted after the second delivery.
    Resumed,
    /// The articles as known below 8, and the changes from there on.
    Snapshot,
}

pub(super) fn cases() -> Vec<Case> {
    [of_sessions(), of_changes(), of_reports(), of_bookmarks(), of_liveness(), of_snapshots()]
        .into_iter()
        .flatten()
        .collect()
}

fn case(recording: Base, shows: &'static [&'static str], spoil: fn(&mut Recording, &Truth)) -> Case {
    Case { recording, shows, spoil }
}

fn of_sessions() -> Vec<Case> {
    vec![
        case(Base::Whole, &["NotStarted"], |it, _| drop(events(it).remove(0))),
        case(Base::Whole, &["StartedAgain"], |it, _| twice(it, 0)),
        case(Base::Whole, &["WrongStart"], |it, _| it.sessions[0].start = Start::Seq(4)),
        case(Base::Whole, &["WrongMode"], |it, _| it.sessions[0].start = Start::Snapshot(SnapshotAt::NextSeq(0))),
        case(Base::Whole, &["UnknownToken"], |it, _| it.sessions[0].start = Start::Token("stale".into())),
        // The changes between the token and the start are skipped.
        case(Base::Resumed, &["WrongStart"], |it, truth| {
            let start = it.sessions[1].start.clone();
            it.sessions[1] = faithful::changes(truth, &it.query, start, 5);
        }),
        // Changes from before the interruption are delivered again.
        case(Base::Resumed, &["BeforeStart"], |it, _| {
            let again = changes(it, 2).clone();
            let Event::Delivery(batch) = &mut it.sessions[1].events[1] else { panic!("no delivery") };
            batch.changes.splice(0..0, again);
        }),
        case(Base::Whole, &["EndedEarly"], |it, _| it.sessions[0].ended = Ended::Finished),
        case(Base::Whole, &["WentOn"], |it, truth| {
            it.sessions[0].end_when_caught_up = true;
            events(it).push(bookmark_event(truth, truth.tail()));
        }),
    ]
}

fn of_changes() -> Vec<Case> {
    vec![
        case(Base::Whole, &["Gap"], |it, _| drop(changes(it, 1).remove(0))),
        case(Base::Whole, &["Gap"], |it, _| drop(events(it).remove(2))),
        case(Base::Whole, &["Repeat"], |it, _| {
            let again = changes(it, 1)[0].clone();
            changes(it, 2).insert(0, again);
        }),
        case(Base::Whole, &["Disorder", "Gap"], |it, _| changes(it, 1).swap(0, 1)),
        case(Base::Whole, &["NotInLog"], |it, _| {
            let invented = pb::Change { seq: 99, ..changes(it, 1)[0].clone() };
            changes(it, 1).push(invented);
        }),
        // A change of an article that does not match.
        case(Base::Filtered, &["Unwanted"], |it, truth| {
            let other = truth.change(4, pb::FeedView::Basic).clone();
            changes(it, 2).push(other);
        }),
        // A change of a kind that was not requested.
        case(Base::Whole, &["Unwanted"], |it, truth| {
            let observed = truth.change(6, pb::FeedView::Basic).clone();
            changes(it, 3).push(observed);
        }),
    ]
}

fn of_reports() -> Vec<Case> {
    let misreported = |spoil| case(Base::Whole, &["Misreported"], spoil);
    vec![
        case(Base::Whole, &["WrongIsNewest"], |it, _| changes(it, 1)[0].is_newest = false),
        case(Base::Whole, &["WrongBatchEnd"], |it, _| changes(it, 1)[1].batch_end = true),
        case(Base::Whole, &["WrongBatchEnd"], |it, _| changes(it, 2)[1].batch_end = false),
        case(Base::Filtered, &["WrongLeftFilter"], |it, _| {
            let mut all = events(it).iter_mut().flat_map(|event| {
                if let Event::Delivery(batch) = event { batch.changes.as_mut_slice() } else { &mut [] }
            });
            all.find(|change| change.left_filter).unwrap().left_filter = false;
        }),
        case(Base::Whole, &["WrongLeftFilter"], |it, _| changes(it, 1)[0].left_filter = true),
        misreported(|it, _| changes(it, 1)[0].set_kind(pb::ChangeKind::Revised)),
        misreported(|it, _| changes(it, 1)[0].article.push('x')),
        misreported(|it, _| changes(it, 1)[0].archive_time = None),
        misreported(|it, _| changes(it, 1)[0].newest_revision_number = 2),
        misreported(|it, _| changes(it, 1)[0].set_state(pb::ArticleState::Withdrawn)),
        misreported(|it, _| changes(it, 1)[0].labels.push("flood".to_owned())),
        misreported(|it, _| changes(it, 1)[0].labels_added.push("flood".to_owned())),
        misreported(|it, _| changes(it, 1)[0].revision = None),
        misreported(|it, _| changes(it, 1)[0].revision.as_mut().unwrap().number = 2),
        misreported(|it, _| changes(it, 1)[0].revision.as_mut().unwrap().content_digest.fill(0)),
        misreported(|it, _| changes(it, 1)[0].revision.as_mut().unwrap().changed_parts.push(12)),
        misreported(|it, _| changes(it, 1)[0].diff = Some(pb::ChangeDiff::default())),
    ]
}

fn of_bookmarks() -> Vec<Case> {
    vec![
        case(Base::Whole, &["NoBookmark"], |it, _| batch(it, 1).bookmark = None),
        case(Base::Whole, &["NoBookmark"], |it, _| batch(it, 1).bookmark.as_mut().unwrap().resume_token.clear()),
        // No change matches at 6.
        case(Base::Whole, &["BookmarkWentBack"], |it, truth| {
            events(it).splice(4..4, [bookmark_event(truth, 7), bookmark_event(truth, 6)]);
        }),
        case(Base::Whole, &["BookmarkBeyondTail"], |it, truth| {
            batch(it, 1).bookmark.as_mut().unwrap().next_seq = truth.tail() + 1;
        }),
        case(Base::Whole, &["BookmarkUntrue"], |it, truth| batch(it, 1).bookmark = bookmark(truth, 3)),
        case(Base::Whole, &["BookmarkUntrue"], |it, _| drop(changes(it, 2).pop())),
        case(Base::Whole, &["BookmarkBehind"], |it, truth| batch(it, 2).bookmark = bookmark(truth, 3)),
        case(Base::Whole, &["BookmarkMistimed"], |it, _| batch(it, 2).bookmark.as_mut().unwrap().archive_time = None),
        case(Base::Whole, &["BatchParted"], |it, truth| caught_up_within(it, truth, 2)),
    ]
}

fn of_liveness() -> Vec<Case> {
    vec![
        case(Base::Whole, &["CaughtUpEarly"], |it, truth| {
            caught_up_within(it, truth, 3);
            it.sessions[0].tail_at_start = truth.tail();
        }),
        // The second `CaughtUp` comes before the changes that `FellBehind` announced were sent.
        case(Base::Whole, &["CaughtUpAgain", "CaughtUpEarly"], |it, truth| {
            caught_up_within(it, truth, 3);
            let caught_up = Event::CaughtUp(pb::CaughtUp { bookmark: bookmark(truth, 6) });
            events(it).insert(6, caught_up);
        }),
        case(Base::Whole, &["CaughtUpAgain"], |it, _| {
            let last = events(it).len() - 1;
            twice(it, last);
        }),
        case(Base::Whole, &["FellBehindWithoutCaughtUp"], |it, truth| {
            let fell_behind = fell_behind(truth.tail());
            events(it).insert(2, fell_behind);
        }),
        case(Base::Whole, &["FellBehindUntrue"], |it, truth| events(it).push(fell_behind(truth.tail()))),
        case(Base::Whole, &["FellBehindUntrue"], |it, truth| events(it).push(fell_behind(truth.tail() + 1))),
        case(Base::Whole, &["BatchParted"], |it, truth| {
            caught_up_within(it, truth, 3);
            events(it)[4] = fell_behind(9);
        }),
    ]
}

fn of_snapshots() -> Vec<Case> {
    vec![
        case(Base::Whole, &["ArticleOutsideSnapshot"], |it, _| batch(it, 1).articles.push(pb::Article::default())),
        case(Base::Whole, &["SnapshotEndWithoutSnapshot"], |it, truth| {
            events(it).insert(1, Event::SnapshotEnd(pb::SnapshotEnd { bookmark: bookmark(truth, 0) }));
        }),
        case(Base::Snapshot, &["ArticleRepeat"], |it, _| {
            let again = batch(it, 1).articles[1].clone();
            batch(it, 2).articles.insert(0, again);
        }),
        case(Base::Snapshot, &["ArticleDisorder", "ArticleMissing"], |it, _| batch(it, 1).articles.swap(0, 1)),
        case(Base::Snapshot, &["ArticleMissing"], |it, _| drop(batch(it, 1).articles.remove(0))),
        case(Base::Snapshot, &["ArticleMissing"], |it, _| drop(batch(it, 2).articles.pop())),
        // Article 3 was created later.
        case(Base::Snapshot, &["ArticleUnwanted"], |it, _| {
            let name = "sources/courier/articles/article-3".to_owned();
            batch(it, 2).articles.push(pb::Article { name, ..pb::Article::default() });
        }),
        case(Base::Snapshot, &["ArticleMisreported"], |it, _| batch(it, 1).articles[0].revision_count += 1),
        case(Base::Snapshot, &["BeforeSnapshotEnd"], |it, truth| {
            events(it).insert(1, Event::CaughtUp(pb::CaughtUp { bookmark: bookmark(truth, 8) }));
        }),
        case(Base::Snapshot, &["BeforeSnapshotEnd", "BookmarkBehind"], |it, _| {
            let Event::Delivery(later) = events(it).remove(4) else { panic!("no delivery") };
            batch(it, 2).changes.extend(later.changes);
        }),
        case(Base::Snapshot, &["BookmarkWentBack", "WrongStart"], |it, truth| {
            events(it)[3] = Event::SnapshotEnd(pb::SnapshotEnd { bookmark: bookmark(truth, 7) });
        }),
    ]
}

fn events(recording: &mut Recording) -> &mut Vec<Event> {
    &mut recording.sessions[0].events
}

fn batch(recording: &mut Recording, event: usize) -> &mut pb::Delivery {
    let Event::Delivery(batch) = &mut events(recording)[event] else { panic!("event {event} is not a delivery") };
    batch
}

fn changes(recording: &mut Recording, event: usize) -> &mut Vec<pb::Change> {
    &mut batch(recording, event).changes
}

fn twice(recording: &mut Recording, event: usize) {
    let again = events(recording)[event].clone();
    events(recording).insert(event + 1, again);
}

fn bookmark_event(truth: &Truth, next_seq: u64) -> Event {
    Event::Bookmark(bookmark(truth, next_seq).unwrap())
}

fn fell_behind(durable_next_seq: u64) -> Event {
    Event::FellBehind(pb::FellBehind { durable_next_seq })
}

/// Inserts `CaughtUp` before `event`, and `FellBehind` after that.
fn caught_up_within(recording: &mut Recording, truth: &Truth, event: usize) {
    recording.sessions[0].tail_at_start = 0;
    let place = batch(recording, event - 1).bookmark.clone();
    let both = [Event::CaughtUp(pb::CaughtUp { bookmark: place }), fell_behind(truth.tail())];
    events(recording).splice(event..event, both);
}
