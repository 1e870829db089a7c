//! What a random run does, as plain values that shrink well and are readable in a failure.

use std::fmt;

/// One of a few contents. Two are equal exactly if their numbers are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Text(pub(crate) u8);

impl fmt::Debug for Text {
    /// A, B, C, …
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", char::from(b'A' + self.0))
    }
}

/// A run: its steps, and how the archive is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Whether reads use caches, or always go to the engine.
    pub(crate) caches: bool,
    pub(crate) steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// An atomic batch.
    Write(Vec<Write>),
    /// The same, but only validated.
    Validate(Vec<Write>),
    /// The nth batch that was sent before, repeated exactly; n wraps around.
    Again(usize),
    /// The same writes, each under another request id, as a client that has lost its ids sends them.
    Anew(usize, u32),
    /// Batches that are sent while a commit is in progress, so that several share the next one.
    Burst(Vec<Vec<Write>>),
    /// A batch whose commit fails.
    Fail(Failure, Vec<Write>),
    /// The archive is closed and opened again.
    Reopen,
    /// The clock is moved on, or back, by this many microseconds.
    Clock(i64),
    /// A read as known this many microseconds before the present.
    AsKnown(i64),
}

/// How a commit fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The disk is full. Nothing is written, and the archive continues.
    Full,
    /// Nothing is written. The archive is opened again.
    BeforeWrite,
    /// The commit is written but not synced, the power is cut, and the commit is gone.
    PowerCut,
    /// The commit is written but not synced, the process is killed, and the commit is there.
    Killed,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) to: To,
    /// A tick of the observe axis.
    pub(crate) at: i64,
    pub(crate) what: What,
    pub(crate) expect: Option<Expect>,
    pub(crate) request: Option<u32>,
}

/// How a write names its article.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// The nth of the articles with fixed names.
    Article(u8),
    /// An article of the nth source, found by its URLs, or else a new one with a derived name.
    Found(u8),
    /// The article to which the nth URL leads.
    Holder(u8),
}

/// What a write does to its article.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// An observation of `text`.
    Observe {
        text: Text,
        urls: Vec<u8>,
        original: Option<u8>,
        fetch: Option<u8>,
        labels: Vec<u8>,
        coalesce_within: i64,
    },
    /// A rollback to a revision.
    Rollback(u32),
    /// A withdrawal, with the nth reason.
    Withdraw(u8),
    /// A reinstatement, with the nth reason.
    Reinstate(u8),
    /// A look that found the page missing, in the nth way.
    Miss { how: u8, gone_after: u32, fetch: Option<u8>, coalesce_within: i64 },
    /// A change of labels, given by number, with the nth reason. It ignores the tick.
    Label { add: Vec<u8>, remove: Vec<u8>, reason: u8 },
    /// A move of the nth URL to the article, away from the article with the given number if there is one.
    Move { url: u8, from: Option<u8>, reason: u8 },
    /// The end of the nth URL at the article.
    End { url: u8, reason: u8 },
}

/// A precondition on the newest state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// The article must not exist.
    Absent,
    /// The present etag.
    EtagNow,
    /// The nth etag that the archive returned for the article so far, where n wraps around; an invalid one if there is
    /// none.
    EtagOf(usize),
    /// The number of the newest revision.
    RevisionNow,
    /// A revision with this number.
    Revision(u32),
}

/// A plain observation, for tests that are written by hand.
pub(crate) fn observe(article: u8, at: i64, text: Text) -> Write {
    act(article, at, seen(text))
}

/// A plain observation of a content.
pub(crate) fn seen(text: Text) -> What {
    What::Observe { text, urls: Vec::new(), original: None, fetch: None, labels: Vec::new(), coalesce_within: 0 }
}

/// Any other plain operation.
pub(crate) fn act(article: u8, at: i64, what: What) -> Write {
    Write { to: To::Article(article), at, what, expect: None, request: None }
}
