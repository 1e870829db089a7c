//! What is copied, when, and what is rejected.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;

use rustix::fs::{FileType, mknodat};

use super::listing::FILES_MAX;
use super::*;

fn holder() -> Holder {
    Holder { pid: 1, command: "test".to_owned(), since: "2026-01-01T00:00:00Z".to_owned() }
}

/// A directory with what an archive has, and a scratch folder.
struct Case {
    archive: tempfile::TempDir,
    scratch: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let archive = tempfile::tempdir().unwrap();
        fs::create_dir_all(archive.path().join("db/sled/blobs")).unwrap();
        fs::create_dir(archive.path().join("db/wal")).unwrap();
        for name in ["ID", "WATERMARK", "LOCK", "db/sled/conf", "db/sled/db", "db/wal/secret", "db/wal/000000"] {
            fs::write(archive.path().join(name), name.repeat(1_000)).unwrap();
        }
        fs::write(archive.path().join("VERSION"), "dateline archive, layout 1\n").unwrap();
        Self { archive, scratch: tempfile::tempdir().unwrap() }
    }

    /// One that this process does not lock, as if it were another user's.
    fn unlocked() -> Self {
        let case = Self::new();
        fs::remove_file(case.path("LOCK")).unwrap();
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.archive.path().join(name)
    }

    fn copy(&self) -> Result<Directory, OpenError> {
        self.copy_between(|| ())
    }

    fn copy_between(&self, between: impl FnOnce()) -> Result<Directory, OpenError> {
        Directory::copy_between(self.archive.path(), self.scratch.path(), &holder(), &|| false, between)
    }

    fn rejected(&self) -> String {
        let error = self.copy().unwrap_err().to_string();
        assert_eq!(self.copies(), 0, "{error}");
        error
    }

    /// The number of folders in the scratch folder.
    fn copies(&self) -> usize {
        fs::read_dir(self.scratch.path()).unwrap().count()
    }

    /// The names, modes, sizes, times and inodes of all entries of the archive.
    fn state(&self) -> BTreeMap<PathBuf, (u32, u64, i64, i64, u64)> {
        let (mut state, mut folders) = (BTreeMap::new(), vec![self.archive.path().to_path_buf()]);
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).chain([folder.clone()]) {
                let found = fs::symlink_metadata(&path).unwrap();
                if found.is_dir() && path != folder {
                    folders.push(path.clone());
                }
                state.insert(path, (found.mode(), found.len(), found.mtime_nsec(), found.ctime_nsec(), found.ino()));
            }
        }
        state
    }
}

