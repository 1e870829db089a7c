//! Tests of the guarantees that both engines give, run on each, then of those that only the one on disk gives.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod opening;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::directory::Directory;
use super::lock::Holder;
use super::memory::{Fault, MemoryEngine};
use super::sled::{Options, SledEngine};
use super::{Batch, Direction, Engine, EngineError, Entry, KEY_BYTES_MAX, KeyRange, OpenError, Read, VALUE_BYTES_MAX};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

const ALL: KeyRange = KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };
/// Without a floor, so that the tests also run on a nearly full disk.
const OPTIONS: Options = Options { cache_bytes: 8 << 20, free_space_floor_bytes: 0 };

fn try_open(path: &Path, options: Options) -> Result<SledEngine, OpenError> {
    SledEngine::open(hold(path)?, options)
}

fn hold(path: &Path) -> Result<Arc<Directory>, OpenError> {
    let holder = Holder { pid: 1, command: "test".to_owned(), since: String::new() };
    Directory::open_or_create(path, holder).map(Arc::new)
}

fn open(path: &Path) -> SledEngine {
    try_open(path, OPTIONS).unwrap()
}

fn batch(writes: &[(&[u8], Option<&[u8]>)]) -> Batch {
    Batch {
        writes: writes.iter().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect(),
        ..Batch::default()
    }
}

fn scanned(engine: &dyn Engine, range: &KeyRange, direction: Direction) -> Vec<Entry> {
    engine.scan(range.clone(), direction).map(Result::unwrap).collect()
}

fn expected(model: &Model, range: &KeyRange, direction: Direction) -> Vec<Entry> {
    let start = |key: &Vec<u8>| match &range.start {
        Bound::Unbounded => true,
        Bound::Included(start) => key >= start,
        Bound::Excluded(start) => key > start,
    };
    let end = |key: &Vec<u8>| match &range.end {
        Bound::Unbounded => true,
        Bound::Included(end) => key <= end,
        Bound::Excluded(end) => key < end,
    };
    let within =
        model.iter().filter(|(key, _)| start(key) && end(key)).map(|(key, value)| (key.clone(), value.clone()));
    match direction {
        Direction::Forward => within.collect(),
        Direction::Reverse => within.rev().collect(),
    }
}

/// Keys from a small set, with shared prefixes, empty keys and extreme bytes, so that ranges often meet them.
fn keys() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0_u8, 1, 7, 254, 255]), 0..5)
}

fn bounds() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![Just(Bound::Unbounded), keys().prop_map(Bound::Included), keys().prop_map(Bound::Excluded)]
}

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let value = prop::option::weighted(0.8, prop::collection::vec(any::<u8>(), 0..40));
    let batch =
        prop::collection::btree_map(keys(), value, 0..40).prop_map(|writes| Batch { writes, ..Batch::default() });
    prop::collection::vec(batch, 1..8)
}

