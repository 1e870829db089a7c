//! What a random run does, as plain values that shrink well and read well in a failure.

use std::fmt;

/// One of a small alphabet of contents. Two are equal exactly where their numbers are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Text(pub(crate) u8);

impl fmt::Debug for Text {
    /// A, B, C, …
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", char::from(b'A' + self.0))
    }
}

/// A run: the steps, and how the archive is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Whether reads have caches, or all go to the engine.
    pub(crate) caches: bool,
    pub(crate) steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// An atomic batch.
    Write(Vec<Write>),
    /// The same, without writing.
    Validate(Vec<Write>),
    /// A batch that was sent before, word for word: the nth, counted round.
    Again(usize),
    /// Batches that wait for one another's commits, so that several share one.
    Burst(Vec<Vec<Write>>),
    /// A batch whose commit fails.
    Fail(Failure, Vec<Write>),
    /// The archive is closed and opened again.
    Reopen,
    /// The clock is set so many microseconds on, or back.
    Clock(i64),
    /// A read as known so many microseconds before the clock.
    AsKnown(i64),
}

/// How a commit fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The disk is full. Nothing is written, and the archive goes on.
    Full,
    /// Nothing is written. The archive is opened again.
    BeforeWrite,
    /// It is written and not synced, the power is cut, and it is gone.
    PowerCut,
    /// It is written and not synced, the process ends, and it is there.
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

/// Which article.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// The nth of those with fixed names.
    Article(u8),
    /// One of the nth source that a URL leads to, or else the one of its derived name.
    Found(u8),
}

/// What is done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It is seen to say `text`.
    Observe { text: Text, urls: Vec<u8>, original: Option<u8>, fetch: Option<u8>, coalesce_within: i64 },
    /// It goes back to a revision.
    Rollback(u32),
    /// It is taken down, for the nth reason.
    Withdraw(u8),
    /// It is put up again, for the nth reason.
    Reinstate(u8),
}

/// What the newest state is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// The article is not there.
    Absent,
    /// The etag that the archive gives now.
    EtagNow,
    /// The nth etag that it gave for the article so far, counted round; nonsense before it gave one.
    EtagOf(usize),
    /// The number of the newest revision.
    RevisionNow,
    /// This number.
    Revision(u32),
}

/// An observation without more, for tests that are written by hand.
pub(crate) fn observe(article: u8, at: i64, text: Text) -> Write {
    let what = What::Observe { text, urls: Vec::new(), original: None, fetch: None, coalesce_within: 0 };
    Write { to: To::Article(article), at, what, expect: None, request: None }
}

/// Any other operation without more.
pub(crate) fn act(article: u8, at: i64, what: What) -> Write {
    Write { to: To::Article(article), at, what, expect: None, request: None }
}
