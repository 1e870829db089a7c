//! Reports the outcomes of many documents: a line for each one that changed something, the reason for each failure, and
//! a summary of the counts at the end.

use super::args::globals::Globals;
use super::exit::Failure;
use super::failures::{Failures, error_line};
use super::outcomes::Outcomes;
use super::output::{Output, say};
use super::progress::Progress;
use super::{absent, style, units, words};
use crate::capture::{Captured, Recorded, article_of_revision};
use crate::cli::short_name::short;
use crate::wire::pb;
use crate::wire::pb::ObservationOutcome as Outcome;

/// Collects and prints the outcomes of the documents of one command.
pub(super) struct Report<'a> {
    out: &'a mut Output,
    progress: Progress,
    /// The name for these documents, in the plural.
    unit: &'static str,
    dry_run: bool,
    total: u64,
    outcomes: Outcomes,
    failures: Failures,
}

impl<'a> Report<'a> {
    pub(super) fn new(globals: &Globals, unit: &'static str, dry_run: bool, out: &'a mut Output) -> Self {
        let (outcomes, failures) = (Outcomes::default(), Failures::default());
        Self { out, progress: Progress::new(globals), unit, dry_run, total: 0, outcomes, failures }
    }

    /// Adds `more` documents to the expected total. If several are expected at first, progress is shown.
    pub(super) fn expect(&mut self, more: u64) {
        if self.total == 0 && more > 1 {
            self.progress.begin("archiving", self.unit, more);
        }
        self.total += more;
        self.show();
    }

    /// Reports the outcome of the document that `label` names.
    pub(super) fn take(&mut self, label: &str, done: Result<Captured, Failure>) -> Result<(), Failure> {
        let printed = match done {
            Ok(captured) => self.captured(label, &captured),
            Err(failure) => self.failure(label, failure),
        };
        self.show();
        printed
    }

    /// Counts `more` documents that turned out to be unchanged.
    pub(super) fn unchanged(&mut self, more: u64) {
        self.outcomes.unchanged += more;
        self.show();
    }

    /// Prints a note that does not concern a single document.
    pub(super) fn note(&self, note: &str) {
        self.progress.beside(|| self.out.note(style::safe_line(note)));
    }

    fn captured(&mut self, label: &str, captured: &Captured) -> Result<(), Failure> {
        let Captured { recorded, guesses, notes } = captured;
        let response = match recorded {
            Recorded::Observation(response) => &**response,
            Recorded::Absence(response) => return self.missing(response),
            Recorded::Nothing(article) => return self.nothing(label, article, notes),
        };
        self.outcomes.add(response.outcome());
        let is_quiet = response.outcome() == Outcome::Unchanged;
        let Self { out, progress, dry_run, .. } = self;
        progress.beside(|| {
            if !is_quiet && !guesses.is_empty() {
                out.note(format_args!("{label}: guessed"));
                guesses.iter().for_each(|guess| out.note(format_args!("  {}", style::safe_line(guess))));
            }
            let warnings = response.warnings.iter().map(|warning| &warning.message);
            for note in warnings.chain(notes.iter().filter(|_| !is_quiet)) {
                out.note(format_args!("{label}: {}", style::safe_line(note)));
            }
            if out.json { out.message(response) } else { print(response, *dry_run, out) }
        })
    }

    /// Reports that the page of an archived article is missing, which is no failure: it is recorded.
    fn missing(&mut self, response: &pb::RecordAbsenceResponse) -> Result<(), Failure> {
        self.outcomes.missing += 1;
        let Self { out, progress, dry_run, .. } = self;
        progress.beside(|| if out.json { out.message(response) } else { absent::print(response, *dry_run, out) })
    }

    /// Reports that nothing was recorded, for the reason in `notes`.
    fn nothing(&mut self, label: &str, article: &pb::Article, notes: &[String]) -> Result<(), Failure> {
        self.outcomes.unchanged += 1;
        let Self { out, progress, .. } = self;
        progress.beside(|| {
            notes.iter().for_each(|note| out.note(format_args!("{label}: {}", style::safe_line(note))));
            if !out.json {
                return Ok(());
            }
            // Of the same form as if the absence had been recorded before.
            out.message(&pb::RecordAbsenceResponse {
                etag: article.etag.clone(),
                state: article.state,
                article: Some(article.clone()),
                ..pb::RecordAbsenceResponse::default()
            })
        })
    }

    fn failure(&mut self, label: &str, failure: Failure) -> Result<(), Failure> {
        let index = self.done();
        // Errors of fetching usually begin with the URL already.
        let message = match failure.message.starts_with(label) {
            true => failure.message.clone(),
            false => format!("{label}: {}", failure.message),
        };
        let failure = Failure { message, ..failure };
        let Self { out, progress, total, .. } = self;
        let printed = progress.beside(|| {
            // The failure of a single document is printed when the command ends. With several, the final message is
            // only a count.
            if *total > 1 {
                say(format_args!("dateline: {}", failure.message));
            }
            if out.json { out.message(&error_line(index, &failure)) } else { Ok(()) }
        });
        self.failures.add(failure);
        printed
    }

    fn done(&self) -> u64 {
        self.outcomes.total() + self.failures.count()
    }

    fn show(&mut self) {
        if self.total > 1 {
            self.progress.set_failed(self.failures.count());
            self.progress.set(self.done(), self.total);
        }
    }

    /// Summarises the outcomes: `12 pages: 3 created, 1 revised, 7 unchanged, 1 failed`, and how many failed for each
    /// reason.
    fn summary(&self) -> String {
        let (done, failed) = (self.done(), self.failures.summary());
        format!("{done} {}: {}, {failed}", units(done, self.unit), self.outcomes)
    }

    /// Stops showing progress, for a command that runs until it is stopped.
    pub(super) fn hide_progress(&mut self) {
        self.progress = Progress::none();
    }

    /// Ends the report: prints a summary if there were several documents, and fails if any of them failed.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.progress.end();
        let several = self.total > 1;
        if several {
            self.out.note(self.summary());
        }
        let done = self.done();
        if several { self.failures.end(done, self.unit) } else { self.failures.of_one() }
    }
}

/// Prints what was done with one document. An unchanged one is shown on a terminal only.
fn print(response: &pb::RecordObservationResponse, dry_run: bool, out: &mut Output) -> Result<(), Failure> {
    let (verb, style) = match (response.outcome(), dry_run) {
        (Outcome::Created, false) => ("created", style::GOOD),
        (Outcome::Created, true) => ("would create", style::GOOD),
        (Outcome::Revised, false) => ("revised", style::CHANGED),
        (Outcome::Revised, true) => ("would revise", style::CHANGED),
        (Outcome::Unchanged | Outcome::Unspecified, _) => ("unchanged", style::FAINT),
    };
    if verb == "unchanged" && !out.is_terminal() {
        return Ok(());
    }
    let revision = response.revision.clone().unwrap_or_default();
    let painter = out.painter();
    let name = painter.paint(style::NAME, &short(article_of_revision(&revision.name)));
    let delta = revision.word_delta.filter(|_| verb != "unchanged").map(|delta| format!("  {}", words(delta)));
    let replayed = if response.replayed { "  (repeated request)" } else { "" };
    let verb = painter.paint(style, verb);
    out.line(format_args!("{verb}  {name}  revision {}{}{replayed}", revision.number, delta.unwrap_or_default()))
}
