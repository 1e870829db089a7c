//! The log itself: read whole, through the feed, as a subscriber gets it.

use std::collections::BTreeMap;
use std::sync::Arc;

use dateline::archive::Archive;
use dateline::archive::feed::{ChangeAt, FeedStart, FeedView, PagePlan};
use dateline::model::{Change, FeedKind, FeedKinds, FeedQuery, History, Seq};
use dateline::store::key::log::LogKey;
use dateline::store::record;

use super::Faults;
use crate::asked::batch_size;

/// What the fault begins with that a batch is half there.
pub(crate) const TORN: &str = "torn";

/// Reads all changes.
pub(super) async fn read(archive: &Archive, faults: &mut Faults) -> Vec<Change> {
    let (mut changes, end) = (Vec::new(), archive.tail().next_seq);
    let mut from = archive.feed_start(FeedStart::Beginning).await.unwrap();
    while from.next_seq < end {
        let page = match archive.feed_page(from, end, plan()).await {
            Ok(page) => page,
            Err(error) => {
                faults.find(format!("the log cannot be read from {} on: {error}", from.next_seq));
                break;
            }
        };
        changes.extend(page.items.iter().map(|item| decoded(&item.bytes)));
        from = page.next;
    }
    changes
}

fn plan() -> PagePlan {
    use FeedKind::{Aliased, Created, Observed, Reinstated, Revised, RolledBack, Withdrawn};
    let kinds = FeedKinds::of([Created, Revised, Observed, Withdrawn, Reinstated, RolledBack, Aliased]);
    let query = Arc::new(FeedQuery { kinds, ..FeedQuery::default() });
    let (changes_max, bytes_max, examined_max) = (1_000, 1 << 20, 1_000);
    PagePlan { query, view: FeedView::Basic, render: encoded, changes_max, bytes_max, examined_max }
}

/// A change as the product stores it: its position and history, then the record.
fn encoded(shown: &ChangeAt, bytes: &mut Vec<u8>) {
    let Change { seq, history, entry } = shown.change.as_ref();
    bytes.extend_from_slice(&seq.0.to_be_bytes());
    bytes.extend_from_slice(&history.0);
    bytes.extend_from_slice(&record::encode(*seq, History([0; 16]), entry).value);
}

fn decoded(bytes: &[u8]) -> Change {
    let (seq, rest) = bytes.split_first_chunk().unwrap();
    let (history, value) = rest.split_first_chunk().unwrap();
    let key = LogKey(Seq(u64::from_be_bytes(*seq))).encode();
    Change { history: History(*history), ..record::decode(&key, value).unwrap() }
}

/// Checks that the log has no gap, that each change is tied to those before it and archived later than they, and that
/// atomic batches are whole.
pub(super) fn check(archive: &Archive, changes: &[Change], faults: &mut Faults) {
    let tail = archive.tail();
    let count = u64::try_from(changes.len()).unwrap();
    faults.expect(count == tail.next_seq.0, || format!("the feed has {count} changes, and ends at {}", tail.next_seq));
    let mut history = History::of_archive(&archive.info().id);
    for (change, seq) in changes.iter().zip(0..) {
        faults.expect(change.seq == Seq(seq), || format!("change {} stands at {seq}", change.seq));
        history = record::encode(change.seq, history, &change.entry).history;
        faults.expect(change.history == history, || format!("change {seq} has another history"));
    }
    faults.expect(tail.history == history, || format!("the end of the log, {}, has another history", tail.next_seq));
    check_times(changes, faults);
    check_batches(changes, faults);
}

/// What is archived together has one time; what is archived later, a later one.
fn check_times(changes: &[Change], faults: &mut Faults) {
    for pair in changes.windows(2) {
        let [before, after] = [&pair[0], &pair[1]];
        let (seq, together) = (after.seq, before.entry.batch_first == after.entry.batch_first);
        let rises = before.entry.archive_time <= after.entry.archive_time;
        faults.expect(rises, || format!("change {seq} was archived before the one before it"));
        let is_one = !together || before.entry.archive_time == after.entry.archive_time;
        faults.expect(is_one, || format!("change {seq} has another archive time than its batch"));
    }
}

pub(super) fn check_batches(changes: &[Change], faults: &mut Faults) {
    let mut batches = BTreeMap::<Seq, Vec<&Change>>::new();
    for change in changes {
        batches.entry(change.entry.batch_first).or_default().push(change);
    }
    for (first, batch) in batches {
        let has = batch.len();
        let told = batch.iter().find_map(|change| batch_size(change.entry.request.as_ref()?.0.as_str()));
        let asked = told.unwrap_or(1);
        faults.expect(has == asked, || format!("{TORN}: the batch at {first} has {has} of {asked} changes"));
        faults.expect(batch[0].seq == first, || format!("{TORN}: the batch at {first} begins at {}", batch[0].seq));
    }
}
