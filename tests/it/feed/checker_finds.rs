//! Tests of the checker itself: faultless recordings have no faults, and each kind of injected fault is found.

use std::collections::BTreeSet;

use dateline::internals::wire::pb;
use dateline::model::Timestamp;
use pb::subscribe_response::Event;

use crate::model::plan::{Text, What, Write, act, observe};
use crate::support;

use super::checker::check;
use super::faithful::{self, token};
use super::query::{self, Query};
use super::recording::{Recording, SnapshotAt, Start, bookmark_of};
use super::spoilt::{self, Base};
use super::truth::{Acknowledged, Truth};

const A: Text = Text(0);
const B: Text = Text(1);
const C: Text = Text(2);

/// A log with something of each kind, and two atomic batches: 1 to 3, and 8 to 9.
fn log() -> Truth {
    let alias =
        What::Observe { text: B, urls: vec![2], original: None, fetch: None, labels: vec![], coalesce_within: 0 };
    let late_url =
        What::Observe { text: C, urls: vec![3], original: None, fetch: None, labels: vec![], coalesce_within: 0 };
    let batches = [
        vec![observe(0, 0, A)],
        vec![observe(1, 0, B), observe(2, 0, A), observe(0, 2, B)], // Article 0 is in another language now.
        vec![act(1, 4, What::Withdraw(0))],
        vec![observe(0, 1, C)], // A late observation.
        vec![observe(0, 3, B)], // A sighting.
        vec![act(0, 2, alias)],
        vec![observe(0, 6, A), observe(2, 5, B)],
        vec![act(1, 6, What::Reinstate(1))],
        vec![act(0, 8, What::Rollback(2))],
        vec![act(1, 2, What::Withdraw(1))], // A late withdrawal.
        vec![act(0, 1, late_url)],
        vec![observe(3, 0, A)],
        vec![act(3, 0, What::Label { add: vec![1], remove: vec![], reason: 0 })],
    ];
    Truth::of(acknowledged(batches))
}

fn acknowledged(batches: impl IntoIterator<Item = Vec<Write>>) -> Vec<Acknowledged> {
    let mut first_seq = 0;
    let number = |(number, writes): (i64, Vec<Write>)| {
        // A move of a URL takes it from another article in these batches.
        let moves = writes.iter().filter(|write| matches!(write.what, What::Move { .. })).count();
        let changes = (writes.len() + moves) as u64;
        let batch = Acknowledged { first_seq, archive_time: archived(number), writes, changes, told: Vec::new() };
        first_seq += changes;
        batch
    };
    (0..).zip(batches).map(number).collect()
}

/// The archive time of the batch with this number.
fn archived(batch: i64) -> Timestamp {
    support::now().saturating_add_micros(10 * batch)
}

fn british() -> Query {
    Query {
        filter: pb::ArticleFilter { languages: vec!["en-GB".to_owned()], ..pb::ArticleFilter::default() },
        ..Query::default()
    }
}

/// All changes, for a subscriber without a filter.
fn whole(truth: &Truth) -> Recording {
    let query = Query::default();
    Recording { sessions: vec![faithful::changes(truth, &query, Start::Beginning, 0)], query }
}

/// The changes for a subscriber to a language that some articles lose.
fn filtered(truth: &Truth) -> Recording {
    Recording { sessions: vec![faithful::changes(truth, &british(), Start::Beginning, 0)], query: british() }
}

/// A connection that is lost after the second batch, and one that resumes there.
fn resumed(truth: &Truth) -> Recording {
    let mut recording = whole(truth);
    recording.sessions[0].events.truncate(3);
    let place = recording.sessions[0].last_bookmark().unwrap().next_seq;
    let rest = faithful::changes(truth, &recording.query, Start::Token(token(place)), place);
    recording.sessions.push(rest);
    recording
}

/// The articles as known below 8, and the changes from there on.
fn snapshot(truth: &Truth) -> Recording {
    let query = Query::default();
    Recording { sessions: vec![faithful::snapshot(truth, &query, 8)], query }
}

