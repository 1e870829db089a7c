//! The spans of a write: how long it waited, and how long its commit took.
//!
//! ```text
//! call        ├──────────────────────────────────────┤
//!   queue       ├──────┤
//!   commit              ├───────────────────────────┤   decided, waits for the commit before, synced
//!     sync                         ├────────────────┤
//! ```
//!
//! They are made only while something exports them; otherwise this costs a comparison.

use tracing::{Level, Span, trace_span};

/// The open spans of one write, if they are exported. Dropping this ends them.
#[derive(Debug)]
pub(crate) struct JobTrace(Option<Box<Spans>>);

#[derive(Debug)]
struct Spans {
    // Fields are dropped in order: the inner spans end first.
    sync: Span,
    stage: Span,
    call: Span,
}

impl JobTrace {
    /// The write is queued by the call of the current span.
    pub(crate) fn queued() -> Self {
        if !tracing::span_enabled!(target: "dateline::trace", Level::TRACE) {
            return Self(None);
        }
        let stage = trace_span!(target: "dateline::trace", "queue");
        Self(Some(Box::new(Spans { sync: Span::none(), stage, call: Span::current() })))
    }

    /// The write is decided, and waits for its commit.
    pub(crate) fn decided(&mut self) {
        if let Some(spans) = &mut self.0 {
            spans.stage = trace_span!(target: "dateline::trace", parent: &spans.call, "commit");
        }
    }

    /// The commit is made durable.
    pub(crate) fn syncing(&mut self) {
        if let Some(spans) = &mut self.0 {
            spans.sync = trace_span!(target: "dateline::trace", parent: &spans.stage, "sync");
        }
    }
}
