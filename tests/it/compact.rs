//! Compaction changes how contents are compressed, and nothing else; and nothing of the old database remains.

use std::collections::BTreeMap;
use std::fs;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dateline::internals::archive::changefeed::FeedStart;
use dateline::internals::archive::recover::compact::{CompactError, CompactMode, Compacted, compact_directory};
use dateline::internals::archive::recover::verify::verify_directory;
use dateline::internals::archive::request::{Action, ArticleTarget, Observation, Operation, WriteMode};
use dateline::internals::archive::{Archive, Directory, Options};
use dateline::internals::backup::Until;
use dateline::internals::clock::ManualClock;
use dateline::internals::store::content::{DEPTH_LIMIT, StoredContent};
use dateline::internals::store::engine::sled::{Options as EngineOptions, SledEngine};
use dateline::internals::store::engine::{Batch, Engine, Entry, Read};
use dateline::internals::store::head::ArticleHead;
use dateline::internals::store::seal::seal;
use dateline::model::{ArticleKey, Block, BlockKind, Content, Original, Seq};
use tempfile::TempDir;

use crate::backup::{keep, restore, stream_backup};
use crate::faults::noise;
use crate::model::{batches_of, filled};
use crate::support::{self, block_on, holder};
use crate::verify::{collect, entries};

const CONTENT: u8 = 2;
const ORIGINAL: u8 = 3;

fn options() -> Options {
    Options { free_space_floor_bytes: 0, ..Options::default() }
}

pub(crate) fn open(path: &Path) -> SledEngine {
    let directory = Arc::new(Directory::open_or_create(path, holder()).unwrap());
    SledEngine::open(directory, EngineOptions { free_space_floor_bytes: 0, ..Default::default() }).unwrap()
}

/// Opens an archive whose clock is this much later than that of the tests.
fn archive(path: &Path, later_seconds: i64) -> Arc<Archive> {
    let clock = ManualClock::new(support::now().saturating_add_micros(later_seconds * 1_000_000));
    Arc::new(support::open_directory(path, &options(), &Arc::new(clock)))
}

/// Records what no compaction may lose: random writes of every kind, and then revisions of a long article, which returns
/// to what it said before, is rewritten from time to time, and has originals.
pub(crate) fn record(archive: &Archive, seed: u64, turns: Range<i64>) {
    let random = batches_of(seed, 40).into_iter();
    let operations = random.chain(turns.map(|turn| vec![revision(turn)]));
    block_on(async {
        for operations in operations.collect::<Vec<_>>() {
            // Some are rejected, and rejected writes leave no trace.
            drop(archive.write(operations, WriteMode::Commit).await);
        }
    });
}

fn revision(turn: i64) -> Operation {
    let (template, edit) = (turn % 3 + turn / 30, if turn % 5 == 0 { 0 } else { turn });
    let words = |seed: i64| (0..400).map(|word| format!("w{:x} ", (seed * 7_919 + word).pow(2) % 65_521)).collect();
    let mut texts: Vec<String> = (0..6).map(|number| words(template * 10 + number)).collect();
    texts.push(format!("Edited {edit} times."));
    let blocks = texts.into_iter().map(|text| Block::from(BlockKind::Paragraph { text }));
    let content = Content { headline: "The long read".to_owned(), blocks: blocks.collect(), ..Content::default() };
    let original = |bytes: usize| Original {
        media_type: "text/html".to_owned(),
        data: noise(turn.unsigned_abs(), bytes).into_bytes().into(),
    };
    let mut observation = Observation::new(content, Vec::new());
    observation.original = (turn % 8 == 0).then(|| original(if turn % 16 == 0 { 700_000 } else { 900 }));
    let target = ArticleTarget::Named(support::named(1, "long"));
    support::operation(target, support::at(turn), Action::Observe(Box::new(observation)))
}

fn compact(path: &Path) -> Result<Option<Compacted>, CompactError> {
    compact_directory(path, CompactMode::Compress, &options(), holder(), &mut |_| ControlFlow::Continue(()))
}

