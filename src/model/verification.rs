//! What a verification of an archive tells: how far it is, and what is not as it was written.

use super::{ArticleName, Seq};

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where it was found.
    pub table: Table,
    /// The change that it belongs to, where that is known.
    pub seq: Option<Seq>,
    /// The article that it belongs to, where that is known.
    pub article: Option<ArticleName>,
    /// What was found.
    pub detail: String,
}

/// A part of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The changes.
    Log,
    /// The contents.
    Content,
    /// The kept originals.
    Original,
    /// What is kept of each article, side by side.
    Article,
    /// The names of articles.
    Name,
    /// The figures of sources.
    Source,
    /// The URLs.
    Url,
    /// The archive's own facts.
    Meta,
    /// The durable subscriptions.
    Subscription,
    /// None that is known.
    Unknown,
}

/// How far a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is read.
    pub phase: Phase,
    /// How much of it was read.
    pub done: u64,
    /// How much there is, as far as is known.
    pub total: u64,
}

/// The parts of a verification, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The log, change by change.
    Log,
    /// Contents, originals and indexes, article by article, counted in changes.
    Articles,
    /// All entries, each for a reason to be there.
    Entries,
}

/// What was read, and how much of it was wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Changes of the log.
    pub changes: u64,
    /// Articles.
    pub articles: u64,
    /// Contents.
    pub contents: u64,
    /// Originals.
    pub originals: u64,
    /// Entries of the database.
    pub entries: u64,
    /// Findings.
    pub findings: u64,
}

/// Something to tell.
#[derive(Clone, Debug)]
pub enum Event {
    /// How far it is.
    Progress(Progress),
    /// Something was found.
    Finding(Finding),
}
