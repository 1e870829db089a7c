//! What comes of many documents: a line for each that changed something, why others failed, and in the end how many of each.

use super::args::Globals;
use super::article::{of_revision, short};
use super::exit::Failure;
use super::failures::{Failures, error_line};
use super::outcomes::Outcomes;
use super::output::{Output, say};
use super::progress::Progress;
use super::{style, words};
use crate::ingest::Document;
use crate::wire::pb;
use crate::wire::pb::ObservationOutcome as Outcome;

/// What was archived, and what there is to say of it.
#[derive(Debug, Default)]
pub(super) struct Archived {
    pub(super) published: pb::RecordObservationResponse,
    /// What the document didn't state and was concluded, a line each.
    pub(super) guesses: Vec<String>,
    /// What else its owner may want to know.
    pub(super) notes: Vec<String>,
}

impl Archived {
    /// What there is to say of a document before it is archived.
    pub(super) fn of(document: &Document) -> Self {
        Self { guesses: document.guesses.iter().map(ToString::to_string).collect(), ..Self::default() }
    }

    /// The name of the article.
    pub(super) fn article(&self) -> String {
        self.published.revision.as_ref().map(|revision| of_revision(&revision.name).to_owned()).unwrap_or_default()
    }
}

/// What came of the documents of one command.
pub(super) struct Report<'a> {
    out: &'a mut Output,
    progress: Progress,
    /// What the documents are, in the plural.
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

    /// So many documents more are to come.
    pub(super) fn expect(&mut self, more: u64) {
        if self.total == 0 && more > 1 {
            self.progress.begin("archiving", self.unit, more);
        }
        self.total += more;
        self.show();
    }

    /// Tells what came of the document that `label` names.
    pub(super) fn take(&mut self, label: &str, done: Result<Archived, Failure>) -> Result<(), Failure> {
        let told = match done {
            Ok(archived) => self.archived(label, &archived),
            Err(failure) => self.failure(label, failure),
        };
        self.show();
        told
    }

    /// So many documents were looked at, and are as they were.
    pub(super) fn unchanged(&mut self, more: u64) {
        self.outcomes.unchanged += more;
        self.show();
    }

    /// Something that has to do with none of the documents.
    pub(super) fn note(&self, note: &str) {
        self.progress.beside(|| self.out.note(style::safe_line(note)));
    }

    fn archived(&mut self, label: &str, archived: &Archived) -> Result<(), Failure> {
        let Archived { published, guesses, notes } = archived;
        self.outcomes.add(published.outcome());
        let is_quiet = published.outcome() == Outcome::Unchanged;
        let Self { out, progress, dry_run, .. } = self;
        progress.beside(|| {
            if !is_quiet && !guesses.is_empty() {
                out.note(format_args!("{label}: guessed"));
                guesses.iter().for_each(|guess| out.note(format_args!("  {}", style::safe_line(guess))));
            }
            let warnings = published.warnings.iter().map(|warning| &warning.message);
            for note in warnings.chain(notes.iter().filter(|_| !is_quiet)) {
                out.note(format_args!("{label}: {}", style::safe_line(note)));
            }
            if out.json { out.message(published) } else { print(published, *dry_run, out) }
        })
    }

    fn failure(&mut self, label: &str, failure: Failure) -> Result<(), Failure> {
        let index = self.done();
        // What went wrong with an address mostly begins with it.
        let message = match failure.message.starts_with(label) {
            true => failure.message.clone(),
            false => format!("{label}: {}", failure.message),
        };
        let failure = Failure { message, ..failure };
        let Self { out, progress, total, .. } = self;
        let told = progress.beside(|| {
            // The last thing that a command says is why it failed; of several failures that is a number.
            if *total > 1 {
                say(format_args!("dateline: {}", failure.message));
            }
            if out.json { out.message(&error_line(index, &failure)) } else { Ok(()) }
        });
        self.failures.add(failure);
        told
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

    /// `12 pages: 3 created, 1 revised, 7 unchanged, 1 failed`, and how many failed for each reason.
    fn summary(&self) -> String {
        format!("{} {}: {}, {}", self.done(), self.unit, self.outcomes, self.failures.summary())
    }

    /// There is no end to what comes, so that nothing is left of it either.
    pub(super) fn goes_on(&mut self) {
        self.progress = Progress::none();
    }

    /// Ends it: the summary where there were several, and a failure if one failed.
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

/// A line on what was done; nothing for what was there already, unless a person is looking on.
fn print(published: &pb::RecordObservationResponse, dry_run: bool, out: &mut Output) -> Result<(), Failure> {
    let (verb, style) = match (published.outcome(), dry_run) {
        (Outcome::Created, false) => ("created", style::GOOD),
        (Outcome::Created, true) => ("would create", style::GOOD),
        (Outcome::Revised, false) => ("revised", style::CHANGED),
        (Outcome::Revised, true) => ("would revise", style::CHANGED),
        (Outcome::Unchanged | Outcome::Unspecified, _) => ("unchanged", style::FAINT),
    };
    if verb == "unchanged" && !out.is_terminal() {
        return Ok(());
    }
    let revision = published.revision.clone().unwrap_or_default();
    let painter = out.painter();
    let name = painter.paint(style::NAME, &short(of_revision(&revision.name)));
    let delta = revision.word_delta.filter(|_| verb != "unchanged").map(|delta| format!("  {}", words(delta)));
    let replayed = if published.replayed { "  (this request was done before)" } else { "" };
    let verb = painter.paint(style, verb);
    out.line(format_args!("{verb}  {name}  revision {}{}{replayed}", revision.number, delta.unwrap_or_default()))
}