fn must_be_intact(path: &Path) {
    let mut findings = Vec::new();
    let summary = verify_directory(path, &options(), holder(), &mut |event| collect(event, &mut findings));
    assert!(summary.unwrap().is_some());
    assert_eq!(findings, []);
}

/// The content of a change, whatever it is a delta of.
fn content(engine: &SledEngine, seq: Seq) -> Vec<u8> {
    let stored = StoredContent::read(engine, seq).unwrap().unwrap();
    assert!(stored.depth() < DEPTH_LIMIT);
    let base = stored.base().map(|base| content(engine, base));
    stored.unpack(base.as_deref()).unwrap()
}

pub(crate) fn contents(engine: &SledEngine, entries: &[Entry]) -> BTreeMap<u64, Vec<u8>> {
    let seqs = entries.iter().filter(|(key, _)| key[0] == CONTENT);
    let seqs = seqs.map(|(key, _)| u64::from_be_bytes(key[1..9].try_into().unwrap()));
    seqs.map(|seq| (seq, content(engine, Seq(seq)))).collect()
}

/// All entries without those that a compaction may alter, and heads without depths.
pub(crate) fn unaltered(entries: &[Entry]) -> Vec<Entry> {
    let kept = entries.iter().filter(|(key, _)| ![CONTENT, ORIGINAL].contains(&key[0]));
    let without_depths = kept.map(|(key, value)| {
        if !(key[0] == 4 && key[9] == 0) {
            return (key.clone(), value.clone());
        }
        let mut head = ArticleHead::decode(key, value).unwrap();
        head.recent.iter_mut().for_each(|recent| recent.depth = 0);
        (key.clone(), head.encode(ArticleKey(0)).1)
    });
    without_depths.collect()
}

