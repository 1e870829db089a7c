//! Restoring to every point of a small archive: by position, and by time.

use dateline::archive::feed::FeedStart;
use dateline::backup::Until;
use dateline::model::{AsOf, Knowledge, Seq};
use tempfile::TempDir;

use super::answers::{answers, instants};
use super::{back_up, batches, keep, open, restore, written};
use crate::support::block_on;
use crate::verify::verified;

#[test]
fn each_position_and_each_time_give_the_archive_as_it_was() {
    let archive = written(&batches());
    let directory = TempDir::new().unwrap();
    let folder = directory.path().join("backup");
    block_on(async {
        // Two files, so that points lie in either, and where they meet.
        let first = restorable(&archive, Seq(6)).await;
        keep(&back_up_until(&archive, first).await, &folder);
        keep(&back_up(&archive, FeedStart::Seq(first)).await, &folder);
        let end = archive.tail().next_seq.0;
        assert_eq!(end, 11, "the batches of `batches`");
        for bound in (0..=end).map(Seq) {
            let knowledge = Knowledge::NextSeq { next_seq: bound, history: None };
            let stamp = archive.cut(AsOf { observe_time: None, knowledge }, Seq::ZERO).await.unwrap().stamp;
            let by_time = stamp.archive_time.map(Until::ArchiveTime);
            // A time is tried at the end of each commit, whatever positions lead there.
            let by_time = by_time.filter(|_| stamp.next_seq == bound);
            for until in [Some(Until::Seq(bound)), by_time].into_iter().flatten() {
                let into = directory.path().join("restored");
                let restored = restore(std::slice::from_ref(&folder), &into, until).unwrap();
                assert_eq!(restored.end, stamp, "{until:?}");
                let again = open(&into);
                assert_eq!(again.tail(), stamp, "{until:?}");
                let expected = answers(&archive, bound, &instants()).await;
                assert_eq!(answers(&again, stamp.next_seq, &instants()).await, expected, "{until:?}");
                let (_, findings) = verified(&again).await;
                assert_eq!(findings, [], "{until:?}");
                again.close().await;
                drop(again);
                std::fs::remove_dir_all(into).unwrap();
            }
        }
    });
}

/// A time before all commits gives an empty archive; one after all gives everything.
#[test]
fn a_time_may_lie_before_or_behind_everything() {
    let archive = written(&batches());
    let directory = TempDir::new().unwrap();
    let folder = directory.path().join("backup");
    block_on(async {
        keep(&back_up(&archive, FeedStart::Beginning).await, &folder);
        let tail = archive.tail();
        let last = tail.archive_time.unwrap();
        let day = 86_400_000_000;
        for (micros, end) in [(-day, 0), (day, tail.next_seq.0)] {
            let into = directory.path().join(format!("restored-{end}"));
            let until = Until::ArchiveTime(last.saturating_add_micros(micros));
            let restored = restore(std::slice::from_ref(&folder), &into, until).unwrap();
            assert_eq!(restored.end.next_seq, Seq(end));
            assert_eq!(open(&into).info().id, archive.info().id);
        }
    });
}

/// Where the batch before `bound` ends.
async fn restorable(archive: &dateline::archive::Archive, bound: Seq) -> Seq {
    let knowledge = Knowledge::NextSeq { next_seq: bound, history: None };
    archive.cut(AsOf { observe_time: None, knowledge }, Seq::ZERO).await.unwrap().bound()
}

/// A backup as it would have been when the log ended at `end`: that of an archive restored to then.
async fn back_up_until(archive: &std::sync::Arc<dateline::archive::Archive>, end: Seq) -> Vec<u8> {
    let directory = TempDir::new().unwrap();
    let (folder, into) = (directory.path().join("backup"), directory.path().join("archive"));
    keep(&back_up(archive, FeedStart::Beginning).await, &folder);
    restore(&[folder], &into, Until::Seq(end)).unwrap();
    let earlier = open(&into);
    let file = back_up(&earlier, FeedStart::Beginning).await;
    earlier.close().await;
    file
}
