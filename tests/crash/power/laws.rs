//! The trace is complete, and the simulated disk keeps and forgets what it should.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::cut::{Mood, cut};
use super::disk::{Disk, Ignored};
use super::rounds::Record;
use super::trace::Call;
use crate::dice::Dice;
use crate::seed;

/// If the trace lacked a call, replaying it would give other files than the child left.
#[test]
fn replaying_a_whole_trace_gives_the_files_that_the_children_left() {
    let seed = seed("DATELINE_POWER_SEED");
    let mut dice = Dice::new(seed);
    let record = Record::make((Record::new_disk(), Vec::new()), (seed, 0..4), (Ignored::Nothing, None), &mut dice);
    let (disk, root) = record.leads_to();
    let copy = tempfile::tempdir().unwrap();
    cut(&disk, Mood::Everything, &mut dice, copy.path());
    let (copied, left) = (files(copy.path()), files(root));
    assert!(copied.keys().eq(left.keys()), "{:?} and {:?}", copied.keys(), left.keys());
    for (path, bytes) in &left {
        assert!(copied[path] == *bytes, "{} differs", path.display());
    }
    assert!(left.contains_key(Path::new("archive/VERSION")), "{:?}", left.keys());
}

/// The files below a directory, by their relative paths.
fn files(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_path_buf();
            if path.is_dir() {
                directories.push(path);
                files.insert(name, None);
            } else {
                files.insert(name, Some(fs::read(path).unwrap()));
            }
        }
    }
    files
}

fn create(path: &str, inode: u64) -> Call {
    Call::Create { path: path.into(), inode }
}

fn write(inode: u64, offset: u64, byte: u8, length: usize) -> Call {
    Call::Write { inode, offset, bytes: vec![byte; length] }
}

/// What several cuts of a disk leave after these calls.
fn left_after(calls: &[Call], trials: u64) -> Vec<BTreeMap<PathBuf, Option<Vec<u8>>>> {
    let root = tempfile::tempdir().unwrap();
    let directory = fs::metadata(root.path()).unwrap();
    let mut disk = Disk::holding(root.path(), Ignored::Nothing);
    let inode = std::os::unix::fs::MetadataExt::ino(&directory);
    // The calls refer to the directory itself by inode 0.
    let calls: Vec<Call> = calls
        .iter()
        .map(|call| if *call == (Call::Sync { inode: 0 }) { Call::Sync { inode } } else { call.clone() })
        .collect();
    calls.iter().for_each(|call| disk.apply(call));
    let mut dice = Dice::new(7);
    let trial = |_| {
        let left = tempfile::tempdir().unwrap();
        cut(&disk, Mood::Anything, &mut dice, left.path());
        files(left.path())
    };
    (0..trials).map(trial).collect()
}

#[test]
fn synced_data_survives_a_cut_and_unsynced_data_may_be_lost() {
    let synced = [create("a", 1), write(1, 0, 1, 5_000), Call::DataSync { inode: 1 }, Call::Sync { inode: 0 }];
    let bytes = Some(vec![1; 5_000]);
    assert!(left_after(&synced, 50).iter().all(|left| left[Path::new("a")] == bytes));

    let left = left_after(&[create("a", 1), write(1, 0, 1, 5_000), Call::DataSync { inode: 1 }], 50);
    assert!(left.iter().any(BTreeMap::is_empty), "an unsynced name is never lost");
    assert!(left.iter().any(|left| left.len() == 1), "an unsynced name is always lost");

    let left = left_after(&[create("a", 1), write(1, 0, 1, 5_000), Call::RangeSync, Call::Sync { inode: 0 }], 50);
    assert!(left.iter().any(|left| left[Path::new("a")] == bytes), "unsynced data never survives");
    assert!(left.iter().any(|left| left[Path::new("a")] == Some(Vec::new())), "an unsynced length always survives");
}

#[test]
fn a_block_is_torn_between_sectors() {
    let calls = [
        create("a", 1),
        write(1, 0, 1, 8_192),
        Call::Sync { inode: 1 },
        Call::Sync { inode: 0 },
        write(1, 100, 2, 6_000),
        write(1, 100, 3, 6_000),
    ];
    let mut torn = 0;
    for left in left_after(&calls, 200) {
        let bytes = left[Path::new("a")].clone().unwrap();
        assert_eq!((bytes.len(), bytes[0], bytes[8_191]), (8_192, 1, 1));
        for block in [&bytes[100..4_096], &bytes[4_096..6_100]] {
            let place = block.windows(2).position(|pair| pair[0] != pair[1]);
            torn += u64::from(place.is_some());
            let begin = if block.len() == 3_996 { 100 } else { 0 };
            assert!(place.is_none_or(|place| (begin + place + 1) % 512 == 0), "torn at {place:?}");
        }
    }
    assert!(torn > 0);
}

#[test]
fn names_become_durable_in_order_and_a_directory_moves_with_its_entries() {
    let calls = [
        Call::MakeDirectory { path: "new".into(), inode: 1 },
        create("new/a", 2),
        Call::Rename { from: "new".into(), to: "old".into() },
        create("b", 3),
        Call::Unlink { path: "b".into() },
    ];
    let names: std::collections::BTreeSet<Vec<PathBuf>> =
        left_after(&calls, 200).into_iter().map(|left| left.into_keys().collect()).collect();
    let expected: [&[&str]; 5] = [&[], &["new"], &["new", "new/a"], &["old", "old/a"], &["b", "old", "old/a"]];
    let expected = expected.iter().map(|names| names.iter().map(PathBuf::from).collect()).collect();
    assert_eq!(names, expected);
}