/// The files of an archive, and whether any of them has these bytes.
pub(crate) fn files_with(path: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![path.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn everything_but_the_compression_stays_byte_for_byte() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let writes = entries(&filled()).into_iter().map(|(key, value)| (key, Some(value))).collect();
    open(path).commit(&Batch { writes, ..Batch::default() }).unwrap();
    let written = archive(path, 60);
    record(&written, 3, 0..100);
    block_on(written.close());
    let snapshot = written.tail();
    drop(written);
    must_be_intact(path);
    let (before, contents_before) = {
        let engine = open(path);
        let before = entries(&engine);
        let contents = contents(&engine, &before);
        (before, contents)
    };

    let Compacted { bytes_before, bytes_after, contents: count, .. } = compact(path).unwrap().unwrap();
    assert!(bytes_after < bytes_before, "{bytes_before} to {bytes_after} bytes");
    assert_eq!(count, contents_before.len() as u64);
    must_be_intact(path);
    {
        let engine = open(path);
        let after = entries(&engine);
        assert!(unaltered(&after) == unaltered(&before), "an entry differs");
        assert!(contents(&engine, &after) == contents_before, "a content differs");
        let bytes = |entries: &[Entry]| -> usize {
            entries.iter().filter(|(key, _)| key[0] == CONTENT).map(|(_, value)| value.len()).sum()
        };
        assert!(bytes(&after) < bytes(&before));
    }
    // It works on as before, and can be compacted again.
    let reopened = archive(path, 120);
    assert_eq!(reopened.tail(), snapshot);
    record(&reopened, 4, 100..150);
    block_on(reopened.close());
    drop(reopened);
    must_be_intact(path);
    compact(path).unwrap().unwrap();
    must_be_intact(path);
}

#[test]
fn nothing_of_the_old_database_remains() {
    const SECRET: &[u8] = b"a text that had to be destroyed";
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let written = archive(path, 0);
    record(&written, 5, 0..20);
    block_on(written.close());
    drop(written);
    let engine = open(path);
    // Enough that the database has more than its write-ahead log.
    let keys: Vec<Vec<u8>> = (0..120).map(|number| vec![10, number]).collect();
    let value = |key: &Vec<u8>| seal(key, SECRET.repeat(60_000 / SECRET.len()));
    let writes = keys.iter().map(|key| (key.clone(), Some(value(key)))).collect();
    engine.commit(&Batch { writes, ..Batch::default() }).unwrap();
    engine.settle().unwrap();
    let writes = keys.iter().map(|key| (key.clone(), None)).collect();
    engine.commit(&Batch { writes, ..Batch::default() }).unwrap();
    engine.settle().unwrap();
    drop(engine);
    assert!(files_with(&path.join("db/sled"), SECRET).len() + files_with(&path.join("db/wal"), SECRET).len() >= 2);

    compact(path).unwrap().unwrap();
    assert_eq!(files_with(path, SECRET), Vec::<PathBuf>::new());
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    assert_eq!(names, ["ID", "LOCK", "VERSION", "WATERMARK", "db"]);
    assert!(!path.join("db/sled").exists(), "so little fits into the write-ahead log");
}

#[test]
fn a_compaction_that_is_stopped_or_fails_changes_nothing() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let written = archive(path, 0);
    record(&written, 6, 0..50);
    block_on(written.close());
    drop(written);
    let before = entries(&open(path));

    for steps in [0, 3, 40] {
        let mut left = steps;
        let stopped = compact_directory(path, CompactMode::Compress, &options(), holder(), &mut |_| {
            left -= 1;
            if left < 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(stopped.unwrap(), None);
        assert!(!path.join("db.compact").exists());
    }
    let floor = Options { free_space_floor_bytes: u64::MAX / 2, ..options() };
    let full = compact_directory(path, CompactMode::Compress, &floor, holder(), &mut |_| ControlFlow::Continue(()));
    assert!(matches!(full, Err(CompactError::NoSpace { needed_bytes, free_bytes, .. }) if needed_bytes > free_bytes));
    assert!(!path.join("db.compact").exists());
    assert!(entries(&open(path)) == before);

    // Damage is not carried over.
    let (key, value) = before.iter().rfind(|(key, _)| key[0] == CONTENT).unwrap();
    let mut other = value.clone();
    other[2] ^= 1;
    open(path).commit(&Batch { writes: [(key.clone(), Some(other))].into(), ..Batch::default() }).unwrap();
    let damaged = compact(path);
    assert!(matches!(damaged, Err(CompactError::Damaged(_))), "{damaged:?}");
    assert!(!path.join("db.compact").exists());
    assert_eq!(open(path).get(&before[0].0).unwrap().as_ref(), Some(&before[0].1));
}

/// The chains of the later file count from the compacted contents, those of the earlier one from what they were before.
#[test]
fn a_backup_with_a_compaction_between_its_files_is_restored() {
    let directory = TempDir::new().unwrap();
    let (path, folder) = (directory.path().join("archive"), directory.path().join("backup"));
    fs::create_dir(&folder).unwrap();
    let written = archive(&path, 0);
    record(&written, 7, 0..45);
    let end = written.tail();
    keep(&block_on(stream_backup(&written, FeedStart::Beginning)), &folder);
    block_on(written.close());
    drop(written);

    compact(&path).unwrap().unwrap();
    let written = archive(&path, 60);
    record(&written, 8, 45..120);
    assert!(written.tail().next_seq > end.next_seq);
    keep(&block_on(stream_backup(&written, FeedStart::Seq(end.next_seq))), &folder);
    let tail = written.tail();
    block_on(written.close());
    drop(written);

    let restored = directory.path().join("restored");
    assert_eq!(restore(&[folder], &restored, Until::End).unwrap().end, tail);
    must_be_intact(&restored);
    let (one, other) = (open(&path), open(&restored));
    let (one_entries, other_entries) = (entries(&one), entries(&other));
    assert!(contents(&one, &one_entries) == contents(&other, &other_entries));
}
