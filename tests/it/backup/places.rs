//! Where backups are written to, and where archives are restored to.

use std::fs;
use std::path::Path;

use dateline::internals::archive::Directory;
use dateline::internals::archive::changefeed::FeedStart;
use dateline::internals::archive::recover::restore::RestoreError;
use dateline::internals::backup::{BackupError, IncomingBackup, Until};
use dateline::model::Seq;
use tempfile::TempDir;

use super::{batches, keep, open, restore, stream_backup, written};
use crate::faults::disk::Disk;
use crate::server::holder;
use crate::support::block_on;

#[test]
fn an_empty_archive_is_backed_up_and_restored() {
    let directory = TempDir::new().unwrap();
    let archive = written(&[]);
    let file = keep(&block_on(stream_backup(&archive, FeedStart::Beginning)), &directory.path().join("backup"));
    assert_eq!(file.header.changes(), 0);
    let into = directory.path().join("restored");
    restore(&[file.path], &into, Until::End).unwrap();
    let restored = open(&into);
    assert_eq!((restored.info().id, restored.tail()), (archive.info().id, archive.tail()));
}

#[test]
fn a_restore_needs_a_new_or_empty_directory() {
    let directory = TempDir::new().unwrap();
    let folder = directory.path().join("backup");
    keep(&block_on(stream_backup(&written(&batches()), FeedStart::Beginning)), &folder);
    let into = directory.path().join("restored");
    let try_it = || restore(std::slice::from_ref(&folder), &into, Until::End);
    fs::write(&into, "a file").unwrap();
    assert!(matches!(try_it(), Err(RestoreError::Taken(_))));
    fs::remove_file(&into).unwrap();
    fs::create_dir(&into).unwrap();
    fs::write(into.join("note"), "mine").unwrap();
    assert!(matches!(try_it(), Err(RestoreError::Taken(_))));
    assert_eq!(fs::read_to_string(into.join("note")).unwrap(), "mine");
    fs::remove_file(into.join("note")).unwrap();
    try_it().unwrap();
    assert_eq!(open(&into).tail().next_seq, Seq(11));
    assert!(matches!(try_it(), Err(RestoreError::Taken(_))));
}

/// A restore once copied everything and only then found that the directory could not get its name. Such a name is now
/// rejected before anything is read, and everything is left as it was.
#[test]
fn a_name_that_no_archive_can_have_is_rejected_at_the_start() {
    let directory = TempDir::new().unwrap();
    let folder = directory.path().join("backup");
    let file = keep(&block_on(stream_backup(&written(&batches()), FeedStart::Beginning)), &folder);
    // Damaged, so that reading any of it would give another error.
    let mut bytes = fs::read(&file.path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file.path, bytes).unwrap();
    let refused = |into: &Path, reason: &str| {
        let refused = restore(std::slice::from_ref(&folder), into, Until::End).unwrap_err();
        assert!(matches!(refused, RestoreError::Unfit { .. }), "{refused}");
        assert!(refused.to_string().contains(reason), "{refused}");
    };
    let (empty, link) = (directory.path().join("empty"), directory.path().join("link"));
    fs::create_dir(&empty).unwrap();
    std::os::unix::fs::symlink(&empty, &link).unwrap();
    refused(&link, "it is a symbolic link");
    std::os::unix::fs::symlink(directory.path().join("nowhere"), directory.path().join("dangling")).unwrap();
    refused(&directory.path().join("dangling"), "it is a symbolic link");
    if let Some(disk) = Disk::mount() {
        fs::remove_dir(disk.path().join("lost+found")).unwrap();
        refused(&disk.path(), "it is a mount point");
        assert!(!disk.path().with_extension("restoring").exists());
        assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 0);
    }
    let damaged = restore(&[folder], &empty, Until::End).unwrap_err();
    assert!(matches!(damaged, RestoreError::Backup(_)), "{damaged}");
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4, "nothing else was created next to it");
}

