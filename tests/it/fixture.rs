//! An archive of this format as stored on disk, kept as a file: what was once written must always be readable.
//!
//! `tests/fixtures/README.md` has the rules, and the command that creates the fixture.

mod made;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dateline::internals::archive::recover::verify::verify_directory;
use dateline::internals::archive::{Archive, Directory, FORMAT_VERSION, Options};
use dateline::internals::clock::ManualClock;
use dateline::internals::store::engine::Engine;
use dateline::internals::store::engine::sled::{Options as EngineOptions, SledEngine};
use dateline::internals::store::key::meta::MetaKey;
use dateline::internals::store::{Batch, Tables};
use dateline::model::{Seq, Timestamp};
use tempfile::TempDir;

use crate::portrait::{assert_same, portrait};
use crate::support::{at, block_on, holder, now, open_directory};
use crate::verify::{collect, entries};

fn options() -> Options {
    Options { free_space_floor_bytes: 0, ..Options::default() }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/format-{FORMAT_VERSION}"))
}

/// A clock long after everything in the fixture.
fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(now().saturating_add_micros(3_600_000_000)))
}

/// All answers, as known at each position and at some instants.
async fn portrait_of(archive: &Archive) -> String {
    let bounds: Vec<u64> = (0..archive.tail().next_seq.0).step_by(7).collect();
    let instants: Vec<Timestamp> = [4, 9, 15, 40, 51].into_iter().map(at).collect();
    portrait(archive, &bounds, &instants).await
}

#[test]
#[ignore = "creates the fixture, which is kept permanently once its format is released"]
fn make_the_fixture() {
    let directory = TempDir::new().unwrap();
    made::make(directory.path());
    let portrait = block_on(async {
        let archive = open_directory(directory.path(), &options(), &clock());
        let portrait = portrait_of(&archive).await;
        archive.close().await;
        portrait
    });
    fs::create_dir_all(folder()).unwrap();
    fs::write(folder().join("portrait.txt"), portrait).unwrap();
    fs::write(folder().join("archive.zst"), pack(directory.path())).unwrap();
}

#[test]
fn the_fixture_is_read_as_it_was_written() {
    let directory = unpacked();
    let expected = fs::read_to_string(folder().join("portrait.txt")).unwrap();
    let mut findings = Vec::new();
    let mut listener = |event| collect(event, &mut findings);
    verify_directory(directory.path(), &options(), holder(), &mut listener).unwrap().unwrap();
    assert_eq!(findings, []);
    block_on(async {
        let archive = open_directory(directory.path(), &options(), &clock());
        assert_same(&portrait_of(&archive).await, &expected, "the fixture");
        archive.close().await;
    });
}

/// A fixture that lacks something would not show that it can be read.
#[test]
fn the_fixture_has_every_kind_of_change_and_key() {
    let portrait = fs::read_to_string(folder().join("portrait.txt")).unwrap();
    let kinds = [
        "Created",
        "Revised",
        "Sighted",
        "Repeated",
        "RolledBack",
        "Withdrawn",
        "Reinstated",
        "StateRepeated",
        "Aliased",
        "Labelled",
        "LabelsRepeated",
        "Absent",
        "AbsenceRepeated",
        "UrlEnded",
        "UrlBound",
        "UrlsRepeated",
        "Expunged",
    ];
    for kind in kinds {
        let is_of_kind = |line: &str| line.starts_with("change ") && line.split(' ').nth(2) == Some(kind);
        assert!(portrait.lines().any(is_of_kind), "there is no {kind}");
    }
    for words in
        ["paragraph", "subheading", "caption", "quote", "list", "embed", "correction", "original", "subscription"]
    {
        assert!(portrait.lines().any(|line| line.trim_start().starts_with(words)), "there is no {words}");
    }
    for state in ["state: Active", "state: Paused"] {
        let is_so = |line: &str| line.starts_with("  sends to Webhook {") && line.contains(state);
        assert!(portrait.lines().any(is_so), "there is no webhook with {state}");
    }
    let directory = unpacked();
    let engine = open_engine(directory.path());
    let mut keys: BTreeMap<(u8, u8), usize> = BTreeMap::new();
    for (key, _) in entries(&engine) {
        // An article's subkind follows its number; a chunk's number ends the key.
        let part = match key[0] {
            2 | 3 => key[10],
            4 => key[9],
            _ => 0,
        };
        *keys.entry((key[0], part)).or_default() += 1;
    }
    let articles = (0..=8).map(|subkind| (4, subkind));
    let expected = [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (11, 0), (13, 0)]
        .into_iter()
        .chain(articles);
    for key in expected {
        assert!(keys.contains_key(&key), "there is no key of {key:?} in {keys:?}");
    }
    for meta in [MetaKey::FormatVersion, MetaKey::ArchiveId, MetaKey::ClosedTime, MetaKey::Commits] {
        assert!(Tables::new(&engine).meta(meta).unwrap().is_some(), "there is no {meta:?}");
    }
    assert!(Tables::new(&engine).change(Seq::ZERO).unwrap().is_some());
}