/// Commits the batches, and compares all reads with a map after each. `committed` is called after each commit.
fn check_against_model(
    engine: &dyn Engine,
    batches: Vec<Batch>,
    ranges: &[KeyRange],
    mut committed: impl FnMut(),
) -> Model {
    let mut model = Model::new();
    for batch in batches {
        engine.commit(&batch).unwrap();
        committed();
        for (key, value) in batch.writes {
            match value {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
        }
        check_reads(engine, &model, ranges);
    }
    model
}

fn check_reads(engine: &dyn Engine, model: &Model, ranges: &[KeyRange]) {
    for range in ranges.iter().chain([&ALL]) {
        for direction in [Direction::Forward, Direction::Reverse] {
            assert_eq!(scanned(engine, range, direction), expected(model, range, direction), "{range:?} {direction:?}");
        }
        for key in [&range.start, &range.end] {
            if let Bound::Included(key) | Bound::Excluded(key) = key {
                assert_eq!(engine.get(key).unwrap().as_ref(), model.get(key));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_reads_what_a_map_would(
        batches in batches(),
        ranges in prop::collection::vec((bounds(), bounds()).prop_map(|(start, end)| KeyRange { start, end }), 20),
    ) {
        check_against_model(&MemoryEngine::new(), batches, &ranges, || {});
    }

    #[test]
    fn sled_reads_what_a_map_would_and_again_after_reopening(
        batches in batches(),
        ranges in prop::collection::vec((bounds(), bounds()).prop_map(|(start, end)| KeyRange { start, end }), 20),
        settled in prop::collection::vec(any::<bool>(), 1..6),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path());
        let mut settles = settled.into_iter().cycle();
        let settle = || if settles.next() == Some(true) { engine.settle().unwrap() };
        let model = check_against_model(&engine, batches, &ranges, settle);
        drop(engine);
        let engine = open(dir.path());
        check_reads(&engine, &model, &ranges);
        engine.settle().unwrap();
        check_reads(&engine, &model, &ranges);
    }
}

/// What was committed before a scan begins is in it, and nothing twice, whatever moves from memory to disk meanwhile.
#[test]
fn scans_miss_nothing_while_commits_are_applied() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let committed = std::sync::atomic::AtomicU32::new(0);
    let key = |number: u32| number.reverse_bits().to_be_bytes().to_vec();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..3_000_u32 {
                let value = vec![u8::try_from(number % 251).unwrap(); 200];
                engine.commit(&batch(&[(&key(number), Some(&value))])).unwrap();
                committed.store(number + 1, std::sync::atomic::Ordering::SeqCst);
                if number % 100 == 50 {
                    engine.settle().unwrap();
                }
            }
        });
        let mut turn = 0;
        while !writer.is_finished() {
            turn += 1;
            let before = committed.load(std::sync::atomic::Ordering::SeqCst);
            let direction = if turn % 2 == 0 { Direction::Forward } else { Direction::Reverse };
            let found: Vec<Vec<u8>> = scanned(&engine, &ALL, direction).into_iter().map(|(key, _)| key).collect();
            let ordered = found.is_sorted_by(|one, other| match direction {
                Direction::Forward => one < other,
                Direction::Reverse => one > other,
            });
            assert!(ordered, "a key is out of order or there twice");
            let found: std::collections::BTreeSet<_> = found.into_iter().collect();
            assert!((0..before).all(|number| found.contains(&key(number))), "a key is missing from a scan");
        }
    });
}

fn with_both(test: impl Fn(&dyn Engine)) {
    test(&MemoryEngine::new());
    let dir = tempfile::tempdir().unwrap();
    test(&open(dir.path()));
}

#[test]
fn inverted_and_empty_ranges_contain_nothing() {
    with_both(|engine| {
        engine.commit(&batch(&[(b"b", Some(b"1"))])).unwrap();
        let key = |key: &[u8]| key.to_vec();
        let ranges = [
            (Bound::Included(key(b"c")), Bound::Included(key(b"a"))),
            (Bound::Excluded(key(b"b")), Bound::Excluded(key(b"b"))),
            (Bound::Included(key(b"b")), Bound::Excluded(key(b"b"))),
            (Bound::Excluded(key(b"b")), Bound::Included(key(b"b"))),
        ];
        for (start, end) in ranges {
            for direction in [Direction::Forward, Direction::Reverse] {
                let range = KeyRange { start: start.clone(), end: end.clone() };
                assert_eq!(scanned(engine, &range, direction), []);
            }
        }
    });
}

#[test]
fn a_caller_may_commit_while_it_scans() {
    with_both(|engine| {
        engine.commit(&batch(&[(b"a", Some(b"1")), (b"b", Some(b"2"))])).unwrap();
        let mut entries = engine.scan(ALL, Direction::Forward);
        assert_eq!(entries.next().unwrap().unwrap().0, b"a");
        engine.commit(&batch(&[(b"a", None)])).unwrap();
        assert_eq!(entries.next().unwrap().unwrap().0, b"b");
        assert!(entries.next().is_none());
    });
}

#[test]
fn oversized_keys_and_values_are_rejected_without_poisoning() {
    with_both(|engine| {
        let largest = vec![1; VALUE_BYTES_MAX];
        let longest = vec![2; KEY_BYTES_MAX];
        engine.commit(&batch(&[(&longest, Some(&largest))])).unwrap();
        let oversized = vec![1; VALUE_BYTES_MAX + 1];
        assert!(matches!(
            engine.commit(&batch(&[(b"k", Some(&oversized)), (b"l", None)])),
            Err(EngineError::TooLarge { .. })
        ));
        let oversized = vec![1; KEY_BYTES_MAX + 1];
        assert!(matches!(engine.commit(&batch(&[(&oversized, None)])), Err(EngineError::TooLarge { .. })));
        engine.commit(&batch(&[(b"k", Some(b"fits"))])).unwrap();
    });
}

