//! What a verification tells while it goes.

use std::ops::ControlFlow;

use crate::model::verification::{Event, Finding, Phase, Progress, Summary, Table};
use crate::model::{ArticleKey, ArticleName, Seq};
use crate::store::StoreError;

/// Findings that are told one by one; of more, only the number.
pub const FINDINGS_TOLD_MAX: u64 = 10_000;

/// Whom it is told to; may ask for an end.
pub type Listener<'a> = dyn FnMut(Event) -> ControlFlow<()> + 'a;

/// The listener asked for an end.
pub(crate) struct Stopped;

/// Counts what was read, and tells.
pub(crate) struct Report<'a> {
    pub(crate) summary: Summary,
    listener: &'a mut Listener<'a>,
    progress: Progress,
}

/// How often progress is told, in entries.
const PROGRESS_EVERY: u64 = 1024;

impl<'a> Report<'a> {
    pub(crate) fn new(listener: &'a mut Listener<'a>) -> Self {
        let progress = Progress { phase: Phase::Log, done: 0, total: 0 };
        Self { summary: Summary::default(), listener, progress }
    }

    pub(crate) fn begin(&mut self, phase: Phase, total: u64) -> Result<(), Stopped> {
        self.progress = Progress { phase, done: 0, total };
        self.tell(Event::Progress(self.progress))
    }

    pub(crate) fn advance(&mut self) -> Result<(), Stopped> {
        self.progress.done += 1;
        if self.progress.done.is_multiple_of(PROGRESS_EVERY) {
            self.tell(Event::Progress(self.progress))
        } else {
            Ok(())
        }
    }

    /// Tells that the phase is done.
    pub(crate) fn end(&mut self) -> Result<(), Stopped> {
        self.progress.total = self.progress.done;
        self.tell(Event::Progress(self.progress))
    }

    pub(crate) fn find(&mut self, finding: Finding) -> Result<(), Stopped> {
        self.summary.findings += 1;
        if self.summary.findings <= FINDINGS_TOLD_MAX { self.tell(Event::Finding(finding)) } else { Ok(()) }
    }

    /// Tells of an error in reading something.
    pub(crate) fn find_error(
        &mut self,
        table: Table,
        (seq, article): (Option<Seq>, Option<&ArticleName>),
        error: StoreError,
    ) -> Result<(), Stopped> {
        let (found_at, detail) = match error {
            StoreError::Damaged { seq, detail } => (seq, detail),
            StoreError::Engine(error) => (None, error.to_string()),
        };
        self.find(Finding { table, seq: seq.or(found_at), article: article.cloned(), detail })
    }

    fn tell(&mut self, event: Event) -> Result<(), Stopped> {
        match (self.listener)(event) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Stopped),
        }
    }
}

/// An article's name for a person, where only its number is known.
pub(crate) fn numbered(article: ArticleKey) -> String {
    format!("article number {}", article.0)
}
