//! An archive in memory, of which one entry at a time is tampered with.

use std::collections::BTreeMap;
use std::sync::Arc;

use dateline::internals::archive::{Archive, Options};
use dateline::internals::clock::SystemClock;
use dateline::internals::store::Tables;
use dateline::internals::store::engine::memory::MemoryEngine;
use dateline::internals::store::engine::{Batch, Engine, Entry};
use dateline::internals::store::record::encode;
use dateline::internals::store::seal::{seal, unseal};
use dateline::model::verification::{Finding, Table};
use dateline::model::{ChangeEntry, ContentPart, ContentParts, LabelChange, LogKind, Seq};

use super::{entries, verified};
use crate::model::filled;
use crate::support;

/// An archive that was opened before the tampering; a verification reads the engine.
struct Tampered {
    engine: MemoryEngine,
    archive: Archive,
}

impl Tampered {
    fn new() -> Self {
        let engine = filled();
        let archive = Archive::over(Arc::new(engine.clone()), &Options::default(), Arc::new(SystemClock)).unwrap();
        Self { engine, archive }
    }

    fn put(&self, key: &[u8], value: Option<Vec<u8>>) {
        self.engine.commit(&Batch { writes: BTreeMap::from([(key.to_vec(), value)]), ..Batch::default() }).unwrap();
    }

    /// The findings if an entry has another value, or is missing.
    fn with(&self, (key, value): &Entry, other: Option<Vec<u8>>) -> Vec<Finding> {
        self.put(key, other);
        let (summary, findings) = support::block_on(verified(&self.archive));
        assert_eq!(summary.findings, findings.len() as u64);
        self.put(key, Some(value.clone()));
        findings
    }
}

const META: u8 = 8;
const SUBSCRIPTION: u8 = 9;
const PARKED: u8 = 10;

#[test]
fn every_missing_entry_is_found() {
    let tampered = Tampered::new();
    for entry in entries(&tampered.engine) {
        let findings = tampered.with(&entry, None);
        // The archive's own metadata is read when it is opened, and a subscription does not follow from the log.
        let may_be_gone = matches!(entry.0[0], META | SUBSCRIPTION | PARKED);
        assert!(may_be_gone || !findings.is_empty(), "{:?} is missing and nothing is found", entry.0);
    }
    assert_eq!(support::block_on(verified(&tampered.archive)).1, []);
}

#[test]
fn every_flipped_byte_is_found() {
    let tampered = Tampered::new();
    for (index, (key, value)) in entries(&tampered.engine).into_iter().enumerate() {
        let mut other = value.clone();
        let place = index * 7 % other.len();
        other[place] ^= 1 << (index % 8);
        let findings = tampered.with(&(key.clone(), value), Some(other));
        assert!(!findings.is_empty(), "a byte of {key:?} is flipped and nothing is found");
    }
}

/// Checksums alone would not detect these: an older value of the same key, as after a lost write of the database.
#[test]
fn every_wrong_value_with_a_valid_checksum_is_found() {
    let tampered = Tampered::new();
    for (key, value) in entries(&tampered.engine) {
        let mut payload = unseal(&key, &value).unwrap().to_vec();
        let Some(last) = payload.last_mut() else { continue };
        *last ^= 1;
        let findings = tampered.with(&(key.clone(), value), Some(seal(&key, payload)));
        // An entry that is not part of the history and does not follow from it may have any valid value.
        let may_differ = matches!(key[0], META | SUBSCRIPTION | PARKED);
        assert!(may_differ || !findings.is_empty(), "{key:?} has another value and nothing is found");
    }
}

/// A fetch is part of the history, although nothing follows from it.
#[test]
fn an_altered_fetch_is_found() {
    let tampered = Tampered::new();
    let (word, mut altered) = (b"/fetched/", 0);
    for (key, value) in entries(&tampered.engine) {
        let mut payload = unseal(&key, &value).unwrap().to_vec();
        let Some(place) = payload.windows(word.len()).position(|window| window == word) else { continue };
        payload[place + word.len()] = b'9';
        let findings = tampered.with(&(key.clone(), value), Some(seal(&key, payload)));
        assert!(!findings.is_empty(), "{key:?} has another fetch and nothing is found");
        altered += 1;
    }
    assert!(altered > 0, "no change has a fetch");
}