#[test]
fn the_largest_keys_and_values_stay_out_of_blobs() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    for group in 0..40_u8 {
        let writes = (0..32_u8).map(|number| {
            let mut key = vec![0; KEY_BYTES_MAX];
            // Keys differ at both ends, so that prefix compression does not help.
            key[0] = number;
            key[KEY_BYTES_MAX - 1] = group;
            (key, Some(vec![number; VALUE_BYTES_MAX / 4]))
        });
        engine.commit(&Batch { writes: writes.collect(), ..Batch::default() }).unwrap();
    }
    let value = vec![9; VALUE_BYTES_MAX];
    let writes = (0..200_u8).map(|number| (vec![7, number], Some(value.clone())));
    engine.commit(&Batch { writes: writes.collect(), ..Batch::default() }).unwrap();
    engine.settle().unwrap();
    assert_eq!(engine.scan(ALL, Direction::Forward).count(), 40 * 32 + 200);
}

/// What is pending in memory is the latest write of each key. Once, nothing else made the applier begin before there was
/// a database, so the log of an archive whose closed time was raised again and again grew without end.
#[test]
fn a_key_that_is_written_again_and_again_does_not_fill_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let value = vec![7; 60_000];
    let is_applied = || dir.path().join("db/sled").exists() && engine.disk_bytes().unwrap() < 40 << 20;
    // Ten times what the log may have before the applier begins, at most.
    let mut written = 0;
    while !(written > 400 && is_applied()) {
        engine.commit(&batch(&[(b"a", Some(&value))])).unwrap();
        written += 1;
        assert!(written < 2_700, "{} bytes after {written} commits", engine.disk_bytes().unwrap());
    }
    assert_eq!(engine.get(b"a").unwrap().unwrap(), value);
}

#[test]
fn disk_bytes_grow() {
    with_both(|engine| {
        let before = engine.disk_bytes().unwrap();
        // More than a segment, since sled first fills the one that it starts with when it opens.
        let writes = (0..200_u8).map(|number| (vec![number], Some(vec![number; 60_000])));
        engine.commit(&Batch { writes: writes.collect(), ..Batch::default() }).unwrap();
        assert!(engine.disk_bytes().unwrap() >= before.max(12_000_000));
    });
}

#[test]
fn below_the_floor_nothing_is_written_and_reads_continue() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).commit(&batch(&[(b"a", Some(b"1"))])).unwrap();
    let engine = try_open(dir.path(), Options { free_space_floor_bytes: u64::MAX, ..OPTIONS }).unwrap();
    for _ in 0..2 {
        let error = engine.commit(&batch(&[(b"a", Some(b"2"))])).unwrap_err();
        assert!(matches!(error, EngineError::Full { floor_bytes: u64::MAX, .. }), "{error}");
    }
    assert_eq!(engine.get(b"a").unwrap().unwrap(), b"1");
}

#[test]
fn a_file_in_blobs_poisons_the_engine_and_prevents_opening() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    engine.commit(&batch(&[(b"a", Some(b"1"))])).unwrap();
    engine.settle().unwrap();
    let blob = dir.path().join("db/sled/blobs/00000000000000AA");
    fs::write(&blob, b"x").unwrap();

    // The commit is durable in the write-ahead log. Applying it fails.
    engine.commit(&batch(&[(b"b", Some(b"2"))])).unwrap();
    let error = engine.settle().unwrap_err();
    assert!(matches!(&error, EngineError::Poisoned(first) if first.contains("00000000000000AA")), "{error}");
    fs::remove_file(&blob).unwrap();
    let error = engine.commit(&batch(&[(b"c", Some(b"3"))])).unwrap_err();
    assert!(matches!(&error, EngineError::Poisoned(first) if first.contains("00000000000000AA")), "{error}");
    assert_eq!(engine.get(b"b").unwrap().unwrap(), b"2");
    drop(engine);

    fs::write(&blob, b"x").unwrap();
    assert!(matches!(try_open(dir.path(), OPTIONS), Err(OpenError::Damaged { .. })));
    assert!(blob.exists());
    fs::remove_file(&blob).unwrap();
    let engine = open(dir.path());
    assert_eq!(engine.get(b"b").unwrap().unwrap(), b"2");
    engine.settle().unwrap();
    assert_eq!(engine.get(b"b").unwrap().unwrap(), b"2");
}

