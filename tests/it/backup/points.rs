//! Restoring to every point of a small archive, by position and by time.

use dateline::internals::archive::changefeed::FeedStart;
use dateline::internals::backup::Until;
use dateline::model::{AsOf, KnownAt, Seq};
use tempfile::TempDir;

use super::answers::{answers, instants};
use super::{batches, keep, open, restore, stream_backup, written};
use crate::support::block_on;
use crate::verify::verified;

#[test]
fn a_restore_to_any_position_or_time_gives_the_archive_as_it_was() {
    let archive = written(&batches());
    let directory = TempDir::new().unwrap();
    let folder = directory.path().join("backup");
    block_on(async {
        // Two files, so that there are points in each of them, and where they meet.
        let first = restorable(&archive, Seq(6)).await;
        keep(&back_up_until(&archive, first).await, &folder);
        keep(&stream_backup(&archive, FeedStart::Seq(first)).await, &folder);
        let end = archive.tail().next_seq.0;
        assert_eq!(end, 11, "the batches of `batches`");
        for bound in (0..=end).map(Seq) {
            let known_at = KnownAt::NextSeq { next_seq: bound, log_digest: None };
            let snapshot = archive.read_point(AsOf { observe_time: None, known_at }, Seq::ZERO).await.unwrap().snapshot;
            let by_time = snapshot.archive_time.map(Until::ArchiveTime);
            // A time is only tried at the end of each commit.
            let by_time = by_time.filter(|_| snapshot.next_seq == bound);
            for until in [Some(Until::Seq(bound)), by_time].into_iter().flatten() {
                let into = directory.path().join("restored");
                let restored = restore(std::slice::from_ref(&folder), &into, until).unwrap();
                assert_eq!(restored.end, snapshot, "{until:?}");
                let again = open(&into);
                assert_eq!(again.tail(), snapshot, "{until:?}");
                let expected = answers(&archive, bound, &instants()).await;
                assert_eq!(answers(&again, snapshot.next_seq, &instants()).await, expected, "{until:?}");
                let (_, findings) = verified(&again).await;
                assert_eq!(findings, [], "{until:?}");
                again.close().await;
                drop(again);
                std::fs::remove_dir_all(into).unwrap();
            }
        }
    });
}

/// A time before all commits gives an empty archive, and a time after all of them gives everything.
#[test]
fn a_time_may_be_before_or_after_all_commits() {
    let archive = written(&batches());
    let directory = TempDir::new().unwrap();
    let folder = directory.path().join("backup");
    block_on(async {
        keep(&stream_backup(&archive, FeedStart::Beginning).await, &folder);
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

/// The end of the batch before `bound`.
async fn restorable(archive: &dateline::internals::archive::Archive, bound: Seq) -> Seq {
    let known_at = KnownAt::NextSeq { next_seq: bound, log_digest: None };
    archive.read_point(AsOf { observe_time: None, known_at }, Seq::ZERO).await.unwrap().below()
}

/// A backup as it would have been when the log ended at `end`: that of an archive restored to this point.
async fn back_up_until(archive: &std::sync::Arc<dateline::internals::archive::Archive>, end: Seq) -> Vec<u8> {
    let directory = TempDir::new().unwrap();
    let (folder, into) = (directory.path().join("backup"), directory.path().join("archive"));
    keep(&stream_backup(archive, FeedStart::Beginning).await, &folder);
    restore(&[folder], &into, Until::Seq(end)).unwrap();
    let earlier = open(&into);
    let file = stream_backup(&earlier, FeedStart::Beginning).await;
    earlier.close().await;
    file
}
