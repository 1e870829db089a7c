//! The verdict on a run: every recording is checked against the replies to the writers.

use std::collections::BTreeMap;
use std::sync::Arc;

use dateline::internals::wire::pb::subscribe_response::Event;
use tokio::task::JoinSet;

use super::checker::check;
use super::recording::{Recording, Start};
use super::truth::{Acknowledged, Truth};

/// Checks that no recording has a fault, and that each reached the end.
pub(super) async fn assert_faultless(seed: u64, acknowledged: Vec<Acknowledged>, recordings: Vec<Recording>) {
    let truth = Arc::new(Truth::of(acknowledged));
    println!("{} changes; {:?}", truth.tail(), figures(&recordings));
    let mut checks = JoinSet::new();
    for recording in recordings {
        assert_reached(&truth, &recording);
        let truth = Arc::clone(&truth);
        checks.spawn_blocking(move || {
            let found = check(&truth, &recording);
            found.into_iter().map(|found| (recording.query.clone(), found)).collect::<Vec<_>>()
        });
    }
    let faults: Vec<_> = checks.join_all().await.into_iter().flatten().collect();
    let some = &faults[..faults.len().min(3)];
    assert!(faults.is_empty(), "seed {seed}: {} faults, beginning with {some:?}", faults.len());
}

/// Checks that a subscriber has received everything.
fn assert_reached(truth: &Truth, recording: &Recording) {
    let last = recording.sessions.last().and_then(|session| session.last_bookmark()).unwrap();
    assert_eq!(last.next_seq, truth.tail(), "a subscriber to {:?} did not reach the end", recording.query);
}

/// The number of sessions by kind of start, and the number of events.
fn figures(recordings: &[Recording]) -> BTreeMap<&'static str, usize> {
    let mut figures = BTreeMap::new();
    let mut count = |what, number| *figures.entry(what).or_default() += number;
    for session in recordings.iter().flat_map(|recording| &recording.sessions) {
        count(
            match session.start {
                Start::Beginning => "from the beginning",
                Start::Seq(_) => "from a seq",
                Start::ArchiveTime(_) => "from an archive time",
                Start::Token(_) => "resumed",
                Start::Now => "from now",
                Start::Snapshot(_) => "from a snapshot",
                Start::Acknowledged(_) => "from what was acknowledged",
            },
            1,
        );
        for event in &session.events {
            match event {
                Event::Delivery(batch) => count("changes received", batch.changes.len()),
                Event::CaughtUp(_) => count("caught up", 1),
                Event::FellBehind(_) => count("fell behind", 1),
                Event::Started(_) | Event::Bookmark(_) | Event::SnapshotEnd(_) => {}
            }
        }
    }
    figures
}