#[test]
fn a_second_engine_opens_only_after_the_first_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    assert!(matches!(try_open(dir.path(), OPTIONS), Err(OpenError::InUse { .. })));
    drop(engine);
    open(dir.path());
}

#[test]
fn a_failed_commit_poisons_memory_as_it_does_sled() {
    let engine = MemoryEngine::new();
    engine.fault_at(2, Fault::FailBeforeSync);
    engine.commit(&batch(&[(b"a", Some(b"1"))])).unwrap();
    assert!(matches!(engine.commit(&batch(&[(b"a", Some(b"2")), (b"b", Some(b"2"))])), Err(EngineError::Failed(_))));
    assert!(matches!(engine.commit(&batch(&[])), Err(EngineError::Poisoned(_))));
    assert_eq!(engine.get(b"a").unwrap().unwrap(), b"2", "visible, but not durable");

    engine.lose_unsynced();
    assert_eq!(scanned(&engine, &ALL, Direction::Forward), [(b"a".to_vec(), b"1".to_vec())]);
    engine.fault_at(1, Fault::FailBeforeWrite);
    engine.commit(&batch(&[(b"c", Some(b"3"))])).unwrap_err();
    engine.restart();
    assert_eq!(engine.get(b"c").unwrap(), None);
    engine.fault_at(1, Fault::Full);
    assert!(matches!(engine.commit(&batch(&[(b"c", Some(b"3"))])), Err(EngineError::Full { .. })));
    engine.commit(&batch(&[(b"c", Some(b"3"))])).unwrap();
}

/// Part of a commit may be visible while the process lives, but not after reopening.
#[test]
fn reopening_the_memory_engine_undoes_a_short_write() {
    for reopen in [MemoryEngine::restart, MemoryEngine::lose_unsynced] {
        let engine = MemoryEngine::new();
        engine.commit(&batch(&[(b"a", Some(b"1"))])).unwrap();
        engine.fault_at(1, Fault::Short(0b101));
        let failed = engine.commit(&batch(&[(b"a", Some(b"2")), (b"b", Some(b"2")), (b"c", Some(b"2"))]));
        assert!(matches!(failed, Err(EngineError::Failed(_))));
        assert!(matches!(engine.commit(&batch(&[])), Err(EngineError::Poisoned(_))));
        let part = [(b"a".to_vec(), b"2".to_vec()), (b"c".to_vec(), b"2".to_vec())];
        assert_eq!(scanned(&engine, &ALL, Direction::Forward), part);
        reopen(&engine);
        assert_eq!(scanned(&engine, &ALL, Direction::Forward), [(b"a".to_vec(), b"1".to_vec())]);
        engine.commit(&batch(&[(b"c", Some(b"3"))])).unwrap();
    }
}

#[test]
fn reads_continue_while_a_commit_of_the_memory_engine_hangs() {
    let engine = MemoryEngine::new();
    engine.fault_at(1, Fault::Hang);
    std::thread::scope(|scope| {
        let commit = scope.spawn(|| engine.commit(&batch(&[(b"a", Some(b"1"))])));
        engine.wait_until_hanging();
        assert_eq!(engine.get(b"a").unwrap().unwrap(), b"1");
        engine.release();
        commit.join().unwrap().unwrap();
    });
    engine.lose_unsynced();
    assert_eq!(engine.get(b"a").unwrap().unwrap(), b"1");
}

#[test]
fn the_memory_engine_is_damaged_on_demand() {
    let engine = MemoryEngine::new();
    engine.commit(&batch(&[(b"a1", Some(b"\x01\x02")), (b"b1", Some(b"3"))])).unwrap();
    assert!(engine.flip_byte(b"a1", 1));
    assert!(!engine.flip_byte(b"a1", 2));
    assert_eq!(engine.get(b"a1").unwrap().unwrap(), [1, 0xfd]);

    engine.fail_reads(Some(b"b"));
    assert!(matches!(engine.get(b"b1"), Err(EngineError::Damaged(_))));
    let mut entries = engine.scan(ALL, Direction::Forward);
    assert!(entries.next().unwrap().is_ok());
    assert!(entries.next().unwrap().is_err());
    assert!(entries.next().is_none(), "a scan ends at its first error");
    engine.commit(&batch(&[])).unwrap();
    engine.fail_reads(None);
    engine.get(b"b1").unwrap();
}