#[test]
fn faultless_recordings_have_no_faults() {
    let truth = log();
    for query in query::many() {
        for place in [0, 1, 4, 7, truth.tail()] {
            let begun = [
                faithful::changes(&truth, &query, Start::Seq(place), place),
                faithful::changes(&truth, &query, Start::Acknowledged(place..=place), place),
                faithful::snapshot(&truth, &query, place),
            ];
            for session in begun {
                let recording = Recording { query: query.clone(), sessions: vec![session] };
                assert_eq!(check(&truth, &recording), [], "{recording:?}");
            }
        }
    }
    for recording in [resumed(&truth), snapshot(&truth), filtered(&truth)] {
        assert_eq!(check(&truth, &recording), []);
    }
}

/// Each start leads to one position, or to any that was the durable tail at some time during the call.
#[test]
fn each_start_leads_to_the_right_position() {
    let truth = log();
    let query = Query::default();
    let places = [
        (Start::Seq(2), 1), // Inside a batch: lowered to its beginning.
        (Start::ArchiveTime(archived(2)), 4),
        (Start::ArchiveTime(archived(2).saturating_add_micros(1)), 5),
        (Start::ArchiveTime(archived(99)), truth.tail()),
        (Start::Now, truth.tail()),
        (Start::Snapshot(SnapshotAt::Newest), truth.tail()),
        (Start::Snapshot(SnapshotAt::NextSeq(9)), 8),
        (Start::Snapshot(SnapshotAt::ArchiveTime(archived(1))), 4),
    ];
    for (start, right) in places {
        for place in 0..=truth.tail() {
            let mut session = if matches!(start, Start::Snapshot(_)) {
                faithful::snapshot(&truth, &query, place)
            } else {
                faithful::changes(&truth, &query, start.clone(), place)
            };
            session.start = start.clone();
            let found = check(&truth, &Recording { query: query.clone(), sessions: vec![session] });
            assert_eq!(found.is_empty(), place == right, "{start:?} at {place}: {found:?}");
        }
    }
}

/// An interrupted snapshot resumes after the last article whose bookmark was received.
#[test]
fn a_snapshot_can_be_resumed_in_the_middle() {
    let truth = log();
    let whole = snapshot(&truth);
    for kept in 1..=3 {
        let mut recording = whole.clone();
        let place = bookmark_of(&whole.sessions[0].events[kept - 1]).unwrap().clone();
        let mut rest = whole.sessions[0].clone();
        rest.start = Start::Token(place.resume_token.clone());
        rest.events.drain(1..kept);
        let Some(Event::Started(started)) = rest.events.first_mut() else { panic!("no Started") };
        started.bookmark = Some(place);
        recording.sessions[0].events.truncate(kept);
        recording.sessions.push(rest);
        assert_eq!(check(&truth, &recording), []);
    }
}

#[test]
fn each_kind_of_fault_is_found() {
    let truth = log();
    let mut covered = BTreeSet::new();
    for (index, case) in spoilt::cases().into_iter().enumerate() {
        let mut recording = match case.recording {
            Base::Whole => whole(&truth),
            Base::Filtered => filtered(&truth),
            Base::Resumed => resumed(&truth),
            Base::Snapshot => snapshot(&truth),
        };
        assert_eq!(check(&truth, &recording), []);
        (case.spoil)(&mut recording, &truth);
        let found = check(&truth, &recording);
        let kinds: BTreeSet<_> = found.iter().map(|found| kind_of(&format!("{:?}", found.fault))).collect();
        let shows = case.shows.iter().map(|kind| (*kind).to_owned()).collect();
        assert_eq!(kinds, shows, "case {index}: {found:?}");
        covered.extend(kinds);
    }
    assert_eq!(covered, kinds_of_fault(), "each kind of fault has a case");
}

/// The name of a fault's variant, from its debug output.
fn kind_of(fault: &str) -> String {
    fault.chars().take_while(|character| character.is_alphanumeric()).collect()
}

/// The variants declared in the source.
fn kinds_of_fault() -> BTreeSet<String> {
    let (_, declared) = include_str!("fault.rs").split_once("enum Fault {").unwrap();
    let variants = declared.lines().filter_map(|line| line.strip_prefix("    "));
    variants.filter(|line| line.starts_with(char::is_uppercase)).map(kind_of).collect()
}
