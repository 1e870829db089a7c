//! Reports the outcomes of a collection: progress, each failure as it happens, and a summary of the counts at the end.

use std::collections::BTreeMap;

use prost::Name;

use super::item::Done;
use crate::cli::args::globals::Globals;
use crate::cli::count;
use crate::cli::exit::{Exit, Failure};
use crate::cli::failures::{Failures, error_line};
use crate::cli::outcomes::Outcomes;
use crate::cli::output::{Output, say};
use crate::cli::progress::Progress;
use crate::cli::style;
use crate::wire::pb;
use crate::wire::pb::ObservationOutcome as Outcome;

const UNIT: &str = "observations";

/// Counts and prints the outcomes of one collection.
pub(super) struct Summary<'a> {
    out: &'a mut Output,
    progress: Progress,
    /// How many commits the collection has; 0 if its size is in bytes.
    commits: u64,
    /// How far the collection is done.
    done: Done,
    /// The snapshot in the archive's last response.
    snapshot: Option<pb::Snapshot>,
    outcomes: Outcomes,
    marks: u64,
    failures: Failures,
    /// Items that are nothing to archive, by what they are.
    passed_over: BTreeMap<&'static str, u64>,
}

impl<'a> Summary<'a> {
    /// Continues after the progress of an earlier import, in which `failed` items failed.
    pub(super) fn new(globals: &Globals, out: &'a mut Output, done: Done, failed: u64) -> Self {
        Self {
            out,
            progress: Progress::new(globals),
            commits: 0,
            done,
            snapshot: None,
            outcomes: Outcomes::default(),
            marks: 0,
            failures: Failures::before(failed),
            passed_over: BTreeMap::new(),
        }
    }

    /// Starts the progress of a collection of this many bytes; 0 if unknown.
    pub(super) fn begin(&mut self, name: &str, bytes: u64) {
        self.progress.begin_bytes(format!("importing {name}"), UNIT, bytes);
    }

    /// As [`Self::begin`], for a collection whose size is counted in commits.
    pub(super) fn begin_commits(&mut self, name: &str, commits: u64) {
        self.commits = commits;
        self.progress.begin(format!("importing {name}"), "commits", commits);
    }

    /// How far the collection is done.
    pub(super) fn done(&self) -> Done {
        self.done
    }

    /// Records the snapshot in a response, if it has one.
    pub(super) fn saw(&mut self, snapshot: Option<pb::Snapshot>) {
        self.snapshot = snapshot.or(self.snapshot.take());
    }

    /// The snapshot in the archive's last response.
    pub(super) fn snapshot(&self) -> Option<&pb::Snapshot> {
        self.snapshot.as_ref()
    }

    /// How many items failed, including those of earlier imports.
    pub(super) fn failed(&self) -> u64 {
        self.failures.count()
    }

    /// Records that all items up to `done` are done.
    pub(super) fn reach(&mut self, done: Done) {
        self.done = done;
        self.progress.set_failed(self.failures.count());
        match self.commits {
            0 => self.progress.set_found(self.observations(), done.measure),
            commits => self.progress.set(done.measure, commits),
        }
    }

    /// Reports an observation that was recorded, or was recorded already.
    pub(super) fn published(
        &mut self,
        place: &str,
        offset: u64,
        published: pb::RecordObservationResponse,
    ) -> Result<(), Failure> {
        self.outcomes.add(published.outcome());
        if published.outcome() != Outcome::Unchanged {
            for warning in &published.warnings {
                self.note(format_args!("{place}: {}", warning.message));
            }
        }
        let responses = pb::BatchRecordObservationsResponse { responses: vec![published], snapshot: None };
        let result = Some(pb::import_observations_response::Result::Recorded(responses));
        self.line(&pb::ImportObservationsResponse { offset, result })
    }

    /// Reports a rollback that was recorded, or was recorded already.
    pub(super) fn rolled_back(&mut self, done: &pb::RollbackArticleResponse) -> Result<(), Failure> {
        self.outcomes.add(done.outcome());
        self.line(done)
    }

    /// Reports a state change that was recorded, or was recorded already.
    pub(super) fn marked<M: Name>(&mut self, done: &M) -> Result<(), Failure> {
        self.marks += 1;
        self.line(done)
    }

    /// Counts an item that is nothing to archive.
    pub(super) fn passed_over(&mut self, what: &'static str) {
        *self.passed_over.entry(what).or_default() += 1;
    }

    /// Reports an item that could not be read, or that the archive rejected.
    pub(super) fn broken(&mut self, place: &str, offset: u64, failure: Failure) -> Result<(), Failure> {
        let failure = Failure { message: format!("{place}: {}", failure.message), ..failure };
        self.progress.beside(|| say(format_args!("dateline: {}", failure.message)));
        let told = self.line(&error_line(offset, &failure));
        self.failures.add(failure);
        told
    }

    /// Prints a note for the user.
    pub(super) fn note(&self, note: impl std::fmt::Display) {
        self.progress.beside(|| self.out.note(style::safe_line(&note.to_string())));
    }

    /// Ends the import: prints the summary, and fails if an item failed.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.progress.end();
        self.out.note(self.summary());
        let total = self.observations() + self.marks + self.failures.count();
        match self.failures.count() {
            0 => Ok(()),
            failed => Err(Failure::new(Exit::Failed, format!("{failed} of {} failed", count(total, "item")))),
        }
    }

    fn observations(&self) -> u64 {
        self.outcomes.total()
    }

    fn line<M: Name>(&mut self, message: &M) -> Result<(), Failure> {
        let Self { out, progress, .. } = self;
        if out.json { progress.beside(|| out.message(message)) } else { Ok(()) }
    }

    /// Summarises the import:
    /// `12 observations: 3 created, 1 revised, 8 unchanged, 0 failed; 2 state changes; skipped: images (40)`.
    fn summary(&self) -> String {
        let (total, failed) = (count(self.observations(), "observation"), self.failures.summary());
        let mut summary = format!("{total}: {}, {failed}", self.outcomes);
        if self.marks > 0 {
            summary.push_str(&format!("; {}", count(self.marks, "state change")));
        }
        let passed_over: Vec<_> = self.passed_over.iter().map(|(what, count)| format!("{what} ({count})")).collect();
        if !passed_over.is_empty() {
            summary.push_str(&format!("; skipped: {}", passed_over.join(", ")));
        }
        summary
    }
}
