//! Finding the files that make up a backup, in whatever order they are named.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dateline::internals::archive::Archive;
use dateline::internals::archive::changefeed::FeedStart;
use dateline::internals::archive::recover::restore::RestoreError;
use dateline::internals::archive::request::WriteMode;
use dateline::internals::backup::{BackupChain, BackupError, Until, find};
use dateline::model::Seq;
use tempfile::TempDir;

use super::answers::{answers, instants};
use super::{batches, keep, open, restore, stream_backup, written};
use crate::model::asked;
use crate::model::plan::{Text, observe};
use crate::support::block_on;

async fn write(archive: &Archive, article: u8, at: i64, text: u8) {
    let operation = asked::operation(&observe(article, at, Text(text)), None);
    archive.write(vec![operation], WriteMode::Commit).await.unwrap();
}

/// A full backup, and an incremental one after each of some writes.
async fn chain(archive: &Arc<Archive>, folder: &Path, more: u8) -> Vec<PathBuf> {
    let mut files = vec![keep(&stream_backup(archive, FeedStart::Beginning).await, folder).path];
    for number in 0..more {
        let start = FeedStart::Seq(archive.tail().next_seq);
        write(archive, [0, 2, 3][usize::from(number % 3)], 20 + i64::from(number), number % 5).await;
        files.push(keep(&stream_backup(archive, start).await, folder).path);
    }
    files
}

#[test]
fn files_are_sorted_and_a_gap_is_reported() {
    let archive = written(&batches());
    let directory = TempDir::new().unwrap();
    block_on(async {
        let files = chain(&archive, &directory.path().join("backup"), 3).await;
        let mut reversed = files.clone();
        reversed.reverse();
        let into = directory.path().join("restored");
        assert_eq!(restore(&reversed, &into, Until::End).unwrap().end, archive.tail());
        let all = answers(&archive, archive.tail().next_seq, &instants()).await;
        assert_eq!(answers(&open(&into), archive.tail().next_seq, &instants()).await, all);

        let with_gap = [files[0].clone(), files[3].clone()];
        let refused = restore(&with_gap, &directory.path().join("gap"), Until::End).unwrap_err();
        assert!(refused.to_string().starts_with("the changes 11 to 12 are in none of the files"), "{refused}");
        let without_first = [files[1].clone(), files[2].clone()];
        let refused = restore(&without_first, &directory.path().join("gap"), Until::End).unwrap_err();
        assert!(refused.to_string().starts_with("the changes 0 to 10 are in none of the files"), "{refused}");
        let beyond = restore(&files, &directory.path().join("gap"), Until::Seq(Seq(15))).unwrap_err();
        assert_eq!(beyond.to_string(), "position 15 is beyond the end of the backup, 14");
        assert!(!directory.path().join("gap").exists());
    });
}

#[test]
fn files_that_overlap_are_read_as_one_log() {
    let archive = written(&batches());
    let directory = TempDir::new().unwrap();
    block_on(async {
        let folder = directory.path().join("backup");
        keep(&stream_backup(&archive, FeedStart::Beginning).await, &folder);
        write(&archive, 0, 20, 3).await;
        // A position inside a batch is lowered to the batch's start.
        let from_within = stream_backup(&archive, FeedStart::Seq(Seq(6))).await;
        let file = keep(&from_within, &folder);
        assert_eq!(file.header.first_seq, Seq(5));
        for (name, until) in [("end", Until::End), ("within", Until::Seq(Seq(11))), ("before", Until::Seq(Seq(5)))] {
            let into = directory.path().join(name);
            let restored = restore(std::slice::from_ref(&folder), &into, until).unwrap();
            let bound = restored.end.next_seq;
            let expected = answers(&archive, bound, &instants()).await;
            assert_eq!(answers(&open(&into), bound, &instants()).await, expected, "{name}");
        }
    });
}

/// An archive is restored to an earlier state, and written to differently from there on.
#[test]
fn files_from_before_and_after_a_restore_do_not_make_one_backup() {
    let archive = written(&batches());
    let directory = TempDir::new().unwrap();
    block_on(async {
        let files = chain(&archive, &directory.path().join("backup"), 2).await;
        let into = directory.path().join("restored");
        restore(&files[..1], &into, Until::Seq(Seq(8))).unwrap();
        let restored = open(&into);
        for number in 0..4 {
            write(&restored, 2, 30 + number, 4).await;
        }
        let folder = directory.path().join("after");
        let end = FeedStart::Seq(restored.tail().next_seq);
        write(&restored, 2, 40, 1).await;
        let behind = keep(&stream_backup(&restored, end).await, &folder).path;
        // The new file begins at 12, where the second file of the old backup ends, but its log digest differs.
        let mixed = [files[0].clone(), files[1].clone(), behind.clone()];
        let refused = BackupChain::from_files(find(&mixed).unwrap()).unwrap_err();
        assert!(matches!(refused, BackupError::Diverged { seq: Seq(12), .. }), "{refused}");
        // If it begins inside an older file, the mismatch shows when the files are read.
        let mixed = [files[0].clone(), files[1].clone(), files[2].clone(), behind];
        let refused = restore(&mixed, &directory.path().join("mixed"), Until::End).unwrap_err();
        assert!(matches!(refused, RestoreError::Backup(BackupError::Diverged { .. })), "{refused}");
        // A full backup of the new state is chosen, whatever other files are in the folder.
        let full = keep(&stream_backup(&restored, FeedStart::Beginning).await, &directory.path().join("backup")).path;
        let chain = BackupChain::from_files(find(&[directory.path().join("backup")]).unwrap()).unwrap();
        assert_eq!(chain.files.len(), 1);
        assert_eq!(chain.files[0].path, full);
        restored.close().await;
    });
}

#[test]
fn files_of_two_archives_are_rejected() {
    let directory = TempDir::new().unwrap();
    for archive in [written(&batches()), written(&batches())] {
        keep(&block_on(stream_backup(&archive, FeedStart::Beginning)), directory.path());
    }
    let refused = BackupChain::from_files(find(&[directory.path().to_path_buf()]).unwrap()).unwrap_err();
    assert!(matches!(refused, BackupError::OtherArchive { .. }), "{refused}");
}
