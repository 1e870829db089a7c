//! Opening a database on disk: what is created, what is rejected, and that a rejected opening changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::super::sled::{Options, SledEngine};
use super::super::watermark::{DurableState, Watermark};
use super::super::{Batch, Direction, Engine, OpenError, Read};
use super::{ALL, OPTIONS, batch, hold, open, scanned, try_open};

/// A process that was killed during opening left a half-written snapshot. sled took it for the newest one, and the
/// database could not be opened again.
#[test]
fn an_unfinished_snapshot_is_removed_and_a_finished_one_is_not() {
    let dir = applied();
    drop(open(dir.path()));
    let finished = snapshots(dir.path());
    assert_eq!(finished.len(), 1);
    fs::write(dir.path().join("db/sled/snap.7FFFFFFFFFFFFFFF.generating"), b"half a sna").unwrap();

    assert_eq!(open(dir.path()).get(b"a").unwrap().unwrap(), b"1");
    assert_eq!(snapshots(dir.path()), finished);
}

fn snapshots(archive: &Path) -> Vec<String> {
    let names = fs::read_dir(archive.join("db/sled")).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).filter(|name| name.starts_with("snap.")).collect()
}

#[test]
fn an_interrupted_creation_is_repeated() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    fs::rename(dir.path().join("db"), dir.path().join("db.new")).unwrap();
    fs::write(dir.path().join("db.new/conf"), b"").unwrap();
    open(dir.path()).commit(&batch(&[(b"a", Some(b"1"))])).unwrap();
    assert!(dir.path().join("quarantine/000001/db.new/conf").exists());
    assert!(!dir.path().join("db.new").exists());
}

/// sled created missing files as empty ones, and the archive started over as if it had never existed.
#[test]
fn a_database_with_missing_files_is_rejected_and_not_started_over() {
    for file in ["db/sled/db", "db/sled/conf", "db/wal/secret", "db/wal", "db"] {
        for emptied in [false, true] {
            let dir = applied();
            Watermark::open(dir.path())
                .unwrap()
                .record(DurableState { next_seq: 1, log_digest: [0; 16], commits: 1 })
                .unwrap();

            let damaged = dir.path().join(file);
            match (damaged.is_dir(), emptied) {
                (true, _) => fs::rename(&damaged, dir.path().join("elsewhere")).unwrap(),
                (false, true) => fs::write(&damaged, b"").unwrap(),
                (false, false) => fs::remove_file(&damaged).unwrap(),
            }
            let error = try_open(dir.path(), OPTIONS).err().unwrap();
            assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
            assert_eq!(damaged.exists(), emptied && !["db/wal", "db"].contains(&file), "nothing was created");
        }
    }
}

/// As long as the write-ahead log has everything, sled's database can be made again. Afterwards its loss is reported.
#[test]
fn a_missing_database_of_sled_is_created_again_only_from_a_whole_log() {
    let dir = applied();
    let sled = dir.path().join("db/sled");
    fs::remove_dir_all(&sled).unwrap();
    let engine = open(dir.path());
    assert_eq!(engine.get(b"a").unwrap().unwrap(), b"1");
    engine.settle().unwrap();
    fill_three_segments(&engine);
    drop(engine);
    fs::rename(&sled, dir.path().join("elsewhere")).unwrap();
    let error = try_open(dir.path(), OPTIONS).err().unwrap();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(!sled.exists());
    fs::rename(dir.path().join("elsewhere"), sled).unwrap();
    assert_eq!(open(dir.path()).get(b"a").unwrap().unwrap(), b"1");
}

/// A small archive is only its write-ahead log, and opening it writes nothing.
#[test]
fn a_small_database_has_nothing_of_sled() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..20 {
        open(dir.path()).commit(&batch(&[(&[number], Some(b"1")), (b"last", Some(&[number]))])).unwrap();
    }
    fs::create_dir(dir.path().join("db/sled.new")).unwrap();
    fs::write(dir.path().join("db/sled.new/conf"), b"of a process that was killed").unwrap();
    let before = contents(&dir.path().join("db/wal"));
    let engine = open(dir.path());
    assert_eq!(scanned(&engine, &ALL, Direction::Reverse).len(), 21);
    assert_eq!(engine.get(b"last").unwrap().unwrap(), [19]);
    assert_eq!(engine.get(b"nothing").unwrap(), None);
    drop(engine);
    assert!(contents(&dir.path().join("db/wal")) == before);
    let entries = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(entries.collect::<BTreeSet<_>>(), ["LOCK", "VERSION", "WATERMARK", "db"].map(String::from).into());

    // A scan that began before sled had a database sees what has moved there since.
    let engine = open(dir.path());
    let mut scan = engine.scan(ALL, Direction::Forward);
    assert_eq!(scan.next().unwrap().unwrap().0, [0]);
    engine.settle().unwrap();
    assert!(dir.path().join("db/sled/db").exists() && !dir.path().join("db/sled.new").exists());
    assert_eq!(scan.map(Result::unwrap).count(), 20);
    assert_eq!(scanned(&engine, &ALL, Direction::Forward).len(), 21);
}

