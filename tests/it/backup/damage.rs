//! Truncated and altered files: each is rejected with the offset of the damage, and never read as something else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dateline::internals::archive::Archive;
use dateline::internals::archive::changefeed::FeedStart;
use dateline::internals::archive::recover::restore::RestoreError;
use dateline::internals::backup::{BackupError, BackupFile, LogFileError, Until, check};
use dateline::internals::store::full_change::FullChange;
use dateline::internals::store::logfile::{LogEnd, LogReader, LogWriter};
use dateline::model::{LogDigest, Seq};
use tempfile::TempDir;

use super::{batches, keep, restore, stream_backup, written};
use crate::feed::dice::Dice;
use crate::support::block_on;

/// Reads a file; an error has the offset at which the file is damaged.
fn read(bytes: &[u8]) -> Result<Vec<FullChange>, LogFileError> {
    let mut reader = LogReader::open("the file", bytes)?;
    let mut changes = Vec::new();
    while let Some(segment) = reader.next_segment()? {
        changes.extend(segment);
    }
    Ok(changes)
}

fn full(archive: &Arc<Archive>) -> Vec<u8> {
    block_on(stream_backup(archive, FeedStart::Beginning))
}

#[test]
fn a_file_truncated_at_any_byte_is_reported_as_cut_short() {
    let file = full(&written(&batches()));
    read(&file).unwrap();
    for length in 1..file.len() {
        let error = read(&file[..length]).unwrap_err();
        let LogFileError::CutShort { file, offset, seq } = error else { panic!("{length}: {error}") };
        assert_eq!((file.as_str(), offset), ("the file", length as u64));
        assert!(seq <= Seq(11));
    }
    assert!(matches!(read(&[]), Err(LogFileError::NotALogFile { .. })));
    let told = read(&file[..file.len() - 1]).unwrap_err().to_string();
    assert!(told.starts_with("the file is cut short: it ends at byte "), "{told}");
}

#[test]
fn a_file_with_any_byte_altered_is_rejected() {
    let file = full(&written(&batches()));
    for at in 0..file.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut altered = file.clone();
            altered[at] ^= flip;
            match read(&altered).unwrap_err() {
                // An error may point before the byte, but only to the beginning of its frame.
                LogFileError::Altered { offset, .. } => assert!(offset <= at as u64, "{at}: {offset}"),
                LogFileError::CutShort { offset, .. } => assert_eq!(offset, file.len() as u64, "{at}"),
                LogFileError::NotALogFile { .. } | LogFileError::Newer { .. } => assert!(at < 15, "{at}"),
                error @ LogFileError::Unreadable { .. } => panic!("{at}: {error}"),
            }
        }
    }
    let mut longer = file.clone();
    longer.push(0);
    let error = read(&longer).unwrap_err().to_string();
    assert!(error.contains("something follows the end"), "{error}");
    let newer = [b"dateline log 2\n", &file[15..]].concat();
    let error = read(&newer).unwrap_err().to_string();
    let expected = "was written by a newer version of Dateline (log file format 2; this version reads up to 1)";
    assert!(error.contains(expected), "{error}");
}

/// Each frame is intact, but out of place.
#[test]
fn swapped_repeated_and_missing_frames_are_detected() {
    let archive = written(&batches());
    let file = full(&archive);
    let again = rewritten(&archive, |_| {});
    assert_eq!(read(&again).unwrap(), read(&file).unwrap());
    let mut frames = Vec::new();
    let mut at = 15;
    while at < again.len() {
        let length = u32::from_be_bytes(again[at + 1..at + 5].try_into().unwrap()) as usize;
        frames.push(&again[at..at + 5 + length + 4]);
        at += 5 + length + 4;
    }
    assert!(frames.len() > 5, "a header, some segments and an end");
    let mut dice = Dice::new(3);
    let count = frames.len();
    for _ in 0..200 {
        let mut order: Vec<usize> = (0..count).collect();
        let mut one = || usize::try_from(dice.below(count as u64)).unwrap();
        let (a, b) = (one(), one());
        match dice.below(3) {
            0 => order.swap(a, b),
            1 => order.insert(a, b),
            _ => drop(order.remove(a)),
        }
        let moved = [&again[..15], &order.iter().flat_map(|at| frames[*at]).copied().collect::<Vec<_>>()].concat();
        assert_eq!(read(&moved).is_ok(), moved == again, "{order:?}");
    }
}

/// The same log with one segment per change, after `alter` has modified the changes.
fn rewritten(archive: &Arc<Archive>, alter: impl Fn(&mut Vec<FullChange>)) -> Vec<u8> {
    let file = full(archive);
    let header = LogReader::open("the file", file.as_slice()).unwrap().header().clone();
    let mut changes = read(&file).unwrap();
    alter(&mut changes);
    let (mut writer, mut bytes) = LogWriter::begin(&header);
    for change in changes {
        bytes.extend(writer.push(change).unwrap_or_default());
        bytes.extend(writer.end_segment());
    }
    bytes.extend(writer.finish(&LogEnd::default()));
    bytes
}

