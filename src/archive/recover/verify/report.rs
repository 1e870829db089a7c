//! Reports progress and findings of a verification while it runs.

use std::ops::ControlFlow;

use crate::model::verification::{Event, Finding, Phase, Progress, Summary, Table};
use crate::model::{ArticleKey, ArticleName, Seq};
use crate::store::StoreError;

/// The maximum number of findings that are reported one by one. Further ones are only counted.
pub(super) const FINDINGS_REPORTED_MAX: u64 = 10_000;

/// Receives the events of a verification. Returning `Break` stops it.
pub type Listener<'a> = dyn FnMut(Event) -> ControlFlow<()> + 'a;

/// The listener requested a stop.
pub(crate) struct Stopped;

/// Counts what was read and what was found, and informs the listener.
pub(crate) struct VerificationReport<'a> {
    pub(crate) summary: Summary,
    listener: &'a mut Listener<'a>,
    progress: Progress,
}

/// The number of entries between two progress events.
const PROGRESS_EVERY: u64 = 1024;

impl<'a> VerificationReport<'a> {
    pub(crate) fn new(listener: &'a mut Listener<'a>) -> Self {
        let progress = Progress { phase: Phase::Log, done: 0, total: 0 };
        Self { summary: Summary::default(), listener, progress }
    }

    pub(crate) fn begin(&mut self, phase: Phase, total: u64) -> Result<(), Stopped> {
        self.progress = Progress { phase, done: 0, total };
        self.send(Event::Progress(self.progress))
    }

    pub(crate) fn advance(&mut self) -> Result<(), Stopped> {
        self.progress.done += 1;
        if self.progress.done.is_multiple_of(PROGRESS_EVERY) {
            self.send(Event::Progress(self.progress))
        } else {
            Ok(())
        }
    }

    /// Reports that the phase is complete.
    pub(crate) fn end(&mut self) -> Result<(), Stopped> {
        self.progress.total = self.progress.done;
        self.send(Event::Progress(self.progress))
    }

    /// Counts a finding, and sends it to the listener unless [`FINDINGS_REPORTED_MAX`] were sent already.
    pub(crate) fn add(&mut self, finding: Finding) -> Result<(), Stopped> {
        self.summary.findings += 1;
        if self.summary.findings <= FINDINGS_REPORTED_MAX { self.send(Event::Finding(finding)) } else { Ok(()) }
    }

    /// Adds a finding about an error of reading. If `seq` is `None`, the finding gets the position that the error
    /// names.
    pub(crate) fn add_error(
        &mut self,
        table: Table,
        seq: Option<Seq>,
        article: Option<&ArticleName>,
        error: StoreError,
    ) -> Result<(), Stopped> {
        let (found_at, detail) = match error {
            StoreError::Damaged { seq, detail } => (seq, detail),
            StoreError::Engine(error) => (None, error.to_string()),
        };
        self.add(Finding { table, seq: seq.or(found_at), article: article.cloned(), detail })
    }

    fn send(&mut self, event: Event) -> Result<(), Stopped> {
        match (self.listener)(event) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Stopped),
        }
    }
}

/// Describes an article for people if only its number could be read.
pub(crate) fn describe_article(article: ArticleKey) -> String {
    format!("article number {}", article.0)
}