/// An archive with one write, which sled has.
fn applied() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    engine.commit(&batch(&[(b"a", Some(b"1"))])).unwrap();
    engine.settle().unwrap();
    dir
}

/// 25 commits of 16 values each.
fn fill_three_segments(engine: &SledEngine) {
    for commit in 0..25_u8 {
        let writes = (0..16_u8).map(|number| (vec![commit, number], Some(vec![commit; 60_000])));
        engine.commit(&Batch { writes: writes.collect(), maintenance: false }).unwrap();
    }
    engine.settle().unwrap();
}

/// A flipped byte near the end of the log made sled truncate everything after it. The database opened without an error,
/// and the byte could no longer be repaired. In the middle of the log, opening failed, but sled had truncated it
/// anyway.
#[test]
fn a_failed_opening_leaves_all_files_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    fill_three_segments(&engine);
    drop(engine);
    let pristine = contents(&dir.path().join("db/sled"));
    let end = fs::metadata(dir.path().join("db/sled/db")).unwrap().len();
    let rejected = (1..10).filter(|tenth| {
        contents(&dir.path().join("db/sled")).keys().for_each(|path| fs::remove_file(path).unwrap());
        pristine.iter().for_each(|(path, content)| fs::write(path, content).unwrap());
        damage_and_open(dir.path(), end / 10 * tenth)
    });
    assert!(rejected.count() > 1);
}

/// A damaged header made a segment look empty, or long covered by the snapshot, so it was not copied. sled treated it
/// as free and zeroed it, and the rejected opening restored only the header.
#[test]
fn a_rejected_opening_leaves_a_segment_with_a_damaged_header_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    for (opened, commits) in [(0, 10), (1, 14_u8)] {
        let engine = open(dir.path());
        for commit in 0..commits {
            let writes = (0..16_u8).map(|number| (vec![opened, commit, number], Some(vec![commit; 60_000])));
            engine.commit(&Batch { writes: writes.collect(), maintenance: false }).unwrap();
        }
        engine.settle().unwrap();
    }
    let path = dir.path().join("db/sled/db");
    let log = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let reject = || SledEngine::open_checked(hold(dir.path()).unwrap(), OPTIONS, |_| Err("anyhow".to_owned()));
    // Any opening zeroes an older segment that nothing refers to any more. That is no loss.
    assert!(reject().is_err());
    for segment in 0..fs::metadata(&path).unwrap().len() >> 23 {
        let mut header = [0; 4096];
        log.read_exact_at(&mut header, segment << 23).unwrap();
        let mut damaged = header;
        match segment % 3 {
            0 => damaged.fill(0),
            // A byte of the position, which is stored complemented, so that the position seems lower by 16 MiB or more.
            1 => damaged[7] = 0xff,
            _ => damaged[1] ^= 1,
        }
        log.write_all_at(&damaged, segment << 23).unwrap();
        let before = contents(&dir.path().join("db/sled"));
        assert!(reject().is_err());
        assert!(contents(&dir.path().join("db/sled")) == before, "segment {segment}, {:?}", &damaged[..20]);
        log.write_all_at(&header, segment << 23).unwrap();
    }
}