/// Checksums detect accidental damage. A file that was rewritten with other contents and matching checksums is detected
/// by the digests.
#[test]
fn swapped_contents_and_originals_are_detected_even_if_all_checksums_match() {
    let archive = written(&batches());
    let directory = TempDir::new().unwrap();
    let exchanged = |what: &dyn Fn(&mut FullChange, &mut FullChange)| {
        rewritten(&archive, |changes| {
            let (first, last) = changes.split_at_mut(2);
            // Both changes carry a content without a base, and an original.
            what(&mut first[1], last.last_mut().unwrap());
        })
    };
    for (name, words, bytes) in [
        ("originals", "original", exchanged(&|a, b| std::mem::swap(&mut a.original, &mut b.original))),
        ("contents", "content", exchanged(&|a, b| b.content = a.content.clone())),
    ] {
        let folder = directory.path().join(name);
        let file = keep(&bytes, &folder);
        let refused = check(std::slice::from_ref(&file), |_| true).unwrap_err();
        assert!(refused.is_damage() && refused.to_string().contains(words), "{refused}");
        assert!(refused.to_string().contains(&file.path.display().to_string()), "{refused}");
        let into = directory.path().join("restored");
        let refused = restore(&[folder], &into, Until::End).unwrap_err();
        assert!(matches!(refused, RestoreError::Damaged { seq: Some(_), .. }), "{refused}");
        assert_leaves_nothing(&into);
    }
}

/// A change that does not follow from the one before, in a file whose checksums match.
#[test]
fn altered_changes_are_detected_by_the_log_digest() {
    let archive = written(&batches());
    let altered = rewritten(&archive, |changes| {
        let last = changes.last_mut().unwrap();
        last.change.log_digest = LogDigest([9; 16]);
    });
    assert!(matches!(read(&altered), Err(LogFileError::Altered { .. })));
    let shorter = rewritten(&archive, |changes| changes.truncate(4));
    assert!(matches!(read(&shorter), Err(LogFileError::Altered { .. })), "the header announces more changes");
}

/// Restores from files that are truncated or altered in their second half.
#[test]
fn a_restore_from_a_damaged_file_leaves_nothing() {
    let file = full(&written(&batches()));
    let directory = TempDir::new().unwrap();
    let into = directory.path().join("restored");
    let damaged = directory.path().join("damaged.dlog");
    for bytes in [file[..file.len() - 3].to_vec(), [&file[..file.len() - 20], &[0; 20]].concat()] {
        std::fs::write(&damaged, bytes).unwrap();
        let refused = restore(&[PathBuf::from(&damaged)], &into, Until::End).unwrap_err();
        assert!(matches!(&refused, RestoreError::Backup(error) if error.is_damage()), "{refused}");
        assert!(refused.to_string().starts_with(&damaged.display().to_string()), "{refused}");
        assert_leaves_nothing(&into);
    }
}

fn assert_leaves_nothing(into: &Path) {
    assert!(!into.exists());
    assert!(!into.with_file_name("restored.restoring").exists());
}

/// A content may have a base that is no longer in memory: it is read again, from whichever file has it.
#[test]
fn a_check_reads_contents_of_all_files() {
    let archive = written(&batches());
    let directory = TempDir::new().unwrap();
    let (first, second) = block_on(async {
        let first = keep(&stream_backup(&archive, FeedStart::Beginning).await, directory.path());
        (first, keep(&stream_backup(&archive, FeedStart::Seq(Seq(5))).await, directory.path()))
    });
    let both = check(&[first.clone(), second.clone()], |_| true).unwrap().unwrap();
    assert_eq!((both.changes, both.originals, both.unchecked_contents), (17, 3, 0));
    let alone = check(&[second], |_| true).unwrap().unwrap();
    assert!(alone.unchecked_contents > 0 && alone.contents > 0, "{alone:?}");
    assert_eq!(check(&[first], |_| false).unwrap(), None);
}

/// The header of each file names its format; any other file is reported as not being part of a backup.
#[test]
fn files_that_are_not_backups_are_reported_as_such() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("letter.txt");
    std::fs::write(&path, "Dear reader").unwrap();
    let refused = BackupFile::open(&path).unwrap_err();
    assert!(matches!(refused, BackupError::File(LogFileError::NotALogFile { .. })), "{refused}");
    let empty = dateline::internals::backup::find(&[directory.path().to_path_buf()]).unwrap_err();
    assert!(matches!(empty, BackupError::NoFiles(_)), "{empty}");
    let missing = dateline::internals::backup::find(&[directory.path().join("none.dlog")]).unwrap_err();
    assert!(missing.to_string().contains("none.dlog cannot be read"), "{missing}");
}
