//! Where backups are written, and archives restored to.

use std::fs;
use std::path::Path;

use dateline::archive::Directory;
use dateline::archive::changefeed::FeedStart;
use dateline::archive::recover::restore::RestoreError;
use dateline::backup::{BackupError, Incoming, Until};
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
fn a_restore_takes_a_new_or_empty_directory_and_no_other() {
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

/// All was restored, and then the archive could not get its name. What can't be given to a directory is refused before
/// anything is read, and as it was.
#[test]
fn a_name_that_no_archive_can_get_is_refused_at_the_start() {
    let directory = TempDir::new().unwrap();
    let folder = directory.path().join("backup");
    let file = keep(&block_on(stream_backup(&written(&batches()), FeedStart::Beginning)), &folder);
    // Whoever reads it would be told that it is damaged.
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
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4, "nothing is left beside it");
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

/// What a restore that was killed left is no archive, is in nobody's way, and is removed by the next one. What somebody
/// else put there is not.
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
    assert!(Directory::open(&staging, holder()).is_err(), "it is taken for an archive");
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

/// Killed between the last two steps, it left a whole archive without its name: the next one said that there was an archive
/// already, and named a directory that nobody had asked for. One that somebody put there is still refused.
#[test]
fn a_restore_that_was_killed_before_the_archive_got_its_name_is_no_obstacle() {
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
fn one_backup_at_a_time_is_written_to_a_folder_and_what_is_unfinished_has_no_name() {
    let directory = TempDir::new().unwrap();
    let folder = directory.path().join("backup");
    let file = block_on(stream_backup(&written(&batches()), FeedStart::Beginning));
    let first = Incoming::begin(&folder).unwrap();
    assert!(matches!(Incoming::begin(&folder), Err(BackupError::InUse(_))));
    assert!(first.take(&file[..file.len() / 2], &mut |_, _| {}).is_err());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    assert!(Incoming::latest(&folder).unwrap().is_none());
    // What was left by one that was killed is written over.
    fs::write(folder.join("backup.part"), vec![7; 100_000]).unwrap();
    let kept = keep(&file, &folder);
    assert_eq!(fs::read(&kept.path).unwrap(), file);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(Incoming::latest(&folder).unwrap().unwrap().path, kept.path);
}
