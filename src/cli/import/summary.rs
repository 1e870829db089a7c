//! Prints the outcomes of a collection: progress, each failure as it happens, and a summary of the counts at the end.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use prost::Name;

use crate::capture::CaptureError;
use crate::capture::import::{Done, Event, ItemRef, Size};
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
    /// The size of the collection; `None` until it is opened.
    size: Option<Size>,
    outcomes: Outcomes,
    state_changes: u64,
    label_changes: u64,
    absences: u64,
    url_moves: u64,
    expungements: u64,
    failures: Failures,
    /// Items that are nothing to archive, by what they are.
    skipped: BTreeMap<&'static str, u64>,
    /// Why nothing more can be printed.
    output_failure: Option<Failure>,
}

impl<'a> Summary<'a> {
    pub(super) fn new(globals: &Globals, out: &'a mut Output) -> Self {
        Self {
            out,
            progress: Progress::new(globals),
            size: None,
            outcomes: Outcomes::default(),
            state_changes: 0,
            label_changes: 0,
            absences: 0,
            url_moves: 0,
            expungements: 0,
            failures: Failures::default(),
            skipped: BTreeMap::new(),
            output_failure: None,
        }
    }

    /// Whether the collection was opened.
    pub(super) fn has_begun(&self) -> bool {
        self.size.is_some()
    }

    /// Why nothing more can be printed, if the output failed.
    pub(super) fn output_failure(&mut self) -> Option<Failure> {
        self.output_failure.take()
    }

    /// Counts and prints an event. Breaks if the output failed.
    pub(super) fn take(&mut self, event: Event<'_>) -> ControlFlow<()> {
        let printed = match event {
            Event::Begun { name, size, before, failed } => {
                self.begin(name, size, before, failed);
                Ok(())
            }
            Event::Recorded(item, response) => self.recorded(item, response),
            Event::RolledBack(response) => self.rolled_back(&response),
            Event::Withdrawn(response) => self.state_changed(&response),
            Event::Reinstated(response) => self.state_changed(&response),
            Event::Labelled(response) => self.labelled(&response),
            Event::Absent(response) => self.absent(&response),
            Event::UrlMoved(response) => self.url_moved(&response),
            Event::Expunged(response) => self.expunged(&response),
            Event::Skipped(what) => {
                *self.skipped.entry(what).or_default() += 1;
                Ok(())
            }
            Event::Failed(item, CaptureError::Server(error)) => self.failed(item, Failure::of_item(*error)),
            Event::Failed(item, error) => self.failed(item, error.into()),
            Event::Reached(done) => {
                self.reach(done);
                Ok(())
            }
            Event::Note(note) => {
                self.note(note);
                Ok(())
            }
        };
        match printed {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => {
                self.output_failure = Some(failure);
                ControlFlow::Break(())
            }
        }
    }

    fn begin(&mut self, name: &str, size: Size, before: Done, failed: u64) {
        self.size = Some(size);
        self.failures = Failures::before(failed);
        if before.items > 0 {
            self.note(format_args!("{name}: continues after {}", count(before.items, "item")));
        }
        let what = format!("importing {name}");
        match size {
            Size::Bytes(bytes) => self.progress.begin_bytes(what, UNIT, bytes),
            Size::Commits(commits) => self.progress.begin(what, "commits", commits),
        }
    }

    fn reach(&mut self, done: Done) {
        self.progress.set_failed(self.failures.count());
        match self.size {
            Some(Size::Commits(commits)) => self.progress.set(done.measure, commits),
            Some(Size::Bytes(_)) | None => self.progress.set_found(self.observations(), done.measure),
        }
    }

    /// Reports an observation that was recorded, or was recorded already.
    fn recorded(&mut self, item: ItemRef<'_>, response: pb::RecordObservationResponse) -> Result<(), Failure> {
        self.outcomes.add(response.outcome());
        if response.outcome() != Outcome::Unchanged {
            for warning in &response.warnings {
                self.note(format_args!("{}: {}", item.place, warning.message));
            }
        }
        let responses = pb::BatchRecordObservationsResponse { responses: vec![response], snapshot: None };
        let result = Some(pb::import_observations_response::Result::Recorded(responses));
        self.line(&pb::ImportObservationsResponse { offset: item.number, result })
    }

    /// Reports a rollback that was recorded, or was recorded already.
    fn rolled_back(&mut self, done: &pb::RollbackArticleResponse) -> Result<(), Failure> {
        self.outcomes.add(done.outcome());
        self.line(done)
    }

    /// Reports a state change that was recorded, or was recorded already.
    fn state_changed<M: Name>(&mut self, done: &M) -> Result<(), Failure> {
        self.state_changes += 1;
        self.line(done)
    }

    /// Reports a change of labels that was recorded, or had been made already.
    fn labelled(&mut self, done: &pb::LabelArticleResponse) -> Result<(), Failure> {
        self.label_changes += 1;
        self.line(done)
    }

    /// Reports an absence that was recorded, or was recorded already.
    fn absent(&mut self, done: &pb::RecordAbsenceResponse) -> Result<(), Failure> {
        self.absences += 1;
        self.line(done)
    }

    /// Reports a move of an address that was recorded, or had been made already.
    fn url_moved(&mut self, done: &pb::MoveUrlResponse) -> Result<(), Failure> {
        self.url_moves += 1;
        self.line(done)
    }

    /// Reports the destruction of texts.
    fn expunged(&mut self, done: &pb::ExpungeRevisionsResponse) -> Result<(), Failure> {
        self.expungements += 1;
        self.line(done)
    }

    /// Reports an item that could not be read, or that the archive rejected.
    fn failed(&mut self, item: ItemRef<'_>, failure: Failure) -> Result<(), Failure> {
        let failure = Failure { message: format!("{}: {}", item.place, failure.message), ..failure };
        self.progress.beside(|| say(format_args!("dateline: {}", failure.message)));
        let printed = self.line(&error_line(item.number, &failure));
        self.failures.add(failure);
        printed
    }

    /// Prints a note for the user.
    fn note(&self, note: impl std::fmt::Display) {
        self.progress.beside(|| self.out.note(style::safe_line(&note.to_string())));
    }

    /// Ends the import: prints the summary, and fails if an item failed.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.progress.end();
        self.out.note(self.summary());
        let changes = self.state_changes + self.label_changes + self.absences + self.url_moves + self.expungements;
        let total = self.observations() + changes + self.failures.count();
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
        if self.state_changes > 0 {
            summary.push_str(&format!("; {}", count(self.state_changes, "state change")));
        }
        if self.label_changes > 0 {
            summary.push_str(&format!("; {}", count(self.label_changes, "label change")));
        }
        if self.absences > 0 {
            summary.push_str(&format!("; {}", count(self.absences, "absence")));
        }
        if self.url_moves > 0 {
            summary.push_str(&format!("; {}", count(self.url_moves, "URL move")));
        }
        if self.expungements > 0 {
            summary.push_str(&format!("; {}", count(self.expungements, "expungement")));
        }
        let skipped: Vec<_> = self.skipped.iter().map(|(what, count)| format!("{what} ({count})")).collect();
        if !skipped.is_empty() {
            summary.push_str(&format!("; skipped: {}", skipped.join(", ")));
        }
        summary
    }
}