/// A log whose digests are right, but in which the last change says something of the labels that is not so.
#[test]
fn labels_that_do_not_follow_from_the_changes_before_are_found() {
    let tampered = Tampered::new();
    let tables = Tables::new(&tampered.engine);
    let last = tables.last_change().unwrap().unwrap();
    let before = tables.change(last.seq.previous().unwrap()).unwrap().unwrap().log_digest;
    let intact = encode(last.seq, before, &last.entry);
    let found = |entry: &ChangeEntry, detail: &str| {
        let forged = encode(last.seq, before, entry);
        let findings = tampered.with(&(intact.key.clone(), intact.value.clone()), Some(forged.value));
        assert!(findings.iter().any(|finding| finding.detail.contains(detail)), "{entry:?} has {findings:?}");
    };
    let mut moved = last.entry.clone();
    let labels_seq = &mut moved.latest_state.labels_seq;
    *labels_seq = if labels_seq.is_some() { None } else { Some(Seq::ZERO) };
    found(&moved, "record of its article's state does not match the log");
    let mut invented = last.entry.clone();
    let labels = LabelChange { added: vec!["new".into()], removed: vec![], after: vec!["newer".into()] };
    invented.labels = Some(Box::new(labels));
    invented.latest_state.labels_seq = Some(last.seq);
    found(&invented, "a change of labels does not follow from the labels before it");
}

/// A log whose digests are right, but in which the last revision says that other parts changed, or none.
#[test]
fn changed_parts_that_do_not_follow_from_the_contents_are_found() {
    let tampered = Tampered::new();
    let tables = Tables::new(&tampered.engine);
    let tail = tables.last_change().unwrap().unwrap().seq.0 + 1;
    let change = |seq| tables.change(Seq(seq)).unwrap().unwrap();
    let revises = |seq: &u64| change(*seq).entry.new_revision.is_some_and(|made| made.word_delta.is_some());
    let revised = change((0..tail).rev().find(revises).expect("an article has a second revision"));
    let before = change(revised.seq.previous().unwrap().0).log_digest;
    let intact = encode(revised.seq, before, &revised.entry);
    for parts in [ContentParts::NONE, ContentParts::of([ContentPart::Rights])] {
        let mut forged = revised.entry.clone();
        forged.new_revision.as_mut().unwrap().changed_parts = parts;
        let forged = encode(revised.seq, before, &forged).value;
        let findings = tampered.with(&(intact.key.clone(), intact.value.clone()), Some(forged));
        let detail = "the parts that a revision changed do not follow";
        let found = findings.iter().any(|finding| finding.seq == Some(revised.seq) && finding.detail.contains(detail));
        assert!(found, "{parts:?} has {findings:?}");
    }
}

#[test]
fn an_entry_that_does_not_follow_from_the_log_is_found() {
    let tampered = Tampered::new();
    for (key, value) in entries(&tampered.engine) {
        let mut stray = key.clone();
        *stray.last_mut().unwrap() ^= 0x55;
        let payload = unseal(&key, &value).unwrap().to_vec();
        let is_new = entries(&tampered.engine).iter().all(|(key, _)| *key != stray);
        let findings = if is_new { tampered.stray(&stray, payload) } else { continue };
        assert!(stray[0] == SUBSCRIPTION || !findings.is_empty(), "{stray:?} is there and nothing is found");
    }
}

impl Tampered {
    fn stray(&self, key: &[u8], payload: Vec<u8>) -> Vec<Finding> {
        self.put(key, Some(seal(key, payload)));
        let findings = support::block_on(verified(&self.archive)).1;
        self.put(key, None);
        findings
    }
}

/// A finding says where it is, and the verification continues after it.
#[test]
fn a_finding_names_the_change_and_the_article_and_the_rest_is_read() {
    let tampered = Tampered::new();
    let (whole, _) = support::block_on(verified(&tampered.archive));
    let log = |seq: u64| [&[1_u8][..], &seq.to_be_bytes()].concat();
    // If the change that created an article cannot be read, the article counts as missing too.
    let makes_article = |seq: u64| {
        let change = Tables::new(&tampered.engine).change(Seq(seq)).unwrap();
        change.is_some_and(|change| change.entry.kind == LogKind::Created)
    };
    let mut others = (3..whole.changes).filter(|seq| !makes_article(*seq)).step_by(4);
    let seqs = [others.next().unwrap(), others.next().unwrap()];
    for seq in seqs {
        assert!(tampered.engine.flip_byte(&log(seq), 5));
    }
    let (summary, findings) = support::block_on(verified(&tampered.archive));
    let damaged: Vec<Option<Seq>> =
        findings.iter().filter(|finding| finding.table == Table::Log).map(|finding| finding.seq).collect();
    assert_eq!(damaged, seqs.map(|seq| Some(Seq(seq))), "{findings:?}");
    assert_eq!(summary.changes, whole.changes - 2);
    assert_eq!(summary.entries, whole.entries);
    assert!(findings.iter().any(|finding| finding.article.is_some()), "{findings:?}");
}
