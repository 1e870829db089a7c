//! Verification and rebuilding: whatever is altered, removed or added is found, and indexes can be rebuilt from the
//! log.
//!
//! That an intact archive has no findings is checked on every random plan, in `tests/it/model/run.rs`.

mod online;
mod rebuild;
mod tampered;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use dateline::internals::archive::Archive;
use dateline::internals::archive::recover::verify::{Event, Summary};
use dateline::internals::store::engine::{Direction, Entry, KeyRange, Read};
use dateline::model::verification::Finding;

/// Verifies an open archive, and returns the summary and the findings.
pub(crate) async fn verified(archive: &Archive) -> (Summary, Vec<Finding>) {
    let findings = Arc::new(Mutex::new(Vec::new()));
    let found = Arc::clone(&findings);
    let summary = archive.verify(move |event| collect(event, &mut found.lock().unwrap())).await.unwrap();
    let findings = findings.lock().unwrap().clone();
    (summary.unwrap(), findings)
}

pub(crate) fn collect(event: Event, findings: &mut Vec<Finding>) -> ControlFlow<()> {
    if let Event::Finding(finding) = event {
        findings.push(finding);
    }
    ControlFlow::Continue(())
}

/// All entries of an engine.
pub(crate) fn entries(engine: &dyn Read) -> Vec<Entry> {
    let all = KeyRange { start: std::ops::Bound::Unbounded, end: std::ops::Bound::Unbounded };
    engine.scan(all, Direction::Forward).map(Result::unwrap).collect()
}
