//! Rebuilt indexes equal the original ones byte for byte, whatever had happened to those.

use std::path::Path;
use std::sync::Arc;

use dateline::internals::archive::recover::verify::{RebuildError, rebuild_directory, verify_directory};
use dateline::internals::archive::{Directory, Options};
use dateline::internals::store::engine::sled::SledEngine;
use dateline::internals::store::engine::{Batch, Engine, Entry, OpenError};
use dateline::model::Seq;
use dateline::model::verification::{Finding, Table};
use tempfile::TempDir;

use super::{collect, entries};
use crate::model::filled;
use crate::support::holder;

const LOG: u8 = 1;
const CONTENT: u8 = 2;

/// A directory with a random archive, and its entries.
fn archive() -> (TempDir, Vec<Entry>) {
    let directory = TempDir::new().unwrap();
    let all = entries(&filled());
    let writes = all.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    open(directory.path()).unwrap().commit(&Batch { writes, ..Batch::default() }).unwrap();
    (directory, all)
}

fn open(path: &Path) -> Result<SledEngine, OpenError> {
    let directory = Arc::new(Directory::open_or_create(path, holder()).unwrap());
    SledEngine::open(
        directory,
        dateline::internals::store::engine::sled::Options { free_space_floor_bytes: 0, ..Default::default() },
    )
}

fn options() -> Options {
    Options { free_space_floor_bytes: 0, ..Options::default() }
}

fn verify(path: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    verify_directory(path, &options(), holder(), &mut |event| collect(event, &mut findings)).unwrap().unwrap();
    findings
}

fn rebuild(path: &Path) -> (Result<(), RebuildError>, Vec<Finding>) {
    let mut findings = Vec::new();
    let rebuilt = rebuild_directory(path, &options(), holder(), &mut |event| collect(event, &mut findings));
    (rebuilt.map(|summary| assert!(summary.is_some())), findings)
}

#[test]
fn all_indexes_are_rebuilt_from_the_log_and_the_contents() {
    let (directory, all) = archive();
    let path = directory.path();
    assert_eq!(verify(path), []);
    let derived = |(key, _): &&Entry| (4..=7).contains(&key[0]);
    let writes = all.iter().filter(derived).map(|(key, _)| (key.clone(), None)).collect();
    open(path).unwrap().commit(&Batch { writes, ..Batch::default() }).unwrap();
    assert!(!verify(path).is_empty());

    let (rebuilt, findings) = rebuild(path);
    rebuilt.unwrap();
    assert_eq!(findings, []);
    assert_eq!(verify(path), []);
    assert!(entries(&open(path).unwrap()) == all, "the entries differ from the original ones");
    assert!(path.join("quarantine/000001/db.new/wal/secret").exists(), "the old database is kept");
}

/// A lost text is reported, and does not prevent the rebuilding of everything else.
#[test]
fn a_damaged_content_is_reported_and_the_rest_is_rebuilt() {
    let (directory, all) = archive();
    let path = directory.path();
    let (key, value) = all.iter().rfind(|(key, _)| key[0] == CONTENT).unwrap();
    let mut other = value.clone();
    other[2] ^= 1;
    let seq = Seq(u64::from_be_bytes(key[1..9].try_into().unwrap()));
    open(path).unwrap().commit(&Batch { writes: [(key.clone(), Some(other))].into(), ..Batch::default() }).unwrap();
    let (rebuilt, findings) = rebuild(path);
    rebuilt.unwrap();
    assert!(findings.iter().all(|finding| (finding.table, finding.seq) == (Table::Content, Some(seq))), "{findings:?}");
    let left = verify(path);
    assert!(!left.is_empty() && left.iter().all(|finding| finding.table == Table::Content), "{left:?}");
}

#[test]
fn a_damaged_log_is_rejected_and_nothing_is_changed() {
    let (directory, all) = archive();
    let path = directory.path();
    let (key, _) = all.iter().filter(|(key, _)| key[0] == LOG).nth(7).unwrap();
    open(path).unwrap().commit(&Batch { writes: [(key.clone(), None)].into(), ..Batch::default() }).unwrap();
    let before = entries(&open(path).unwrap());
    let (rebuilt, _) = rebuild(path);
    assert!(matches!(rebuilt, Err(RebuildError::Log { seq: Some(Seq(7)), .. })), "{rebuilt:?}");
    assert!(entries(&open(path).unwrap()) == before);
    assert!(!path.join("db.new").exists());
}

/// A killed rebuild leaves a database that is never used, and the next rebuild starts from scratch.
#[test]
fn an_interrupted_rebuild_is_started_again() {
    let (directory, all) = archive();
    let path = directory.path();
    let held = Arc::new(Directory::open(path, holder()).unwrap());
    let left = SledEngine::create_replacement(&held, Default::default()).unwrap();
    drop((left, held));
    assert!(path.join("db.new").exists());
    assert_eq!(verify(path), []);
    rebuild(path).0.unwrap();
    assert!(entries(&open(path).unwrap()) == all);
}