#[test]
fn a_copy_is_complete_and_private_and_removed_when_it_is_dropped() {
    for case in [Case::new(), Case::unlocked()] {
        let before = case.state();
        let copy = case.copy().unwrap();
        for name in ["ID", "WATERMARK", "VERSION", "db/sled/conf", "db/sled/db", "db/wal/secret", "db/wal/000000"] {
            assert_eq!(fs::read(copy.path().join(name)).unwrap(), fs::read(case.path(name)).unwrap(), "{name}");
        }
        assert!(copy.path().join("db/sled/blobs").is_dir());
        assert_eq!(fs::metadata(copy.path()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(case.state(), before, "nothing in the archive was touched");
        drop(copy);
        assert_eq!(case.copies(), 0);
    }
}

#[test]
fn the_owner_keeps_the_archive_locked_only_while_it_copies() {
    let case = Case::new();
    let open = || Directory::open(case.archive.path(), holder());
    let copy = case.copy_between(|| assert!(matches!(open(), Err(OpenError::InUse { .. })))).unwrap();
    let held = open().unwrap();
    let Err(OpenError::InUse { holder: Some(found), .. }) = case.copy() else { panic!() };
    assert_eq!(*found, holder());
    drop((copy, held));
    case.copy().unwrap();
}

/// A copy of a moment at which the archive was never as it is there could lack what was acknowledged.
#[test]
fn an_archive_that_changes_while_it_is_copied_without_its_lock_is_rejected() {
    let change: [fn(&Case); 5] = [
        |case| fs::write(case.path("WATERMARK"), "WATERMARX".repeat(1_000)).unwrap(),
        |case| fs::write(case.path("db/wal/000000"), "more").unwrap(),
        |case| fs::write(case.path("db/wal/000001"), "another").unwrap(),
        |case| fs::remove_file(case.path("db/wal/000000")).unwrap(),
        |case| fs::rename(case.path("db/sled"), case.path("db/other")).unwrap(),
    ];
    for change in change {
        let case = Case::unlocked();
        let error = case.copy_between(|| change(&case)).unwrap_err();
        assert!(matches!(error, OpenError::Changing { .. }), "{error}");
        assert_eq!(case.copies(), 0);
    }
    let case = Case::unlocked();
    // What is not copied does not matter.
    case.copy_between(|| fs::write(case.path("RESERVE"), "").unwrap()).unwrap();
}

#[test]
fn links_and_special_files_are_rejected_by_name_without_being_opened() {
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("secret"), "kept").unwrap();
    for name in ["VERSION", "ID", "db", "db/wal", "db/wal/000000", "db/sled/db", "db/sled/blobs"] {
        for special in [FileType::Symlink, FileType::Fifo, FileType::Socket] {
            let case = Case::new();
            let path = case.path(name);
            drop(fs::remove_file(&path));
            drop(fs::remove_dir_all(&path));
            if special == FileType::Symlink {
                symlink(elsewhere.path().join("secret"), &path).unwrap();
            } else {
                mknodat(CWD, &path, special, Mode::from_raw_mode(0o600), 0).unwrap();
            }
            let (error, last) = (case.rejected(), name.rsplit('/').next().unwrap());
            assert!(
                error.contains(&format!("{last} is not")) || error.contains(&format!("{last} is a sym")),
                "{error}"
            );
        }
    }
}

#[test]
fn hard_links_are_copied_as_what_they_are() {
    let (case, elsewhere) = (Case::new(), tempfile::tempdir().unwrap());
    fs::hard_link(case.path("db/sled/db"), elsewhere.path().join("db")).unwrap();
    case.copy().unwrap();
}

#[test]
fn neither_size_nor_number_of_files_is_unlimited() {
    let case = Case::new();
    File::options().write(true).open(case.path("db/sled/db")).unwrap().set_len(1 << 42).unwrap();
    let error = case.copy().unwrap_err();
    let OpenError::NoSpaceForCopy { needed_bytes, free_bytes, .. } = error else { panic!("{error}") };
    assert!(needed_bytes > 1 << 42 && free_bytes < needed_bytes);
    assert_eq!(case.copies(), 0);

    let case = Case::new();
    File::options().write(true).open(case.path("db/wal/000000")).unwrap().set_len(2 << 30).unwrap();
    assert!(case.rejected().contains("db/wal has more than 1 GiB"));

    let case = Case::new();
    for number in 0..=FILES_MAX {
        fs::write(case.path("db/wal").join(number.to_string()), "").unwrap();
    }
    assert!(case.rejected().contains("files, which Dateline never writes"));

    let case = Case::new();
    fs::create_dir_all(case.path("db/sled/blobs/deep")).unwrap();
    assert!(case.rejected().contains("is a folder that Dateline never creates"));
}

#[test]
fn what_is_no_archive_is_not_copied() {
    let case = Case::new();
    fs::write(case.path("VERSION"), "dateline archive, layout 9\n").unwrap();
    assert!(matches!(case.copy(), Err(OpenError::UnknownLayout { layout: 9, .. })));
    fs::remove_file(case.path("VERSION")).unwrap();
    assert!(matches!(case.copy(), Err(OpenError::Foreign { .. })));
    let empty = tempfile::tempdir().unwrap();
    for path in [empty.path(), &empty.path().join("missing")] {
        let copied = Directory::copy_of(path, case.scratch.path(), &holder(), &|| false);
        assert!(matches!(copied, Err(OpenError::Missing { .. })));
    }
}

#[test]
fn an_interrupted_compaction_is_undone_in_the_copy() {
    let case = Case::new();
    fs::rename(case.path("db"), case.path("db.replaced")).unwrap();
    fs::create_dir(case.path("db.compact")).unwrap();
    let copy = case.copy().unwrap();
    assert!(copy.path().join("db/sled/db").exists() && !copy.path().join("db.compact").exists());
}

#[test]
fn a_cancelled_copy_is_removed() {
    let case = Case::new();
    assert!(Directory::copy_of(case.archive.path(), case.scratch.path(), &holder(), &|| true).is_err());
    assert_eq!(case.copies(), 0);
}

#[test]
fn the_copies_of_killed_processes_are_removed_and_those_in_use_are_not() {
    let case = Case::new();
    let used = case.copy().unwrap();
    let (abandoned, unlocked) = (case.scratch.path().join("dateline-copy-00"), case.scratch.path().join("mine"));
    for folder in [&abandoned, &unlocked] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("LOCK"), "").unwrap();
    }
    let link = case.scratch.path().join("dateline-copy-01");
    symlink(&unlocked, &link).unwrap();
    let another = case.copy().unwrap();
    assert!(used.path().exists() && another.path().exists() && unlocked.exists() && link.is_symlink());
    assert!(!abandoned.exists());
}