#[test]
fn a_path_may_end_in_a_dot() {
    let directory = TempDir::new().unwrap();
    let file =
        keep(&block_on(stream_backup(&written(&batches()), FeedStart::Beginning)), &directory.path().join("backup"));
    let into = directory.path().join("restored");
    fs::create_dir(&into).unwrap();
    restore(&[file.path], &into.join("."), Until::End).unwrap();
    assert_eq!(open(&into).tail().next_seq, Seq(11));
}

/// A killed restore leaves a directory that is not an archive, blocks nobody, and is removed by the next restore. A
/// directory that somebody else put there is kept.
#[test]
fn a_restore_that_was_killed_leaves_no_archive() {
    let directory = TempDir::new().unwrap();
    let folder = directory.path().join("backup");
    keep(&block_on(stream_backup(&written(&batches()), FeedStart::Beginning)), &folder);
    let (into, staging) = (directory.path().join("restored"), directory.path().join("restored.restoring"));
    let begun = Directory::begin(&staging, holder()).unwrap();
    fs::create_dir(begun.database()).unwrap();
    fs::write(begun.database().join("conf"), "half").unwrap();
    let refused = restore(std::slice::from_ref(&folder), &into, Until::End).unwrap_err();
    assert!(refused.to_string().contains("is in use by"), "{refused}");
    drop(begun);
    assert!(Directory::open(&staging, holder()).is_err(), "it opens as an archive");
    restore(std::slice::from_ref(&folder), &into, Until::End).unwrap();
    assert!(!staging.exists());
    assert_eq!(open(&into).tail().next_seq, Seq(11));

    fs::remove_dir_all(&into).unwrap();
    fs::create_dir(&staging).unwrap();
    fs::write(staging.join("note"), "mine").unwrap();
    let refused = restore(std::slice::from_ref(&folder), &into, Until::End).unwrap_err();
    assert!(matches!(refused, RestoreError::Directory(_)), "{refused}");
    assert_eq!(fs::read_to_string(staging.join("note")).unwrap(), "mine");
}

/// A restore killed between its last two steps once left a whole archive without its name. The next restore reported an
/// existing archive, in a directory that nobody had named. An archive that somebody put there is still rejected.
#[test]
fn a_restore_killed_before_the_archive_got_its_name_does_not_block_the_next() {
    let directory = TempDir::new().unwrap();
    let folder = directory.path().join("backup");
    keep(&block_on(stream_backup(&written(&batches()), FeedStart::Beginning)), &folder);
    let (into, staging) = (directory.path().join("restored"), directory.path().join("restored.restoring"));
    restore(std::slice::from_ref(&folder), &into, Until::End).unwrap();
    let begun = Directory::begin(&staging, holder()).unwrap();
    fs::remove_dir(begun.path()).unwrap();
    fs::rename(&into, begun.path()).unwrap();
    drop(begun);
    restore(std::slice::from_ref(&folder), &into, Until::End).unwrap();
    assert!(!staging.exists());
    assert_eq!(open(&into).tail().next_seq, Seq(11));

    fs::rename(&into, &staging).unwrap();
    let refused = restore(std::slice::from_ref(&folder), &into, Until::End).unwrap_err();
    assert!(refused.to_string().contains("there is an archive in "), "{refused}");
    assert!(staging.join("VERSION").exists());
}

#[test]
fn one_backup_at_a_time_is_written_to_a_folder_and_a_partial_file_has_no_final_name() {
    let directory = TempDir::new().unwrap();
    let folder = directory.path().join("backup");
    let file = block_on(stream_backup(&written(&batches()), FeedStart::Beginning));
    let first = IncomingBackup::begin(&folder).unwrap();
    assert!(matches!(IncomingBackup::begin(&folder), Err(BackupError::InUse(_))));
    assert!(first.take(&file[..file.len() / 2], &mut |_, _| {}).is_err());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    assert!(IncomingBackup::latest(&folder).unwrap().is_none());
    // The partial file of a killed backup is overwritten.
    fs::write(folder.join("backup.part"), vec![7; 100_000]).unwrap();
    let kept = keep(&file, &folder);
    assert_eq!(fs::read(&kept.path).unwrap(), file);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(IncomingBackup::latest(&folder).unwrap().unwrap().path, kept.path);
}