/// An archive of an earlier or a later format is not reported as damaged, and is not changed.
#[test]
fn another_format_is_rejected_with_advice() {
    let advices = [
        (FORMAT_VERSION - 1, "export it with the version that wrote it"),
        (FORMAT_VERSION + 1, "use the newer version that wrote it"),
    ];
    for (found, advice) in advices {
        let directory = unpacked();
        say_format(directory.path(), found);
        let clock: Arc<dyn dateline::internals::clock::Clock> = clock();
        let refused = Archive::open_or_create(directory.path(), &options(), clock, holder()).map(drop).unwrap_err();
        assert!(!refused.is_damage());
        let message = refused.to_string();
        for words in [&format!("has format {found}"), &format!("reads format {FORMAT_VERSION}"), advice] {
            assert!(message.contains(words), "{message}");
        }
    }
}

/// Changes the format that an archive states.
pub(crate) fn say_format(path: &Path, version: u32) {
    let mut batch = Batch::default();
    batch.put_meta(MetaKey::FormatVersion, version.to_be_bytes().to_vec());
    open_engine(path).commit(&batch).unwrap();
}

fn open_engine(path: &Path) -> SledEngine {
    let directory = Arc::new(Directory::open(path, holder()).unwrap());
    SledEngine::open(directory, EngineOptions { free_space_floor_bytes: 0, ..EngineOptions::default() }).unwrap()
}

fn unpacked() -> TempDir {
    let directory = TempDir::new().unwrap();
    unpack_to(directory.path());
    directory
}

/// Writes the archive of the fixture to this directory.
pub(crate) fn unpack_to(directory: &Path) {
    let packed = fs::read(folder().join("archive.zst")).unwrap();
    let bytes = zstd::decode_all(packed.as_slice()).unwrap();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let path = directory.join(take_line(&mut rest));
        let length: usize = take_line(&mut rest).parse().unwrap();
        let (content, after) = rest.split_at(length);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        rest = after;
    }
    // A directory without files is not in the fixture's file.
    fs::create_dir_all(directory.join("db/sled/blobs")).unwrap();
}

/// The bytes of all files of an archive, by path. The lock has the last holder and belongs to none of them; a socket has no
/// bytes.
pub(crate) fn bytes_of(archive: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let kept = files(archive).into_iter().filter(|path| path.is_file() && !path.ends_with("LOCK"));
    kept.map(|path| (path.strip_prefix(archive).unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

fn take_line<'a>(rest: &mut &'a [u8]) -> &'a str {
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
    let (line, after) = rest.split_at(end);
    *rest = &after[1..];
    std::str::from_utf8(line).unwrap()
}

fn pack(directory: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for path in files(directory) {
        let content = fs::read(&path).unwrap();
        let name = path.strip_prefix(directory).unwrap().to_str().unwrap();
        bytes.extend(format!("{name}\n{}\n", content.len()).into_bytes());
        bytes.extend(content);
    }
    zstd::encode_all(bytes.as_slice(), 19).unwrap()
}

/// All files below a directory, sorted by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries.into_iter().flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