/// Of a log that sled will replay completely, only what follows it in its last segment is copied. A rejected opening
/// must leave the file as it was all the same.
#[test]
fn an_intact_log_is_restored_without_a_copy_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    fill_three_segments(&engine);
    drop(engine);
    // Any opening zeroes segments that nothing refers to any more. That is no loss.
    assert!(SledEngine::open_checked(hold(dir.path()).unwrap(), OPTIONS, |_| Err("anyhow".to_owned())).is_err());
    assert!(copied_by_a_rejected_opening(dir.path()) <= 8 << 20);
    assert_eq!(open(dir.path()).scan(ALL, Direction::Forward).count(), 25 * 16);

    let dir = applied();
    assert_eq!(copied_by_a_rejected_opening(dir.path()), 0);
    let path = dir.path().join("db/sled/db");
    let log = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let end = fs::read(&path).unwrap().iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
    // The file may end anywhere after the last message.
    for length in [end, end + 40, end + 5_000] {
        log.set_len(length).unwrap();
        assert_eq!(copied_by_a_rejected_opening(dir.path()), 0);
    }
    for garbage in [10, 300_000] {
        log.write_all_at(b"x", end + garbage).unwrap();
        assert_eq!(copied_by_a_rejected_opening(dir.path()), garbage + 1);
        log.set_len(end).unwrap();
    }
}

/// The number of bytes of the log that are copied by an opening that is then rejected, and leaves the files unchanged.
fn copied_by_a_rejected_opening(archive: &Path) -> u64 {
    let before = contents(&archive.join("db/sled"));
    let mut copied = 0;
    let rejected = SledEngine::open_checked(hold(archive).unwrap(), OPTIONS, |engine| {
        copied = fs::metadata(archive.join("before-opening/log")).unwrap().len();
        assert!(engine.scan(ALL, Direction::Forward).count() > 0);
        Err("anyhow".to_owned())
    });
    assert!(rejected.is_err());
    assert!(contents(&archive.join("db/sled")) == before);
    copied
}

/// If a log ended within the header of a segment, the rejected opening padded that header with zeros.
#[test]
fn a_rejected_opening_leaves_a_truncated_header_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    fill_three_segments(&engine);
    drop(engine);
    let log = fs::OpenOptions::new().write(true).open(dir.path().join("db/sled/db")).unwrap();
    log.set_len((2 << 23) + 12).unwrap();
    let before = contents(&dir.path().join("db/sled"));
    let reject = |_: &SledEngine| Err("anyhow".to_owned());
    assert!(SledEngine::open_checked(hold(dir.path()).unwrap(), OPTIONS, reject).is_err());
    assert!(contents(&dir.path().join("db/sled")) == before);
}

/// Whether opening was rejected. If so, all files must be unchanged, and everything must be readable once the damage is
/// repaired.
fn damage_and_open(archive: &Path, damaged_at: u64) -> bool {
    let log = fs::OpenOptions::new().read(true).write(true).open(archive.join("db/sled/db")).unwrap();
    flip(&log, damaged_at);
    let before = contents(&archive.join("db/sled"));
    let opened = SledEngine::open_checked(hold(archive).unwrap(), OPTIONS, |engine| {
        engine.get(&[24, 15]).unwrap().map(drop).ok_or_else(|| "the log lost its end".to_owned())
    });
    let Err(error) = opened else { return false };
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(contents(&archive.join("db/sled")) == before, "changed by opening, damaged at {damaged_at}");
    assert!(!archive.join("before-opening").exists());
    flip(&log, damaged_at);
    assert_eq!(open(archive).scan(ALL, Direction::Forward).map(Result::unwrap).count(), 25 * 16);
    true
}

fn flip(file: &fs::File, at: u64) {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
}

fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_file()).map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

#[test]
fn an_archive_opens_without_space_to_undo_the_opening() {
    let dir = applied();
    fs::create_dir(dir.path().join("before-opening")).unwrap();
    fs::write(dir.path().join("before-opening/log"), b"from a process that was killed").unwrap();
    let engine = try_open(dir.path(), Options { free_space_floor_bytes: u64::MAX, ..OPTIONS }).unwrap();
    assert_eq!(engine.get(b"a").unwrap().unwrap(), b"1");
    drop(engine);
    open(dir.path());
    assert!(!dir.path().join("before-opening").exists());
}

/// A process that is killed while opening on a full disk has released the reserve, and not allocated it again.
#[test]
fn the_next_opening_allocates_a_released_reserve_again() {
    let dir = applied();
    let reserve = dir.path().join("RESERVE");
    let allocated = || fs::metadata(&reserve).unwrap().blocks() * 512;
    let (bytes, before) = (fs::metadata(&reserve).unwrap().len(), allocated());
    assert!(before >= bytes && bytes > 512 << 10, "{before} of {bytes}");
    let file = fs::File::options().write(true).open(&reserve).unwrap();
    file.set_len(0).unwrap();
    file.set_len(bytes).unwrap();
    assert_eq!(allocated(), 0);
    drop(open(dir.path()));
    assert_eq!(allocated(), before);
}
